//! Events of the agent, taken over by others: systemd's journal, readers of `/events`, and
//! a collector of OpenTelemetry.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::http;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

mod collector;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "journal_has_every_event",
        programs: &["journalctl", "unshare"],
        natively: true,
        run: journal,
    },
    Whole {
        name: "events_over_http",
        programs: &["curl"],
        natively: true,
        run: readers,
    },
    Whole {
        name: "events_by_otlp_through_a_collector",
        programs: &["gzip"],
        natively: true,
        run: collector::otlp,
    },
];

/// Starts a journald and becomes its argument, both with a `/run` of their own.
const WITH_JOURNAL: &str = r#"
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n' \
    > /run/systemd/journald.conf.d/test.conf
if ! [ -s /etc/machine-id ]; then
    echo 0123456789abcdef0123456789abcdef > /run/machine-id
    mount --bind /run/machine-id /etc/machine-id
fi
/lib/systemd/systemd-journald > /dev/null 2>&1 &
echo $! > "$1"
shift
while ! [ -S /run/systemd/journal/socket ]; do sleep 0.1; done
exec "$@"
"#;

/// A process that is ended with the test.
struct Journald(PathBuf);

impl Drop for Journald {
    fn drop(&mut self) {
        let pid = fs::read_to_string(&self.0).ok();
        let pid = pid.and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
        if let Some(pid) = pid {
            // It may have ended with an error.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// Connections that nobody takes: a reset sent and one received each.
fn refused(count: usize) -> Result<()> {
    for _ in 0..count {
        ensure!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).is_err(),
            "nobody listens there"
        );
    }
    Ok(())
}

fn journal() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let pid_file = folder.path().join("journald.pid");
    let _journald = Journald(pid_file.clone());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", WITH_JOURNAL, "sh"])
        .arg(&pid_file)
        .arg(env!("CARGO_BIN_EXE_resetmon"))
        .args(["run", "--no-pin", "--journal"]);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    netns.enter(|| refused(20))??;
    netns.enter(|| crate::restart::aborted(&crate::restart::listeners()?[0]))??;
    let logs = PathBuf::from(format!("/proc/{}/root/run/log/journal", agent.pid()));
    let inode = netns.inode().to_string();
    let mut seen = (0, 0);
    let (lines, entries) = wait_for("all events in the journal", || {
        let lines = agent.events(&netns)?;
        let entries = entries(&logs, &["SYSLOG_IDENTIFIER=resetmon"])?;
        let entries: Vec<Value> = entries
            .into_iter()
            .filter(|entry| entry["RESETMON_NETNS"] == *inode)
            .collect();
        let before = std::mem::replace(&mut seen, (lines.len(), entries.len()));
        let complete = lines.len() >= 42 && seen == before && seen.0 == seen.1;
        Ok(complete.then_some((lines, entries)))
    })?;
    for (line, entry) in lines.iter().zip(&entries) {
        for (key, field) in [
            ("id", "RESETMON_ID"),
            ("cause", "RESETMON_CAUSE"),
            ("local", "RESETMON_LOCAL"),
            ("time", "RESETMON_TIME"),
        ] {
            ensure!(line[key] == entry[field], "{key} of {line}\n{entry}");
        }
        let facts = match &entry["RESETMON_EVIDENCE"] {
            one @ Value::String(_) => vec![one.clone()],
            Value::Array(several) => several.clone(),
            other => bail!("evidence {other}"),
        };
        let facts: BTreeSet<String> = facts.iter().map(Value::to_string).collect();
        let expected = line["evidence"].as_array().context("evidence")?;
        let expected: BTreeSet<String> = expected.iter().map(Value::to_string).collect();
        ensure!(facts == expected, "{line}\n{entry}");
        ensure!(entry["_TRANSPORT"] == "journal", "{entry}");
        let harmless = line["failure"].is_null() || line["failure"] == "canceled";
        let priority = if harmless { "6" } else { "4" };
        ensure!(entry["PRIORITY"] == priority, "{entry}");
        let message = entry["MESSAGE"].as_str().context("a message")?;
        let cause = line["cause"].as_str().context("a cause")?;
        ensure!(message.contains(cause), "{message}");
    }
    let some = self::entries(
        &logs,
        &["RESETMON_EVENT=reset", "RESETMON_CAUSE=no_listener"],
    )?;
    ensure!(some.len() >= 20, "{} by their cause", some.len());
    agent.stop()
}

/// What journalctl reads.
fn entries(logs: &Path, matches: &[&str]) -> Result<Vec<Value>> {
    let machine = fs::read_dir(logs)?.next().context("no journal")??;
    let output = Command::new("journalctl")
        .args(["--output", "json", "--quiet", "--directory"])
        .arg(machine.path())
        .args(matches)
        .output()
        .context("journalctl")?;
    let text = String::from_utf8(output.stdout)?;
    let entries = text.lines().map(serde_json::from_str);
    entries.collect::<Result<_, _>>().context("its JSON")
}

/// curl as a reader.
struct Curl(Child);

impl Curl {
    fn start(netns: &Netns, url: &str, output: &Path) -> Result<Self> {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--no-buffer", "--output"])
            .arg(output)
            .arg(url)
            .stdin(Stdio::null());
        Ok(Self(netns.run_in(&mut command).spawn().context("curl")?))
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        // It has ended if the agent did.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The events of a stream, in order, and how many it says were lost.
fn streamed(text: &str) -> Result<(Vec<Value>, u64)> {
    let (mut events, mut lost, mut kind) = (Vec::new(), 0, "");
    for line in text.split_inclusive('\n') {
        // What is cut off is no line.
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name;
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data)?;
            match kind {
                "lost" => lost += data["lost"].as_u64().context("a number")?,
                _ => events.push(data),
            }
        }
    }
    Ok((events, lost))
}

/// Connections of the flood: more events than a reader's connection holds.
const FLOOD: usize = 12_000;

/// One reader of everything and one of a single cause; returns how many events there were. Where
/// a storm of another test was too much for them, they start anew.
fn all_and_some(
    agent: &mut Service,
    netns: &Netns,
    server: SocketAddr,
    folder: &Path,
) -> Result<usize> {
    let url = format!("http://{server}/events");
    for _ in 0..10 {
        let before = agent.events(netns)?.len();
        let (all, some) = (folder.join("all"), folder.join("some"));
        for path in [&all, &some] {
            // There is none before the first try.
            let _ = fs::remove_file(path);
        }
        let _curls = [
            Curl::start(netns, &url, &all)?,
            Curl::start(netns, &format!("{url}?cause=no_listener"), &some)?,
        ];
        for path in [&all, &some] {
            wait_for("a stream", || {
                let begun = fs::read_to_string(path).unwrap_or_default();
                Ok(begun.contains("retry: ").then_some(()))
            })?;
        }
        netns.enter(|| refused(5))??;
        let read = |path| -> Result<(Vec<Value>, u64)> {
            let (mut events, lost) = streamed(&fs::read_to_string(path)?)?;
            events.retain(|event| netns.has(event));
            Ok((events, lost))
        };
        let lines = wait_for("the events of both", || {
            let lines = agent.events(netns)?.split_off(before);
            let ((all, lost), (some, lost_too)) = (read(&all)?, read(&some)?);
            if lost + lost_too > 0 {
                return Ok(Some(None));
            }
            let expected = lines.iter().filter(|line| line["cause"] == "no_listener");
            let complete = all == lines && some.iter().eq(expected);
            Ok((lines.len() >= 10 && complete).then_some(Some((lines, some.len()))))
        })?;
        if let Some((lines, some)) = lines {
            ensure!(some == 5, "{some} of no_listener\n{lines:#?}");
            return Ok(before + lines.len());
        }
    }
    bail!("there is a storm at every try")
}

fn readers() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let config = folder.path().join("resetmon.yaml");
    fs::write(&config, "detail_rate: 0\nring_buffer_bytes: 64MiB\n")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command
        .args(["run", "--no-pin", "--http-events", "--config"])
        .arg(&config);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    let server = agent.address()?;
    let before = all_and_some(&mut agent, &netns, server, folder.path())?;

    // One reader stops reading while a flood goes by. Scrapes and the agent's lines go on.
    let mut slow = netns.enter(|| TcpStream::connect(server))??;
    write!(slow, "GET /events HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut slow = BufReader::new(slow);
    let mut line = String::new();
    while !line.starts_with("retry: ") {
        line.clear();
        ensure!(slow.read_line(&mut line)? > 0, "the stream ended");
    }
    for _ in 0..4 {
        netns.enter(|| refused(FLOOD / 4))??;
        http::get(&netns, server, "/metrics", "text/plain")?;
    }
    let own = format!("\"netns\":{},", netns.inode());
    wait_for("every line", || {
        // To read them as JSON again and again would take longer than the agent's patience.
        let text = agent.written()?;
        let lines = text.lines().filter(|line| line.contains(&own)).count();
        Ok((lines >= before + 2 * FLOOD).then_some(()))
    })?;
    // It reads on, and is told what it missed.
    let (mut missed, mut is_told) = (String::new(), false);
    loop {
        line.clear();
        ensure!(slow.read_line(&mut line)? > 0, "the stream ended");
        missed.push_str(&line);
        if is_told {
            break;
        }
        is_told = line == "event: lost\n";
    }
    let (events, lost) = streamed(&missed)?;
    ensure!(!events.is_empty() && lost > 0, "{lost} lost");
    let page = http::get(&netns, server, "/metrics", "text/plain")?.body;
    let counted = page
        .lines()
        .find_map(|line| line.strip_prefix("resetmon_events_lost_total{where=\"http\"} "))
        .context("no count of lost events")?;
    ensure!(
        counted.parse::<u64>()? >= lost,
        "{counted} counted, {lost} lost"
    );
    let lines = agent.events(&netns)?.len();
    ensure!(lines >= before + 2 * FLOOD, "{lines} lines");
    agent.stop()
}
