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

/// Cause, upstream or port, and advice of each finding.
fn findings(report: &Value) -> Vec<(String, String, String)> {
    let findings = report["findings"].as_array().expect("a list");
    findings
        .iter()
        .map(|finding| {
            let place = &finding["place"];
            let place = place["upstream"]
                .as_str()
                .map_or_else(|| place["port"].to_string(), str::to_owned);
            let advice: Vec<&str> = finding["advice"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let cause = finding["cause"].as_str().unwrap_or_default().to_owned();
            (cause, place, advice.join(" "))
        })
        .collect()
}

/// Recorded on a machine where nginx had six upstreams with six faults, while one client left in the
/// middle of answers and one met keep-alive races.
#[test]
fn a_recorded_run_of_faults_is_told_fault_by_fault() {
    let report = json(&fixture("faults.jsonl"));
    let found = findings(&report);
    for (cause, place, advice) in [
        ("aborted_mid_response", "mid", "SO_LINGER"),
        ("aborted_before_response", "before", "SO_LINGER"),
        ("refused", "down", "readiness probe"),
        ("refused", "19050", ""),
        ("timewait", "late", "timeouts fit"),
        ("keepalive_race", "19007", "before 2 s have passed"),
        ("client_canceled", "18080", "client's timeout"),
    ] {
        let same = |(a, b, text): &&(String, String, String)| {
            (a.as_str(), b.as_str()) == (cause, place) && (advice.is_empty() || !text.is_empty())
        };
        assert!(
            found.iter().any(|finding| same(&finding)),
            "{cause} {place}: {found:#?}"
        );
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
