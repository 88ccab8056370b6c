//! Storms of resets that no ring buffer holds, counted to the last one and each to its process.
//!
//! Two processes make resets as fast as two processors can. Each says how many of which kind it
//! made, so the kernel's count and resetmon's are both held against what really happened.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::sum;
use crate::http;
use crate::netns::Netns;
use crate::restart::aborted;
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

/// The first argument of a process that makes resets.
pub(crate) const MODE: &str = "stormer";
/// Nobody listens there, and no port for a client is chosen there.
const CLOSED_PORT: u16 = 9;
/// How long each process makes resets.
const LASTS: Duration = Duration::from_secs(4);
/// How long of that the agent takes nothing, so that the ring buffer is full for certain.
const STOPPED: Duration = Duration::from_secs(1);
/// The smallest ring buffer, and no limit to what is reported one by one: it is the ring buffer
/// that does not suffice.
const FULL: &str = "ring_buffer_bytes: 65536\ndetail_rate: 0\n";
/// The same where each source soon makes too many.
const LIMITED: &str = "ring_buffer_bytes: 65536\ndetail_rate: 10\n";

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "storm_counts_exactly v4",
        programs: &[],
        natively: false,
        run: || counts_exactly(Ipv4Addr::LOCALHOST.into(), FULL, "aggregated_full"),
    },
    Whole {
        name: "storm_counts_exactly v6",
        programs: &[],
        natively: false,
        run: || counts_exactly(Ipv6Addr::LOCALHOST.into(), FULL, "aggregated_full"),
    },
    Whole {
        name: "storm_of_failures v4",
        programs: &[],
        natively: false,
        run: || failures_exactly(Ipv4Addr::LOCALHOST.into(), FULL, "aggregated_full"),
    },
    Whole {
        name: "storm_of_failures v6",
        programs: &[],
        natively: false,
        run: || failures_exactly(Ipv6Addr::LOCALHOST.into(), LIMITED, "aggregated_storm"),
    },
    Whole {
        name: "storm_of_one_source v4",
        programs: &[],
        natively: false,
        run: || counts_exactly(Ipv4Addr::LOCALHOST.into(), LIMITED, "aggregated_storm"),
    },
    Whole {
        name: "storm_of_one_source v6",
        programs: &[],
        natively: false,
        run: || counts_exactly(Ipv6Addr::LOCALHOST.into(), LIMITED, "aggregated_storm"),
    },
];

/// What one process made: connections that their client reset (one active reset) or whose server
/// left a request unanswered, and connections that were refused (one passive reset, which belongs to
/// nobody).
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    aborted: u64,
    refused: u64,
}

/// One request that the server reads and does not answer.
fn unanswered(listener: &TcpListener) -> Result<()> {
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(&[b'r'; 64])?;
    server.read_exact(&mut [0; 64])?;
    drop(server);
    ensure!(client.read(&mut [0])? == 0, "there was an answer");
    Ok(())
}

/// The process that makes resets: `stormer ADDRESS`, or unanswered requests in the place of aborted
/// connections: `stormer ADDRESS unanswered`. It begins at a line on its standard input,
/// writes what it made, and lives on until that input ends, as a process of which the agent can
/// learn its name at leisure.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let ip: IpAddr = arguments.first().context("an address")?.parse()?;
    let listener = TcpListener::bind((ip, 0))?;
    let closed = SocketAddr::from((ip, CLOSED_PORT));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let end = Instant::now() + LASTS;
    let mut made = Made::default();
    let abort = match arguments.get(1) {
        Some(_) => unanswered,
        None => aborted,
    };
    while Instant::now() < end {
        abort(&listener)?;
        made.aborted += 1;
        match TcpStream::connect(closed) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => made.refused += 1,
            other => bail!("a connection to {closed} was not refused: {other:?}"),
        }
    }
    println!("{} {}", made.aborted, made.refused);
    std::io::stdin().read_to_string(&mut line)?;
    Ok(())
}

/// A process that makes resets, from an executable with a name of its own.
struct Stormer {
    child: Child,
    name: String,
    made: Made,
}

impl Stormer {
    fn start(name: String, arguments: &[&str], netns: &Netns, folder: &TempDir) -> Result<Self> {
        let program = folder.path().join(&name);
        fs::hard_link(std::env::current_exe()?, &program)
            .or_else(|_| fs::copy(std::env::current_exe()?, &program).map(|_| ()))?;
        let mut command = Command::new(program);
        command
            .arg(MODE)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = netns.run_in(&mut command).spawn().context("a stormer")?;
        let made = Made::default();
        Ok(Self { child, name, made })
    }

    fn go(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("its input")?;
        input.write_all(b"go\n").context("start a stormer")
    }

    /// Waits until it has made its last reset.
    fn finish(&mut self) -> Result<()> {
        let mut line = Vec::new();
        let output = self.child.stdout.as_mut().context("its output")?;
        let mut byte = [0];
        while output.read(&mut byte)? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        let line = String::from_utf8(line)?;
        let (aborted, refused) = line
            .split_once(' ')
            .with_context(|| format!("{} broke off", self.name))?;
        self.made = Made {
            aborted: aborted.parse()?,
            refused: refused.parse()?,
        };
        Ok(())
    }
}

impl Drop for Stormer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two processes that make their events while the agent is stopped at first.
struct Storm {
    netns: Netns,
    _folder: TempDir,
    agent: Service,
    stormers: Vec<Stormer>,
}

impl Storm {
    /// Runs it to its end; the stormers live on.
    fn run(config: &str, arguments: &[&str]) -> Result<Self> {
        let (netns, folder) = (Netns::new()?, TempDir::new().context("temporary folder")?);
        let file = folder.path().join("resetmon.yaml");
        fs::write(&file, config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command
            .args(["run", "--no-pin", "--failures", "--config"])
            .arg(file);
        let agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
        // Others on this machine may run the same: their resets are in the metrics too.
        let me = std::process::id();
        let mut stormers = ["a", "b"]
            .into_iter()
            .map(|letter| Stormer::start(format!("st{me}{letter}"), arguments, &netns, &folder))
            .collect::<Result<Vec<_>>>()?;

        agent.signal(Signal::STOP)?;
        stormers.iter_mut().try_for_each(Stormer::go)?;
        std::thread::sleep(STOPPED);
        agent.signal(Signal::CONT)?;
        stormers.iter_mut().try_for_each(Stormer::finish)?;
        Ok(Self {
            netns,
            _folder: folder,
            agent,
            stormers,
        })
    }

    /// What both made.
    fn made(&self) -> Made {
        let add = |sum: Made, one: &Stormer| Made {
            aborted: sum.aborted + one.made.aborted,
            refused: sum.refused + one.made.refused,
        };
        self.stormers.iter().fold(Made::default(), add)
    }

    /// Waits until the counter `family` is what `due` says of each process; returns the page.
    fn settled(&self, family: &str, due: &[Due<'_>]) -> Result<String> {
        settled(&self.agent, &self.netns, &self.stormers, family, due)
    }
}

/// `how` is the place in `resetmon_events_lost_total` of what comes without detail of its own.
fn counts_exactly(ip: IpAddr, config: &str, how: &str) -> Result<()> {
    let mut storm = Storm::run(config, &[&ip.to_string()])?;
    let Made { aborted, refused } = storm.made();
    let kernel = storm.netns.resets_sent()?;
    ensure!(
        kernel == aborted + refused,
        "the kernel sent {kernel} resets for {aborted} aborted and {refused} refused connections"
    );
    let page = storm.settled(
        "resetmon_process_resets_total",
        &[
            ("direction", "sent", |made| made.aborted),
            ("direction", "received", |made| made.aborted + made.refused),
        ],
    )?;
    came_by(&page, how)?;
    // It delivers all it has before it ends.
    storm.agent.stop()?;
    let events = storm.agent.events(&storm.netns)?;
    check(&events, &storm.stormers, kernel, aborted, refused)
}

/// The same for failures without a reset, and for those with one beside them.
fn failures_exactly(ip: IpAddr, config: &str, how: &str) -> Result<()> {
    let mut storm = Storm::run(config, &[&ip.to_string(), "unanswered"])?;
    let page = storm.settled(
        "resetmon_connection_failures_total",
        &[
            ("failure", "empty_response", |made| made.aborted),
            ("failure", "refused", |made| made.refused),
        ],
    )?;
    came_by(&page, how)?;
    storm.agent.stop()?;
    let events = storm.agent.events(&storm.netns)?;
    let failures = || events.iter().filter(|event| event["event"] == "failure");
    let counted: u64 = failures()
        .map(|event| event["connections"].as_u64().unwrap_or(1))
        .sum();
    let made = storm.made().aborted;
    ensure!(
        counted == made,
        "{counted} of {made} failures in the events"
    );
    ensure!(
        (failures().count() as u64) < made,
        "all {made} failures came one by one: that was no storm"
    );
    Ok(())
}

/// Something came without detail of its own, in this way.
fn came_by(page: &str, how: &str) -> Result<()> {
    let lost = sum(page, "resetmon_events_lost_total", &[("where", how)]);
    ensure!(
        lost.is_some_and(|count| count > 0),
        "no event came by {how}: {lost:?}"
    );
    Ok(())
}

/// A label, its value, and how many of it a process made.
type Due<'a> = (&'a str, &'a str, fn(&Made) -> u64);

/// The metrics, once they hold what each process made.
fn settled(
    agent: &Service,
    netns: &Netns,
    stormers: &[Stormer],
    family: &str,
    due: &[Due<'_>],
) -> Result<String> {
    let address = agent.address()?;
    let mut page = String::new();
    let mut wrong = String::new();
    let found = wait_for("the metrics of each process", || {
        page = http::get(netns, address, "/metrics", "text/plain")?.body;
        for Stormer { name, made, .. } in stormers {
            for (label, value, count) in due {
                let count = count(made);
                let labels = [("process", name.as_str()), (label, value)];
                let counted = sum(&page, family, &labels);
                if counted != Some(count) {
                    wrong = format!("{name} {value}: {counted:?} of {count}");
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    });
    found.with_context(|| {
        let families = [family, "resetmon_events_lost_total"];
        let lines = page.lines().filter(|line| {
            let of_them = families.iter().any(|family| line.starts_with(family));
            of_them && !line.ends_with(" 0")
        });
        format!("{wrong}; {}", lines.collect::<Vec<_>>().join(" "))
    })?;
    Ok(page)
}

/// The events against what was made.
fn check(
    events: &[Value],
    stormers: &[Stormer],
    kernel: u64,
    aborted: u64,
    refused: u64,
) -> Result<()> {
    let packets = |is: &dyn Fn(&Value) -> bool| -> u64 {
        let matching = events.iter().filter(|event| is(event));
        matching
            .map(|event| event["packets"].as_u64().unwrap_or(1))
            .sum()
    };
    let is = |event: &Value, direction: &str, cause: &str| {
        event["direction"] == direction && event["cause"] == cause
    };
    let mut rows = vec![
        (
            "all sent".to_owned(),
            packets(&|e| e["direction"] == "sent"),
            kernel,
        ),
        (
            "all received".to_owned(),
            packets(&|e| e["direction"] == "received"),
            kernel,
        ),
        (
            "sent, linger_abort".to_owned(),
            packets(&|e| is(e, "sent", "linger_abort")),
            aborted,
        ),
        (
            "sent, no_listener, nobody's".to_owned(),
            packets(&|e| is(e, "sent", "no_listener") && e["process"].is_null()),
            refused,
        ),
    ];
    for Stormer { name, made, .. } in stormers {
        let of = |direction: &str, cause: &str| {
            packets(&|e| is(e, direction, cause) && e["process"]["name"] == name.as_str())
        };
        rows.extend([
            (
                format!("{name}, sent"),
                of("sent", "linger_abort"),
                made.aborted,
            ),
            (
                format!("{name}, received as server"),
                of("received", "aborted_during_setup"),
                made.aborted,
            ),
            (
                format!("{name}, received as client"),
                of("received", "refused"),
                made.refused,
            ),
        ]);
    }
    let wrong: Vec<String> = rows
        .into_iter()
        .filter(|(_, counted, made)| counted != made)
        .map(|(what, counted, made)| format!("{what}: {counted} of {made}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    ensure!(
        (events.len() as u64) < 2 * kernel,
        "all {kernel} resets came one by one: that was no storm"
    );
    Ok(())
}
