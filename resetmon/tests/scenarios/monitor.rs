//! resetmon as the bench asks it: one agent for all rows, which finds the gateways by itself.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::Agent;
use crate::events::Events;
use crate::http;
use crate::netns::Netns;
use crate::scene::wait_for;

/// Where it serves, in a namespace of its own.
pub(crate) const PAGES: &str = "127.0.0.1:9435";

/// The agent.
pub(crate) struct Monitor {
    agent: Agent,
    netns: Netns,
}

impl Monitor {
    /// Starts it with what it has to be told of gateways: entries of its list `gateways`.
    pub(crate) fn start(described: &[String], folder: &Path) -> Result<Self> {
        let netns = Netns::new()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command.args(["run", "--no-pin", "--failures", "--events", "-"]);
        command.args(["--listen", PAGES]);
        if !described.is_empty() {
            let config = folder.join("resetmon.yaml");
            std::fs::write(&config, format!("gateways:\n{}", described.concat()))?;
            command.arg("--config").arg(config);
        }
        let agent = Agent::spawn_resetmon(netns.run_in(&mut command)).context("resetmon")?;
        Ok(Self { agent, netns })
    }

    /// Where it runs.
    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// What it reported.
    pub(crate) fn events(&self) -> &Events {
        &self.agent.events
    }

    /// Waits until it has found the gateway with main process `pid` and understood it.
    pub(crate) fn until_found(&self, pid: u32, routes: usize) -> Result<()> {
        let mut last = Value::Null;
        let found = wait_for("resetmon to find the gateway", || {
            let page = http::get(&self.netns, PAGES.parse()?, "/status", "application/json")?;
            let status: Value = serde_json::from_str(&page.body)?;
            last = status["gateways"].clone();
            let mut gateways = last.as_array().into_iter().flatten();
            let gateway = gateways.find(|gateway| gateway["pid"] == pid).cloned();
            Ok(gateway.filter(|gateway| gateway["routes"] == routes))
        });
        found.with_context(|| format!("these were found: {last}"))?;
        Ok(())
    }

    /// Ends it, which must be in good order, and after nothing but events was written.
    pub(crate) fn stop(self) -> Result<()> {
        let complaints = self.agent.complaints();
        self.agent.stop().context("resetmon")?;
        ensure!(complaints.is_empty(), "not lines of JSON: {complaints:?}");
        Ok(())
    }
}

/// Whether resetmon sees what a packet filter rejects, by its own word.
pub(crate) fn sees_rejects() -> Result<bool> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    let output = command.args(["doctor", "--json"]).output()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("resetmon doctor")?;
    let mut checks = report["checks"].as_array().into_iter().flatten();
    let check = checks.find(|check| {
        let name = check["name"].as_str().unwrap_or_default();
        name.split(' ').next() == Some("firewall_reject")
    });
    let check = check.context("resetmon doctor knows no probe firewall_reject")?;
    Ok(check["grade"] == "ok")
}
