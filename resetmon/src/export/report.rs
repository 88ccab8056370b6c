//! Reports laid out: for a terminal, as Markdown, as JSON, as a page.

pub mod html;
pub mod markdown;
pub mod terminal;

#[cfg(test)]
mod tests;

use crate::diagnosis::report::Report;

/// One JSON object, over several lines.
#[must_use]
pub fn to_json(report: &Report) -> String {
    // Strings, numbers and lists have no error; a reader still gets something that parses.
    serde_json::to_string_pretty(report).map_or_else(|_| "{}\n".to_owned(), |text| text + "\n")
}
