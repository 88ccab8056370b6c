//! Text for a terminal: harmless, cut to a width, with units.

use std::net::SocketAddr;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for what was cut.
const ELLIPSIS: char = '…';

/// The text with every character that a terminal would obey, hide or stack on another replaced:
/// controls, direction marks, zero-width and combining characters.
pub(in crate::export) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            // Line and paragraph separators have a width and still end a line.
            '\u{2028}' | '\u{2029}' => char::REPLACEMENT_CHARACTER,
            _ if letter.width().is_none_or(|width| width == 0) => char::REPLACEMENT_CHARACTER,
            _ => letter,
        })
        .collect()
}

/// Columns that a clean text takes.
pub(in crate::export) fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `columns` columns.
pub(in crate::export) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = prefix(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        kept.push(ELLIPSIS);
    }
    kept
}

/// The text in exactly `columns` columns, filled up with blanks.
pub(in crate::export) fn cell(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// As much of the beginning as fits.
fn prefix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += letter.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// `10.0.0.9:8080`, `[2001:db8::1]:443`; what does not fit is taken from the middle of the address,
/// because its end and the port tell most.
pub(in crate::export) fn endpoint(address: SocketAddr, columns: usize) -> String {
    let full = address.to_string();
    if full.len() <= columns {
        return full;
    }
    let port = format!(":{}", address.port());
    let host = address.ip().to_string();
    let (open, close) = if address.is_ipv6() {
        ("[", "]")
    } else {
        ("", "")
    };
    let frame = port.len() + open.len() + close.len() + 1;
    let kept = columns.saturating_sub(frame).min(host.len());
    let head = kept.div_ceil(2);
    // Addresses are ASCII, so every index is a boundary.
    let tail = &host[host.len() - (kept - head)..];
    format!("{open}{}{ELLIPSIS}{tail}{close}{port}", &host[..head])
}

/// `local → remote` within `columns`; the shorter end leaves its room to the longer.
pub(in crate::export) fn endpoints(
    local: SocketAddr,
    remote: SocketAddr,
    arrow: char,
    columns: usize,
) -> String {
    let room = columns.saturating_sub(3);
    let (left, right) = (local.to_string().len(), remote.to_string().len());
    let half = room / 2;
    let (left, right) = if left + right <= room {
        (left, right)
    } else if left <= half {
        (left, room - left)
    } else if right <= half {
        (room - right, right)
    } else {
        (room - half, half)
    };
    format!(
        "{} {arrow} {}",
        endpoint(local, left),
        endpoint(remote, right)
    )
}

/// `420B`, `12.3kB`, `5.0GB`, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1000, "kB"),
    ];
    for (unit, name) in UNITS {
        if count >= unit {
            let tenths = count / (unit / 10);
            return format!("{}.{}{name}", tenths / 10, tenths % 10);
        }
    }
    format!("{count}B")
}

/// `<1ms`, `12ms`, `60.0s`, `350s`, `16m40s`, `1h05m`, `3d04h`: seconds as long as timeouts are
/// written in them.
pub(super) fn duration(duration: Duration) -> String {
    let (secs, millis) = (duration.as_secs(), duration.subsec_millis());
    match secs {
        0 if millis == 0 => "<1ms".to_owned(),
        0 => format!("{millis}ms"),
        1..100 => format!("{secs}.{}s", millis / 100),
        100..1000 => format!("{secs}s"),
        1000..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

/// Rows as columns that are two blanks apart, each row `indent` blanks in and ended by a line feed.
///
/// The last column is as wide as it is.
#[must_use]
pub fn columns<const N: usize>(rows: &[[String; N]], indent: usize) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| width(&row[column]));
        cells.max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, content) in row.iter().enumerate() {
            line.push_str(content);
            if column + 1 < N {
                line.push_str(&" ".repeat(widths[column] - width(content) + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_letters_are_replaced() {
        for (text, expected) in [
            ("nginx: worker", "nginx: worker"),
            ("日本語 é ü", "日本語 é ü"),
            ("\u{1b}[2J\u{7}", "\u{fffd}[2J\u{fffd}"),
            ("a\nb\tc\rd\0e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
            ("\u{9b}31m\u{7f}", "\u{fffd}31m\u{fffd}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}d",
                "a\u{fffd}b\u{fffd}c\u{fffd}d",
            ),
            (
                "a\u{200b}b\u{feff}c\u{2028}d\u{2029}e",
                "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e",
            ),
            ("e\u{301}\u{301}", "e\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn cut_by_columns() {
        for (text, columns, expected) in [
            ("nginx", 5, "nginx"),
            ("nginx", 4, "ngi…"),
            ("nginx", 1, "…"),
            ("nginx", 0, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            // Half of a wide letter cannot be shown.
            ("日本語", 4, "日…"),
            ("", 3, ""),
        ] {
            assert_eq!(cut(text, columns), expected, "{text} in {columns}");
            assert_eq!(width(&cell(text, columns)), columns, "{text} in {columns}");
        }
    }

    #[test]
    fn endpoints_keep_their_ports() {
        for (local, remote, columns, expected) in [
            ("10.0.0.1:80", "10.0.0.2:5", 36, "10.0.0.1:80 → 10.0.0.2:5"),
            (
                "192.168.100.101:45678",
                "192.168.100.102:45679",
                36,
                "192.1…0.101:45678 → 192.1….102:45679",
            ),
            (
                "[2001:db8:1:2:3:4:5:6]:443",
                "10.0.0.2:5",
                36,
                "[2001:db8…:3:4:5:6]:443 → 10.0.0.2:5",
            ),
            (
                "10.0.0.2:5",
                "[2001:db8:1:2:3:4:5:6]:443",
                36,
                "10.0.0.2:5 → [2001:db8…:3:4:5:6]:443",
            ),
            ("[::1]:443", "[::1]:50000", 36, "[::1]:443 → [::1]:50000"),
            (
                "[2001:db8:1:2:3:4:5:6]:65535",
                "[2001:db8:1:2:3:4:5:7]:65535",
                22,
                "[2…]:65535 → […]:65535",
            ),
        ] {
            let text = endpoints(
                local.parse().unwrap(),
                remote.parse().unwrap(),
                '→',
                columns,
            );
            assert_eq!(text, expected);
            assert!(width(&text) <= columns, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (12_345, "12.3kB"),
            (999_999, "999.9kB"),
            (1_000_000, "1.0MB"),
            (5_000_000_000, "5.0GB"),
            (u64::MAX, "18446744.0TB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn durations() {
        for (millis, expected) in [
            (0, "<1ms"),
            (12, "12ms"),
            (999, "999ms"),
            (1_560, "1.5s"),
            (60_004, "60.0s"),
            (99_999, "99.9s"),
            (350_000, "350s"),
            (1_000_000, "16m40s"),
            (3_599_000, "59m59s"),
            (3_900_000, "1h05m"),
            (86_400_000, "1d00h"),
            (273_600_000, "3d04h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
        assert_eq!(duration(Duration::from_micros(999)), "<1ms");
    }
}
