//! Why this node's stack sent a RST.
//!
//! Passive resets answer a packet (`tcp_v4_send_reset`, `tcp_v6_send_reset`); active ones are
//! the stack's own decision (`tcp_send_active_reset`): close, abort, timer.

use std::time::Duration;

use super::evidence::{bytes, how, span, who};
use crate::kernel::observation::{Exit, KnownBy, Observation, Reason, Shape, TcpState, Trigger};
use crate::reset::{Cause, Evidence};
use crate::text::counted;

#[cfg(test)]
mod tests;

/// Concludes, and says from what.
pub(super) fn cause(o: &Observation, e: &mut Evidence) -> Cause {
    let reason = reason(o);
    if let Some(name) = reason {
        e.say(format!("kernel reason {name}"));
    }
    match (o.shape, o.state) {
        (Shape::NoSocket, _) => no_socket(o, e),
        (Shape::TimeWait, _) => time_wait(o, e),
        _ if reason.is_some_and(|name| name.starts_with("mptcp_rst_")) => {
            e.so(Cause::Mptcp, "Multipath TCP refused or gave up the subflow")
        }
        (Shape::Request, _) | (_, Some(TcpState::Listen)) => half_open(o, reason, e),
        _ if o.trigger.is_some() || reason == Some("tcp_abort_on_data") => answer(o, reason, e),
        _ => active(o, reason, e),
    }
}

/// The kernel's reason, if it says anything: 6.10 and 6.11 leave it open for every active reset.
fn reason(o: &Observation) -> Option<&str> {
    o.reason
        .as_ref()
        .map(Reason::name)
        .filter(|name| *name != "not_specified")
}

/// No socket matched the packet.
fn no_socket(o: &Observation, e: &mut Evidence) -> Cause {
    let Some(packet) = o.trigger else {
        return e.so(
            Cause::Unknown,
            "the packet that was answered could not be read",
        );
    };
    let port = o.local.port();
    if packet.syn() && !packet.ack_flag() {
        return e.so(
            Cause::NoListener,
            format!("a SYN came in and nobody listens on port {port}"),
        );
    }
    if o.cookie.is_some() {
        e.say("the connection of the same endpoints had been reset before");
    }
    if o.flags.peer_went_on {
        e.say(
            "the peer went on after the RST that had come in its name: another host had made that \
             RST",
        );
    }
    e.so(
        Cause::StraySegment,
        format!("{} came in and no connection matches it", describe(&packet)),
    )
}

/// The connection was in `TIME_WAIT`, still without the peer's FIN (`tcp_timewait_state_process`).
fn time_wait(o: &Observation, e: &mut Evidence) -> Cause {
    if let Some(packet) = o.trigger {
        e.say(format!("{} came in", describe(&packet)));
    }
    e.so(
        Cause::Timewait,
        "the local end had closed and the connection was in TIME_WAIT",
    )
}

/// A listener or its half-open request (`tcp_check_req`, `tcp_rcv_state_process` in LISTEN).
///
/// The kernel gives reason `invalid_syn` both for a SYN that does not fit its request and for a
/// full accept queue: only the packet's flags tell them apart.
fn half_open(o: &Observation, reason: Option<&str>, e: &mut Evidence) -> Cause {
    let Some(packet) = o.trigger else {
        return e.so(
            Cause::Unknown,
            "the packet that was answered could not be read",
        );
    };
    let final_ack = packet.ack_flag() && !packet.syn();
    // `sk_acceptq_is_full`.
    let full = o
        .accept_queue
        .is_some_and(|(waiting, limit)| waiting > limit);
    if let Some((waiting, limit)) = o.accept_queue {
        let waiting = counted(u64::from(waiting), "connection");
        e.say(format!(
            "waiting for accept(): {waiting}, the limit is {limit}"
        ));
    }
    e.say(format!("{} came in at a listener", describe(&packet)));
    match reason {
        Some("invalid_syn") if final_ack => e.so(
            Cause::ListenOverflow,
            "it ended a handshake for which there was no room",
        ),
        Some("invalid_syn") => e.so(
            Cause::ProtocolError,
            "it does not fit the handshake under way",
        ),
        Some("tcp_flags") => e.so(Cause::StraySegment, "it belongs to no handshake under way"),
        Some(name) if breaks_handshake(name) => e.so(
            Cause::ProtocolError,
            "it does not fit the handshake under way",
        ),
        None if packet.syn() && !packet.ack_flag() => e.so(
            Cause::ProtocolError,
            "a new SYN came in the middle of a handshake",
        ),
        None if final_ack && full => e.so(Cause::ListenOverflow, "the accept queue is full"),
        None if packet.ack_flag() && o.accept_queue.is_some() => {
            e.so(Cause::StraySegment, "it belongs to no handshake under way")
        }
        _ => Cause::Unknown,
    }
}

/// Reasons of `tcp_rcv_synsent_state_process` and of the ACK check in `SYN_RECV`.
fn breaks_handshake(reason: &str) -> bool {
    matches!(
        reason,
        "tcp_invalid_ack_sequence"
            | "tcp_rfc7323_paws"
            | "tcp_too_old_ack"
            | "tcp_ack_unsent_data"
            | "tcp_old_ack"
    )
}

/// A packet met a connection.
fn answer(o: &Observation, reason: Option<&str>, e: &mut Evidence) -> Cause {
    let packet = o
        .trigger
        .map_or_else(|| "a packet".to_owned(), |packet| describe(&packet));
    match o.state {
        Some(state @ (TcpState::SynSent | TcpState::SynRecv)) => e.so(
            Cause::ProtocolError,
            format!(
                "in state {} {packet} came in that does not fit the handshake",
                state.name()
            ),
        ),
        _ if reason.is_some_and(breaks_handshake) => e.so(
            Cause::ProtocolError,
            format!("{packet} came in that does not fit the handshake"),
        ),
        Some(TcpState::Close)
            if o.state_before == Some(TcpState::CloseWait) && !o.flags.dead && !o.fin_sent =>
        {
            e.so(
                Cause::ProtocolError,
                format!("{packet} came in that goes on past the peer's own FIN"),
            )
        }
        Some(TcpState::Close)
            if o.flags.dead || o.flags.receive_shut || reason == Some("tcp_abort_on_data") =>
        {
            if let Some(ago) = o.since_fin_sent {
                e.say(format!("the local end had closed {} before", span(ago)));
            }
            let carries_data = o.trigger.is_none_or(|packet| packet.len > 0);
            if o.flags.dead && o.linger2_abort && !carries_data {
                return e.so(
                    Cause::LingerAbort,
                    "TCP_LINGER2 is negative: the socket does not wait for the peer's FIN",
                );
            }
            e.decide(format!("{packet} came in after the local end had closed"));
            dying(o, e).unwrap_or(Cause::DataAfterClose)
        }
        _ => e.so(
            Cause::Unknown,
            format!("{packet} was answered in {}", state_of(o)),
        ),
    }
}

/// The stack's own decision.
fn active(o: &Observation, reason: Option<&str>, e: &mut Evidence) -> Cause {
    let closed = o.state == Some(TcpState::Close);
    if let Some(cause) = timer(o, reason, closed, e) {
        return cause;
    }
    if (closed || o.flags.in_task)
        && let Some(cause) = dying(o, e)
    {
        return cause;
    }
    match reason {
        Some("tcp_abort_on_close") if closed => {
            unread(o, e);
            Cause::ClosedWithUnreadData
        }
        Some("tcp_abort_on_close") => e.so(
            Cause::Mptcp,
            format!(
                "closed at once from {}, as only Multipath TCP does",
                state_of(o)
            ),
        ),
        Some("tcp_abort_on_linger") => {
            e.so(Cause::LingerAbort, "closed with TCP_LINGER2 below zero")
        }
        Some("tcp_disconnect_with_data") => e.so(
            Cause::LingerAbort,
            "disconnected by connect(AF_UNSPEC) with data unsent",
        ),
        Some("tcp_state") | None if closed => closing_call(o, reason, e),
        Some("tcp_state" | "error") | None if o.flags.mptcp => e.so(
            Cause::Mptcp,
            format!("a Multipath TCP subflow was reset in {}", state_of(o)),
        ),
        Some("tcp_state") | None => still_open(o, reason, e),
        Some(_) => e.so(Cause::Unknown, format!("the state was {}", state_of(o))),
    }
}

/// What is decided by a timer or by lack of memory, whoever closes at that moment.
fn timer(o: &Observation, reason: Option<&str>, closed: bool, e: &mut Evidence) -> Option<Cause> {
    let probes = o.vitals.as_ref().map_or(0, |vitals| vitals.probes_out);
    let keepalive_runs = o.flags.keepalive && !o.flags.dead && !o.flags.in_task && probes > 0;
    // Multipath TCP orphans its subflows before it closes them.
    let orphan = o.flags.dead && !o.flags.has_file && !o.flags.mptcp;
    match reason {
        Some("tcp_keepalive_timeout") => Some(Cause::KeepaliveTimeout),
        None if !closed && keepalive_runs => Some(Cause::KeepaliveTimeout),
        Some("tcp_abort_on_memory") => Some(e.so(
            Cause::MemoryPressure,
            "too many orphaned sockets, or TCP is out of memory",
        )),
        // `__tcp_close` orphans the socket first, then checks `tcp_check_oom`.
        None if closed && orphan && !o.linger2_abort => Some(e.so(
            Cause::MemoryPressure,
            "the socket was closed and orphaned, and the kernel could not keep it",
        )),
        _ => None,
    }
    .inspect(|cause| {
        if *cause == Cause::KeepaliveTimeout {
            e.decide(format!(
                "no answer to {} in a row",
                counted(u64::from(probes), "keep-alive probe")
            ));
            if let Some(ago) = o.since_ack_in {
                e.say(format!("the peer last answered {} ago", span(ago)));
            }
        }
    })
}

/// The state is CLOSE already: `close()`, `connect(AF_UNSPEC)` or the end of a listener.
/// The order is the kernel's own (`__tcp_close`, `tcp_disconnect`).
fn closing_call(o: &Observation, reason: Option<&str>, e: &mut Evidence) -> Cause {
    use TcpState::{CloseWait, Closing, Established, LastAck};
    let both_shut = o.flags.receive_shut && o.flags.send_shut;
    if o.flags.listener_closed || (!o.flags.has_file && !o.flags.dead && !o.flags.mptcp) {
        return e.so(
            Cause::ListenerClosed,
            "the connection was waiting for accept() when its listener was closed",
        );
    }
    if !o.flags.has_file && o.linger2_abort {
        return e.so(Cause::LingerAbort, "closed with TCP_LINGER2 below zero");
    }
    if !o.flags.has_file && o.flags.mptcp {
        return e.so(Cause::Mptcp, "a Multipath TCP subflow was closed");
    }
    if !o.flags.has_file {
        return e.so(Cause::Unknown, "an orphaned socket was reset");
    }
    if !both_shut {
        return e.so(
            Cause::LingerAbort,
            "disconnected by connect(AF_UNSPEC), not closed",
        );
    }
    // The kernel tests for unread data first and then says so, if it gives reasons at all.
    if reason.is_none() && o.vitals.as_ref().is_some_and(|vitals| vitals.unread > 0) {
        unread(o, e);
        return Cause::ClosedWithUnreadData;
    }
    if o.linger == Some(Duration::ZERO) {
        return e.so(Cause::LingerAbort, "closed with SO_LINGER set to 0");
    }
    match (reason, o.state_before) {
        (Some(_), _) => e.so(
            Cause::LingerAbort,
            "disconnected by connect(AF_UNSPEC) after shutdown()",
        ),
        // shutdown() would have left these states, so it was close(); without SO_LINGER it
        // resets for unread data only.
        (None, Some(Established | CloseWait)) => {
            unread(o, e);
            Cause::ClosedWithUnreadData
        }
        // Both FINs are out, so close() would only wait; `tcp_disconnect` resets for unsent data.
        (None, Some(Closing | LastAck)) => e.so(
            Cause::LingerAbort,
            "disconnected by connect(AF_UNSPEC) with data unsent",
        ),
        (None, _) => e.so(
            Cause::Unknown,
            "closed or disconnected after shutdown(), and the kernel gives no reason",
        ),
    }
}

/// The state is not CLOSE: nobody called `close()`.
///
/// `tcp_keepalive_timer` resets an orphan in `FIN_WAIT2` where `tcp_fin_time` leaves nothing to wait
/// for: because `TCP_LINGER2` is negative, or because that or `tcp_fin_timeout` was shortened
/// meanwhile. Both are one decision, not to linger for the peer's FIN.
fn still_open(o: &Observation, reason: Option<&str>, e: &mut Evidence) -> Cause {
    let state = state_of(o);
    if o.flags.in_task {
        if let Some(closer) = &o.closer {
            e.say(format!("{} was at work on the socket", who(closer)));
        }
        return e.so(
            Cause::SocketDestroyed,
            format!("reset in {state} by a task, without close(): SOCK_DESTROY or a BPF program"),
        );
    }
    match (o.flags.dead, o.state) {
        (true, Some(TcpState::FinWait2)) if o.linger2_abort => e.so(
            Cause::LingerAbort,
            "TCP_LINGER2 is negative: no wait for the peer's FIN",
        ),
        (true, Some(TcpState::FinWait2)) => e.so(
            Cause::LingerAbort,
            "the local end had closed, and the time that TCP_LINGER2 or net.ipv4.tcp_fin_timeout \
             leaves for the peer's FIN was over",
        ),
        (true, _) if reason.is_none() => e.so(
            Cause::MemoryPressure,
            format!("an orphaned socket in {state} was given up by its retransmit timer"),
        ),
        _ => e.so(
            Cause::Unknown,
            format!("reset in {state} outside of any task"),
        ),
    }
}

/// The cause if whoever closed was dying.
fn dying(o: &Observation, e: &mut Evidence) -> Option<Cause> {
    let closer = o.closer.as_ref()?;
    let exit = closer.exit?;
    let (who, how) = (who(closer), how(exit));
    e.decide(if closer.known_by == Some(KnownBy::Exited) {
        format!("{who} had ended and left it to the kernel to close: {how}")
    } else {
        format!("{who} closed it while exiting: {how}")
    });
    Some(match exit {
        Exit::Signal(_) | Exit::OutOfMemory => Cause::ProcessKilled,
        Exit::Status(_) => Cause::ProcessExit,
    })
}

/// Says what was not read. Linux before 6.1.156 and 6.12.53 counts read data too, as long as it
/// is still queued (`__tcp_close`).
fn unread(o: &Observation, e: &mut Evidence) {
    match o.vitals.as_ref().map(|vitals| vitals.unread) {
        Some(unread @ 1..) => e.decide(format!("closed with {} unread", bytes(unread))),
        _ => e.decide("closed with received data still queued"),
    }
}

/// Name of the state at the event.
fn state_of(o: &Observation) -> &'static str {
    o.state.map_or("no known state", TcpState::name)
}

/// `a SYN`, `an ACK with 12 bytes`.
pub(super) fn describe(packet: &Trigger) -> String {
    let name = match (packet.syn(), packet.ack_flag(), packet.fin()) {
        (true, false, _) => "a SYN",
        (true, true, _) => "a SYN-ACK",
        (false, _, true) => "a FIN",
        (false, true, false) => "an ACK",
        (false, false, false) => "a segment without ACK",
    };
    if packet.len == 0 {
        name.to_owned()
    } else {
        format!("{name} with {}", bytes(packet.len))
    }
}
