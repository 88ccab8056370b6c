//! Resets that the kernel does not believe, and the count of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::http;
use crate::netns::Netns;
use crate::remote::{Network, Remote};
use crate::scenario::Whole;
use crate::service::{Service, wait_for};
use crate::wire::flag;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "refused_resets_are_counted",
    programs: &[],
    natively: false,
    run: refused,
}];

/// How many of each kind: other namespaces of a busy machine have refusals too.
const EACH: u32 = 50;

/// Totals by reason.
type Counts = BTreeMap<String, u64>;

fn counts(agent: &Service, netns: &Netns) -> Result<Counts> {
    let said = agent.said()?;
    let (_, rest) = said
        .split_once("serving http://")
        .context("where it serves")?;
    let (address, _) = rest.split_once('/').context("where it serves")?;
    let address: SocketAddr = address.parse()?;
    let page = http::get(netns, address, "/metrics", "text/plain")?.body;
    let lines = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("resetmon_refused_resets_total{reason=\"")?;
        let (reason, total) = rest.split_once("\"} ")?;
        Some((reason.to_owned(), total.parse().ok()?))
    });
    Ok(lines.collect())
}

/// A RST at this distance from the number that is expected next.
fn forge(remote: &Remote<'_>, distance: u32) -> Result<()> {
    let mut rst = remote.segment(flag::RST, b"");
    rst.seq = rst.seq.wrapping_add(distance);
    remote.put(&rst)
}

fn refused() -> Result<()> {
    let folder = TempDir::new()?;
    let config = folder.path().join("resetmon.yaml");
    fs::write(&config, "refused_resets: true\n")?;
    let netns = Netns::new()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin", "--config"]).arg(&config);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "run")?;

    let (ours, theirs) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let network = Network::new(&netns, ours.into(), theirs.into())?;
    let listener = netns.enter(|| TcpListener::bind((ours, 0)))??;
    let to = listener.local_addr()?;

    let mut remote = network.connect(40_001, to)?;
    let (stream, _) = listener.accept()?;
    let before = counts(&agent, &netns)?;
    for _ in 0..EACH {
        // RFC 5961: inside of the window is answered by a challenge, outside of it is dropped.
        forge(&remote, 1000)?;
        forge(&remote, 0x4000_0000)?;
    }
    // A listener takes no RST at all.
    for port in 0..EACH {
        let port = 41_000 + u16::try_from(port)?;
        forge(&network.endpoint(port, to), 0)?;
    }
    // TIME_WAIT is ended by a RST where RFC 1337 is not heeded.
    netns.sysctl("ipv4/tcp_rfc1337", "1")?;
    let mut closing = network.connect(40_002, to)?;
    let (second, _) = listener.accept()?;
    drop(second);
    closing.hear(flag::FIN | flag::ACK, true)?;
    closing.send(flag::FIN | flag::ACK, b"")?;
    for _ in 0..EACH {
        forge(&closing, 0)?;
    }
    // The connection has borne it all.
    remote.send(flag::ACK | flag::PSH, b"still here")?;
    stream.set_read_timeout(Some(crate::service::PATIENCE))?;
    let mut bytes = [0; 10];
    std::io::Read::read_exact(&mut &stream, &mut bytes)?;
    ensure!(&bytes == b"still here");

    // One that is believed is not counted; what comes after it is nobody's.
    let grown = wait_for("the counts", || {
        let now = counts(&agent, &netns)?;
        let grown: Counts = now
            .iter()
            .map(|(reason, total)| (reason.clone(), total - before.get(reason).unwrap_or(&0)))
            .collect();
        let enough = |reasons: &[&str], least: u32| {
            let sum: u64 = reasons.iter().filter_map(|reason| grown.get(*reason)).sum();
            sum >= u64::from(least)
        };
        // Inside of the window and at the listener; outside of it; TIME_WAIT.
        let all = enough(&["tcp_reset"], 2 * EACH)
            && enough(&["tcp_invalid_sequence", "tcp_old_sequence"], EACH)
            && enough(&["not_specified"], EACH);
        Ok(all.then_some(grown))
    });
    let grown = grown.with_context(|| format!("{:?}", counts(&agent, &netns)))?;
    let total: u64 = grown.values().sum();
    ensure!(total >= u64::from(4 * EACH), "{grown:?}");
    agent.stop()
}
