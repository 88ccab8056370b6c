//! The program under test: `resetmon watch --json`, started once for all scenarios.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::events::Events;
use crate::service::PATIENCE;

/// Longest time until all probes are attached: half a minute in an emulated machine on a busy host.
const START: Duration = PATIENCE;
/// Longest time from SIGTERM to the end.
const END: Duration = PATIENCE;

/// A running program that reports events.
#[derive(Debug)]
pub(crate) struct Agent {
    /// What it reported.
    pub(crate) events: Events,
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts `resetmon watch --json --failures` and waits until it says that it is ready.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        Self::spawn_resetmon(command.args(["watch", "--json", "--failures"]))
    }

    /// Starts a command of resetmon that writes events as JSON lines to stdout.
    pub(crate) fn spawn_resetmon(command: &mut Command) -> Result<Self> {
        Self::spawn(
            command,
            |line| line.contains("ready"),
            |events, line| {
                events.push(match serde_json::from_str(line) {
                    Ok(event) => event,
                    Err(error) => json!({"not_json": line, "error": error.to_string()}),
                });
            },
        )
    }

    /// Starts `command`, whose stderr says when it is ready and whose stdout has an event a line.
    pub(crate) fn spawn(
        command: &mut Command,
        ready: impl Fn(&str) -> bool + Send + 'static,
        mut take: impl FnMut(&Events, &str) + Send + 'static,
    ) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let events = Events::default();
        let stdout: ChildStdout = child.stdout.take().context("stdout")?;
        let stderr = child.stderr.take().context("stderr")?;
        let (said, says) = mpsc::channel();
        let read_out = {
            let (events, said) = (events.clone(), said.clone());
            std::thread::spawn(move || {
                each_line(stdout, |line| {
                    let _ = said.send((false, line.to_owned()));
                    take(&events, line);
                });
            })
        };
        let read_err = std::thread::spawn(move || {
            let mut started = false;
            each_line(stderr, |line| {
                started |= ready(line);
                // Nobody listens once it has started; the rest goes to the test's own stderr.
                if said.send((started, line.to_owned())).is_err() {
                    eprintln!("{name}: {line}");
                }
            });
        });
        let agent = Self {
            events,
            child,
            readers: vec![read_out, read_err],
        };
        let end = Instant::now() + START;
        let mut seen = Vec::new();
        loop {
            match says.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((true, _)) => return Ok(agent),
                Ok((false, line)) => seen.push(line),
                Err(_) => bail!("it did not get ready; it said:\n{}", seen.join("\n")),
            }
        }
    }

    /// Lines that were not events.
    pub(crate) fn complaints(&self) -> Vec<Value> {
        let mut found = Vec::new();
        self.events.change(|events| {
            found = events
                .iter()
                .filter(|event| event["not_json"].is_string())
                .cloned()
                .collect();
        });
        found
    }

    /// Ends it by SIGTERM, after which it must exit with status 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = terminate(&mut self.child)?;
        for reader in self.readers.drain(..) {
            reader.join().map_err(|_| anyhow!("a reader panicked"))?;
        }
        if !status.success() {
            bail!("it ended with {status} upon SIGTERM");
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended if `stop` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SIGTERM, and waits for the end.
pub(crate) fn terminate(child: &mut Child) -> Result<std::process::ExitStatus> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("process id")?;
    kill_process(pid, Signal::TERM).context("send SIGTERM")?;
    let end = Instant::now() + END;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!("it did not end within {END:?} of SIGTERM");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn each_line(from: impl Read, mut take: impl FnMut(&str)) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        take(&String::from_utf8_lossy(&line));
    }
}
