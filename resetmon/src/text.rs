//! Text from outside, made safe to show: in a terminal, a log line, a label.

use std::borrow::Cow;

/// `text` without anything that moves the cursor, breaks the line or turns the reading direction:
/// such characters are written as Rust escapes. Quotes and backslashes stay as they are, since each
/// output format escapes them in its own way.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(unprintable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if unprintable(char) {
            safe.extend(char.escape_default());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

/// Printable text of bytes that may not be UTF-8, of at most `most` characters; `…` ends what is cut.
#[must_use]
pub fn printable_bytes(bytes: &[u8], most: usize) -> String {
    // One character needs four bytes at most; the rest cannot show.
    let head = &bytes[..bytes.len().min(most.saturating_add(1).saturating_mul(4))];
    let text = String::from_utf8_lossy(head);
    let safe = printable(&text);
    if safe.chars().nth(most).is_none() {
        return safe.into_owned();
    }
    let mut cut: String = safe.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `1 event`, `2 events`, `3 processes`: the number and what it counts.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    let plural = match (number, one.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {one}{plural}")
}

/// Control characters, line separators, and Unicode's bidirectional controls.
fn unprintable(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_things() {
        for (number, one, expected) in [
            (0, "event", "0 events"),
            (1, "event", "1 event"),
            (2, "sent reset", "2 sent resets"),
            (1, "process", "1 process"),
            (3, "process", "3 processes"),
        ] {
            assert_eq!(counted(number, one), expected);
        }
    }

    #[test]
    fn hostile_text() {
        for (bytes, most, expected) in [
            (&b"nginx"[..], 8, "nginx"),
            (b"", 8, ""),
            (b"a \"b\" \\ 'c'", 20, "a \"b\" \\ 'c'"),
            (b"a\nb\tc\x1b[31m\x7f", 40, "a\\nb\\tc\\u{1b}[31m\\u{7f}"),
            (b"a\xff\xfeb", 8, "a\u{fffd}\u{fffd}b"),
            ("größe".as_bytes(), 8, "größe"),
            ("x\u{202e}y\u{85}z".as_bytes(), 40, "x\\u{202e}y\\u{85}z"),
            (b"12345678", 8, "12345678"),
            (b"123456789", 8, "1234567…"),
            ("ääääääääää".as_bytes(), 4, "äää…"),
            // Cut within an escape, and in the middle of a character of the input's head.
            (b"\n\n\n", 4, "\\n\\…"),
            ("\u{1f600}".repeat(9).as_bytes(), 2, "\u{1f600}…"),
            (b"ab", 0, "…"),
        ] {
            assert_eq!(printable_bytes(bytes, most), expected, "{bytes:?}");
        }
    }
}
