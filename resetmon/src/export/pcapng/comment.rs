//! What is said of a packet: one comment a fact, so that each has a line of its own in Wireshark.

use std::fmt::Write as _;
use std::iter;

use crate::diagnosis::advice::advice;
use crate::export::facts::exit;
use crate::kernel::names;
use crate::kernel::observation::{Exit, Observation, Reason};
use crate::reset::{Leg, Owner, Propagated, Reset, RouteMatch, Twin};
use crate::text::printable_bytes;

/// Characters of one comment at most: Wireshark shows no more of a line.
const LONGEST: usize = 230;
/// Facts of the evidence at most.
const FACTS: usize = 12;

/// The comments of a reset's packet; `headers` says what of it is real.
#[must_use]
pub fn comments(reset: &Reset, headers: &str) -> Vec<String> {
    let observation = &reset.observation;
    let cause = reset.diagnosis.cause;
    let mut lines = vec![format!(
        "resetmon: {cause}, {}, sender {}, stage {}, id {}",
        observation.direction.name(),
        reset.diagnosis.sender.name(),
        reset.diagnosis.stage.name(),
        reset.id,
    )];
    lines.push(format!("meaning: {}", advice(cause).summary));
    let owner = reset.owner.as_ref();
    lines.extend(owner.map(|owner| format!("process: {}", process(owner, observation))));
    let closer = reset.closer.as_ref();
    lines.extend(closer.map(|owner| format!("closed by: {}", process(owner, observation))));
    lines.extend(reset.route.as_ref().map(place));
    lines.push(peer(reset));
    lines.extend(reset.twin.as_ref().map(|twin| other_end(twin, observation)));
    lines.extend(reset.propagated_from.as_ref().map(passed_on));
    let reason = observation.reason.as_ref().map(Reason::name);
    lines.extend(reason.map(|reason| format!("kernel's reason: {reason}")));
    // The last one decided.
    let facts = reset.diagnosis.evidence.split_last();
    let facts = facts
        .into_iter()
        .flat_map(|(last, others)| iter::once(last).chain(others));
    let facts = facts.take(FACTS);
    lines.extend(facts.map(|fact| format!("evidence: {fact}")));
    if reset.packets > 1 {
        lines.push(format!(
            "stands for {} resets of one kind, of which it is the first",
            reset.packets
        ));
    }
    let repeat = reset.repeat_of;
    lines.extend(repeat.map(|id| format!("a further packet of reset {id}")));
    lines.push(format!("headers {headers}"));
    lines
        .iter()
        .map(|line| printable_bytes(line.as_bytes(), LONGEST))
        .collect()
}

/// `nginx[4242], pod shop/web-0, container proxy, killed by SIGKILL`
fn process(owner: &Owner, observation: &Observation) -> String {
    let process = &owner.process;
    let mut text = format!("{}[{}]", process.name, process.pid);
    match &process.container {
        Some(container) => match &container.names {
            Some(names) => {
                let _ = write!(text, ", pod {}/{}", names.namespace, names.pod);
                if let Some(name) = &names.container {
                    let _ = write!(text, ", container {name}");
                }
            }
            None => {
                let _ = write!(text, ", container {}", container.id);
            }
        },
        None => {
            if let Some(unit) = &process.unit {
                let _ = write!(text, ", {unit}");
            }
        }
    }
    match exit(process.pid, observation) {
        Some(Exit::OutOfMemory) => text += ", killed for want of memory",
        Some(Exit::Signal(number)) => {
            let _ = write!(text, ", killed by {}", names::signal(number));
        }
        Some(Exit::Status(status)) => {
            let _ = write!(text, ", exiting with {status}");
        }
        None => {}
    }
    text
}

/// `gateway: edge, leg upstream, route /api/pay, upstream payments`
fn place(route: &RouteMatch) -> String {
    let mut text = format!("gateway: {}", route.gateway);
    if route.leg != Leg::None {
        let _ = write!(text, ", leg {}", route.leg.name());
    }
    for (word, name) in [("route", &route.route), ("upstream", &route.upstream)] {
        if !name.is_empty() {
            let _ = write!(text, ", {word} {name}");
        }
    }
    text
}

/// `peer: payments (10.0.0.9:8080)`
fn peer(reset: &Reset) -> String {
    let remote = reset.observation.remote;
    if reset.peer.is_empty() || *reset.peer == *remote.ip().to_string() {
        format!("peer: {remote}")
    } else {
        format!("peer: {} ({remote})", reset.peer)
    }
}

fn other_end(twin: &Twin, observation: &Observation) -> String {
    let who = match &twin.owner {
        Some(owner) => process(owner, observation),
        None => "this node".to_owned(),
    };
    format!("sent by: {who}: {}, id {}", twin.cause, twin.id)
}

fn passed_on(from: &Propagated) -> String {
    format!(
        "because of: {} on the {} leg, {}, id {}",
        from.cause, from.leg, from.remote, from.id
    )
}
