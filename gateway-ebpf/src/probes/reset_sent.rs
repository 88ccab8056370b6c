//! `tcp:tcp_send_reset`: this node's stack sends a RST.
//!
//! Active resets (`tcp_send_active_reset`) carry no packet; passive ones
//! (`tcp_v4_send_reset`, `tcp_v6_send_reset`) carry the packet that they answer, and a socket
//! that may be NULL, listening or in `TIME_WAIT`.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use gateway_ebpf_common::event::{REASON_ABSENT, ResetRecord, direction, flag, known_by, shape};
use gateway_ebpf_common::tally::Tally;

use crate::emit::{Delivery, Scratch};
use crate::kernel::{self, Object};
use crate::maps::{CLOSING_LISTENER, GONE, SENT, TIME_WAIT};
use crate::owner::{self, Facts, Gone, Tuple, fact};
use crate::socket::state;
use crate::{emit, packet, socket};

/// How long a late packet is still put down to the reset connection of the same endpoints.
const GONE_NS: u64 = 60_000_000_000;

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_sent(ctx: BtfTracePointContext) -> i32 {
    let sk: Object = ctx.arg(0);
    let skb: Object = ctx.arg(1);
    let reason = if kernel::has_reason() {
        ctx.arg::<u64>(2) as u32
    } else {
        REASON_ABSENT
    };
    let (no_socket, no_packet) = if kernel::unmarked_null() {
        // The verifier would drop a test of the typed pointer, so test the bare number.
        let raw: Option<[u64; 2]> = kernel::probe(ctx.as_ptr().cast::<u8>().cast_const());
        let [sk, skb] = raw.unwrap_or([0; 2]);
        (sk == 0, skb == 0)
    } else {
        (false, false)
    };
    let no_socket = no_socket || sk.is_null();
    let no_packet = no_packet || skb.is_null();
    debug!(
        &ctx,
        "tcp_send_reset reason {} socket {} packet {}",
        reason,
        u8::from(!no_socket),
        u8::from(!no_packet)
    );

    if no_packet {
        if !no_socket {
            active(sk, reason);
        }
    } else if no_socket {
        without_socket(&SENT, skb, reason);
    } else {
        passive(sk, skb, reason);
    }
    0
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
fn active(sk: Object, reason: u32) {
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        emit::count(Tally::Unreadable);
        return;
    }
    let facts = owner::facts(sk);
    emit::reset(&SENT, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = shape::FULL;
        record.state = socket::state_of(sk);
        record.cookie = owner::cookie(sk);
        let mut tuple = owner::NO_TUPLE;
        record.ip_version = socket::endpoints(&mut tuple, sk, tcp);
        tuple.write(record);
        socket::fill(record, sk, tcp);
        record.state_before = record.state;
        if let Some(facts) = facts {
            facts.write(record);
            facts.tuple = tuple;
            facts.flags |= fact::RESET;
        }
        if record.flags & flag::IN_TASK != 0 {
            owner::current(&mut record.closer, known_by::CURRENT);
        } else if record.state == state::CLOSE
            && record.flags & (flag::HAS_SOCKET | flag::DEAD) == 0
        {
            // Waiting in the accept queue of a listener that goes away: its lock is not held by
            // a task, but the task is the one that closes the listener.
            let thread = owner::current_thread();
            // SAFETY: written only by this same thread.
            if let Some([port, _]) = unsafe { CLOSING_LISTENER.get(thread) }
                && *port == u64::from(tuple.local_port)
            {
                record.flags |= flag::LISTENER_CLOSED;
                owner::current(&mut record.closer, known_by::CURRENT);
            }
        }
        true
    });
}

/// An answer to a packet that met a socket of whatever shape.
#[inline(always)]
fn passive(sk: Object, skb: Object, reason: u32) {
    let state = socket::state_of(sk);
    if state == state::TIME_WAIT || state == state::NEW_SYN_RECV {
        half_socket(&SENT, sk, skb, reason);
        return;
    }
    let netns = socket::netns(sk);
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        emit::count(Tally::Unreadable);
        return;
    }
    let mut facts = owner::facts(sk);
    // What became of the received reset that this one may take back.
    let known = facts.as_ref().map_or(0, |facts| facts.flags);
    if known & fact::TALLIED != 0 {
        emit::count(Tally::Retracted);
    }
    let retracts = known & (fact::PROVISIONAL | fact::TALLIED) == fact::PROVISIONAL;
    let delivery = emit::reset(&SENT, Tally::SentLost, |record| {
        begin(record, reason);
        record.shape = shape::FULL;
        record.state = state;
        record.netns = netns;
        record.cookie = owner::cookie(sk);
        socket::fill(record, sk, tcp);
        if !packet::fill(record, skb) {
            let mut tuple = owner::NO_TUPLE;
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
                remember(facts, record.cookie, record.time_ns);
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
        // SAFETY: entries are whole once inserted; an evicted one may be overwritten while
        // it is copied, which the agent's checks on pid and start time bear.
        if let Some(facts) = unsafe { TIME_WAIT.get(cookie) } {
            facts.write(record);
            record.state_before = state;
            record.flags |= flag::BY_COOKIE | flag::STATE_SEEN;
        }
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
        let tuple = Tuple::of(record);
        // SAFETY: as for TIME_WAIT.
        if let Some(gone) = unsafe { GONE.get(tuple) }
            && record.time_ns.wrapping_sub(gone.time_ns) < GONE_NS
        {
            record.owner = gone.owner;
            record.owner.known_by = known_by::EARLIER_RESET;
            record.cookie = gone.cookie;
            record.role = gone.role as u8;
        }
        true
    });
}

/// Keeps the owner of a reset connection for the packets that come late.
#[inline(always)]
pub fn remember(facts: &Facts, cookie: u64, time_ns: u64) {
    let gone = Gone {
        owner: facts.owner,
        cookie,
        time_ns,
        role: u64::from(facts.role),
    };
    // A full map evicts; a failure only leaves a late packet without owner.
    let _ = GONE.insert(facts.tuple, gone, 0);
}
