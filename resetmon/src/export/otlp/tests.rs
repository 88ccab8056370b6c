use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use serde_json::Value;

use super::*;
use crate::export::background::Background;
use crate::export::http::certs::Ca;
use crate::export::json::to_event_line;
use crate::export::sample;
use crate::reset::ResetId;

/// A request as a receiver gets it.
struct Seen {
    head: String,
    body: ExportLogsServiceRequest,
}

impl Seen {
    fn records(&self) -> &[LogRecord] {
        &self.body.resource_logs[0].scope_logs[0].log_records
    }
}

/// Answers one request a connection, each with the next of `answers`, the last one again.
fn receiver(answers: Vec<String>) -> (SocketAddr, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, seen) = channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = read(&mut stream);
            let answer = answers.next().unwrap();
            if answers.peek().is_none() {
                answers = vec![answer.clone()].into_iter().peekable();
            }
            // Who asked may have given up, and the test may be over.
            let _ = stream.write_all(answer.as_bytes());
            if send.send(request).is_err() {
                return;
            }
        }
    });
    (address, seen)
}

fn read(stream: &mut TcpStream) -> Seen {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    Seen {
        head,
        body: ExportLogsServiceRequest::decode(&*body).unwrap(),
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> String {
    let body = std::str::from_utf8(body).unwrap();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn settings(address: SocketAddr) -> Settings {
    Settings {
        endpoint: Endpoint::parse(&format!("http://{address}")).unwrap(),
        headers_file: None,
        ca_file: None,
    }
}

fn exporter(settings: Settings) -> Exporter {
    let mut exporter = Exporter::new(settings, vec![text("host.name", "n1")]).unwrap();
    exporter.pace = Pace {
        gather: Duration::from_millis(50),
        batch: 4,
        answer: Duration::from_secs(60),
        pauses: vec![Duration::from_millis(1); 3],
        longest: Duration::from_millis(1),
    };
    exporter
}

fn events(count: u64) -> impl Iterator<Item = Arc<Event>> {
    (0..count).map(|number| {
        let mut reset = sample::received();
        reset.id = ResetId(number);
        Arc::new(Event::Reset(reset))
    })
}

fn attribute<'a>(of: &'a [KeyValue], key: &str) -> Option<&'a Any> {
    let mut found = of.iter().filter(|pair| pair.key == key);
    let value = found.next()?;
    assert_eq!(found.count(), 0, "{key} is there twice");
    value.value.as_ref()?.value.as_ref()
}

fn string(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

#[test]
fn batches_arrive_whole_and_in_order() {
    let (address, seen) = receiver(vec![answer("200 OK", "", b"")]);
    let mut exporter = exporter(settings(address));
    let taken = exporter.take(&mut events(9));
    assert_eq!((taken.written, taken.lost), (9, 0), "{:?}", taken.error);
    let requests: Vec<Seen> = (0..3).map(|_| seen.recv().unwrap()).collect();
    let sizes: Vec<usize> = requests.iter().map(|r| r.records().len()).collect();
    assert_eq!(sizes, [4, 4, 1]);
    let head = &requests[0].head;
    assert!(head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf\r\n"),
        "{head}"
    );
    let all = requests.iter().flat_map(Seen::records);
    let ids: Vec<&Any> = all
        .map(|record| attribute(&record.attributes, "resetmon.id").unwrap())
        .collect();
    let expected: Vec<Any> = (0..9).map(|n| string(&format!("{n:016x}"))).collect();
    assert_eq!(ids, expected.iter().collect::<Vec<_>>());
    let resource = &requests[0].body.resource_logs[0]
        .resource
        .as_ref()
        .unwrap()
        .attributes;
    assert_eq!(
        attribute(resource, "service.name"),
        Some(&string("resetmon"))
    );
    assert_eq!(attribute(resource, "host.name"), Some(&string("n1")));
}

#[test]
fn every_key_of_the_line_is_in_the_record() {
    let mut reset = sample::received();
    reset.propagated_from = Some(sample::propagated());
    reset.twin = Some(sample::twin());
    let mut pod = sample::nginx();
    pod.container = Some(sample::named_container());
    reset.owner.as_mut().unwrap().process = Arc::new(pod);
    let event = Event::Reset(reset);
    let record = record::record(&event, Timestamp::UNIX_EPOCH);
    let attributes = &record.attributes;
    for (key, expected) in [
        ("resetmon.cause", string("aborted_mid_response")),
        ("error.type", string("reset")),
        ("network.local.address", string("10.0.0.1")),
        ("network.local.port", Any::IntValue(45678)),
        ("network.peer.address", string("10.0.0.9")),
        ("network.peer.port", Any::IntValue(8080)),
        ("network.type", string("ipv4")),
        ("network.transport", string("tcp")),
        ("process.pid", Any::IntValue(4242)),
        ("process.executable.name", string("nginx")),
        ("process.command_line", string("nginx: worker process")),
        ("k8s.pod.name", string("web-0")),
        ("k8s.namespace.name", string("shop")),
        ("k8s.statefulset.name", string("web")),
        ("container.runtime.name", string("containerd")),
        ("resetmon.benign", Any::BoolValue(false)),
        ("resetmon.age_s", Any::DoubleValue(61.25)),
        ("resetmon.bytes_received", Any::IntValue(12_345)),
        ("resetmon.twin.process.pid", Any::IntValue(77)),
    ] {
        assert_eq!(attribute(attributes, key), Some(&expected), "{key}");
    }
    let Some(Any::ArrayValue(evidence)) = attribute(attributes, "resetmon.evidence") else {
        panic!("evidence is a list, also of one fact");
    };
    assert_eq!(evidence.values.len(), 2);
    assert_eq!(record.event_name, "resetmon.reset");
    assert_eq!(record.time_unix_nano, 1_741_064_767_123_456_789);
    assert_eq!(
        (record.severity_number, &*record.severity_text),
        (13, "WARN")
    );
    // `event` and `time` are the record's own, the two addresses are two attributes each, and
    // `ip_version` is two.
    let mut values = 0;
    crate::export::json::flat::each(&event, |_, _| values += 1);
    assert_eq!(attributes.len(), values - 2 + 3);
    for pair in attributes {
        attribute(attributes, &pair.key);
    }
    let line: Value = serde_json::from_str(&to_event_line(&event)).unwrap();
    assert_eq!(line["evidence"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_not_taken_is_tried_again_or_counted() {
    let partial = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse {
        partial_success: Some(
            opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: "too old\u{7}".to_owned(),
            },
        ),
    };
    let partial = partial.encode_to_vec();
    let ok = || answer("200 OK", "", b"");
    let busy = || answer("503 Service Unavailable", "retry-after: 100000\r\n", b"");
    for (answers, written, error) in [
        (vec![busy(), busy(), ok()], 4, None),
        (vec![busy()], 0, Some("answered 503 Service Unavailable")),
        (vec![String::new(), ok()], 4, None),
        (vec!["nonsense\r\n\r\n".to_owned(), ok()], 4, None),
        (
            vec![answer("429 Too Many Requests", "", b""), ok()],
            4,
            None,
        ),
        (
            vec![answer("400 Bad Request", "", b""), ok()],
            0,
            Some("answered 400 Bad Request"),
        ),
        (
            vec![answer("401 Unauthorized", "", b"")],
            0,
            Some("answered 401 Unauthorized; give what it wants by `headers_file`"),
        ),
        (
            vec![answer("404 Not Found", "", b"")],
            0,
            Some("without /v1/logs"),
        ),
        (
            vec![answer("200 OK", "", &partial)],
            1,
            Some("too old\\u{7}"),
        ),
        // Taken, whatever it says of it.
        (vec![answer("200 OK", "", b"<html>")], 4, None),
    ] {
        let (address, _seen) = receiver(answers.clone());
        let taken = exporter(settings(address)).take(&mut events(4));
        let said = taken.error.map(|error| error.to_string());
        assert_eq!(
            (taken.written, taken.lost),
            (written, 4 - written),
            "{answers:?} {said:?}"
        );
        match error {
            None => assert_eq!(said, None, "{answers:?}"),
            Some(part) => assert!(
                said.as_ref().unwrap().contains(part),
                "{answers:?} {said:?}"
            ),
        }
    }
}

#[test]
fn nobody_there_costs_events_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let writer = Background::new("OTLP".to_owned(), 8, exporter(settings(address))).unwrap();
    for event in events(100) {
        writer.put(event);
    }
    let closed = writer.close(Duration::from_secs(60));
    assert_eq!((closed.written, closed.lost), (0, 100), "{closed:?}");
    let error = closed.error.unwrap();
    assert!(
        error.contains("no connection: Connection refused"),
        "{error}"
    );
}

#[test]
fn headers_are_read_each_time_and_never_shown() {
    let (address, seen) = receiver(vec![answer("403 Forbidden", "", b"")]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("headers");
    std::fs::write(&path, "Authorization: Bearer first-secret\n").unwrap();
    let mut settings = settings(address);
    settings.headers_file = Some(path.clone());
    let mut exporter = exporter(settings.clone());
    for secret in ["first-secret", "second-secret"] {
        std::fs::write(&path, format!("Authorization: Bearer {secret}\n")).unwrap();
        let taken = exporter.take(&mut events(1));
        let head = seen.recv().unwrap().head;
        assert!(
            head.contains(&format!("authorization: Bearer {secret}\r\n")),
            "{head}"
        );
        let said = format!("{exporter:?} {:?}", taken.error);
        assert!(!said.contains(secret), "{said}");
    }
    std::fs::write(&path, "third-secret\n").unwrap();
    let error = Exporter::new(settings, Vec::new()).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn only_who_is_certified_gets_events() {
    let (ours, other, dir) = (Ca::new(), Ca::new(), tempfile::tempdir().unwrap());
    let ca_file = dir.path().join("ca.pem");
    for (ca, is_trusted) in [(&ours, true), (&other, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = ca.issue(&["127.0.0.1"]).server();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut connection = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
                let mut stream = stream.unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                let mut buffer = vec![0; 65536];
                // A client that does not trust this server sends no request.
                if matches!(tls.read(&mut buffer), Ok(1..)) {
                    let answer = answer("200 OK", "", b"");
                    tls.write_all(answer.as_bytes()).unwrap();
                    connection.send_close_notify();
                    let _ = connection.write_tls(&mut stream);
                }
            }
        });
        std::fs::write(&ca_file, ours.pem()).unwrap();
        let settings = Settings {
            endpoint: Endpoint::parse(&format!("https://{address}")).unwrap(),
            headers_file: None,
            ca_file: Some(ca_file.clone()),
        };
        let taken = exporter(settings).take(&mut events(1));
        let said = format!("{:?}", taken.error);
        assert_eq!(taken.written == 1, is_trusted, "{said}");
        assert_eq!(said.contains("not trusted"), !is_trusted, "{said}");
    }
    std::fs::write(&ca_file, "nothing\n").unwrap();
    let settings = Settings {
        endpoint: Endpoint::parse("https://x").unwrap(),
        headers_file: None,
        ca_file: Some(ca_file),
    };
    let error = Exporter::new(settings, Vec::new()).unwrap_err().to_string();
    assert!(error.contains("no certificate (PEM) is in it"), "{error}");
}
