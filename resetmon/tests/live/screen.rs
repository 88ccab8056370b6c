//! `resetmon watch` full-screen in a pseudo-terminal.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::netns::Netns;
use crate::pty::Session;
use crate::scenario::Whole;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "screen_shows_a_reset_and_its_evidence",
        programs: &[],
        natively: false,
        run: shows,
    },
    Whole {
        name: "screen_filters_pauses_and_shows_its_log",
        programs: &[],
        natively: false,
        run: obeys,
    },
    Whole {
        name: "screen_is_given_back_upon_sigterm_and_for_a_while",
        programs: &[],
        natively: false,
        run: gives_back,
    },
    Whole {
        name: "screen_ends_with_its_terminal",
        programs: &[],
        natively: false,
        run: hangs_up,
    },
    Whole {
        name: "screen_sleeps_while_nothing_happens",
        programs: &[],
        natively: true,
        run: sleeps,
    },
];

/// A port on which nobody listens in a namespace of our own.
const PORT: u16 = 4321;

fn start(netns: &Netns) -> Result<Session> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["watch", "--netns", &netns.inode().to_string()]);
    let session = Session::start(&mut command)?;
    session.waits_for_start(1)?;
    session.waits_for("1 events")?;
    Ok(session)
}

/// A connection that is refused: a reset sent, and the same one received.
fn refuse(netns: &Netns) -> Result<()> {
    let refused = netns.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)))?;
    match refused {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("the connection was not refused: {other:?}"),
    }
}

fn shows() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = start(&netns)?;
    refuse(&netns)?;
    session.waits_for("sent 1 · received 1")?;
    session.waits_for("no_listener")?;
    session.waits_for(&format!("127.0.0.1:{PORT}"))?;
    session.press("/cause=refused\r")?;
    session.waits_for("filter: cause=refused")?;
    session.waits_until("only what was received", |screen| {
        !screen.contains("no_listener")
    })?;
    session.press("\r")?;
    session.waits_for("received refused: nobody listens")?;
    session.waits_for("Evidence")?;
    session.waits_for("Advice")?;
    session.resize(100, 50)?;
    session.waits_for("\nchange ")?;
    session.press("q")?;
    session.gives_back()
}

fn obeys() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = start(&netns)?;
    session.press("p")?;
    session.waits_for("paused, 0 new")?;
    refuse(&netns)?;
    session.waits_for("paused, 2 new")?;
    ensure!(
        !session.screen().contains("no_listener"),
        "it is not paused"
    );
    session.press("p/no_list\r")?;
    session.waits_for("filter: no_list")?;
    session.waits_until("one row", |screen| {
        screen.contains("no_listener") && !screen.contains("refused")
    })?;
    session.press("\x1b")?;
    session.waits_for("refused")?;
    session.press("5")?;
    session.waits_for("LAST MINUTE")?;
    session.resize(200, 50)?;
    session.waits_for("MEANING")?;
    // The file of the configuration is read again, and that is said in the log.
    session.signal(Signal::HUP)?;
    session.press("l")?;
    session.waits_for("configuration reloaded")?;
    session.resize(60, 15)?;
    // A key that comes together with a resize is read with the next key only (crossterm's poll).
    session.waits_until("the log in a small terminal", |screen| {
        let last = screen.lines().last();
        last.is_some_and(|line| line.contains("Esc back"))
    })?;
    session.press("\x1b")?;
    session.waits_for("COUNT")?;
    session.press("?")?;
    session.waits_for("PgDn")?;
    session.press("G")?;
    session.waits_for("Ctrl-C")?;
    session.press("\x03")?;
    session.gives_back()
}

fn gives_back() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = start(&netns)?;
    // No shell is there to let it go on, so it goes on by itself.
    session.press("\x1a")?;
    session.waits_for_start(2)?;
    refuse(&netns)?;
    session.waits_for("no_listener")?;
    session.signal(Signal::TERM)?;
    session.gives_back()
}

fn hangs_up() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = start(&netns)?;
    session.hang_up();
    session.wait()?;
    Ok(())
}

/// What a process has done: how often its threads went to sleep, and for how many ticks of the
/// clock (10 ms) they ran.
#[derive(Clone, Copy, Debug)]
struct Work {
    sleeps: u64,
    ticks: u64,
}

impl Work {
    fn of(process: u32) -> Result<Self> {
        let mut work = Self {
            sleeps: 0,
            ticks: 0,
        };
        for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?.path();
            let status = std::fs::read_to_string(task.join("status"))?;
            let mut lines = status.lines();
            let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = count.context("no context switches are told")?;
            work.sleeps += count.trim().parse::<u64>()?;
            let stat = std::fs::read_to_string(task.join("stat"))?;
            // Behind the name, which may hold blanks: utime and stime are fields 14 and 15.
            let fields = stat.rsplit(')').next().unwrap_or_default();
            for ticks in fields.split_whitespace().skip(11).take(2) {
                work.ticks += ticks.parse::<u64>()?;
            }
        }
        Ok(work)
    }
}

/// A loop that polls runs all the time, or goes to sleep some hundred times a second, in whichever
/// window. Resets of others on this machine wake the program too, so the quietest window counts.
fn sleeps() -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(5);
    const WINDOWS: usize = 6;
    const MOST: Work = Work {
        sleeps: 30,
        ticks: 25,
    };
    let netns = Netns::new()?;
    let mut session = start(&netns)?;
    let mut all = Vec::new();
    for _ in 0..WINDOWS {
        let before = Work::of(session.id())?;
        std::thread::sleep(WINDOW);
        let after = Work::of(session.id())?;
        let done = Work {
            sleeps: after.sleeps.saturating_sub(before.sleeps),
            ticks: after.ticks.saturating_sub(before.ticks),
        };
        all.push(done);
        if done.sleeps < MOST.sleeps && done.ticks < MOST.ticks {
            session.press("q")?;
            return session.gives_back();
        }
    }
    bail!("in windows of {WINDOW:?} it did {all:?}, more than {MOST:?}")
}
