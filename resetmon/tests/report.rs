//! `resetmon report` over saved events, as a user calls it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/events")
        .join(name)
}

fn report(args: &[&str], from: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_resetmon"))
        .arg("report")
        .args(args)
        .arg("--from")
        .arg(from)
        .stdin(Stdio::null())
        .output()
        .expect("resetmon runs")
}

fn json(from: &Path) -> Value {
    let output = report(&["--json"], from);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

/// Gateway, upstream or port, cause or failure, how often, and advice of each finding.
fn findings(report: &Value) -> Vec<(String, String, String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("a list");
    findings
        .iter()
        .map(|finding| {
            let place = &finding["place"];
            let at = match &place["upstream"] {
                Value::Null => place["port"].to_string(),
                upstream => text(upstream),
            };
            let what = match &finding["cause"] {
                Value::Null => text(&finding["failure"]),
                cause => text(cause),
            };
            let advice = finding["advice"].as_array().expect("a list");
            let advice: Vec<&str> = advice.iter().filter_map(Value::as_str).collect();
            let events = finding["events"].as_u64().expect("a number");
            (text(&place["gateway"]), at, what, events, advice.join(" "))
        })
        .collect()
}

/// Recorded on a machine where nginx had six upstreams with six faults and `HAProxy` two, while one
/// client left in the middle of answers, one met keep-alive races and one a closed port: each
/// eight times, and the end of a worker with six requests under way.
#[test]
fn a_recorded_run_of_faults_is_told_fault_by_fault() {
    let report = json(&fixture("faults.jsonl"));
    let found = findings(&report);
    let expected = [
        ("nginx", "kill", "aborted_before_response", 6, "SIGKILL"),
        ("nginx", "mid", "aborted_mid_response", 8, "drop the option"),
        (
            "nginx",
            "before",
            "aborted_before_response",
            8,
            "drop the option",
        ),
        ("nginx", "down", "refused", 8, "readiness probe"),
        ("nginx", "empty", "empty_response", 8, ""),
        ("nginx", "late", "canceled", 8, "proxy_read_timeout"),
        ("nginx", "18080", "client_canceled", 8, "client's timeout"),
        (
            "haproxy",
            "mid",
            "aborted_mid_response",
            8,
            "drop the option",
        ),
        (
            "haproxy",
            "before",
            "aborted_before_response",
            8,
            "drop the option",
        ),
        ("", "19007", "keepalive_race", 8, "before 2 s have passed"),
        ("", "19050", "refused", 8, "readiness probe"),
    ];
    for (gateway, at, what, events, advice) in expected {
        let same = |(a, b, c, n, text): &&(String, String, String, u64, String)| {
            (a.as_str(), b.as_str(), c.as_str(), *n) == (gateway, at, what, events)
                && text.contains(advice)
                && !text.is_empty()
        };
        assert!(
            found.iter().any(|finding| same(&finding)),
            "{gateway} {at} {what}: {found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "more is told: {found:#?}");
    // Every connection between two processes of that machine has two ends, and is one event.
    assert!(
        report["totals"]["both_ends"].as_u64() > Some(80),
        "{report}"
    );
}

/// The fixture is of this version's layout: it has the keys that lines have.
#[test]
fn the_fixture_has_the_keys_of_today() {
    let text = std::fs::read_to_string(fixture("faults.jsonl")).expect("the fixture");
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    for key in ["event", "evidence", "tick_s", "peer"] {
        assert!(events.iter().all(|event| !event[key].is_null()), "{key}");
    }
    for key in ["failure", "twin", "propagated_from", "unanswered"] {
        assert!(events.iter().any(|event| !event[key].is_null()), "{key}");
    }
}

#[test]
fn every_format_is_written() {
    let from = fixture("faults.jsonl");
    let text = report(&[], &from);
    assert!(text.status.success());
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(
        text.contains("Findings\n 1. ") && !text.contains('\u{1b}'),
        "{text}"
    );
    let markdown = report(&["--markdown"], &from);
    assert!(markdown.stdout.starts_with(b"# resetmon report\n"));
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("report.html");
    let html = report(&["--html", page.to_str().expect("a name")], &from);
    assert!(html.status.success() && html.stdout.is_empty(), "{html:?}");
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.starts_with("<!DOCTYPE html>"));
    let both = report(&["--json", "--markdown"], &from);
    assert!(!both.status.success());
}

#[test]
fn standard_input_and_damage() {
    let good = std::fs::read_to_string(fixture("faults.jsonl")).expect("the fixture");
    let mut lines: Vec<&str> = good.lines().collect();
    let all = lines.len();
    lines.insert(1, "this is no event");
    let mut text = lines.join("\n");
    text.truncate(text.len() - 20);
    let mut child = Command::new(env!("CARGO_BIN_EXE_resetmon"))
        .args(["report", "--json", "--from", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("resetmon runs");
    let mut input = child.stdin.take().expect("an input");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["span"]["source"], "standard input");
    let totals = &report["totals"];
    let counted: u64 = ["events", "passed_on", "repeats", "both_ends"]
        .iter()
        .filter_map(|key| totals[key].as_u64())
        .sum();
    assert_eq!(counted, all as u64 - 1);
    let unseen = report["unseen"].to_string();
    assert!(
        unseen.contains("line 2") && unseen.contains("cut off"),
        "{unseen}"
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let output = report(&[], Path::new("/nonexistent/events.jsonl"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("/nonexistent/events.jsonl cannot be opened: No such file"),
        "{said}"
    );
    assert!(
        said.contains("name a file that `resetmon run --events`"),
        "{said}"
    );
    let output = report(&[], Path::new("/"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/ cannot be read: Is a directory"), "{said}");
}

#[test]
fn a_file_of_something_else_is_no_report() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    for (text, reason) in [
        ("one\ntwo\n", "2 lines are no events of resetmon"),
        ("{}\n", "1 line is no event of resetmon"),
        ("{\"v\":2}\n", "1 line of another version"),
        ("{\"v\":1,\"event", "the last line is cut off"),
    ] {
        let output = report(&["--json"], &write("other", text));
        assert_eq!(output.status.code(), Some(1), "{text:?}");
        assert!(output.stdout.is_empty(), "{text:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        for part in ["other has no event: ", reason, "name a file that"] {
            assert!(said.contains(part), "{part:?}: {said}");
        }
    }
    // Nothing has failed yet.
    let output = report(&[], &write("empty", ""));
    assert!(output.status.success(), "{output:?}");
}
