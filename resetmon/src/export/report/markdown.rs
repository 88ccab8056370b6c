//! A report as Markdown, for an issue or a wiki.

use std::fmt::Write as _;

use super::summary;
use super::terminal::{label, moment};
use crate::diagnosis::pattern::wording::duration;
use crate::diagnosis::report::{Count, Distribution, Finding, Report};

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    write_page(&mut out, report).map_or_else(|_| String::new(), |()| out)
}

fn write_page(out: &mut String, report: &Report) -> std::fmt::Result {
    let span = &report.span;
    writeln!(out, "# resetmon report\n")?;
    write!(out, "Source: {}", plain(&span.source))?;
    if let (Some(from), Some(to)) = (&span.from, &span.to) {
        write!(
            out,
            ", {} to {} UTC ({})",
            moment(from),
            moment(to),
            duration(span.seconds)
        )?;
    }
    writeln!(out, ".\n")?;
    let totals = &report.totals;
    writeln!(out, "{}.\n", summary(totals))?;
    writeln!(out, "## Findings\n")?;
    if report.findings.is_empty() {
        writeln!(out, "None.\n")?;
    }
    for (number, finding) in report.findings.iter().enumerate() {
        write_finding(out, number + 1, finding)?;
    }
    list(out, "Also seen", &report.notes)?;
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
    distribution(out, "Age of the connections", &report.age)?;
    distribution(out, "Silence before the end", &report.idle)?;
    list(out, "Not seen", &report.unseen)
}

fn write_finding(out: &mut String, number: usize, finding: &Finding) -> std::fmt::Result {
    writeln!(out, "### {number}. {}\n", plain(&finding.title))?;
    writeln!(
        out,
        "How sure: {}. From {} to {} UTC.\n",
        finding.certainty.name(),
        moment(&finding.first),
        moment(&finding.last)
    )?;
    for line in &finding.evidence {
        writeln!(out, "- {}", plain(line))?;
    }
    writeln!(
        out,
        "- events {}\n\nWhat to do:\n",
        finding.examples.join(", ")
    )?;
    for line in &finding.advice {
        writeln!(out, "1. {}", plain(line))?;
    }
    writeln!(out)
}

fn list(out: &mut String, name: &str, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "## {name}\n")?;
    for line in lines {
        writeln!(out, "- {}", plain(line))?;
    }
    writeln!(out)
}

fn table(out: &mut String, name: &str, counts: &[Count]) -> std::fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(out, "| {name} | events |\n|---|---:|")?;
    for count in counts {
        writeln!(out, "| {} | {} |", plain(&count.name), count.events)?;
    }
    writeln!(out)
}

fn distribution(out: &mut String, name: &str, spread: &Distribution) -> std::fmt::Result {
    if spread.bars.is_empty() {
        return Ok(());
    }
    writeln!(out, "| {name} | events |\n|---|---:|")?;
    for bar in &spread.bars {
        writeln!(out, "| {} | {} |", label(bar), bar.events)?;
    }
    writeln!(out)
}

/// The text as Markdown shows it: nothing in it is markup, a link or HTML.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // GitHub makes links of bare addresses.
            ':' if letters.peek() == Some(&'/') => out.push_str("&#58;"),
            '.' if ends_with_www(&out) => out.push_str("&#46;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' | '@' => {
                out.push('\\');
                out.push(letter);
            }
            _ if letter.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(letter),
        }
    }
    out
}

fn ends_with_www(text: &str) -> bool {
    let end = text.len().checked_sub(3).and_then(|at| text.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case("www"))
}
