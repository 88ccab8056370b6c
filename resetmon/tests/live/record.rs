//! `resetmon record` on real resets, and what tshark reads of its captures.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use rustix::net::sockopt;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::terminate;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::wait_for;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "record_opens_in_tshark",
        programs: &["tshark"],
        natively: true,
        run: opens_in_tshark,
    },
    Whole {
        name: "record_rotates",
        programs: &[],
        natively: true,
        run: rotates,
    },
    Whole {
        name: "record_on_a_full_disk",
        programs: &[],
        natively: true,
        run: full_disk,
    },
];

/// Connections of each kind.
const EACH: usize = 5;

/// A recording under way.
struct Recording {
    child: Child,
    folder: TempDir,
}

impl Recording {
    /// Records what happens in `netns`, with `arguments` in which files are named from its folder.
    fn start(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::new().context("temporary folder")?;
        let log = fs::File::create(folder.path().join("log"))?;
        let child = Command::new(env!("CARGO_BIN_EXE_resetmon"))
            .args(["record", "--netns", &netns.inode().to_string()])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start resetmon")?;
        let mut recording = Self { child, folder };
        wait_for("the start", || {
            let said = recording.said()?;
            if let Some(status) = recording.child.try_wait()? {
                bail!("it ended with {status}: {said}");
            }
            Ok(said.contains(" ready: ").then_some(()))
        })?;
        Ok(recording)
    }

    fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// Ends it and says whether it was content, and its last words.
    fn stop(&mut self) -> Result<(bool, String)> {
        let status = terminate(&mut self.child)?;
        Ok((status.success(), self.said()?))
    }

    fn events(&self, name: &str) -> Result<Vec<Value>> {
        events(&self.folder.path().join(name))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // It has ended if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

/// Connections that are refused, aborted by either end, and closed with data unread: each a reset
/// sent and one received.
fn faults(netns: &Netns) -> Result<usize> {
    let hosts: [IpAddr; 2] = ["127.0.0.1".parse()?, "::1".parse()?];
    netns.enter(|| -> Result<usize> {
        for host in hosts {
            for _ in 0..EACH {
                ensure!(
                    TcpStream::connect((host, 9)).is_err(),
                    "nobody listens there"
                );
                for by_client in [true, false] {
                    let (mut client, mut server) = pair(host)?;
                    client.write_all(b"request")?;
                    server.read_exact(&mut [0; 7])?;
                    let (leaves, mut stays) = if by_client {
                        (client, server)
                    } else {
                        (server, client)
                    };
                    sockopt::set_socket_linger(&leaves, Some(Duration::ZERO))?;
                    drop(leaves);
                    ensure!(stays.read(&mut [0; 1]).is_err(), "it was reset");
                }
                let (mut client, server) = pair(host)?;
                client.write_all(b"nobody reads this")?;
                server.peek(&mut [0; 1])?;
                drop(server);
                ensure!(client.read(&mut [0; 1]).is_err(), "it was reset");
            }
        }
        Ok(hosts.len() * EACH * 4 * 2)
    })?
}

fn pair(host: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((host, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// What tshark prints of `path`: a row a packet that `filter` lets pass, by columns.
fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(path)
        .args(["-Y", filter, "-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "aggregator=|"]);
    command.args([
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ]);
    command.args(["-o", "tcp.relative_sequence_numbers:FALSE"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().context("tshark")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tshark: {said}");
    ensure!(
        !said.contains("cut short") && !said.contains("damaged"),
        "{said}"
    );
    let text = String::from_utf8(output.stdout)?;
    let rows = text.lines();
    Ok(rows
        .map(|row| row.split('\t').map(str::to_owned).collect())
        .collect())
}

const FIELDS: [&str; 11] = [
    "frame.time_epoch",
    "frame.interface_name",
    "frame.packet_flags_direction",
    "frame.comment",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "ip.checksum.status",
];

fn opens_in_tshark() -> Result<()> {
    let netns = Netns::new()?;
    let mut recording = Recording::start(&netns, &["-w", "a.jsonl", "--pcapng", "a.pcapng"])?;
    let made = faults(&netns)?;
    wait_for("the resets", || {
        let events = recording.events("a.jsonl")?;
        Ok((events.len() >= made).then_some(()))
    })?;
    let (content, said) = recording.stop()?;
    ensure!(content, "{said}");
    let resets = recording.events("a.jsonl")?;
    let count = resets.len();
    ensure!(
        count == made,
        "{made} resets were made, {count} recorded: {said}"
    );
    let total = format!("written: {count} events to a.jsonl, {count} packets to a.pcapng; lost: 0");
    ensure!(said.contains(&total), "{total:?} is not in {said}");

    let path = recording.folder.path().join("a.pcapng");
    let rows = tshark(&path, "tcp.flags.reset==1", &FIELDS)?;
    ensure!(
        rows.len() == count,
        "tshark lists {} of {count} resets",
        rows.len()
    );
    let wrong = "!tcp.flags.reset==1 || _ws.malformed || _ws.expert.severity==error || \
                 tcp.checksum.status!=1 || ip.checksum.status!=1";
    let wrong = tshark(&path, wrong, &["frame.number", "_ws.expert.message"])?;
    ensure!(wrong.is_empty(), "tshark finds fault with {wrong:?}");

    let mut by_id: BTreeMap<&str, &Value> = BTreeMap::new();
    for reset in &resets {
        by_id.insert(reset["id"].as_str().context("id")?, reset);
    }
    for row in &rows {
        let comment = &row[3];
        let id = comment.split("id ").nth(1).and_then(|rest| rest.get(..16));
        let reset = by_id.remove(id.context("id in a comment")?);
        agree(
            row,
            reset.with_context(|| format!("{comment}: no event"))?,
            &netns,
        )
        .with_context(|| format!("{row:?}"))?;
    }
    ensure!(by_id.is_empty(), "no packets: {by_id:?}");
    seen_is_real(&path)
}

/// A packet and the event of it say the same.
fn agree(row: &[String], reset: &Value, netns: &Netns) -> Result<()> {
    let [
        time,
        interface,
        flags,
        comment,
        from4,
        from6,
        from_port,
        to4,
        to6,
        to_port,
        _,
    ] = row
    else {
        bail!("{} columns", row.len());
    };
    let end = |v4: &str, v6: &str, port: &str| -> Result<SocketAddr> {
        let host: IpAddr = format!("{v4}{v6}").parse()?;
        Ok((host, port.parse()?).into())
    };
    let (from, to) = (end(from4, from6, from_port)?, end(to4, to6, to_port)?);
    let address =
        |key: &str| -> Result<SocketAddr> { Ok(reset[key].as_str().context("end")?.parse()?) };
    let (local, remote) = (address("local")?, address("remote")?);
    let sent = reset["direction"] == "sent";
    let ends = if sent {
        (local, remote)
    } else {
        (remote, local)
    };
    ensure!((from, to) == ends, "goes from {from} to {to}");
    ensure!(
        *interface == format!("netns:{}", netns.inode()),
        "{interface}"
    );
    // `epb_flags`: 1 is inbound, 2 outbound; as a number it may be written in hexadecimal.
    let number = flags.trim_start_matches("0x").trim_start_matches('0');
    ensure!(number == if sent { "2" } else { "1" }, "direction {flags}");

    let at: Timestamp = reset["time"].as_str().context("time")?.parse()?;
    let (seconds, fraction) = time.split_once('.').context("time")?;
    ensure!(fraction.len() == 9, "nanoseconds: {time}");
    let micros = seconds.parse::<i64>()? * 1_000_000 + fraction[..6].parse::<i64>()?;
    ensure!(
        (micros - at.as_microsecond()).abs() <= 1,
        "{time} is not {at}"
    );

    let cause = reset["cause"].as_str().context("cause")?;
    ensure!(
        comment.contains(&format!("resetmon: {cause}, ")),
        "no cause"
    );
    if let Some(pid) = reset["process"]["pid"].as_u64() {
        let name = reset["process"]["name"].as_str().context("name")?;
        ensure!(
            comment.contains(&format!("|process: {name}[{pid}]")),
            "no process"
        );
    }
    ensure!(comment.contains("|headers "), "what of the headers is real");
    for fact in reset["evidence"].as_array().context("evidence")? {
        let fact = fact.as_str().context("fact")?;
        ensure!(comment.contains(&format!("|evidence: {fact}")), "no {fact}");
    }
    Ok(())
}

/// Sent and received packets of one reset are one packet: where both are known, they agree.
fn seen_is_real(path: &Path) -> Result<()> {
    let fields = [
        "ip.src",
        "ipv6.src",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "tcp.dstport",
        "tcp.seq_raw",
    ];
    let mut numbers: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for mut row in tshark(path, "tcp.flags.reset==1", &fields)? {
        let number = row.pop().context("sequence number")?;
        numbers.entry(row).or_default().push(number);
    }
    let both = numbers.values().filter(|numbers| numbers.len() == 2);
    let both: Vec<_> = both.collect();
    ensure!(both.len() >= EACH, "{numbers:?}");
    for pair in both {
        ensure!(pair[0] == pair[1], "{numbers:?}");
    }
    Ok(())
}

fn rotates() -> Result<()> {
    const SIZE: u64 = 20_000;
    let netns = Netns::new()?;
    let arguments = [
        "-w",
        "e.jsonl",
        "--rotate-size",
        "20k",
        "--rotate-count",
        "99",
    ];
    let mut recording = Recording::start(&netns, &arguments)?;
    let made = faults(&netns)?;
    let folder = recording.folder.path().to_owned();
    let all = || -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for number in (0..=99).rev() {
            let name = if number == 0 {
                "e.jsonl".to_owned()
            } else {
                format!("e.jsonl.{number}")
            };
            if folder.join(&name).exists() {
                let size = fs::metadata(folder.join(&name))?.len();
                ensure!(size <= SIZE, "{name} has {size} bytes");
                all.extend(events(&folder.join(&name))?);
            }
        }
        Ok(all)
    };
    // A file that is read while it is renamed is read twice or not at all.
    wait_for("the resets", || {
        Ok((all().map_or(0, |all| all.len()) >= made).then_some(()))
    })?;
    let (content, said) = recording.stop()?;
    ensure!(content, "{said}");
    let all = all()?;
    ensure!(
        all.len() == made,
        "{made} resets were made, {} recorded",
        all.len()
    );
    let times: Vec<_> = all.iter().map(|event| event["id"].as_str()).collect();
    ensure!(times.is_sorted(), "the oldest come first: {times:?}");
    ensure!(folder.join("e.jsonl.2").exists(), "no rotation");
    Ok(())
}

fn full_disk() -> Result<()> {
    let netns = Netns::new()?;
    let mut recording = Recording::start(&netns, &["-w", "/dev/full", "--pcapng", "a.pcapng"])?;
    let made = faults(&netns)?;
    let path = recording.folder.path().join("a.pcapng");
    // Some 300 bytes are the least that a packet takes.
    let least = u64::try_from(made)? * 300;
    wait_for("the packets", || {
        Ok((fs::metadata(&path)?.len() >= least).then_some(()))
    })?;
    let (content, said) = recording.stop()?;
    ensure!(!content, "it was content: {said}");
    let lost = format!("{made} events could not be written to /dev/full: No space left on device");
    ensure!(said.contains(&lost), "{said}");
    ensure!(
        said.contains(&format!("{made} packets to a.pcapng; lost: {made}")),
        "{said}"
    );
    Ok(())
}
