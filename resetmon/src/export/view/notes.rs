//! What resetmon says about itself while the view has the terminal.

use std::collections::VecDeque;

/// Notes kept; older ones are forgotten.
pub const KEPT: usize = 200;

/// Lines of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Oldest first.
    lines: VecDeque<String>,
    /// Warnings and errors that nobody has looked at.
    unread: usize,
}

impl Notes {
    /// Takes a line: time, level, text.
    pub fn add(&mut self, line: &str) {
        let line = plain(line);
        if line.trim().is_empty() {
            return;
        }
        self.unread += usize::from(is_warning(&line));
        if self.lines.len() >= KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().rev().map(String::as_str)
    }

    /// The newest warning or error without its time, and how many there are, while nobody has
    /// looked at them.
    #[must_use]
    pub fn unread(&self) -> Option<(&str, usize)> {
        if self.unread == 0 {
            return None;
        }
        let line = self.newest_first().find(|line| is_warning(line))?;
        let text = line.split_once(' ').map_or(line, |(_, text)| text);
        Some((text.trim_start(), self.unread))
    }

    /// Somebody has looked.
    pub const fn read(&mut self) {
        self.unread = 0;
    }
}

/// Whether the second word is the level of a warning or an error.
fn is_warning(line: &str) -> bool {
    let level = line.split_whitespace().nth(1);
    level.is_some_and(|level| level == "WARN" || level == "ERROR")
}

/// The text without the sequences that colour it.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            text.push(letter);
        } else if letters.next() == Some('[') {
            // A control sequence ends with the first letter after its parameters.
            letters.by_ref().find(|letter| ('@'..='~').contains(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unread_until_somebody_looks() {
        let mut notes = Notes::default();
        for (line, unread) in [
            ("T INFO gateway nginx found", None),
            ("", None),
            (
                "\u{1b}[2mT\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m routes: odd",
                Some(("WARN routes: odd", 1)),
            ),
            ("T INFO reloaded", Some(("WARN routes: odd", 1))),
            ("T ERROR WARN", Some(("ERROR WARN", 2))),
        ] {
            notes.add(line);
            assert_eq!(notes.unread(), unread, "{line:?}");
        }
        notes.read();
        assert_eq!(notes.unread(), None);
        let lines: Vec<_> = notes.newest_first().collect();
        assert_eq!(
            lines,
            [
                "T ERROR WARN",
                "T INFO reloaded",
                "T  WARN routes: odd",
                "T INFO gateway nginx found",
            ]
        );
    }

    #[test]
    fn old_notes_are_forgotten() {
        let mut notes = Notes::default();
        for number in 0..=KEPT {
            notes.add(&format!("T WARN {number}"));
        }
        assert_eq!(notes.newest_first().count(), KEPT);
        assert_eq!(notes.newest_first().last(), Some("T WARN 1"));
    }
}
