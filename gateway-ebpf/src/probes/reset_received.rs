//! `tcp:tcp_receive_reset`: the first statement of `tcp_reset()`.
//!
//! It also fires when data arrives after close, without any RST (`tcp_rcv_state_process`): then
//! a sent reset for the same socket follows at once and retracts this one. Two programs share the
//! work, see [`nesting`].

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use gateway_ebpf_common::event::{REASON_ABSENT, direction, flag, shape};
use gateway_ebpf_common::tally::Tally;

use crate::emit;
use crate::emit::{Delivery, Scratch};
use crate::kernel::Object;
use crate::maps::{RECEIVED, RECEIVED_NESTED};
use crate::nesting::{self, Point, Turn};
use crate::owner::{self, fact};
use crate::socket::{self, state};

#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn reset_received(ctx: BtfTracePointContext) -> i32 {
    received(&ctx, Turn::First, &RECEIVED)
}

/// For the resets that interrupt the other program.
#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn reset_received_nested(ctx: BtfTracePointContext) -> i32 {
    received(&ctx, Turn::StandIn, &RECEIVED_NESTED)
}

#[inline(always)]
fn received(ctx: &BtfTracePointContext, turn: Turn, scratch: &Scratch) -> i32 {
    let sk: Object = ctx.arg(0);
    let in_task = socket::in_task(sk);
    let by_socket = nesting::by_socket(in_task);
    let event = [ctx.arg(0), 0];
    if !by_socket && !nesting::takes(turn, emit::note(&RECEIVED), event, in_task) {
        return 0;
    }
    let state = socket::state_of(sk);
    debug!(ctx, "tcp_receive_reset state {}", state);
    if state == state::CLOSE {
        // `tcp_reset()` returns without doing anything.
        return 0;
    }
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        emit::count(Tally::Unreadable);
        return 0;
    }
    let mut facts = owner::facts(sk);
    if by_socket && !nesting::takes_by_socket(turn, Point::Received, facts.as_deref_mut(), 1) {
        return 0;
    }
    let known = facts.as_ref().map_or(0, |facts| facts.flags);
    if known & fact::NO_RST != 0 {
        // Data after close: the sent reset that follows is the whole story.
        return 0;
    }
    let provisional = known & fact::PACKET == 0
        && state != state::ESTABLISHED
        && state != state::SYN_SENT
        && state != state::SYN_RECV
        && socket::shutdown(sk) & socket::RCV_SHUTDOWN != 0;
    let delivery = emit::reset(scratch, Tally::ReceivedLost, |record| {
        record.time_ns = owner::now();
        record.direction = direction::RECEIVED;
        record.reason = REASON_ABSENT;
        record.shape = shape::FULL;
        record.state = state;
        record.cookie = owner::cookie(sk);
        let mut tuple = owner::NO_TUPLE;
        tuple.netns = facts.as_ref().map_or(0, |facts| facts.tuple.netns);
        record.ip_version = socket::endpoints(&mut tuple, sk, tcp);
        tuple.write(record);
        socket::fill(record, sk, tcp);
        if provisional {
            record.flags |= flag::PROVISIONAL;
        }
        if let Some(facts) = &mut facts {
            facts.write(record);
            if facts.flags & fact::PACKET != 0 {
                record.flags |= flag::PACKET;
                record.rst_ttl = facts.rst_ttl;
                record.rst_flags = facts.rst_flags;
                record.rst_ip_id = facts.rst_ip_id;
                record.rst_seq_offset = facts.rst_seq_offset;
            }
            facts.tuple = tuple;
            facts.flags |= fact::RESET;
            if provisional {
                facts.flags |= fact::PROVISIONAL;
            }
        }
        record.state_before = state;
        record.flags |= flag::STATE_SEEN;
        true
    });
    if provisional
        && delivery == Delivery::Tally
        && let Some(facts) = facts
    {
        facts.flags |= fact::TALLIED;
    }
    0
}
