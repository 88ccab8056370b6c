//! Where diagnostics go: to standard error, after the view if that has the terminal.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are held back at most.
const MOST: usize = 64 * 1024;

/// What is held back, while anything is.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds back what would be written across the view; where standard error goes elsewhere, nothing.
pub(super) fn hold() {
    if io::stderr().is_terminal() {
        held().get_or_insert_default();
    }
}

/// Writes what was held back.
pub(super) fn release() {
    if let Some(bytes) = held().take() {
        // There is nobody left to tell.
        let _ = io::stderr().write_all(&bytes);
    }
}

/// Writes a diagnostic to standard error, or holds it back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *held() {
            Some(held) if held.len() + bytes.len() <= MOST => held.extend_from_slice(bytes),
            // The first ones say what went wrong.
            Some(_) => (),
            None => return io::stderr().write(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
