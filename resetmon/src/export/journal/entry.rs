//! One event as an entry of the journal.

use serde_json::Value;

use crate::event::{Context, Event};
use crate::export::facts::{Severity, severity};
use crate::export::json::flat;
use crate::export::terminal::sentence;

/// `MESSAGE_ID` of every reset.
pub const RESET_MESSAGE_ID: &str = "b84d9dbe28fb427ebc4d14f4b1c0608b";
/// `MESSAGE_ID` of every connection that failed without a reset.
pub const FAILURE_MESSAGE_ID: &str = "77ec08f4f8b349ad96c41d4a5d3d1534";

/// The entry, as journald reads it.
///
/// `MESSAGE` says it in a line, `PRIORITY` is 6 (info) where no connection failed by it
/// that somebody wanted, else 4 (warning). Every key of the JSON line is a field `RESETMON_…`: in capitals, inner keys joined by
/// `_` (`RESETMON_PROCESS_CONTAINER_POD`), a list as several fields of one name.
/// `OBJECT_SYSTEMD_UNIT` is the process's unit, so that `journalctl -u` shows its resets too.
#[must_use]
pub fn entry(event: &Event) -> Vec<u8> {
    let mut entry = Vec::with_capacity(4096);
    field(&mut entry, "MESSAGE", &sentence(event));
    field(
        &mut entry,
        "PRIORITY",
        match severity(event) {
            Severity::Info => "6",
            Severity::Warning => "4",
        },
    );
    field(&mut entry, "SYSLOG_IDENTIFIER", "resetmon");
    field(
        &mut entry,
        "MESSAGE_ID",
        match event {
            Event::Reset(_) => RESET_MESSAGE_ID,
            Event::Failure(_) => FAILURE_MESSAGE_ID,
        },
    );
    let owner = Context::from(event).owner;
    if let Some(unit) = owner.and_then(|owner| owner.process.unit.as_deref()) {
        field(&mut entry, "OBJECT_SYSTEMD_UNIT", unit);
    }
    flat::each(event, |path, value| {
        let name = name(path);
        match value {
            Value::Array(values) => {
                for value in values {
                    put(&mut entry, &name, value);
                }
            }
            one => put(&mut entry, &name, one),
        }
    });
    entry
}

fn put(entry: &mut Vec<u8>, name: &str, value: &Value) {
    match value {
        Value::String(text) => field(entry, name, text),
        other => field(entry, name, &other.to_string()),
    }
}

/// `process.container.pod` as `RESETMON_PROCESS_CONTAINER_POD`.
fn name(path: &str) -> String {
    let mut name = String::with_capacity(10 + path.len());
    name.push_str("RESETMON_");
    name.extend(path.chars().map(|letter| match letter {
        '.' => '_',
        letter => letter.to_ascii_uppercase(),
    }));
    name
}

/// `NAME=VALUE`; with its length in front where the value has lines, so that none of them is taken
/// for a field.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}
