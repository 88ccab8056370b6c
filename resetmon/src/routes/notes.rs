//! What a source did not understand, as many lines as anybody reads.

use std::collections::HashSet;
use std::fmt::Display;

use crate::text::printable;

/// Most lines kept.
const MOST_LINES: usize = 200;
/// Most characters of a line.
const MOST_CHARACTERS: usize = 400;

/// Remarks for [`super::source::Reading::not_understood`]: each once, printable, bounded.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    lines: Vec<String>,
    seen: HashSet<String>,
    more: u64,
}

impl Notes {
    /// Notes `what` at `place`, a file with its line or an object's name.
    pub fn add(&mut self, place: impl Display, what: impl Display) {
        if self.lines.len() >= MOST_LINES {
            self.more = self.more.saturating_add(1);
            return;
        }
        let line = format!("{place}: {what}");
        let mut line = printable(&line).into_owned();
        if let Some((end, _)) = line.char_indices().nth(MOST_CHARACTERS) {
            line.truncate(end);
            line.push('…');
        }
        if self.seen.insert(line.clone()) {
            self.lines.push(line);
        }
    }

    /// The lines; the last one counts what was left out.
    #[must_use]
    pub fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("… and {} more", self.more));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_printable_and_once() {
        let mut notes = Notes::default();
        notes.add("a:1", "x\u{1b}[2J");
        notes.add("a:1", "x\u{1b}[2J");
        notes.add("a:2", "y".repeat(1000));
        for line in 0..300 {
            notes.add("b", line);
        }
        let lines = notes.into_lines();
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!(lines[0], "a:1: x\\u{1b}[2J");
        assert_eq!(lines[1].chars().count(), MOST_CHARACTERS + 1);
        assert_eq!(lines[2], "b: 0");
        assert_eq!(lines[MOST_LINES], "… and 102 more");
    }
}
