//! Prometheus' own checks of the rules.

use std::process::Command;

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
    ]);
}

/// No alert is without a case in which it fires.
#[test]
fn every_alert_is_tested() {
    let tests = files::read("prometheus/resetmon.test.yaml")
        + &files::read("prometheus/resetmon-past.test.yaml");
    let rules = files::read("prometheus/resetmon.rules.yaml");
    let mut alerts = 0;
    for line in rules.lines() {
        if let Some(name) = line.trim_start().strip_prefix("- alert: ") {
            let firing = [
                format!("alertname=\"{name}\""),
                format!("alertname: {name}"),
            ];
            assert!(firing.iter().any(|form| tests.contains(form)), "{name}");
            alerts += 1;
        }
    }
    assert!(alerts > 15, "{alerts}");
}
