//! Everything about one event.

use std::fmt::Write as _;

use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::diagnosis::advice::{Advice, advice, failure_advice};
use crate::event::Event;
use crate::export::terminal::detail::event_parts;
use crate::export::terminal::text::{clean, cut, width};
use crate::export::terminal::{Row, process};
use crate::reset::Diagnosis;

/// Columns of the words on the left.
const LABEL: usize = 10;

/// The lines of an event, of at most `columns`.
pub(super) fn lines(event: &Event, columns: usize) -> Vec<Line<'static>> {
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
    let title = format!("{} {}{}: ", row.word, row.conclusion, row.many());
    for line in wrapped(&(title + advice.summary), columns.max(1)) {
        page.title(&line);
    }
    let ends = format!("{} {} {}", observation.local, row.arrow, observation.remote);
    page.entry("ends", &ends);
    page.entry("process", &process(row.context, usize::MAX));
    page.entry("known", &known(event));
    let time = row.time.strftime("%Y-%m-%d %H:%M:%S%.3fZ");
    page.entry("time", &format!("{time}, id {id}"));
    page.blank();
    page.title("Evidence");
    for part in event_parts(event) {
        page.entry("·", &part);
    }
    page.blank();
    page.advice(advice);
    page.lines
}

/// What the kernel and the packets say of it: who sent it, at which stage, for which reason.
fn known(event: &Event) -> String {
    let reset = match event {
        Event::Failure(failure) => return format!("stage {}", failure.stage.name()),
        Event::Reset(reset) => reset,
    };
    let Diagnosis { sender, stage, .. } = &reset.diagnosis;
    let mut text = format!("sender {}, stage {}", sender.name(), stage.name());
    if let Some(reason) = &reset.observation.reason {
        let _ = write!(text, ", reason {}", clean(&reason.0));
    }
    if let Some(first) = reset.repeat_of {
        let _ = write!(text, ", one more packet of reset {first}");
    }
    text
}

struct Page {
    columns: usize,
    lines: Vec<Line<'static>>,
}

impl Page {
    fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    fn title(&mut self, text: &str) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        self.lines.push(Line::styled(cut(text, self.columns), bold));
    }

    /// A word and what it says, in as many lines as that takes.
    fn entry(&mut self, label: &str, text: &str) {
        let indent = if width(label) == 1 { 2 } else { LABEL };
        let mut start = format!("{label}{}", " ".repeat(indent.saturating_sub(width(label))));
        for line in wrapped(text, self.columns.saturating_sub(indent).max(1)) {
            self.lines.push(Line::raw(format!("{start}{line}")));
            start = " ".repeat(indent);
        }
    }

    fn advice(&mut self, advice: &Advice) {
        self.title("Advice");
        self.entry("meaning", advice.meaning);
        self.entry("makers", advice.makers);
        self.entry("check", advice.check);
        self.entry("change", advice.change);
    }
}

/// The text in lines of at most `columns`, broken at blanks, and within words that are longer.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
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
