//! `resetmon run` as a service: killed, started again, its lines in files.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::agent::terminate;
use crate::netns::Netns;

/// Longest time for anything that programs do, on a busy host and in an emulated machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// One life of the agent.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
    events: PathBuf,
}

impl Service {
    /// Starts `command`, which is or becomes `resetmon run`, with events and log in files of that
    /// name in `folder`, and waits until it is ready.
    pub(crate) fn start(
        command: &mut Command,
        netns: &Netns,
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let (log, events) = (
            folder.join(format!("{name}.log")),
            folder.join(format!("{name}.events")),
        );
        command
            .args(["--listen", "127.0.0.1:0", "--events", "-"])
            .stdin(Stdio::null())
            .stdout(File::create(&events)?)
            .stderr(File::create(&log)?);
        let child = netns
            .run_in(command)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let mut service = Self { child, log, events };
        wait_for("the start", || {
            let said = service.said()?;
            if let Some(status) = service.child.try_wait()? {
                bail!("it ended with {status}: {said}");
            }
            Ok(said.contains(" ready: ").then_some(()))
        })?;
        Ok(service)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said.
    pub(crate) fn said(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let said = self.said()?;
        let (_, rest) = said.split_once("://").context("no address")?;
        let (address, _) = rest.split_once('/').context("no address")?;
        address.parse().with_context(|| address.to_owned())
    }

    /// What it has written as events up to now, as it stands.
    pub(crate) fn written(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.events)?)
    }

    /// Its events in a network namespace. A last line that is cut off is none.
    pub(crate) fn events(&self, netns: &Netns) -> Result<Vec<Value>> {
        let text = self.written()?;
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut events = Vec::new();
        for line in lines {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if netns.has(&event) {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// How many resets of a direction it reported in a network namespace.
    pub(crate) fn counted(&self, netns: &Netns, direction: &str) -> Result<u64> {
        let events = self.events(netns)?;
        Ok(events
            .iter()
            .filter(|event| event["direction"] == direction)
            .map(|event| event["packets"].as_u64().unwrap_or(1))
            .sum())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("process id")?, signal).context("send a signal")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("send SIGKILL")?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, after which it must end in good order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let status = terminate(&mut self.child)?;
        if !status.success() {
            bail!("it ended with {status} upon SIGTERM: {}", self.said()?);
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Repeats `look` until it finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
