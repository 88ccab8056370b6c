//! `sock:inet_sock_set_state`: a TCP socket changes state.
//!
//! It fires before `sk_state` is stored, and after the port was released on the way to CLOSE. Two
//! programs share the work, see [`nesting`].

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use gateway_ebpf_common::event::{known_by, role};

use crate::emit::Scratch;
use crate::failure;
use crate::kernel::Object;
use crate::late;
use crate::maps::{CLOSING_LISTENER, FAILED, FAILED_NESTED, TAKEN};
use crate::nesting::{self, Point, Turn};
use crate::owner::{self, fact};
use crate::socket::{self, state};

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state(ctx: BtfTracePointContext) -> i32 {
    changed(&ctx, Turn::First, &FAILED)
}

/// For the changes that interrupt the other program.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state_nested(ctx: BtfTracePointContext) -> i32 {
    changed(&ctx, Turn::StandIn, &FAILED_NESTED)
}

#[inline(always)]
fn changed(ctx: &BtfTracePointContext, turn: Turn, scratch: &Scratch) -> i32 {
    let sk: Object = ctx.arg(0);
    let old = ctx.arg::<u64>(1) as u8;
    let new = ctx.arg::<u64>(2) as u8;
    // Nothing is noted of that one; half of the connections that this end closes come by it.
    if new == state::FIN_WAIT2 || !socket::is_tcp(sk) {
        return 0;
    }
    let change = u16::from(old) << 8 | u16::from(new);
    let in_task = socket::in_task(sk);
    let by_socket = nesting::by_socket(in_task);
    let event = [ctx.arg(0), u64::from(change)];
    if !by_socket && !nesting::takes(turn, TAKEN.get_ptr_mut(0), event, in_task) {
        return 0;
    }
    let Some(facts) = owner::facts(sk) else {
        return 0;
    };
    if by_socket && !nesting::takes_by_socket(turn, Point::State, Some(&mut *facts), change) {
        return 0;
    }
    match new {
        state::SYN_SENT | state::LISTEN => {
            let (role, known_by) = if new == state::LISTEN {
                (role::SERVER, known_by::LISTEN)
            } else {
                (role::CLIENT, known_by::CONNECT)
            };
            facts.begin(role, owner::now());
            let tcp = socket::tcp(sk);
            if !tcp.is_null() {
                facts.tuple.netns = socket::netns(tcp);
            }
            facts.tag(known_by);
        }
        state::SYN_RECV if old == state::LISTEN => {
            // A new child: its storage is a copy of its listener's. When it was opened is told by
            // the next state, which nearly always is set for the same packet.
            facts.begin(role::SERVER, 0);
            if facts.owner.pid != 0 {
                facts.owner.known_by = known_by::INHERITED;
            }
        }
        state::ESTABLISHED => {
            facts.established_ns = owner::packet_time(sk);
            if facts.opened_ns == 0 {
                facts.opened_ns = facts.established_ns;
            }
        }
        state::CLOSE_WAIT | state::CLOSING => facts.fin_received_ns = owner::packet_time(sk),
        state::FIN_WAIT1 | state::LAST_ACK => {
            facts.fin_sent_ns = owner::now();
            if new == state::FIN_WAIT1 {
                // Only from here a way leads to TIME_WAIT, which copies the cookie. A child's
                // cookie may be set to 0 (inet_csk_clone_lock) after its first state.
                owner::cookie(sk);
            }
            if in_task && !owner::current(&mut facts.closer, known_by::CURRENT) {
                let owner = facts.owner;
                owner::dead(&mut facts.closer, &owner);
            }
        }
        state::CLOSE => {
            facts.state_before = old;
            facts.flags |= fact::STATE_SEEN;
            if old == state::LISTEN {
                closing_listener(sk, owner::now());
            } else if old == state::FIN_WAIT2 || old == state::CLOSING {
                // On the way to TIME_WAIT, which has no storage but keeps the cookie.
                let cookie = socket::cookie(sk);
                if cookie != 0 {
                    late::keep_waiting(cookie, facts);
                }
            }
        }
        _ => {}
    }
    failure::look(scratch, sk, facts, old, new);
    0
}

/// Notes which thread closes a listener: the resets of unaccepted connections follow in it.
#[inline(always)]
fn closing_listener(sk: Object, now: u64) {
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        return;
    }
    let thread = owner::current_thread();
    let note = [u64::from(socket::local_port(tcp)), now];
    // A failure only leaves those resets without closer.
    let _ = CLOSING_LISTENER.insert(thread, note, 0);
}
