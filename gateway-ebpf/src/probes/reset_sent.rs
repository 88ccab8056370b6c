//! `tcp:tcp_send_reset`: this node's stack sends a RST.
//!
//! Active resets (`tcp_send_active_reset`) carry no packet; passive ones
//! (`tcp_v4_send_reset`, `tcp_v6_send_reset`) carry the packet that they answer, and a socket
//! that may be NULL, listening or in `TIME_WAIT`. Two programs share the work, see [`nesting`].

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use gateway_ebpf_common::event::{REASON_ABSENT, ResetRecord, direction, flag, known_by, shape};
use gateway_ebpf_common::tally::Tally;

use crate::emit::{Delivery, Scratch};
use crate::kernel::{self, Object};
use crate::maps::{CLOSING_LISTENER, SENT, SENT_NESTED, SOCKETS};
use crate::nesting::{self, Point, Turn};
use crate::owner::{self, Tuple, fact};
use crate::socket::state;
use crate::{emit, late, packet, socket};

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_sent(ctx: BtfTracePointContext) -> i32 {
    sent(&ctx, Turn::First, &SENT)
}

/// For the resets that interrupt the other program.
#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_sent_nested(ctx: BtfTracePointContext) -> i32 {
    sent(&ctx, Turn::StandIn, &SENT_NESTED)
}

#[inline(always)]
fn sent(ctx: &BtfTracePointContext, turn: Turn, scratch: &Scratch) -> i32 {
    if !takes(ctx, turn) {
        return 0;
    }
    let sk: Object = ctx.arg(0);
    let skb: Object = ctx.arg(1);
    let reason = if kernel::has_reason() {
        ctx.arg::<u64>(2) as u32
    } else {
        REASON_ABSENT
    };
    let (no_socket, no_packet) = unmarked(ctx);
    let no_socket = no_socket || sk.is_null();
    let no_packet = no_packet || skb.is_null();
    debug!(
        ctx,
        "tcp_send_reset reason {} socket {} packet {}",
        reason,
        u8::from(!no_socket),
        u8::from(!no_packet)
    );

    if no_packet {
        if !no_socket {
            active(scratch, sk, reason);
        }
    } else if no_socket {
        without_socket(scratch, skb, reason);
    } else {
        passive(scratch, sk, skb, reason);
    }
    0
}

/// Whether socket and packet are missing, where the verifier does not know that they can be.
#[inline(always)]
fn unmarked(ctx: &BtfTracePointContext) -> (bool, bool) {
    if !kernel::unmarked_null() {
        return (false, false);
    }
    // The verifier would drop a test of the typed pointer, so test the bare number.
    let raw: Option<[u64; 2]> = kernel::probe(ctx.as_ptr().cast::<u8>().cast_const());
    let [sk, skb] = raw.unwrap_or([0; 2]);
    (sk == 0, skb == 0)
}

/// Whether this reset is for the program whose `turn` it is.
#[inline(always)]
fn takes(ctx: &BtfTracePointContext, turn: Turn) -> bool {
    let sk = nesting::argument::<0>(ctx);
    let skb = nesting::argument::<8>(ctx);
    let in_task = !unmarked(ctx).0 && !sk.is_null() && nesting::is_in_task(sk);
    if nesting::by_socket(in_task) {
        return nesting::takes_by_socket(turn, Point::Sent, SOCKETS.get_or_create(sk), 1);
    }
    let event = [sk as u64, skb as u64];
    nesting::takes(turn, emit::note(&SENT), event, in_task)
}

/// The members that every sent record has.
#[inline(always)]
fn begin(record: &mut ResetRecord, reason: u32) {
    record.time_ns = owner::now();
    record.direction = direction::SENT;
    record.reason = reason;
}

/// `close`, abort, timers: the socket says it all.
#[inline(always)]
fn active(scratch: &Scratch, sk: Object, reason: u32) {
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        emit::count(Tally::Unreadable);
        return;
    }
    let facts = owner::facts(sk);
    emit::reset(scratch, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = shape::FULL;
        record.state = socket::state_of(sk);
        // Early, before the verifier has many ways to follow: in each it searches the kernel's
        // types again.
        if let Some(facts) = &facts {
            record.closer = facts.closer;
        }
        let by_task = socket::in_task(sk);
        let by_listener = !by_task && is_closing_listener(sk, tcp);
        if by_listener {
            record.flags |= flag::LISTENER_CLOSED;
        }
        if (by_task || by_listener)
            && !owner::current(&mut record.closer, known_by::CURRENT)
            && let Some(facts) = &facts
        {
            owner::dead(&mut record.closer, &facts.owner);
        }
        record.cookie = owner::cookie(sk);
        let mut tuple = owner::NO_TUPLE;
        tuple.netns = facts.as_ref().map_or(0, |facts| facts.tuple.netns);
        record.ip_version = socket::endpoints(&mut tuple, sk, tcp);
        tuple.write(record);
        socket::fill(record, sk, tcp);
        record.state_before = record.state;
        if let Some(facts) = facts {
            facts.write_all_but_closer(record);
            facts.tuple = tuple;
            facts.flags |= fact::RESET;
        }
        true
    });
}

/// Whether this connection waited in the accept queue of a listener that goes away: its lock is not
/// held by a task, but the current one is at work: it closes the listener.
#[inline(always)]
fn is_closing_listener(sk: Object, tcp: Object) -> bool {
    if socket::state_of(sk) != state::CLOSE || !socket::is_unaccepted(sk, tcp) {
        return false;
    }
    // SAFETY: written only by this same thread.
    let closing = unsafe { CLOSING_LISTENER.get(owner::current_thread()) };
    closing.is_some_and(|[port, _]| *port == u64::from(socket::local_port(tcp)))
}

/// An answer to a packet that met a socket of whatever shape.
#[inline(always)]
fn passive(scratch: &Scratch, sk: Object, skb: Object, reason: u32) {
    let state = socket::state_of(sk);
    if state == state::TIME_WAIT || state == state::NEW_SYN_RECV {
        half_socket(scratch, sk, skb, reason);
        return;
    }
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        emit::count(Tally::Unreadable);
        return;
    }
    let mut facts = owner::facts(sk);
    let netns = match &facts {
        Some(facts) if facts.tuple.netns != 0 => facts.tuple.netns,
        _ => socket::netns(tcp),
    };
    // What became of the received reset that this one may take back.
    let known = facts.as_ref().map_or(0, |facts| facts.flags);
    if known & fact::TALLIED != 0 {
        emit::count(Tally::Retracted);
    }
    let retracts = known & (fact::PROVISIONAL | fact::TALLIED) == fact::PROVISIONAL;
    let delivery = emit::reset(scratch, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = shape::FULL;
        record.state = state;
        record.netns = netns;
        record.cookie = owner::cookie(sk);
        socket::fill(record, sk, tcp);
        if !packet::fill(record, skb) {
            let mut tuple = owner::NO_TUPLE;
            tuple.netns = netns;
            record.ip_version = socket::endpoints(&mut tuple, sk, tcp);
            tuple.write(record);
        }
        record.state_before = state;
        if state == state::LISTEN {
            // The reset concerns a connection that does not exist yet.
            record.flags |= flag::STATE_SEEN;
            if let Some(facts) = &facts {
                record.owner = facts.owner;
                record.role = facts.role;
            }
            return true;
        }
        if retracts {
            record.flags |= flag::RETRACTS;
        }
        if let Some(facts) = &mut facts {
            facts.write(record);
            facts.tuple = Tuple::of(record);
            facts.flags |= fact::RESET;
            if state == state::CLOSE && record.flags & flag::DEAD != 0 {
                // Data after close: the socket was destroyed before this tracepoint.
                late::keep_gone(facts, record.cookie, record.time_ns);
            }
        }
        true
    });
    if retracts && delivery != Delivery::Ring {
        emit::count(Tally::RetractLost);
    }
}

/// An answer to a packet that met a socket of which only the common part exists.
#[inline(always)]
pub fn half_socket(scratch: &Scratch, sk: Object, skb: Object, reason: u32) {
    let state = socket::state_of(sk);
    let netns = socket::netns(sk);
    let cookie = socket::cookie(sk);
    emit::reset(scratch, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = if state == state::TIME_WAIT {
            shape::TIME_WAIT
        } else {
            shape::REQUEST
        };
        record.state = state;
        record.state_before = state;
        record.flags |= flag::STATE_SEEN;
        record.netns = netns;
        record.cookie = cookie;
        if !packet::fill(record, skb) {
            return false;
        }
        late::write_waiting(cookie, record);
        true
    });
}

/// An answer to a packet that met no socket.
#[inline(always)]
pub fn without_socket(scratch: &Scratch, skb: Object, reason: u32) {
    let netns = packet::netns(skb);
    emit::reset(scratch, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = shape::NONE;
        record.netns = netns;
        if !packet::fill(record, skb) {
            return false;
        }
        late::write_gone(record);
        true
    });
}
