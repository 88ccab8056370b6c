//! Reports laid out: for a terminal, as Markdown, as JSON, as a page.

pub mod html;
pub mod markdown;
pub mod terminal;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::diagnosis::report::{Report, Totals};
use crate::text::counted;

/// One JSON object, over several lines.
#[must_use]
pub fn to_json(report: &Report) -> String {
    // Strings, numbers and lists have no error; a reader still gets something that parses.
    serde_json::to_string_pretty(report).map_or_else(|_| "{}\n".to_owned(), |text| text + "\n")
}

/// What was counted, in one sentence without its end.
fn summary(totals: &Totals) -> String {
    let were = if totals.events == 1 { "was" } else { "were" };
    let events = counted(totals.events, "connection");
    let mut text = format!("{events} failed or {were} reset");
    match totals.benign {
        0 => {}
        benign if benign == totals.events => text += ", harmlessly",
        benign => {
            let _ = write!(text, ", {benign} of them harmlessly");
        }
    }
    if totals.passed_on > 0 {
        let _ = write!(
            text,
            "; {} more ended because gateways passed that on",
            totals.passed_on
        );
    }
    if totals.repeats > 0 {
        let _ = write!(
            text,
            "; {} of the same",
            counted(totals.repeats, "further packet")
        );
    }
    text
}
