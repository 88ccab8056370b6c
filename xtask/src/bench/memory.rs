//! Memory: the agent's and the kernel's for it, idle and beside many sockets.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::agent::Agent;
use super::bpf;
use super::load;
use super::place::Place;
use super::process::{Background, resident_mib, status_value, to_f64};
use super::table::{Goal, Row, Unit};
use crate::command::Invocation;

/// MiB of the agent when nothing happens.
const IDLE_MIB: f64 = 20.0;
/// MiB of the agent beside all the sockets.
const BUSY_MIB: f64 = 64.0;
/// Sockets; a connection on the loopback device is two.
const SOCKETS: u64 = 100_000;
/// For what comes late: the agent's timers, the kernel's deferred freeing.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures both.
///
/// # Errors
/// When the agent or a holder of sockets fails.
pub(crate) fn measure(place: &Place) -> Result<Vec<Row>> {
    let sockets = if place.quick { SOCKETS / 10 } else { SOCKETS };
    let agent = Agent::start(place, "", false)?;
    let pid = agent.program.pid();
    std::thread::sleep(SETTLE);
    let idle = resident_mib(pid)?;
    let maps = bpf::map_mib(&bpf::held_by(pid))?;

    let mut holders = Vec::new();
    let mut held = 0;
    for (index, share) in (0_u64..).zip(load::shares(sockets / 2, load::raise_limit()?)) {
        holders.push(holder(place, index, share)?);
        held += share * 2;
    }
    std::thread::sleep(SETTLE);
    let busy = resident_mib(pid)?;
    let with = unreclaimable_mib()?;
    agent.stop()?;
    std::thread::sleep(SETTLE);
    let storage = with - unreclaimable_mib()?;

    // The other way round: the sockets are older than the agent.
    let late = Agent::start(place, "", false)?;
    let late_start = late.start;
    std::thread::sleep(SETTLE);
    let found = resident_mib(late.program.pid())?;
    late.stop()?;
    for mut holder in holders {
        drop(holder.take_stdin());
        holder.stop(Signal::TERM)?;
    }
    Ok(vec![
        Row::new("agent, resident, idle", Unit::MiB, vec![idle])
            .goal(Goal::AtMost(IDLE_MIB))
            .note("4 MiB of it the ring buffer, which is mapped twice"),
        Row::new("kernel, maps", Unit::MiB, vec![maps])
            .note("fixed; the ring buffer is 2 MiB of it"),
        Row::new(
            format!("agent, resident, {held} sockets"),
            Unit::MiB,
            vec![busy],
        )
        .goal(Goal::AtMost(BUSY_MIB)),
        Row::new(
            format!("kernel, facts of {held} sockets"),
            Unit::MiB,
            vec![storage],
        )
        .note(format!(
            "{:.0} bytes a socket",
            storage * 1_048_576.0 / to_f64(held.max(1))
        )),
        Row::new(
            format!("agent, resident, {held} older sockets"),
            Unit::MiB,
            vec![found],
        )
        .goal(Goal::AtMost(BUSY_MIB)),
        Row::new(
            format!("start to attached, {held} older sockets"),
            Unit::Ms,
            vec![late_start.as_secs_f64() * 1e3],
        ),
    ])
}

fn holder(place: &Place, index: u64, share: u64) -> Result<Background> {
    let call = Invocation::new(&place.own)
        .args(["bench", "--hold"])
        .arg(format!("{index}:{share}"));
    let log = place.dir.join(format!("hold-{index}.log"));
    let mut program = Background::start(&call, &log, false)?;
    program.wait_until(|program| program.said().contains("held"))?;
    Ok(program)
}

/// The kernel's memory that it cannot give back on demand.
fn unreclaimable_mib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kib = status_value(&text, "SUnreclaim").context("no SUnreclaim in /proc/meminfo")?;
    Ok(to_f64(kib) / 1024.0)
}
