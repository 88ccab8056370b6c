//! A report as a page of text, at most 100 columns wide.

use std::fmt::Write as _;

use super::summary;
use crate::diagnosis::pattern::wording::duration;
use crate::diagnosis::report::{Bar, Count, Distribution, Finding, Report, Timeline, Top, Totals};
use crate::export::terminal::text::{cell, clean, cut, width};
use crate::export::terminal::{BOLD, DIM, Style};

/// Widest and narrowest page.
const WIDEST: usize = 100;
const NARROWEST: usize = 80;
/// Lines of advice of one finding.
const ADVICE: usize = 3;
/// Findings shown in full; of more only the titles.
const FULL: usize = 12;
/// From empty to full.
const LEVELS: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '#', '@'];

/// The page.
#[must_use]
pub fn page(report: &Report, style: Style) -> String {
    let mut page = Page {
        text: String::new(),
        style,
        columns: style.columns.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST),
    };
    page.head(report);
    page.totals(&report.totals);
    page.findings(&report.findings, report.totals.events);
    page.list("Also seen", &report.notes);
    page.top(&report.top);
    page.timeline(&report.timeline);
    page.distributions(&report.age, &report.idle);
    page.list("Not seen", &report.unseen);
    page.text
}

struct Page {
    text: String,
    style: Style,
    columns: usize,
}

impl Page {
    fn line(&mut self, code: &str, text: &str) {
        let text = self.style.paint(code, text.trim_end());
        self.text.push_str(&text);
        self.text.push('\n');
    }

    /// The text in lines that fit; the first begins with `first`, the others with as many blanks.
    fn wrapped(&mut self, code: &str, first: &str, text: &str) {
        let indent = width(first);
        for (number, line) in wrap(text, self.columns.saturating_sub(indent))
            .iter()
            .enumerate()
        {
            let lead = if number == 0 {
                first.to_owned()
            } else {
                " ".repeat(indent)
            };
            self.line(code, &format!("{lead}{line}"));
        }
    }

    fn section(&mut self, name: &str) {
        self.line("", "");
        self.line(BOLD, name);
    }

    fn head(&mut self, report: &Report) {
        let span = &report.span;
        let mut head = format!("resetmon report of {}", clean(&span.source));
        if let (Some(from), Some(to)) = (&span.from, &span.to) {
            let _ = write!(
                head,
                ", {} to {} UTC ({})",
                moment(from),
                moment(to),
                duration(span.seconds)
            );
        }
        self.wrapped(BOLD, "", &head);
    }

    fn totals(&mut self, totals: &Totals) {
        self.wrapped("", "", &summary(totals));
        let some: Vec<String> = [&totals.failures, &totals.directions, &totals.legs]
            .into_iter()
            .filter(|counts| !counts.is_empty())
            .map(|counts| counted(counts, usize::MAX))
            .collect();
        self.wrapped("", "  ", &some.join(" | "));
        if !totals.causes.is_empty() {
            self.wrapped("", "  ", &counted(&totals.causes, 8));
        }
    }

    fn findings(&mut self, findings: &[Finding], events: u64) {
        self.section("Findings");
        if findings.is_empty() {
            let what = if events == 0 {
                "none: nothing failed"
            } else {
                "none"
            };
            self.line("", &format!("  {what}"));
        }
        for (number, finding) in findings.iter().enumerate() {
            let lead = format!("{:>2}. ", number + 1);
            self.wrapped(BOLD, &lead, &clean(&finding.title));
            if number >= FULL {
                continue;
            }
            for (at, line) in finding.evidence.iter().enumerate() {
                let line = if at == 0 {
                    format!("{}: {}", finding.certainty.name(), clean(line))
                } else {
                    clean(line)
                };
                self.wrapped("", "    ", &line);
            }
            for line in finding.advice.iter().take(ADVICE) {
                self.wrapped("", "    > ", &clean(line));
            }
            self.wrapped(
                DIM,
                "    ",
                &format!("events {}", finding.examples.join(", ")),
            );
        }
    }

    fn list(&mut self, name: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.section(name);
        for line in lines {
            self.wrapped("", "  - ", &clean(line));
        }
    }

    fn top(&mut self, top: &Top) {
        let lists = [
            ("routes", &top.routes),
            ("upstreams", &top.upstreams),
            ("processes", &top.processes),
            ("peers", &top.peers),
        ];
        if lists.iter().all(|(_, counts)| counts.is_empty()) {
            return;
        }
        self.section("Where most of it is");
        for (name, counts) in lists {
            if !counts.is_empty() {
                self.wrapped("", &format!("  {name:<10} "), &counted(counts, usize::MAX));
            }
        }
    }

    fn timeline(&mut self, timeline: &Timeline) {
        let (Some(from), Some(most)) = (&timeline.from, timeline.events.iter().max()) else {
            return;
        };
        if *most == 0 {
            return;
        }
        self.section("Over time, without the harmless");
        let bars: String = timeline
            .events
            .iter()
            .map(|events| level(*events, *most))
            .collect();
        self.line("", &format!("  |{bars}|"));
        self.line(
            DIM,
            &format!(
                "  from {}, {} a step; @ is {most}",
                moment(from),
                duration(timeline.step_seconds)
            ),
        );
    }

    fn distributions(&mut self, age: &Distribution, idle: &Distribution) {
        if age.bars.is_empty() && idle.bars.is_empty() {
            return;
        }
        self.section("Age of the connections, and silence before the end");
        let half = self.columns / 2 - 2;
        let (left, right) = (histogram(age, half), histogram(idle, half));
        for row in 0..left.len().max(right.len()) {
            let of = |side: &[String]| side.get(row).cloned().unwrap_or_default();
            let line = format!("  {}  {}", cell(&of(&left), half), of(&right));
            self.line("", &line);
        }
    }
}

/// `reset 30, refused 12`, the first `most` of them.
fn counted(counts: &[Count], most: usize) -> String {
    let shown: Vec<String> = counts
        .iter()
        .take(most)
        .map(|count| format!("{} {}", clean(&count.name), count.events))
        .collect();
    shown.join(", ")
}

fn histogram(distribution: &Distribution, columns: usize) -> Vec<String> {
    const LABEL: usize = 18;
    const COUNT: usize = 10;
    let most = distribution
        .bars
        .iter()
        .map(|bar| bar.events)
        .max()
        .unwrap_or_default();
    let room = columns.saturating_sub(LABEL + COUNT).max(1) as u64;
    let mut lines: Vec<String> = distribution
        .bars
        .iter()
        .map(|bar| {
            // What is there at all shows.
            let long = u128::from(bar.events) * u128::from(room) / u128::from(most.max(1));
            let long = usize::try_from(long)
                .unwrap_or_default()
                .max(usize::from(bar.events > 0));
            let events = if bar.events > 0 {
                format!(" {}", bar.events)
            } else {
                String::new()
            };
            format!("{} {}{events}", cell(&label(bar), LABEL), "#".repeat(long))
        })
        .collect();
    if let Some(quantiles) = distribution.quantiles {
        lines.push(cut(
            &format!(
                "50 % < {}, 90 % < {}, 99 % < {}",
                duration(quantiles.p50),
                duration(quantiles.p90),
                duration(quantiles.p99)
            ),
            columns,
        ));
    }
    lines
}

/// `1 s to 2 s`.
pub(super) fn label(bar: &Bar) -> String {
    match bar.to {
        Some(to) if bar.from <= 0.0 => format!("below {}", duration(to)),
        Some(to) => format!("{} to {}", duration(bar.from), duration(to)),
        None => format!("from {}", duration(bar.from)),
    }
}

fn level(events: u64, most: u64) -> char {
    let full = LEVELS.len() as u128 - 1;
    let level = (u128::from(events) * full).div_ceil(u128::from(most.max(1)));
    usize::try_from(level)
        .ok()
        .and_then(|level| LEVELS.get(level))
        .copied()
        .unwrap_or(' ')
}

/// Day and time of day, without fractions.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339
        .chars()
        .take(19)
        .collect::<String>()
        .replace('T', " ")
}

/// Lines of at most `columns`, broken at blanks; a word that is longer is cut.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let word = cut(word, columns.max(1));
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}
