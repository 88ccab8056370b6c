//! The metrics as Prometheus reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::agent::terminate;
use crate::compare::Reporter;
use crate::gateway::{Gateway, RESETMON};
use crate::machine;
use crate::netns::Netns;
use crate::panels::{PROMETHEUS, ask};
use crate::scenario::Whole;

const PROMETHEUS_YAML: &str = "
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: resetmon
    static_configs:
      - targets: ['127.0.0.1:9435']
";

/// Labels of each metric, as the design has them.
const LABELS: [(&str, &[&str]); 2] = [
    (
        "resetmon_resets_total",
        &["direction", "sender", "reason", "cause", "stage"],
    ),
    (
        "resetmon_route_resets_total",
        &["direction", "leg", "cause", "gateway", "route", "upstream"],
    ),
];

/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["__name__", "instance", "job"];

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "prometheus_scrapes",
        programs: &["nginx", "curl", "prometheus"],
        natively: false,
        run: scrapes,
    },
    Whole {
        name: "promtool_checks",
        programs: &["nginx", "curl", "promtool"],
        natively: false,
        run: promtool_checks,
    },
];

/// A gateway that has met a closed port.
fn refused() -> Result<Gateway> {
    let gateway = Gateway::start()?;
    gateway.curl("/api/pay/1")?.status()?;
    gateway.counted(
        "resetmon_route_resets_total",
        &[
            ("direction", "received"),
            ("leg", "upstream"),
            ("cause", "refused"),
            ("upstream", "payments"),
        ],
    )?;
    Ok(gateway)
}

fn scrapes() -> Result<()> {
    let gateway = refused()?;
    let folder = gateway.folder.path();
    let config = folder.join("prometheus.yaml");
    std::fs::write(&config, PROMETHEUS_YAML)?;
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        folder.join("tsdb").display()
    ));
    command.arg(format!("--web.listen-address={PROMETHEUS}"));
    let mut prometheus = gateway
        .netns
        .run_in(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
        .spawn()
        .context("start prometheus")?;
    let checked = check_series(&gateway);
    terminate(&mut prometheus)?;
    checked?;
    gateway.stop()
}

fn check_series(gateway: &Gateway) -> Result<()> {
    for (name, labels) in LABELS {
        let series = gateway.wait_for(name, |gateway| {
            // It refuses connections while it starts.
            Ok(query(&gateway.netns, name)
                .ok()
                .filter(|series| !series.is_empty()))
        })?;
        for one in series {
            let set = one["metric"].as_object().context("labels of a series")?;
            let mut seen: Vec<&str> = set.keys().map(String::as_str).collect();
            seen.retain(|label| !ADDED.contains(label));
            // A label whose value is empty is no label to Prometheus.
            if let Some(unknown) = seen.iter().find(|label| !labels.contains(label)) {
                bail!("{name} has a label {unknown}: {one}");
            }
        }
    }
    let refused = "resetmon_route_resets_total{direction=\"received\",leg=\"upstream\",\
                   cause=\"refused\",gateway=\"edge\",route=\"/api/pay\",upstream=\"payments\"}";
    let series = query(&gateway.netns, refused)?;
    let value = series
        .first()
        .and_then(|one| one["value"][1].as_str()?.parse::<u64>().ok());
    ensure!(
        series.len() == 1 && value.is_some_and(|value| value > 0),
        "{refused}: {series:?}"
    );
    let mut seen = vec![("received", "refused", "peer", "", "connecting")];
    if machine::kernel(machine::Probes::of(Reporter::Resetmon)?.as_ref())?.socketless {
        seen.push(("sent", "no_listener", "local", "no_socket", "none"));
    }
    for (sent, cause, sender, reason, stage) in seen {
        let total = format!(
            "resetmon_resets_total{{direction=\"{sent}\",sender=\"{sender}\",\
             reason=~\"{reason}|none\",cause=\"{cause}\",stage=\"{stage}\"}}"
        );
        let series = query(&gateway.netns, &total)?;
        ensure!(!series.is_empty(), "there is no {total}");
    }
    let up = query(&gateway.netns, "up")?;
    ensure!(
        up.len() == 1 && up[0]["value"][1] == "1",
        "the scrape failed: {up:?}"
    );
    Ok(())
}

/// The series that a `PromQL` expression gives now.
fn query(namespace: &Netns, expression: &str) -> Result<Vec<Value>> {
    match ask(namespace, "query", &[("query", expression)])?["result"].take() {
        Value::Array(series) => Ok(series),
        other => bail!("{expression} has no result: {other}"),
    }
}

/// `promtool check metrics` reads the Prometheus text format; of `OpenMetrics` it is told that the
/// page is one and ends as one, and Prometheus itself reads it in the other test.
fn promtool_checks() -> Result<()> {
    let gateway = refused()?;
    let text = gateway.metrics("text/plain;version=0.0.4")?;
    ensure!(
        text.head.contains("text/plain"),
        "the format is not as asked for: {}",
        text.head
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    promtool
        .stdin
        .take()
        .context("stdin of promtool")?
        .write_all(text.body.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.is_empty(),
        "promtool: {} {said}",
        output.status
    );

    let open = gateway.metrics("application/openmetrics-text;version=1.0.0")?;
    ensure!(
        open.head.contains("application/openmetrics-text"),
        "the format is not as asked for: {}",
        open.head
    );
    ensure!(
        open.body.ends_with("# EOF\n"),
        "OpenMetrics from {RESETMON} without its end"
    );
    gateway.stop()
}
