//! How a connection failed as its user saw it: pure, from what the kernel showed.
//!
//! A false alarm is worse than a missing one: where a healthy connection could look the same, there
//! was no failure. So a request is what is longer than any message that wants no answer, a stream that
//! never had an answer wants none, and who closes at once after writing did not wait for one.

use std::time::Duration;

use gateway_ebpf_common::event::{
    CLOSE_NOTIFY, CONNECT_PATIENCE_NS, FIRST_REQUEST, LATER_REQUEST, MANY_SEGMENTS,
};

use super::cause::evidence::{bytes, how, span, ticks, who};
use super::cause::{LONG_SILENCE, farewell};
use crate::kernel::names;
use crate::kernel::observation::{
    Direction, Ended, Failed, Observation, Role, Shape, TcpState, Vitals,
};
use crate::reset::{Cause, Evidence, FailureKind, Reset};
use crate::text::counted;

#[cfg(test)]
mod tests;

/// Least time for which an answer is waited for before leaving counts as giving up, where none had
/// ever come: below, a sender that wants no answer has closed after its last word.
const PATIENCE: Duration = Duration::from_millis(50);

/// Data that was written over a longer time and never had an answer is a stream that wants none.
const ONE_REQUEST: Duration = Duration::from_secs(5);

/// How the connection failed, and from what that follows; `None` if it need not have.
#[must_use]
pub fn judge(failed: &Failed) -> Option<(FailureKind, Evidence)> {
    let mut evidence = Evidence::default();
    let o = &failed.observation;
    let kind = match failed.ended {
        Ended::Error => error(o, &mut evidence),
        Ended::Abandoned => abandoned(o, &mut evidence),
        Ended::Left => left(failed, &mut evidence),
        Ended::Unanswered => unanswered(failed, &mut evidence),
    }?;
    if let Some((task, exit)) = o.closer.as_ref().and_then(|task| Some((task, task.exit?))) {
        evidence.say(format!("{} was ending: {}", who(task), how(exit)));
    }
    Some((kind, evidence))
}

/// The kernel gave the connection up.
fn error(o: &Observation, e: &mut Evidence) -> Option<FailureKind> {
    let connecting = o.state_before == Some(TcpState::SynSent);
    let errno = i32::try_from(o.socket_error).ok()?;
    let name = names::errno(o.socket_error).unwrap_or_default();
    Some(match errno {
        libc::ETIMEDOUT if connecting => e.so(FailureKind::TimedOut, silent_syn(o)),
        libc::ETIMEDOUT => e.so(FailureKind::TimedOut, given_up(o)),
        libc::ECONNREFUSED => e.so(
            FailureKind::Refused,
            "an ICMP message and no RST refused the connection: a packet filter, or no host there",
        ),
        libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENETDOWN
        | libc::ENONET
        | libc::EACCES
        | libc::EPERM
        | libc::EPROTO
        | libc::ENOPROTOOPT
        | libc::EOPNOTSUPP => {
            if !connecting {
                e.say(given_up(o));
            }
            e.so(
                FailureKind::Unreachable,
                format!(
                    "{name}: ICMP or the neighbour's silence said that there is no way to the peer"
                ),
            )
        }
        libc::ECONNABORTED if connecting => e.so(
            FailureKind::Canceled,
            "an administrator destroyed the socket before it was connected",
        ),
        // A RST, which is told of elsewhere, or an end that nobody asked about.
        _ => return None,
    })
}

/// `3 SYNs in 3.1 s had no answer`
fn silent_syn(o: &Observation) -> String {
    let syns = o.vitals.as_ref().map_or(0, |vitals| vitals.segs_out);
    let within = o
        .since_opened
        .map_or(String::new(), |since| format!(" in {}", span(since)));
    format!("{}{within} had no answer", counted(u64::from(syns), "SYN"))
}

/// An established connection on which the peer fell silent.
fn given_up(o: &Observation) -> String {
    let vitals = o.vitals.clone().unwrap_or_default();
    let since = o
        .since_ack_in
        .map_or(String::new(), |since| format!(" for {}", ticks(since, o)));
    format!(
        "the peer acknowledged nothing{since}, with {} of ours under way that were sent again {}: \
         the kernel's limit (tcp_retries2) or TCP_USER_TIMEOUT",
        bytes(vitals.unacked),
        counted(u64::from(vitals.retransmits_now), "time")
    )
}

/// This end let go before the connection stood.
fn abandoned(o: &Observation, e: &mut Evidence) -> Option<FailureKind> {
    let waited = o.since_opened?;
    if waited < Duration::from_nanos(CONNECT_PATIENCE_NS) {
        return None;
    }
    e.say(silent_syn(o));
    Some(e.so(
        FailureKind::Canceled,
        format!("we gave up connecting after {}", span(waited)),
    ))
}

/// This end closed first, with a request that had no answer.
fn left(failed: &Failed, e: &mut Evidence) -> Option<FailureKind> {
    let (o, vitals) = request(failed)?;
    let waited = o.since_data_out?;
    // What is sent again counts as sent (`tcp_event_data_sent`), so that time is short then, but no
    // retransmit timer is as short as the patience.
    if waited < PATIENCE && vitals.retransmits_now == 0 {
        let only_farewell = CLOSE_NOTIFY.contains(&vitals.unacked)
            && failed.unanswered.saturating_sub(vitals.unacked) >= LATER_REQUEST;
        if vitals.bytes_received == 0 || !only_farewell {
            return None;
        }
        e.say(format!(
            "the last {} bytes out, not yet acknowledged, have the size of a TLS close_notify",
            vitals.unacked
        ));
    }
    went_out(failed, vitals, e);
    if vitals.retransmits_now > 0 {
        e.say(format!(
            "it was sent again {} times, the last of which counts as sending",
            vitals.retransmits_now
        ));
    }
    Some(e.so(
        FailureKind::Canceled,
        format!(
            "we closed {} after our last data, with no byte of an answer",
            ticks(waited, o)
        ),
    ))
}

/// The peer closed first, with a request that had no answer.
fn unanswered(failed: &Failed, e: &mut Evidence) -> Option<FailureKind> {
    let (o, vitals) = request(failed)?;
    went_out(failed, vitals, e);
    if let (Some(input), Some(output), Some(fin)) =
        (o.since_data_in, o.since_data_out, o.since_fin_received)
    {
        let to_fin = output.saturating_sub(fin);
        let round_trips = vitals.srtt.unwrap_or_default().saturating_mul(4);
        let crossed = to_fin <= round_trips.max(o.tick.saturating_mul(2));
        let idle = input.saturating_sub(output);
        if vitals.bytes_received > 0 && idle >= LONG_SILENCE && crossed {
            return Some(e.so(
                FailureKind::EmptyResponse,
                format!(
                    "keep-alive race: after {} of silence our data and the peer's FIN crossed",
                    span(idle)
                ),
            ));
        }
        e.say(format!(
            "the peer's FIN came {} after our last data",
            ticks(to_fin, o)
        ));
    }
    Some(e.so(
        FailureKind::EmptyResponse,
        "the peer closed with no byte of an answer",
    ))
}

/// The facts of an unanswered request; `None` if it need not be one.
fn request(failed: &Failed) -> Option<(&Observation, &Vitals)> {
    let o = &failed.observation;
    let vitals = o.vitals.as_ref()?;
    let first = vitals.bytes_received == 0;
    let least = if first { FIRST_REQUEST } else { LATER_REQUEST };
    if o.role != Some(Role::Client) || o.flags.mptcp || failed.unanswered < least {
        return None;
    }
    let written_for = o.age?.saturating_sub(o.since_data_out?);
    let is_stream = vitals.data_segs_out >= MANY_SEGMENTS && written_for > ONE_REQUEST;
    (!first || !is_stream).then_some((o, vitals))
}

fn went_out(failed: &Failed, vitals: &Vitals, e: &mut Evidence) {
    let request = bytes(failed.unanswered);
    e.say(if vitals.bytes_received == 0 {
        format!("{request} went out and no byte had ever come in")
    } else {
        format!("{request} went out after the last answer was read")
    });
}

impl Reset {
    /// How the connection failed by this reset; `None` where it had not: a further packet,
    /// a connection that was over or never carried anything, or one that this end had given up
    /// before.
    #[must_use]
    pub fn failure(&self) -> Option<FailureKind> {
        let o = &self.observation;
        let cause = self.diagnosis.cause;
        if self.repeat_of.is_some() || cause.benign() {
            return None;
        }
        // A client that resets has acknowledged in the same packet, which we cannot have seen.
        if self.twin.as_ref().is_some_and(|twin| twin.is_settled) {
            return None;
        }
        let carried = |vitals: &Vitals| vitals.bytes_received > 0 || vitals.bytes_sent > 0;
        let unused = o.shape == Shape::Full && !o.vitals.as_ref().is_none_or(carried);
        match cause {
            Cause::Refused | Cause::NoListener => Some(FailureKind::Refused),
            // The kernel gave up, and the program sees ETIMEDOUT.
            Cause::KeepaliveTimeout | Cause::UserTimeout => Some(FailureKind::TimedOut),
            Cause::StraySegment => None,
            // What comes for a connection that we had closed ourselves.
            Cause::DataAfterClose | Cause::Timewait if o.role != Some(Role::Server) => None,
            // A health check that connects and resets, seen from either end.
            Cause::LingerAbort if o.role == Some(Role::Client) && unused => None,
            Cause::AbortedDuringSetup if o.role == Some(Role::Server) && unused => None,
            // Everything sent was taken and everything that came was read: by its counters a kept
            // connection that is no longer wanted.
            Cause::LingerAbort | Cause::ClientCanceled if is_settled(o) && !self.sender_lost() => {
                None
            }
            Cause::DataAfterClose | Cause::Timewait
                if o.trigger
                    .is_some_and(|packet| farewell(packet.len.into()).is_some()) =>
            {
                None
            }
            // The peer's farewell was not read, but it was one.
            Cause::ClosedWithUnreadData
                if o.vitals
                    .as_ref()
                    .is_some_and(|vitals| farewell(vitals.unread).is_some()) =>
            {
                None
            }
            _ => Some(FailureKind::Reset),
        }
    }

    /// Whether its sender, on this node, was cut off or had something to read: what this end's counters
    /// do not show.
    fn sender_lost(&self) -> bool {
        self.twin.as_ref().is_some_and(|twin| {
            matches!(
                twin.cause,
                Cause::ProcessKilled
                    | Cause::ProcessExit
                    | Cause::ClosedWithUnreadData
                    | Cause::MemoryPressure
                    | Cause::SocketDestroyed
            )
        })
    }
}

/// An answer was the last to pass, and nothing was left of it on either way: to send, to be
/// acknowledged, to read. A server that aborts must have seen the client's FIN besides: else it is the
/// next request that it does not wait for.
fn is_settled(o: &Observation) -> bool {
    let (Some(vitals), Some(input), Some(output)) =
        (o.vitals.as_ref(), o.since_data_in, o.since_data_out)
    else {
        return false;
    };
    let answered = match o.role {
        Some(Role::Client) => vitals.bytes_received > 0 && input <= output,
        Some(Role::Server) => vitals.bytes_sent > 0 && output <= input,
        None => false,
    };
    let server_aborts = o.role == Some(Role::Server) && o.direction == Direction::Sent;
    answered && vitals.unacked == 0 && vitals.unread == 0 && (!server_aborts || o.fin_received)
}
