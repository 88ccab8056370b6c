//! A report as one page of HTML with everything in it: no script, no picture or font from elsewhere.

use std::fmt::{self, Write as _};

use super::summary;
use super::terminal::{label, moment};
use crate::diagnosis::pattern::wording::duration;
use crate::diagnosis::report::{Count, Distribution, Finding, Report, Timeline};

const STYLE: &str = include_str!("html/style.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    write_page(&mut out, report).map_or_else(|_| String::new(), |()| out)
}

fn write_page(out: &mut String, report: &Report) -> fmt::Result {
    let span = &report.span;
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<title>resetmon report</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>resetmon report</h1>\n<p class=\"span\">{}",
        Text(&span.source)
    )?;
    if let (Some(from), Some(to)) = (&span.from, &span.to) {
        write!(
            out,
            ", {} to {} UTC ({})",
            Text(&moment(from)),
            Text(&moment(to)),
            duration(span.seconds)
        )?;
    }
    let totals = &report.totals;
    writeln!(out, "</p>\n<p>{}.</p>", Text(&summary(totals)))?;
    writeln!(out, "<h2>Findings</h2>")?;
    if report.findings.is_empty() {
        writeln!(out, "<p>None.</p>")?;
    }
    for finding in &report.findings {
        write_finding(out, finding)?;
    }
    list(out, "Also seen", &report.notes)?;
    timeline(out, &report.timeline)?;
    writeln!(out, "<div class=\"columns\">")?;
    distribution(out, "Age of the connections", &report.age)?;
    distribution(out, "Silence before the end", &report.idle)?;
    writeln!(
        out,
        "</div>\n<h2>Where and why</h2>\n<div class=\"columns\">"
    )?;
    for (name, counts) in [
        ("Failures", &totals.failures),
        ("Directions", &totals.directions),
        ("Legs", &totals.legs),
        ("Causes", &totals.causes),
        ("Routes", &report.top.routes),
        ("Upstreams", &report.top.upstreams),
        ("Processes", &report.top.processes),
        ("Peers", &report.top.peers),
    ] {
        table(out, name, counts)?;
    }
    writeln!(out, "</div>")?;
    list(out, "Not seen", &report.unseen)?;
    writeln!(out, "</body>\n</html>")
}

fn write_finding(out: &mut String, finding: &Finding) -> fmt::Result {
    writeln!(
        out,
        "<section class=\"finding\">\n<h3>{} <span class=\"sure {}\">{}</span></h3>\n<ul>",
        Text(&finding.title),
        finding.certainty.name(),
        finding.certainty.name()
    )?;
    for line in &finding.evidence {
        writeln!(out, "<li>{}</li>", Text(line))?;
    }
    writeln!(
        out,
        "<li>{} to {} UTC, events {}</li>\n</ul>\n<h4>What to do</h4>\n<ol>",
        Text(&moment(&finding.first)),
        Text(&moment(&finding.last)),
        Text(&finding.examples.join(", "))
    )?;
    for line in &finding.advice {
        writeln!(out, "<li>{}</li>", Text(line))?;
    }
    writeln!(out, "</ol>\n</section>")
}

fn list(out: &mut String, name: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>{name}</h2>\n<ul>")?;
    for line in lines {
        writeln!(out, "<li>{}</li>", Text(line))?;
    }
    writeln!(out, "</ul>")
}

fn table(out: &mut String, name: &str, counts: &[Count]) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<table>\n<thead><tr><th scope=\"col\">{name}</th><th scope=\"col\">events</th></tr></thead>\n<tbody>"
    )?;
    for count in counts {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            Text(&count.name),
            count.events
        )?;
    }
    writeln!(out, "</tbody>\n</table>")
}

/// Width and height of the timeline's plot, in units of its own.
const PLOT: (u64, u64) = (960, 120);

fn timeline(out: &mut String, timeline: &Timeline) -> fmt::Result {
    let totals = timeline.events.iter().zip(&timeline.benign);
    let most = totals
        .clone()
        .map(|(bad, benign)| bad.saturating_add(*benign))
        .max();
    let (Some(from), Some(most @ 1..)) = (&timeline.from, most) else {
        return Ok(());
    };
    let (width, height) = PLOT;
    let steps = (timeline.events.len() as u64).max(1);
    writeln!(
        out,
        "<h2>Over time</h2>\n<figure>\n<svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Events over time\">"
    )?;
    for (number, (bad, benign)) in totals.enumerate() {
        let number = number as u64;
        let x = number * width / steps;
        let wide = ((number + 1) * width / steps - x).saturating_sub(1).max(1);
        let mut base = height;
        for (events, class) in [(*bad, "bad"), (*benign, "benign")] {
            if events == 0 {
                continue;
            }
            let tall = u128::from(events) * u128::from(height) / u128::from(most);
            let tall = u64::try_from(tall).unwrap_or(height).clamp(1, base.max(1));
            base = base.saturating_sub(tall);
            writeln!(
                out,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{base}\" width=\"{wide}\" \
                 height=\"{tall}\"><title>{events}</title></rect>"
            )?;
        }
    }
    writeln!(
        out,
        "</svg>\n<figcaption>From {}, {} a step, at most {most}; harmless ones are \
         pale.</figcaption>\n</figure>",
        Text(&moment(from)),
        duration(timeline.step_seconds)
    )
}

fn distribution(out: &mut String, name: &str, spread: &Distribution) -> fmt::Result {
    const ROW: u64 = 20;
    const LABEL: u64 = 150;
    const LONGEST: u64 = 240;
    let most = spread
        .bars
        .iter()
        .map(|bar| bar.events)
        .max()
        .unwrap_or_default();
    if most == 0 {
        return Ok(());
    }
    let height = ROW * spread.bars.len() as u64;
    writeln!(
        out,
        "<figure>\n<figcaption>{name}</figcaption>\n<svg viewBox=\"0 0 {} {height}\" role=\"img\" \
         aria-label=\"{name}\">",
        LABEL + LONGEST + 70
    )?;
    for (number, bar) in spread.bars.iter().enumerate() {
        let y = number as u64 * ROW;
        let long = u128::from(bar.events) * u128::from(LONGEST) / u128::from(most);
        let long = u64::try_from(long)
            .unwrap_or(LONGEST)
            .max(u64::from(bar.events > 0));
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" class=\"end\">{}</text><rect class=\"bad\" x=\"{LABEL}\" \
             y=\"{}\" width=\"{long}\" height=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            LABEL - 8,
            y + 14,
            label(bar),
            y + 3,
            ROW - 6,
            LABEL + long + 6,
            y + 14,
            bar.events
        )?;
    }
    writeln!(out, "</svg>")?;
    if let Some(quantiles) = spread.quantiles {
        writeln!(
            out,
            "<p class=\"quantiles\">50 % below {}, 90 % below {}, 99 % below {}</p>",
            duration(quantiles.p50),
            duration(quantiles.p90),
            duration(quantiles.p99)
        )?;
    }
    writeln!(out, "</figure>")
}

/// Text as HTML shows it: nothing in it is markup, in an element or in an attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if letter.is_control() => f.write_char(char::REPLACEMENT_CHARACTER)?,
                _ => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
