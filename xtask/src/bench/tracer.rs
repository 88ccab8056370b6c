//! Other programs that watch TCP, beside which resetmon is measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::agent::Agent;
use super::bpf;
use super::place::Place;
use super::process::Background;
use crate::command::Invocation;

/// resetmon's tracepoints as bpftrace names them, beside resetmon's programs.
pub(crate) const TRACEPOINTS: [(&str, &str); 5] = [
    ("socket_state", "sock:inet_sock_set_state"),
    ("first_read", "tcp:tcp_rcv_space_adjust"),
    ("socket_destroyed", "tcp:tcp_destroy_sock"),
    ("reset_sent", "tcp:tcp_send_reset"),
    ("reset_received", "tcp:tcp_receive_reset"),
];

/// Prints every reset sent by this program.
const PRINTING: &str = r#"tracepoint:tcp:tcp_send_reset /comm == "xtask"/ {
    printf("S %d %d %d\n", pid, args->state, args->reason);
}"#;

/// Between the load of the programs and their being attached.
const SETTLE: Duration = Duration::from_millis(400);

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracer {
    /// The agent with its default configuration.
    Resetmon,
    /// bpftrace, counting on the same tracepoints.
    Bpftrace,
    /// libbpf-tools' tcpstates, which prints every change of state.
    Tcpstates,
}

/// A tracer at work.
#[derive(Debug)]
pub(crate) enum Running {
    /// The agent.
    Agent(Agent),
    /// Another.
    Other(Background),
}

impl Tracer {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Resetmon, Self::Bpftrace, Self::Tcpstates];

    /// As the table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resetmon => "resetmon",
            Self::Bpftrace => "bpftrace counting",
            Self::Tcpstates => "tcpstates",
        }
    }

    /// Starts it and waits until it watches.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(self, place: &Place) -> Result<Running> {
        Ok(match self {
            Self::Resetmon => Running::Agent(Agent::start(place, "", false)?),
            Self::Bpftrace => Running::Other(counting(place)?),
            Self::Tcpstates => {
                let call = Invocation::new("tcpstates");
                // One line a change of state: more than a disk should get.
                let mut program = Background::start(&call, Path::new("/dev/null"), false)?;
                wait_attached(&mut program, 1)?;
                Running::Other(program)
            }
        })
    }
}

impl Running {
    /// Ends it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn stop(self) -> Result<()> {
        match self {
            Self::Agent(agent) => agent.stop(),
            Self::Other(program) => program.stop(Signal::INT).map(drop),
        }
    }
}

fn wait_attached(program: &mut Background, programs: usize) -> Result<()> {
    program.wait_until(|program| bpf::held_by(program.pid()).len() >= programs)?;
    std::thread::sleep(SETTLE);
    Ok(())
}

/// bpftrace that counts on each of resetmon's tracepoints.
///
/// # Errors
/// When it does not start.
pub(crate) fn counting(place: &Place) -> Result<Background> {
    let probes: Vec<String> = TRACEPOINTS
        .iter()
        .map(|(name, tracepoint)| format!("tracepoint:{tracepoint} {{ @{name} = count(); }}"))
        .collect();
    let call = Invocation::new("bpftrace").arg("-e").arg(probes.join("\n"));
    let mut program = Background::start(&call, &place.dir.join("bpftrace.log"), false)?;
    wait_attached(&mut program, TRACEPOINTS.len())?;
    Ok(program)
}

/// bpftrace that prints a line for each reset sent by this program.
///
/// # Errors
/// When it does not start.
pub(crate) fn printing(place: &Place) -> Result<Background> {
    let call = Invocation::new("bpftrace").args(["-e", PRINTING]);
    let mut program = Background::start(&call, &place.dir.join("bpftrace.log"), false)?;
    wait_attached(&mut program, 1)?;
    Ok(program)
}

/// The resets in the output of [`printing`].
pub(crate) fn printed(said: &str) -> u64 {
    // A length fits 64 bits.
    said.lines().filter(|line| line.starts_with("S ")).count() as u64
}

/// tcpdump that writes every RST on the loopback device.
///
/// # Errors
/// When it does not start.
pub(crate) fn dumping(place: &Place) -> Result<Background> {
    let call = Invocation::new("tcpdump")
        .args(["-i", "lo", "-n", "-Z", "root", "-w"])
        .arg(place.dir.join("storm.pcap"))
        .arg("tcp[tcpflags] & tcp-rst != 0 or (ip6 and ip6[6] = 6 and ip6[53] & 4 != 0)");
    let mut program = Background::start(&call, &place.dir.join("tcpdump.log"), false)?;
    program.wait_until(|program| program.said().contains("listening on"))?;
    std::thread::sleep(SETTLE);
    Ok(program)
}

/// The packets that tcpdump says to have captured.
///
/// # Errors
/// When it does not say.
pub(crate) fn dumped(said: &str) -> Result<u64> {
    said.lines()
        .find_map(|line| line.strip_suffix(" packets captured")?.trim().parse().ok())
        .with_context(|| format!("tcpdump does not say what it captured: {}", said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_keep_is_read_from_what_they_say() {
        assert_eq!(
            printed("Attaching 1 probe...\nS 1 2 3\nS 1 2 4\nLost 7 events\n"),
            2
        );
        let said = "tcpdump: listening on lo\n^C\n120 packets captured\n\
                    244 packets received by filter\n4 packets dropped by kernel\n";
        assert_eq!(dumped(said).unwrap(), 120);
        assert!(dumped("tcpdump: no such device").is_err());
    }
}
