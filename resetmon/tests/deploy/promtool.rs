//! Prometheus' own checks of the rules.

use std::process::Command;

use resetmon::reset::Cause;

use crate::files;

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(files::path("prometheus"))
        .output()
        .expect("promtool starts (package prometheus)");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && said.contains("SUCCESS"),
        "promtool {arguments:?}: {said}"
    );
}

#[test]
fn prometheus_accepts_the_rules() {
    promtool(&["check", "rules", "--lint-fatal", "resetmon.rules.yaml"]);
}

#[test]
fn prometheus_accepts_the_example_configuration() {
    promtool(&["check", "config", "prometheus.yaml"]);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&[
        "test",
        "rules",
        "resetmon.test.yaml",
        "resetmon-past.test.yaml",
        "resetmon-near.test.yaml",
    ]);
}

/// No alert is without a case in which it fires, and one in which it nearly does.
#[test]
fn every_alert_is_tested() {
    let past = files::read("prometheus/resetmon-past.test.yaml");
    let tests = files::read("prometheus/resetmon.test.yaml") + &past;
    let near = files::read("prometheus/resetmon-near.test.yaml") + &past;
    let rules = files::read("prometheus/resetmon.rules.yaml");
    let mut alerts = 0;
    for line in rules.lines() {
        if let Some(name) = line.trim_start().strip_prefix("- alert: ") {
            let firing = [
                format!("alertname=\"{name}\""),
                format!("alertname: {name}"),
            ];
            assert!(firing.iter().any(|form| tests.contains(form)), "{name}");
            let silent = format!("(ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}[");
            let mut lines = near.lines().filter(|line| line.contains(&silent));
            assert!(
                lines.any(|line| line.ends_with("exp_samples: []}")),
                "{name} never stays silent"
            );
            alerts += 1;
        }
    }
    assert!(alerts > 15, "{alerts}");
}

/// What is harmless is in no series that a rule looks at.
#[test]
fn no_rule_counts_what_is_harmless() {
    let rules = files::read("prometheus/resetmon.rules.yaml");
    let benign: Vec<&str> = Cause::ALL
        .iter()
        .filter(|cause| cause.benign())
        .map(|cause| cause.name())
        .collect();
    assert!(!benign.is_empty());
    let mut seen = 0;
    for matchers in rules.split("resets_total{").skip(1) {
        let matchers = matchers.split('}').next().expect("an end");
        let (_, rest) = matchers.split_once("cause").expect("a matcher of causes");
        let (sign, rest) = rest.split_once('"').expect("a sign");
        let causes: Vec<&str> = rest
            .split('"')
            .next()
            .expect("a value")
            .split('|')
            .collect();
        for cause in &benign {
            let named = causes.contains(cause);
            assert_eq!(named, sign.starts_with('!'), "{cause} in {matchers}");
        }
        seen += 1;
    }
    assert!(seen > 7, "{seen}");
}
