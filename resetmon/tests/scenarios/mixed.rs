//! Six faults at two gateways, among healthy traffic, under one `resetmon report`: it must find all six,
//! each at its place and with advice that helps, and nothing else.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::netns::Netns;
use findings::Due;
use site::Site;

mod caller;
mod faults;
mod findings;
mod site;

/// Its name among the rows.
pub(crate) const TITLE: &str = "report mixed_run";
/// How long is watched, seconds; the faults take most of it.
const WATCHED: u64 = 40;
/// How long the faults go on.
const FAULTS: Duration = Duration::from_secs(30);

/// What the report must say, and nothing else.
const DUE: [Due; 6] = [
    Due {
        cause: "keepalive_race",
        gateway: "mixed-edge",
        route: "/pay",
        upstream: "payments",
        kind: "fixed_time",
        title: "after 2 s of silence",
        advice: "keepalive_timeout below ",
        limit: Some(2.0),
    },
    Due {
        cause: "idle_timeout",
        gateway: "mixed-edge",
        route: "/search",
        upstream: "search",
        kind: "fixed_time",
        title: "after 3 s of silence",
        advice: "in upstream search, set keepalive_timeout below ",
        limit: Some(3.0),
    },
    Due {
        cause: "aborted_before_response",
        gateway: "mixed-edge",
        route: "/catalog",
        upstream: "catalog",
        kind: "endpoint",
        title: "mostly 127.0.0.1:29012",
        advice: "Take 127.0.0.1:29012 out of upstream catalog",
        limit: None,
    },
    Due {
        cause: "aborted_before_response",
        gateway: "mixed-edge",
        route: "/orders",
        upstream: "orders",
        kind: "death",
        title: "killed by SIGKILL",
        advice: "Find who killed python3.11 with SIGKILL",
        limit: None,
    },
    Due {
        cause: "refused",
        gateway: "mixed-edge",
        route: "/billing",
        upstream: "billing",
        kind: "cause",
        title: "upstream billing refuses connections",
        advice: "retry on another backend",
        limit: None,
    },
    Due {
        cause: "aborted_mid_response",
        gateway: "mixed-llm",
        route: "/v1/chat",
        upstream: "provider",
        kind: "death",
        title: "killed by SIGABRT",
        advice: "python3.11 crashed (SIGABRT)",
        limit: None,
    },
];

/// What was wrong, a line each.
pub(crate) fn run(verbose: bool) -> Result<Vec<String>> {
    let netns = Netns::new()?;
    let folder = TempDir::new().context("temporary folder")?;
    let site = Site::start(&netns, folder.path())?;
    let report = Report::start(&site)?;
    let end = Instant::now() + FAULTS;
    thread::scope(|scope| {
        let threads: Vec<_> = faults::ALL
            .iter()
            .map(|(name, fault)| {
                let site = &site;
                (name, scope.spawn(move || fault(site, end)))
            })
            .collect();
        threads.into_iter().try_for_each(|(name, thread)| {
            let outcome = thread.join().map_err(|_| anyhow!("it panicked"));
            outcome.flatten().with_context(|| (*name).to_owned())
        })
    })?;
    let report = report.end()?;
    if verbose {
        println!("{report:#}");
    }
    Ok(findings::differences(&DUE, &report))
}

/// `resetmon report`, under way.
struct Report(Child);

impl Report {
    /// Starts it and waits until it watches.
    fn start(site: &Site<'_>) -> Result<Self> {
        let config = site.folder.join("resetmon.yaml");
        fs::write(&config, site::RESETMON_YAML)?;
        let log = site.folder.join("report.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command
            .args(["report", "--json", "--for"])
            .arg(WATCHED.to_string())
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?);
        let child = command.spawn().context("start resetmon report")?;
        let mut report = Self(child);
        crate::scene::wait_for("resetmon report to watch", || {
            let said = fs::read_to_string(&log)?;
            if let Some(status) = report.0.try_wait()? {
                bail!("it ended with {status}: {said}");
            }
            Ok(said.contains("watching for").then_some(()))
        })?;
        Ok(report)
    }

    /// Waits for its end; what it reports.
    fn end(mut self) -> Result<Value> {
        let output = self.0.stdout.take().context("its output")?;
        let report = serde_json::from_reader(output).context("the report is JSON")?;
        let status = self.0.wait()?;
        ensure!(status.success(), "resmon report ended with {status}");
        Ok(report)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // It has ended if `end` was called.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
