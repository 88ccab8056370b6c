//! JSON lines.

use std::fmt::Write as _;

use serde_json::Value;

use crate::event::{Context, Event};
use crate::failure::Failure;
use crate::kernel::names;
use crate::kernel::observation::{Hook, Observation, Reason, Shape, TcpState};
use crate::reset::{FailureKind, Propagated, Reset, Twin};

pub mod failed;
pub mod flat;
pub mod line;
pub mod parts;
pub mod read;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

use failed::FailureLine;
use line::{Line, PropagatedPart, RstPart, TriggerPart, TwinPart};
use parts::{ConnectionPart, FinPart, ProcessPart, TimesPart, VitalsPart, named, seconds};

/// Version of the line's layout. It grows when a key changes its meaning or disappears; a reader
/// has to pass over keys that it does not know.
pub const VERSION: u32 = 1;

/// One reset as one line of JSON, without the line feed. See [`Line`] for the keys.
#[must_use]
pub fn to_json_line(reset: &Reset) -> String {
    // The line holds strings, numbers and lists only, for which there is no error; a reader would
    // still get a line that parses.
    let line = serde_json::to_string(&Line::from(reset))
        .unwrap_or_else(|_| format!(r#"{{"v":{VERSION},"id":"{}"}}"#, reset.id));
    escape_c1(line)
}

/// One failure as one line of JSON, without the line feed. See [`FailureLine`] for the keys.
#[must_use]
pub fn to_failure_line(failure: &Failure) -> String {
    let line = serde_json::to_string(&FailureLine::from(failure))
        .unwrap_or_else(|_| format!(r#"{{"v":{VERSION},"id":"{}"}}"#, failure.id));
    escape_c1(line)
}

/// One event as one line of JSON, without the line feed.
#[must_use]
pub fn to_event_line(event: &Event) -> String {
    match event {
        Event::Reset(reset) => to_json_line(reset),
        Event::Failure(failure) => to_failure_line(failure),
    }
}

/// One event as the object that its line is.
#[must_use]
pub fn to_event_value(event: &Event) -> Value {
    let value = match event {
        Event::Reset(reset) => serde_json::to_value(Line::from(reset)),
        Event::Failure(failure) => serde_json::to_value(FailureLine::from(failure)),
    };
    // There is no error, as of the line.
    value.unwrap_or_default()
}

/// Escapes the control characters that JSON lets pass and a terminal may obey. They can only be
/// inside of strings.
fn escape_c1(line: String) -> String {
    let obeyed = '\u{7f}'..='\u{9f}';
    if !line.contains(|letter| obeyed.contains(&letter)) {
        return line;
    }
    let mut escaped = String::with_capacity(line.len() + 8);
    for letter in line.chars() {
        if obeyed.contains(&letter) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

impl<'a> From<&'a Reset> for Line<'a> {
    fn from(reset: &'a Reset) -> Self {
        let observation = &reset.observation;
        Self {
            v: VERSION,
            event: "reset",
            id: reset.id.to_string(),
            time: format!("{:.6}", reset.time),
            direction: observation.direction.name(),
            sender: reset.diagnosis.sender.name(),
            cause: reset.diagnosis.cause.name(),
            benign: reset.diagnosis.cause.benign(),
            failure: reset.failure().map(FailureKind::name),
            reason: observation.reason.as_ref().map(Reason::name),
            stage: reset.diagnosis.stage.name(),
            state_before: observation.state_before.map(TcpState::name),
            socket: shape(observation.shape),
            connection: ConnectionPart::from(Context::from(reset)),
            times: TimesPart::from(observation),
            vitals: observation.vitals.as_ref().map(VitalsPart::from),
            fins: FinPart::from(observation),
            since_fin_sent_s: observation.since_fin_sent.map(seconds),
            linger_s: observation.linger.map(seconds),
            socket_error: names::errno(observation.socket_error),
            uid: observation.uid,
            accept_queue: observation.accept_queue.map(|(waiting, _)| waiting),
            accept_limit: observation.accept_queue.map(|(_, limit)| limit),
            trigger: observation.trigger.map(|trigger| TriggerPart {
                flags: names::tcp_flags(trigger.flags),
                len: trigger.len,
                seq: trigger.seq,
                ack: trigger.ack,
                ttl: trigger.ttl,
            }),
            rst: observation.packet.map(|packet| RstPart {
                ttl: packet.ttl,
                ip_id: packet.ip_id,
                seq_offset: packet.seq_offset,
                flags: names::tcp_flags(packet.flags),
            }),
            firewall_hook: observation.firewall.map(Hook::name),
            handshake_ttl: observation.handshake_ttl,
            shutdown: shutdown(observation),
            flags: flags(observation),
            evidence: &reset.diagnosis.evidence,
            packets: (reset.packets > 1).then_some(reset.packets),
            repeat_of: reset.repeat_of.map(|id| id.to_string()),
            propagated_from: reset.propagated_from.as_ref().map(propagated),
            twin: reset.twin.as_ref().map(twin),
        }
    }
}

fn propagated(from: &Propagated) -> PropagatedPart<'_> {
    let route = from.route.as_ref();
    PropagatedPart {
        id: from.id.to_string(),
        leg: from.leg.name(),
        remote: from.remote,
        peer: &from.peer,
        route: route.and_then(|route| named(&route.route)),
        upstream: route.and_then(|route| named(&route.upstream)),
        cause: from.cause.name(),
    }
}

fn twin(twin: &Twin) -> TwinPart<'_> {
    TwinPart {
        id: twin.id.to_string(),
        netns: twin.netns,
        cause: twin.cause.name(),
        process: twin
            .owner
            .as_ref()
            .map(|owner| ProcessPart::of(owner, None)),
    }
}

const fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::NoSocket => "none",
        Shape::Full => "full",
        Shape::TimeWait => "time_wait",
        Shape::Request => "request",
    }
}

fn shutdown(observation: &Observation) -> Vec<&'static str> {
    let flags = observation.flags;
    chosen([(flags.receive_shut, "receive"), (flags.send_shut, "send")])
}

fn flags(observation: &Observation) -> Vec<&'static str> {
    let flags = observation.flags;
    chosen([
        (flags.dead, "orphaned"),
        (flags.has_file, "has_file"),
        (flags.in_task, "locked_by_task"),
        (flags.keepalive, "keepalive"),
        (observation.linger2_abort, "linger2_abort"),
        (flags.mptcp, "mptcp"),
        (flags.existing, "open_before_start"),
        (flags.listener_closed, "listener_closed"),
        (flags.by_cookie, "owner_by_cookie"),
        (flags.peer_went_on, "peer_went_on"),
    ])
}

fn chosen<const N: usize>(words: [(bool, &'static str); N]) -> Vec<&'static str> {
    words
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
        .collect()
}
