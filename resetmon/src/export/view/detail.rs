//! Everything about one event.

use crate::diagnosis::advice::{Advice, advice, failure_advice};
use crate::event::Event;
use crate::export::terminal::detail::event_parts;
use crate::export::terminal::text::{clean, width};
use crate::export::terminal::{Row, process};

/// Columns of the words on the left.
const LABEL: usize = 10;

/// A line of the details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DetailLine {
    /// Stands out.
    pub(super) title: bool,
    pub(super) text: String,
}

/// The lines of an event, of at most `columns`.
pub(super) fn lines(event: &Event, columns: usize) -> Vec<DetailLine> {
    let row = Row::from(event);
    let observation = row.context.observation;
    let (id, advice) = match event {
        Event::Reset(reset) => (reset.id, advice(reset.diagnosis.cause)),
        Event::Failure(failure) => (failure.id, failure_advice(failure.kind)),
    };
    let mut page = Page {
        columns,
        lines: Vec::new(),
    };
    page.title(&format!("{} {}{}", row.word, row.conclusion, row.many()));
    page.entry(
        "time",
        &row.time.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
    );
    page.entry("id", &id.to_string());
    let ends = format!("{} {} {}", observation.local, row.arrow, observation.remote);
    page.entry("ends", &ends);
    page.entry("process", &process(row.context, usize::MAX));
    if let Event::Reset(reset) = event {
        let diagnosis = &reset.diagnosis;
        page.entry("sender", diagnosis.sender.name());
        page.entry("stage", diagnosis.stage.name());
        if let Some(reason) = &observation.reason {
            page.entry("reason", &clean(&reason.0));
        }
        if let Some(first) = reset.repeat_of {
            page.entry("repeats", &format!("reset {first}"));
        }
    } else if let Event::Failure(failure) = event {
        page.entry("stage", failure.stage.name());
    }
    page.blank();
    page.title("Evidence");
    for part in event_parts(event) {
        page.entry("·", &part);
    }
    page.blank();
    page.advice(advice);
    page.lines
}

struct Page {
    columns: usize,
    lines: Vec<DetailLine>,
}

impl Page {
    fn blank(&mut self) {
        self.push(false, String::new());
    }

    fn push(&mut self, title: bool, text: String) {
        self.lines.push(DetailLine { title, text });
    }

    fn title(&mut self, text: &str) {
        self.push(true, text.to_owned());
    }

    /// A word and what it says, in as many lines as that takes.
    fn entry(&mut self, label: &str, text: &str) {
        let indent = if width(label) == 1 { 2 } else { LABEL };
        let mut start = format!("{label}{}", " ".repeat(indent.saturating_sub(width(label))));
        for line in wrapped(text, self.columns.saturating_sub(indent).max(1)) {
            self.push(false, format!("{start}{line}"));
            start = " ".repeat(indent);
        }
    }

    fn advice(&mut self, advice: &Advice) {
        self.title("Advice");
        for line in wrapped(advice.summary, self.columns.max(1)) {
            self.push(false, line);
        }
        self.entry("meaning", advice.meaning);
        self.entry("makers", advice.makers);
        self.entry("check", advice.check);
        self.entry("change", advice.change);
    }
}

/// The text in lines of at most `columns`, broken at blanks, and within words that are longer.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut room = lines.last().map_or(0, |line| width(line));
        if room > 0 && room + 1 + width(word) > columns {
            lines.push(String::new());
            room = 0;
        }
        if room > 0 {
            append(&mut lines, ' ');
        }
        for letter in word.chars() {
            let wide = width(letter.encode_utf8(&mut [0; 4]));
            if lines
                .last()
                .is_some_and(|line| !line.is_empty() && width(line) + wide > columns)
            {
                lines.push(String::new());
            }
            append(&mut lines, letter);
        }
    }
    lines
}

fn append(lines: &mut [String], letter: char) {
    if let Some(line) = lines.last_mut() {
        line.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_within_long_words() {
        for (text, columns, expected) in [
            ("a bc def", 4, &["a bc", "def"][..]),
            ("a bc def", 3, &["a", "bc", "def"]),
            ("abcdefg h", 3, &["abc", "def", "g h"]),
            ("日本語", 5, &["日本", "語"]),
            ("", 5, &[""]),
        ] {
            assert_eq!(wrapped(text, columns), expected, "{text:?} in {columns}");
        }
    }
}
