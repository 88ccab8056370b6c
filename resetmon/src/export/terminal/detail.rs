//! What stands under a row: the connection's place, its figures and the evidence.

use super::text::{bytes, clean, cut, duration, width};
use crate::event::{Context, Event};
use crate::export::facts::{exit, idle};
use crate::failure::Failure;
use crate::kernel::names;
use crate::kernel::observation::{Direction, Exit, Observation};
use crate::reset::{Evidence, Leg, Propagated, Reset, RouteMatch, Sender, Twin};

/// Between two parts.
const SEPARATOR: &str = " · ";

/// Lines at most; the last one is cut.
const LINES: usize = 2;

/// The parts in lines of at most `columns`; `None` for one line of any length.
pub(super) fn lines(reset: &Reset, columns: Option<usize>) -> Vec<String> {
    wrapped(parts(reset), columns)
}

/// The same of a connection that failed without a RST.
pub(super) fn failure_lines(failure: &Failure, columns: Option<usize>) -> Vec<String> {
    wrapped(failure_parts(failure), columns)
}

/// All parts of an event, in the order in which a reader wants them.
pub(in crate::export) fn event_parts(event: &Event) -> Vec<String> {
    match event {
        Event::Reset(reset) => parts(reset),
        Event::Failure(failure) => failure_parts(failure),
    }
}

/// What explains an event best: what made it elsewhere, else the fact that decided.
pub(in crate::export) fn explanation(event: &Event) -> Option<String> {
    let (elsewhere, evidence) = match event {
        Event::Reset(reset) => {
            let from = reset.propagated_from.as_ref().map(passed_on);
            let twin = || reset.twin.as_ref().map(other_end);
            (from.or_else(twin), &reset.diagnosis.evidence)
        }
        Event::Failure(failure) => (None, &failure.evidence),
    };
    elsewhere.or_else(|| evidence.last().map(|fact| clean(fact)))
}

fn wrapped(parts: Vec<String>, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else {
        return vec![parts.join(SEPARATOR)];
    };
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let full = lines.len() == LINES;
        match lines.last_mut() {
            Some(line) if full || width(line) + width(SEPARATOR) + width(&part) <= columns => {
                line.push_str(SEPARATOR);
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// In the order in which a reader wants them.
fn parts(reset: &Reset) -> Vec<String> {
    let context = Context::from(reset);
    let twin = reset.twin.as_ref();
    // The part about the other end says what its sentence in the evidence does.
    let facts = Facts::of(&reset.diagnosis.evidence, twin.map(Twin::told).as_deref());
    let is_twin = twin.is_some_and(|twin| twin.name().as_deref() == Some(context.peer));
    let mut parts = Vec::new();
    parts.extend(context.route.map(place));
    parts.extend(facts.deciding);
    parts.extend(reset.propagated_from.as_ref().map(passed_on));
    parts.extend(twin.map(other_end));
    parts.extend(facts.beside);
    parts.extend(peer(context).filter(|_| !is_twin));
    parts.extend(container(context));
    parts.extend(sender(reset));
    parts.extend(closed_by(context));
    parts.extend(figures(context.observation));
    parts.extend(facts.reasoning);
    parts.extend(owned_by(context));
    parts
}

/// The same of a connection that failed without a RST.
fn failure_parts(failure: &Failure) -> Vec<String> {
    let context = Context::from(failure);
    let facts = Facts::of(&failure.evidence, None);
    let mut parts = Vec::new();
    parts.extend(context.route.map(place));
    parts.extend(facts.deciding);
    parts.extend(facts.beside);
    parts.extend(peer(context));
    parts.extend(container(context));
    parts.extend(closed_by(context));
    parts.extend(figures(context.observation));
    parts.extend(facts.reasoning);
    parts.extend(owned_by(context));
    parts
}

/// The evidence, by what it is to a reader.
struct Facts {
    deciding: Option<String>,
    beside: Vec<String>,
    reasoning: Vec<String>,
}

impl Facts {
    /// Without the one that is `said` elsewhere; if that decided, the one before stands for it.
    fn of(evidence: &Evidence, said: Option<&str>) -> Self {
        let cleaned = |facts: &[String]| -> Vec<String> {
            let facts = facts.iter().filter(|fact| Some(fact.as_str()) != said);
            facts.map(|fact| clean(fact)).collect()
        };
        let (reasoning, beside) = evidence.others();
        let (mut reasoning, beside) = (cleaned(reasoning), cleaned(beside));
        let deciding = evidence.deciding().filter(|fact| Some(*fact) != said);
        Self {
            deciding: deciding.map(clean).or_else(|| reasoning.pop()),
            beside,
            reasoning,
        }
    }
}

/// `closed by bash[9], killed by SIGKILL`
fn closed_by(context: Context<'_>) -> Option<String> {
    let process = &context.closer?.process;
    let (name, pid) = (clean(&process.name), process.pid);
    let how = match exit(pid, context.observation) {
        Some(Exit::Signal(number)) => format!(", killed by {}", names::signal(number)),
        Some(Exit::OutOfMemory) => ", killed for want of memory".to_owned(),
        Some(Exit::Status(status)) => format!(", exiting with {status}"),
        None => String::new(),
    };
    Some(format!("closed by {name}[{pid}]{how}"))
}

/// `owner by connect`
fn owned_by(context: Context<'_>) -> Option<String> {
    let owner = context.owner?;
    Some(format!("owner by {}", owner.known_by.name()))
}

/// `upstream /api/pay → payments`
pub(in crate::export) fn place(route: &RouteMatch) -> String {
    let mut words = Vec::new();
    if route.leg != Leg::None {
        words.push(route.leg.name().to_owned());
    }
    // Where the route cannot be told, the gateway at least can.
    let name = if route.route.is_empty() {
        &route.gateway
    } else {
        &route.route
    };
    words.push(clean(name));
    if !route.upstream.is_empty() {
        words.push("→".to_owned());
        words.push(clean(&route.upstream));
    }
    words.join(" ")
}

/// `because of reset 000000000000002a, aborted_mid_response on the upstream leg from 10.0.0.2:80`
fn passed_on(from: &Propagated) -> String {
    let remote = from.remote.to_string();
    let peer = if *from.peer == *from.remote.ip().to_string() || from.peer.is_empty() {
        remote
    } else {
        format!("{} ({remote})", clean(&from.peer))
    };
    let upstream = from.route.as_ref().map(|route| &route.upstream);
    let upstream = upstream.filter(|name| !name.is_empty());
    let upstream = upstream.map_or(String::new(), |name| format!(" → {}", clean(name)));
    format!(
        "because of reset {}, {} on the {} leg{upstream}, {peer}",
        from.id, from.cause, from.leg
    )
}

/// `sent by payd[77] in pod shop/web-0: closed_with_unread_data, reset 0000000000000028`
fn other_end(twin: &Twin) -> String {
    let who = twin.owner.as_ref().map_or_else(
        || "this node".to_owned(),
        |owner| {
            let process = &owner.process;
            let names = process.container.as_ref();
            let names = names.and_then(|container| container.names.as_ref());
            let pod = names.map_or(String::new(), |names| {
                format!(" in pod {}/{}", clean(&names.namespace), clean(&names.pod))
            });
            format!("{}[{}]{pod}", clean(&process.name), process.pid)
        },
    );
    format!("sent by {who}: {}, reset {}", twin.cause, twin.id)
}

/// The peer's name, where it says more than the address in the row.
fn peer(context: Context<'_>) -> Option<String> {
    let address = context.observation.remote.ip().to_string();
    (context.peer != address && !context.peer.is_empty())
        .then(|| format!("peer {}", clean(context.peer)))
}

/// Letters of an id that are shown where there is no name.
const SHORT_ID: usize = 12;

/// `pod shop/web-0 container proxy`; by ids where nobody has named them.
fn container(context: Context<'_>) -> Option<String> {
    let owner = context.owner.or(context.closer)?;
    let container = owner.process.container.as_ref()?;
    let names = container.names.as_deref();
    let pod = match (names, &container.pod_uid) {
        (Some(names), _) => Some(format!("{}/{}", names.namespace, names.pod)),
        (None, uid) => uid.as_deref().map(str::to_owned),
    };
    let pod = pod.map_or(String::new(), |pod| format!("pod {} ", clean(&pod)));
    let name = names.and_then(|names| names.container.as_deref());
    let short = container.id.get(..SHORT_ID).unwrap_or(&container.id);
    Some(format!("{pod}container {}", clean(name.unwrap_or(short))))
}

/// `age 61.2s, idle 1.5s, in 12.3kB, out 340B`
fn figures(observation: &Observation) -> Option<String> {
    let mut figures = Vec::new();
    if let Some(age) = observation.age {
        figures.push(format!("age {}", duration(age)));
        if let Some(idle) = idle(observation) {
            figures.push(format!("idle {}", duration(idle)));
        }
        if let Some(vitals) = &observation.vitals {
            figures.push(format!("in {}", bytes(vitals.bytes_received)));
            figures.push(format!("out {}", bytes(vitals.bytes_sent)));
        }
    }
    (!figures.is_empty()).then(|| figures.join(", "))
}

/// Who made the RST, where the direction alone does not say it.
fn sender(reset: &Reset) -> Option<String> {
    let expected = match reset.observation.direction {
        Direction::Sent => Sender::Local,
        Direction::Received => Sender::Peer,
    };
    match reset.diagnosis.sender {
        sender if sender == expected => None,
        Sender::Middlebox => Some("suspected sender: middlebox".to_owned()),
        sender => Some(format!("sender: {sender}")),
    }
}
