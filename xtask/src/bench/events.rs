//! Nanoseconds of one event, by the kernel's BPF statistics, beside empty programs and bpftrace.
//!
//! All three are attached at the same time and so see the same events.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::agent::Agent;
use super::bpf::{self, Counting, Program};
use super::load::{self, End};
use super::place::Place;
use super::process::Background;
use super::table::{Goal, Row, Unit};
use super::tracer::{self, TRACEPOINTS};
use crate::command::Invocation;

/// One load, and the programs whose cost it shows.
struct Case {
    /// What is told apart by it; empty for the ordinary.
    what: &'static str,
    config: &'static str,
    end: End,
    programs: &'static [&'static str],
}

/// Every connection ends by itself; by a reset with its full record; by a reset that is added to
/// an aggregate.
const CASES: [Case; 3] = [
    Case {
        what: "",
        config: "",
        end: End::Close,
        programs: &["socket_state", "first_read", "socket_destroyed"],
    },
    Case {
        what: "full record",
        config: "detail_rate: 0\n",
        end: End::Reset,
        programs: &["reset_sent", "reset_received"],
    },
    Case {
        what: "aggregated",
        config: "detail_rate: 1\n",
        end: End::Reset,
        programs: &["reset_sent", "reset_received", "socket_destroyed"],
    },
];

/// Nanoseconds above an empty program that a change of state may cost.
const STATE_NS: f64 = 150.0;
/// The same for a reset.
const RESET_NS: f64 = 400.0;

/// Ending of the name of a program that stands in for the one of that name without it.
const STAND_IN: &str = "_nested";

/// One tracepoint's samples.
#[derive(Debug, Default, Clone)]
struct Samples {
    /// All our programs there.
    ours: Vec<f64>,
    /// As many empty ones.
    empty: Vec<f64>,
    bpftrace: Vec<f64>,
    events: u64,
}

/// Measures all programs.
///
/// # Errors
/// When a tracer or the load fails.
pub(crate) fn measure(place: &Place) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in &CASES {
        for ((name, _), samples) in TRACEPOINTS.iter().zip(sample(place, case)?) {
            if case.programs.contains(name) {
                rows.extend(rows_of(name, case.what, &samples));
            }
        }
    }
    Ok(rows)
}

fn rows_of(name: &str, suffix: &str, samples: &Samples) -> [Row; 2] {
    let title = if suffix.is_empty() {
        name.to_owned()
    } else {
        format!("{name} ({suffix})")
    };
    let pairs = samples.ours.iter().zip(&samples.empty);
    let above: Vec<f64> = pairs.map(|(ours, empty)| ours - empty).collect();
    let beside = samples.ours.iter().zip(&samples.bpftrace);
    let ratio: Vec<f64> = beside.map(|(ours, theirs)| ours / theirs).collect();
    let figure = |samples: &[f64]| {
        super::median::median(samples).map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}"))
    };
    // Also what is only done for a reset connection, wherever it is done.
    let limit = if suffix.is_empty() {
        STATE_NS
    } else {
        RESET_NS
    };
    [
        Row::new(format!("{title}: above empty"), Unit::Ns, above)
            .goal(Goal::AtMost(limit))
            .note(format!(
                "itself {}, empty {}, bpftrace's count {}; {} events",
                figure(&samples.ours),
                figure(&samples.empty),
                figure(&samples.bpftrace),
                samples.events
            )),
        Row::new(format!("{title}: of bpftrace's count"), Unit::Ratio, ratio)
            .goal(Goal::AtMost(1.0)),
    ]
}

/// What is held by each of the three.
struct Held {
    ours: BTreeSet<u64>,
    empty: BTreeSet<u64>,
    bpftrace: BTreeSet<u64>,
}

fn sample(place: &Place, case: &Case) -> Result<Vec<Samples>> {
    let agent = Agent::start(place, case.config, false)?;
    let call = Invocation::new(&place.empty_holder).arg(&place.empty_object);
    let mut empty = Background::start(&call, &place.dir.join("empty.log"), false)?;
    empty.wait_until(|program| program.said().contains("ready"))?;
    let bpftrace = tracer::counting(place)?;
    let held = Held {
        ours: bpf::held_by(agent.program.pid()),
        empty: bpf::held_by(empty.pid()),
        bpftrace: bpf::held_by(bpftrace.pid()),
    };
    let counting = Counting::start()?;
    let duration = Duration::from_millis(if place.quick { 500 } else { 2000 });
    let mut all = vec![Samples::default(); TRACEPOINTS.len()];
    // The first round only warms the caches.
    for round in 0..=place.rounds(3, 5) {
        let before = bpf::programs()?;
        load::connect_for(duration, case.end)?;
        let after = bpf::programs()?;
        if round > 0 {
            add(&mut all, &held, &before, &after)?;
        }
    }
    drop(counting);
    bpftrace.stop(Signal::INT)?;
    empty.stop(Signal::TERM)?;
    agent.stop()?;
    Ok(all)
}

fn add(all: &mut [Samples], held: &Held, before: &[Program], after: &[Program]) -> Result<()> {
    for ((name, tracepoint), samples) in TRACEPOINTS.iter().zip(all) {
        let cost = |held: &BTreeSet<u64>, name: &str| {
            bpf::cost(
                bpf::find(before, held, name)?,
                bpf::find(after, held, name)?,
            )
        };
        // bpftrace calls its programs as their tracepoints.
        let theirs = tracepoint
            .split_once(':')
            .map_or(*tracepoint, |(_, name)| name);
        // A fallback that this kernel does not need is no program of ours.
        let Some((ours, runs)) = cost(&held.ours, name) else {
            continue;
        };
        let (empty, _) = cost(&held.empty, name)
            .with_context(|| format!("the empty program {name} did not run"))?;
        // It runs at every event too, and each program is charged for being measured.
        let stand_in = cost(&held.ours, &format!("{name}{STAND_IN}"));
        let programs = if stand_in.is_some() { 2.0 } else { 1.0 };
        samples.ours.push(ours + stand_in.map_or(0.0, |(ns, _)| ns));
        samples.empty.push(empty * programs);
        samples.events += runs;
        let (bpftrace, _) = cost(&held.bpftrace, theirs)
            .with_context(|| format!("bpftrace's program at {tracepoint} did not run"))?;
        samples.bpftrace.push(bpftrace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_subtract_and_divide_pair_by_pair() {
        let samples = Samples {
            ours: vec![300.0, 200.0],
            empty: vec![50.0, 10.0],
            bpftrace: vec![100.0, 400.0],
            events: 12,
        };
        let [above, ratio] = rows_of("reset_sent", "full record", &samples);
        assert_eq!(above.samples, [250.0, 190.0]);
        assert_eq!(above.goal, Some(Goal::AtMost(400.0)));
        assert_eq!(above.name, "reset_sent (full record): above empty");
        assert_eq!(ratio.samples, [3.0, 0.5]);
        let [above, _] = rows_of("first_read", "", &samples);
        assert_eq!(above.goal, Some(Goal::AtMost(150.0)));
    }
}
