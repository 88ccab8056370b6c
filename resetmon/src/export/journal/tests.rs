use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::mem::MaybeUninit;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;

use super::*;
use crate::export::background::Background;
use crate::export::json::to_event_line;
use crate::export::sample;

type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads an entry as the protocol's description has it.
fn parse(mut entry: &[u8]) -> Fields {
    let mut fields = Fields::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        let (name, value) = if let Some(sign) = line.iter().position(|byte| *byte == b'=') {
            entry = rest;
            (&line[..sign], &line[sign + 1..])
        } else {
            let (length, rest) = rest.split_first_chunk::<8>().unwrap();
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            assert_eq!(rest[length], b'\n');
            entry = &rest[length + 1..];
            (line, &rest[..length])
        };
        let name = String::from_utf8(name.to_vec()).unwrap();
        // What journald takes: src/libsystemd/sd-journal/journal-file.c, journal_field_valid.
        assert!((1..=64).contains(&name.len()), "{name}");
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            "{name}"
        );
        assert!(!name.starts_with(|first: char| first == '_' || first.is_ascii_digit()));
        fields.entry(name).or_default().push(value.to_vec());
    }
    fields
}

fn text(fields: &Fields, name: &str) -> Vec<String> {
    let values = fields.get(name).cloned().unwrap_or_default();
    let text = values.into_iter().map(String::from_utf8);
    text.collect::<Result<_, _>>().unwrap()
}

/// What stands in an entry of one datagram, or in the file that it names.
fn receive(socket: &UnixDatagram) -> (Vec<u8>, bool) {
    let mut bytes = vec![0; 1 << 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(&mut bytes)];
    let message = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::empty()).unwrap();
    for message_part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message_part {
            assert_eq!(message.bytes, 0, "journald wants nothing beside the file");
            let file = files.next().unwrap();
            let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
            let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
            assert!(seals.contains(wanted), "{seals:?}");
            let mut file = File::from(file);
            let mut whole = Vec::new();
            std::io::Seek::rewind(&mut file).unwrap();
            file.read_to_end(&mut whole).unwrap();
            return (whole, true);
        }
    }
    bytes.truncate(message.bytes);
    (bytes, false)
}

#[test]
fn every_key_of_the_line_is_a_field() {
    let mut reset = sample::received();
    reset.propagated_from = Some(sample::propagated());
    reset.twin = Some(sample::twin());
    for event in [
        Event::Reset(reset),
        Event::Reset(sample::sent_without_socket()),
        Event::Failure(sample::failure()),
    ] {
        let fields = parse(&entry(&event));
        let line: Value = serde_json::from_str(&to_event_line(&event)).unwrap();
        let mut left: Vec<(String, &Value)> = vec![("RESETMON".to_owned(), &line)];
        let mut leaves = 0;
        while let Some((name, value)) = left.pop() {
            match value {
                Value::Object(members) => left.extend(members.iter().map(|(key, value)| {
                    let key = key.to_ascii_uppercase();
                    (format!("{name}_{key}"), value)
                })),
                Value::Array(values) => {
                    let values: Vec<&str> = values.iter().map(|v| v.as_str().unwrap()).collect();
                    assert_eq!(text(&fields, &name), values);
                    leaves += 1;
                }
                Value::Null => assert!(text(&fields, &name).is_empty(), "{name}"),
                Value::String(value) => {
                    assert_eq!(text(&fields, &name), std::slice::from_ref(value));
                    leaves += 1;
                }
                other => {
                    assert_eq!(text(&fields, &name), [other.to_string()]);
                    leaves += 1;
                }
            }
        }
        let ours = fields.keys().filter(|name| name.starts_with("RESETMON_"));
        assert_eq!(ours.count(), leaves, "{fields:?}");
    }
}

#[test]
fn fields_that_journalctl_knows() {
    let mut benign = sample::received();
    benign.diagnosis.cause = crate::reset::Cause::ResetAfterClose;
    for (event, priority, id, unit) in [
        (
            Event::Reset(sample::received()),
            "4",
            RESET_MESSAGE_ID,
            &["nginx.service"][..],
        ),
        (
            Event::Reset(benign),
            "6",
            RESET_MESSAGE_ID,
            &["nginx.service"],
        ),
        (
            Event::Reset(sample::sent_without_socket()),
            "4",
            RESET_MESSAGE_ID,
            &[],
        ),
        (
            Event::Failure(sample::failure()),
            "4",
            FAILURE_MESSAGE_ID,
            &["nginx.service"],
        ),
    ] {
        let fields = parse(&entry(&event));
        assert_eq!(text(&fields, "PRIORITY"), [priority]);
        assert_eq!(text(&fields, "MESSAGE_ID"), [id]);
        assert_eq!(text(&fields, "SYSLOG_IDENTIFIER"), ["resetmon"]);
        assert_eq!(text(&fields, "OBJECT_SYSTEMD_UNIT"), unit);
        let message = text(&fields, "MESSAGE");
        assert!(
            message.len() == 1 && message[0].contains(", "),
            "{message:?}"
        );
    }
}

#[test]
fn no_name_makes_a_field_of_its_own() {
    let hostile = "x\nPRIORITY=0\n_UID=0\nMESSAGE=\n\0=\r\u{1b}[2J\n";
    let mut reset = sample::received();
    reset.peer = Arc::from(hostile);
    reset.diagnosis.evidence = vec![hostile.to_owned(), String::new(), "=".to_owned()].into();
    let event = Event::Reset(reset);
    let fields = parse(&entry(&event));
    assert_eq!(text(&fields, "RESETMON_PEER"), [hostile]);
    assert_eq!(text(&fields, "RESETMON_EVIDENCE"), [hostile, "", "="]);
    assert_eq!(text(&fields, "PRIORITY"), ["4"]);
    assert_eq!(text(&fields, "MESSAGE").len(), 1);
}

#[test]
fn large_entries_go_by_a_sealed_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let server = UnixDatagram::bind(&path).unwrap();
    let mut journal = Journal::open(&path).unwrap();
    let mut reset = sample::received();
    journal.send(&entry(&Event::Reset(reset.clone()))).unwrap();
    let (small, by_file) = receive(&server);
    assert!(!by_file);
    assert_eq!(
        text(&parse(&small), "RESETMON_CAUSE"),
        ["aborted_mid_response"]
    );
    // More than any limit of a socket's buffer.
    let long = "long ".repeat(4 << 20);
    reset.peer = Arc::from(&*long);
    journal.send(&entry(&Event::Reset(reset))).unwrap();
    let (large, by_file) = receive(&server);
    assert!(by_file);
    assert_eq!(text(&parse(&large), "RESETMON_PEER"), [long]);
}

#[test]
fn a_journal_that_was_restarted_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let error = Journal::open(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let first = UnixDatagram::bind(&path).unwrap();
    let writer =
        Background::new("the journal".to_owned(), 16, Journal::open(&path).unwrap()).unwrap();
    let lost = writer.lost_handle();
    let put = || writer.put(Arc::new(Event::Reset(sample::received())));
    put();
    receive(&first);
    drop(first);
    // Gone: what is written now is lost, and counted.
    put();
    while lost.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    std::fs::remove_file(&path).unwrap();
    let second = UnixDatagram::bind(&path).unwrap();
    put();
    let (again, _) = receive(&second);
    assert_eq!(text(&parse(&again), "RESETMON_EVENT"), ["reset"]);
    let closed = writer.close(Duration::from_secs(60));
    assert_eq!((closed.written, closed.lost), (2, 1), "{closed:?}");
}
