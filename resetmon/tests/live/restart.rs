//! Agents that are killed and started again over the same pins.
//!
//! The kernel's own count of resets sent in the namespace is the measure. Until the first agent is
//! stopped everything that it counted is in its file; from then on it takes nothing more, and is
//! killed while resets go on.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

/// A ring buffer that a storm fills at once, so that the other ways of counting are used too.
const CONFIG: &str = "ring_buffer_bytes: 65536\n";
/// Other settings, hence other programs.
const OTHER: &str = "ring_buffer_bytes: 65536\ndetail_rate: 7\n";

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "killed_in_a_storm",
        programs: &["mount", "umount"],
        natively: false,
        run: killed_in_a_storm,
    },
    Whole {
        name: "other_version_takes_the_place",
        programs: &["mount", "umount"],
        natively: false,
        run: other_version,
    },
    Whole {
        name: "detach_leaves_nothing",
        programs: &["mount", "umount", "bpftool"],
        natively: false,
        run: detach,
    },
    Whole {
        name: "detach_leaves_a_mount_point",
        programs: &["mount", "umount"],
        natively: false,
        run: detach_in_a_pod,
    },
    Whole {
        name: "without_bpffs",
        programs: &[],
        natively: false,
        run: without_bpffs,
    },
];

/// A bpffs and a network namespace of our own.
struct Place {
    netns: Netns,
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Self {
            netns: Netns::new()?,
            folder: TempDir::new().context("temporary folder")?,
        };
        fs::create_dir(place.bpffs())?;
        run(Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(place.bpffs()))?;
        Ok(place)
    }

    fn bpffs(&self) -> PathBuf {
        self.folder.path().join("bpf")
    }

    fn pins(&self) -> PathBuf {
        self.bpffs().join("resetmon")
    }

    /// The one set of pins.
    fn set(&self) -> Result<PathBuf> {
        let mut sets = fs::read_dir(self.pins())?.collect::<Result<Vec<_>, _>>()?;
        let set = sets.pop().context("no set of pins")?;
        ensure!(sets.is_empty(), "more than one set of pins");
        Ok(set.path())
    }

    fn start(&self, name: &str, config: &str) -> Result<Service> {
        let file = self.folder.path().join("resetmon.yaml");
        fs::write(&file, config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command.args(["run", "--config"]).arg(file);
        command.arg("--pin-dir").arg(self.pins());
        Service::start(&mut command, &self.netns, self.folder.path(), name)
    }

    fn detach(&self) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command.arg("detach").arg("--pin-dir").arg(self.pins());
        command.output().context("resetmon detach")
    }

    /// Resets that many connections.
    fn aborted(&self, times: usize) -> Result<()> {
        self.netns.enter(|| {
            let listeners = listeners()?;
            (listeners.iter().cycle().take(times)).try_for_each(aborted)
        })?
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left attached goes with the file system.
        let _ = Command::new("umount").arg(self.bpffs()).status();
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// An IPv4 and an IPv6 listener. All connections go to the same two, so that their resets fall
/// into few aggregates: a bare total names no namespace.
pub(crate) fn listeners() -> Result<[TcpListener; 2]> {
    Ok([
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?,
    ])
}

/// A connection that its client resets: one reset sent and one received, which every kernel traces.
pub(crate) fn aborted(listener: &TcpListener) -> Result<()> {
    let (client, mut server) = connection(listener)?;
    reset(client)?;
    // Closed before the reset is delivered, it would send a FIN, which a second one answers.
    match server.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => bail!("the server's end was not reset: {other:?}"),
    }
}

/// A connection: its client, and its server's end.
fn connection(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

/// Closes it by a reset.
fn reset(stream: TcpStream) -> Result<()> {
    let linger = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    linger.context("SO_LINGER")?;
    drop(stream);
    Ok(())
}

fn killed_in_a_storm() -> Result<()> {
    let place = Place::new()?;
    let netns = &place.netns;
    let mut first = place.start("first", CONFIG)?;
    ensure!(first.said()?.contains(" pinned "), "{}", first.said()?);
    let (client, server) = netns.enter(|| connection(&listeners()?[0]))??;
    let open_before = client.local_addr()?;

    place.aborted(100)?;
    wait_for("the first agent's count", || {
        let sent = first.counted(netns, "sent")?;
        Ok((sent == netns.resets_sent()?).then_some(()))
    })?;

    // Stopped while nothing is under way: a line that it has taken from the ring buffer but not yet
    // written would die with it, and the lines are what is counted here.
    first.signal(Signal::STOP)?;
    let (go_on, made) = (AtomicBool::new(true), AtomicU64::new(0));
    let stormed: Result<Service> = std::thread::scope(|scope| {
        let stormer = scope.spawn(|| {
            netns.enter(|| {
                for listener in listeners()?.iter().cycle() {
                    if !go_on.load(Ordering::Relaxed) {
                        break;
                    }
                    aborted(listener)?;
                    made.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })?
        });
        let at_least = |resets: u64| {
            wait_for("resets", || {
                ensure!(!stormer.is_finished(), "the storm ended early");
                Ok((made.load(Ordering::Relaxed) > resets).then_some(()))
            })
        };
        let lives = (|| {
            at_least(made.load(Ordering::Relaxed) + 2000)?;
            first.kill()?;
            at_least(made.load(Ordering::Relaxed) + 2000)?;
            let second = place.start("second", CONFIG)?;
            at_least(made.load(Ordering::Relaxed) + 2000)?;
            Ok(second)
        })();
        go_on.store(false, Ordering::Relaxed);
        stormer.join().expect("the storm panicked")?;
        lives
    });
    let mut second = stormed?;
    ensure!(second.said()?.contains(" took over "), "{}", second.said()?);

    reset(client)?;
    wait_for("the reset of the old connection", || {
        Ok(ends(&second, netns, open_before)?.is_some().then_some(()))
    })?;
    drop(server);
    // It delivers all it has before it ends.
    second.stop()?;

    let (one, other) = (
        first.counted(netns, "sent")?,
        second.counted(netns, "sent")?,
    );
    let kernel = netns.resets_sent()?;
    ensure!(
        one + other == kernel,
        "{one} + {other} resets were reported, {kernel} were sent"
    );
    // Each connection is a reset sent and one received.
    let received = first.counted(netns, "received")? + second.counted(netns, "received")?;
    ensure!(
        received == kernel,
        "{received} resets were reported as received, {kernel} were sent"
    );

    let (by_client, by_server) = ends(&second, netns, open_before)?.context("both ends")?;
    for event in [&by_client, &by_server] {
        let process = &event["process"];
        ensure!(
            process["pid"] == std::process::id()
                && process["exe"] == std::env::current_exe()?.display().to_string()
                // What is found in /proc's stead says so.
                && matches!(process["known_by"].as_str(), Some("connect" | "accept" | "listener")),
            "the owner is forgotten: {event}"
        );
    }
    Ok(())
}

/// The reset of the connection that `client` belonged to, as its two ends have it.
fn ends(agent: &Service, netns: &Netns, client: SocketAddr) -> Result<Option<(Value, Value)>> {
    let client = client.to_string();
    let events = agent.events(netns)?;
    let of = |direction: &str, end: &str| {
        events
            .iter()
            .find(|event| event["direction"] == direction && event[end] == client)
            .cloned()
    };
    Ok(of("sent", "local").zip(of("received", "remote")))
}

fn other_version() -> Result<()> {
    let place = Place::new()?;
    let mut first = place.start("first", CONFIG)?;
    let old = place.set()?;
    first.kill()?;
    let mut second = place.start("second", OTHER)?;
    let said = second.said()?;
    ensure!(
        said.contains(" replaced ") && said.contains(" pinned "),
        "{said}"
    );
    ensure!(!said.contains(" took over "), "{said}");
    ensure!(place.set()? != old, "the set of pins is the same");
    place.aborted(10)?;
    second.stop()?;
    let said = second.said()?;
    ensure!(said.contains("stay attached for the next start"), "{said}");
    let (reported, kernel) = (
        second.counted(&place.netns, "sent")?,
        place.netns.resets_sent()?,
    );
    ensure!(reported == kernel, "{reported} reported of {kernel}");

    // A set that is not complete is none.
    fs::remove_file(place.set()?.join("maps/TALLY"))?;
    let mut third = place.start("third", OTHER)?;
    let said = third.said()?;
    ensure!(said.contains("TALLY is not pinned"), "{said}");
    place.aborted(10)?;
    third.stop()?;
    let reported = third.counted(&place.netns, "sent")?;
    ensure!(reported == 10, "{reported} reported of 10");
    Ok(())
}

fn detach() -> Result<()> {
    let place = Place::new()?;
    let mut agent = place.start("agent", CONFIG)?;
    let second = place.start("second", CONFIG);
    let error = format!("{:#}", second.err().context("a second agent started")?);
    ensure!(error.contains("another resetmon holds"), "{error}");
    let refusal = place.detach()?;
    let said = String::from_utf8_lossy(&refusal.stderr);
    ensure!(
        !refusal.status.success() && said.contains("another resetmon holds"),
        "detached under a running agent: {said}"
    );

    agent.kill()?;
    let mut ids = Vec::new();
    for program in fs::read_dir(place.set()?.join("programs"))? {
        let mut command = Command::new("bpftool");
        command.args(["-j", "prog", "show", "pinned"]);
        let shown: Value = serde_json::from_str(&run(command.arg(program?.path()))?)?;
        ids.push(shown["id"].as_u64().context("id of a program")?.to_string());
    }
    ensure!(ids.len() >= 4, "only {ids:?} are pinned");
    let removed = place.detach()?;
    let said = String::from_utf8_lossy(&removed.stdout);
    ensure!(
        removed.status.success() && said.contains(&format!("removed {} probes", ids.len())),
        "{said}"
    );
    ensure!(!place.pins().exists(), "the pin directory is still there");
    for id in &ids {
        wait_for("the end of a program", || {
            let mut command = Command::new("bpftool");
            let shown = command.args(["prog", "show", "id", id]).output()?;
            Ok((!shown.status.success()).then_some(()))
        })?;
    }
    let again = place.detach()?;
    let said = String::from_utf8_lossy(&again.stdout);
    ensure!(
        again.status.success() && said.contains("nothing is pinned"),
        "{said}"
    );
    Ok(())
}

/// The directory is a mount of its own, as a pod has it.
fn detach_in_a_pod() -> Result<()> {
    let place = Place::new()?;
    fs::create_dir(place.pins())?;
    let mount = |words: &[&str]| run(Command::new("mount").args(words).arg(place.pins()));
    mount(&["--bind", &place.pins().display().to_string()])?;
    let outcome = (|| {
        let mut agent = place.start("agent", CONFIG)?;
        agent.stop()?;
        place.detach()
    })();
    let left = fs::read_dir(place.pins())?.count();
    run(Command::new("umount").arg(place.pins()))?;
    let removed = outcome?;
    let said = String::from_utf8_lossy(&removed.stdout);
    ensure!(
        removed.status.success() && said.contains("removed ") && said.contains("mount point"),
        "{said}{}",
        String::from_utf8_lossy(&removed.stderr)
    );
    ensure!(left == 0, "{left} sets are left");
    Ok(())
}

fn without_bpffs() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command
        .args(["run", "--pin-dir"])
        .arg(folder.path().join("pins"));
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    netns.enter(|| aborted(&listeners()?[0]))??;
    agent.stop()?;
    let said = agent.said()?;
    let warnings = said.lines().filter(|line| line.contains("mount -t bpf"));
    ensure!(warnings.count() == 1, "{said}");
    let reported = agent.counted(&netns, "sent")?;
    ensure!(reported == 1, "{reported} reported of 1");
    ensure!(!folder.path().join("pins").exists(), "a directory was made");
    Ok(())
}
