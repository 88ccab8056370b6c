//! Where diagnostics go: to standard error, and where a view has the terminal, to that first.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are kept for standard error at most.
const MOST: usize = 64 * 1024;

/// Lines that wait for the view at most.
const LINES: usize = 200;

/// What was said while a view has the terminal.
#[derive(Debug, Default)]
struct Held {
    /// The view has not taken these.
    lines: Vec<String>,
    /// To be written when the view ends.
    bytes: Vec<u8>,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a view has the terminal: nothing is written across it.
pub(super) fn hold() {
    held().get_or_insert_default();
}

/// The lines since the last call.
pub(super) fn take() -> Vec<String> {
    let mut held = held();
    held.as_mut()
        .map_or_else(Vec::new, |held| std::mem::take(&mut held.lines))
}

/// The view has ended: writes what was held back.
pub(super) fn release() {
    if let Some(held) = held().take() {
        // There is nobody left to tell.
        let _ = io::stderr().write_all(&held.bytes);
    }
}

impl Held {
    /// Takes what was written; keeps it for standard error too if that is a terminal.
    fn take(&mut self, bytes: &[u8], later: bool) {
        // The first ones say what went wrong.
        if later && self.bytes.len() + bytes.len() <= MOST {
            self.bytes.extend_from_slice(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        let room = LINES.saturating_sub(self.lines.len());
        self.lines
            .extend(text.lines().take(room).map(str::to_owned));
    }
}

/// Writes a diagnostic to standard error, or hands it to the view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let terminal = io::stderr().is_terminal();
        if let Some(held) = &mut *held() {
            held.take(bytes, terminal);
            if terminal {
                return Ok(bytes.len());
            }
        }
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_has_a_bound() {
        let mut held = Held::default();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..300 {
            held.take(&line, true);
        }
        assert_eq!(held.lines.len(), LINES);
        assert_eq!(held.bytes.len(), MOST - MOST % line.len());
        let mut elsewhere = Held::default();
        elsewhere.take(b"one\ntwo\xff\n", false);
        assert_eq!(elsewhere.lines, ["one", "two\u{fffd}"]);
        assert!(elsewhere.bytes.is_empty());
    }
}
