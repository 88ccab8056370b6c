//! As many resets as two threads can make, and who counts how many of them.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use super::agent::{self, Agent};
use super::load;
use super::place::{OURS_V4, OURS_V6, Place};
use super::process::{cpu_seconds, to_f64};
use super::table::{Goal, Row, Unit};
use super::tracer;

/// The default, all in detail, and a ring buffer far too small.
const CONFIGS: [(&str, &str); 3] = [
    ("default", ""),
    ("all in detail", "detail_rate: 0\n"),
    (
        "ring buffer of 64 KiB",
        "detail_rate: 0\nring_buffer_bytes: 64KiB\n",
    ),
];
/// Longest time for the agent to fetch what it did not get one by one.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Where a metric counts what came without detail of its own.
const WITHOUT_DETAIL: [&str; 4] = [
    "aggregated_full",
    "aggregated_storm",
    "total_sent",
    "total_received",
];

/// One storm as the agent saw it.
#[derive(Debug, Default)]
struct Samples {
    made: Vec<f64>,
    missing_sent: Vec<f64>,
    missing_received: Vec<f64>,
    detailed: Vec<f64>,
    cpu: Vec<f64>,
}

/// Measures resetmon, bpftrace and tcpdump.
///
/// # Errors
/// When one of them or the load fails.
pub(crate) fn measure(place: &Place) -> Result<Vec<Row>> {
    let duration = Duration::from_secs(if place.quick { 1 } else { 3 });
    let mut alone = Vec::new();
    let mut ours: [Samples; 3] = Default::default();
    let mut others = [const { Vec::new() }; 2];
    for _ in 0..place.rounds(1, 3) {
        let (count, took) = load::refuse_for(duration)?;
        alone.push(to_f64(count) / took.as_secs_f64());
        for ((_, config), samples) in CONFIGS.iter().zip(&mut ours) {
            watched(place, config, duration, samples)?;
        }
        let bpftrace = tracer::printing(place)?;
        let made = storm(duration)?;
        let kept = tracer::printed(&bpftrace.stop(Signal::INT)?);
        others[0].push(to_f64(kept) / made);
        let tcpdump = tracer::dumping(place)?;
        let made = storm(duration)?;
        // It writes what it has buffered at its end, but must have seen it before.
        std::thread::sleep(Duration::from_secs(1));
        let kept = tracer::dumped(&tcpdump.stop(Signal::INT)?)?;
        others[1].push(to_f64(kept) / made);
    }
    // A dump of a storm is large, and has been counted.
    let _ = std::fs::remove_file(place.dir.join("storm.pcap"));

    let mut rows = vec![Row::new(
        "storm: resets sent, nobody watching",
        Unit::PerSecond,
        alone,
    )];
    for ((name, _), samples) in CONFIGS.iter().zip(ours) {
        rows.extend(rows_of(name, samples));
    }
    for (name, kept) in ["bpftrace (a line each)", "tcpdump (a packet each)"]
        .iter()
        .zip(others)
    {
        rows.push(Row::new(
            format!("storm, {name}: kept / sent"),
            Unit::Ratio,
            kept,
        ));
    }
    Ok(rows)
}

fn rows_of(name: &str, samples: Samples) -> [Row; 5] {
    let title = |what: &str| format!("storm, {name}: {what}");
    [
        Row::new(title("resets sent"), Unit::PerSecond, samples.made),
        Row::new(title("sent - counted"), Unit::Count, samples.missing_sent)
            .goal(Goal::Always(0.0))
            .note("kernel: OutRsts"),
        Row::new(
            title("received - counted"),
            Unit::Count,
            samples.missing_received,
        )
        .goal(Goal::Always(0.0))
        .note("kernel: AttemptFails"),
        Row::new(title("with details"), Unit::PerSecond, samples.detailed)
            .note("sent and received"),
        Row::new(title("agent CPU"), Unit::Percent, samples.cpu).note("of one core"),
    ]
}

/// The resets sent by a storm, as the kernel counts them.
fn storm(duration: Duration) -> Result<f64> {
    let (before, _) = load::kernel_counters()?;
    load::refuse_for(duration)?;
    let (after, _) = load::kernel_counters()?;
    Ok(to_f64(after - before))
}

fn watched(place: &Place, config: &str, duration: Duration, samples: &mut Samples) -> Result<()> {
    let agent = Agent::start(place, config, false)?;
    let pid = agent.program.pid();
    let (sent_before, failed_before) = load::kernel_counters()?;
    let cpu_before = cpu_seconds(pid)?;
    let (_, took) = load::refuse_for(duration)?;
    let (sent, failed) = load::kernel_counters()?;
    let (sent, failed) = (sent - sent_before, failed - failed_before);
    let start = Instant::now();
    let page = loop {
        std::thread::sleep(Duration::from_millis(100));
        let page = agent::get("/metrics")?;
        let complete = counted(&page, "sent") >= sent && counted(&page, "received") >= failed;
        if complete || start.elapsed() > CATCH_UP {
            break page;
        }
    };
    let cpu = cpu_seconds(pid)? - cpu_before;
    agent.stop()?;
    samples.made.push(to_f64(sent) / took.as_secs_f64());
    samples
        .missing_sent
        .push(to_f64(sent) - to_f64(counted(&page, "sent")));
    samples
        .missing_received
        .push(to_f64(failed) - to_f64(counted(&page, "received")));
    let without: u64 = WITHOUT_DETAIL
        .iter()
        .map(|place| agent::sum(&page, "resetmon_events_lost_total", &[("where", place)]))
        .sum();
    let detailed = to_f64((sent + failed).saturating_sub(without));
    samples.detailed.push(detailed / took.as_secs_f64());
    samples.cpu.push(100.0 * cpu / took.as_secs_f64());
    Ok(())
}

/// The resets of our own addresses, which nobody else on the machine has.
fn counted(page: &str, direction: &str) -> u64 {
    [OURS_V4, OURS_V6]
        .iter()
        .map(|address| {
            let peer = address.to_string();
            let labels = [("direction", direction), ("peer", peer.as_str())];
            agent::sum(page, "resetmon_peer_resets_total", &labels)
        })
        .sum()
}
