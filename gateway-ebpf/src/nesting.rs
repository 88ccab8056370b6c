//! Two programs at one tracepoint, so that no event is left out.
//!
//! The kernel does not let a program interrupt itself on one CPU (`prog->active` in
//! `kernel/trace/bpf_trace.c`): the inner run is dropped and only counted (`recursion_misses`). It
//! comes to that when a task is at work on a socket with softirqs enabled, an interrupt arrives
//! while the program runs, and the softirq after it meets the same tracepoint. On the loopback
//! device that is common: closing one connection sends the packets that reset others.
//!
//! So each tracepoint has a first program and a stand-in, which does the same for events that the
//! first was kept from. Both run at every event, the first one first.
//!
//! - An event in task context (a task holds the socket's lock) is never the inner one before Linux 7:
//!   a CPU has one task at work. The first program takes it always; the stand-in returns at once.
//!   Where programs can be preempted by another task, the first one takes it and notes so with the
//!   socket, which is this task's alone; the stand-in takes it if there is no such note.
//! - An event in softirq, or with softirqs disabled (timers, packets, children of a closing
//!   listener), is never interrupted by another: softirqs do not nest on a CPU, and no hard
//!   interrupt sends or receives a reset. The first program takes it and notes which it was; the
//!   stand-in takes it if the note is of another.
//!
//! If the inner event hits the first program, the stand-in runs; if it hits the stand-in, the first
//! one does.
//!
//! What remains: with preemption a third level, a task that interrupts one that interrupts another,
//! each within a program. And an interrupt within the first few instructions of the first program, before it
//! clears the note, when the note is also of an event with the same socket and packet addresses
//! whose stand-in was itself hit: three coincidences of nanoseconds in a row.
//!
//! The other programs have no stand-in: being left out costs them an owner or a fact, no count.

use aya_ebpf::EbpfContext;

use crate::kernel::{self, Object};
use crate::owner::Facts;
use crate::socket::{self, state};

/// Which of the two programs of a tracepoint runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The first one.
    First,
    /// The one for what the first was kept from.
    StandIn,
}

/// Which event the first program of a tracepoint took last on this CPU, unless in task context.
pub type Note = [u64; 2];

/// A tracepoint with two programs; the index of its note with a socket.
#[derive(Clone, Copy)]
pub enum Point {
    /// `tcp_send_reset`.
    Sent = 0,
    /// `tcp_receive_reset`.
    Received = 1,
    /// `inet_sock_set_state`.
    State = 2,
}

/// Whether the program whose `turn` it is takes this event, `in_task` context or not.
///
/// `note` is that of the tracepoint's first program. `event` tells it from others that may be under
/// way: addresses of socket and packet. Not for those of [`by_socket`].
#[inline(always)]
pub fn takes(turn: Turn, note: Option<*mut Note>, event: Note, in_task: bool) -> bool {
    if turn == Turn::StandIn && in_task {
        return false;
    }
    let Some(note) = note else {
        // An array has all its entries; the verifier wants the test.
        return turn == Turn::First;
    };
    // SAFETY: a map value of this CPU. Volatile, because an interrupt may look in between.
    unsafe {
        if turn == Turn::First {
            note.write_volatile(if in_task { [0; 2] } else { event });
            return true;
        }
        let [one, other] = note.read_volatile();
        if is_same(one, event[0]) && is_same(other, event[1]) {
            note.write_volatile([0; 2]);
            return false;
        }
    }
    true
}

/// Whether the note of an event stands with its socket, see [`takes_by_socket`].
#[inline(always)]
pub fn by_socket(in_task: bool) -> bool {
    in_task && kernel::preemptible()
}

/// As [`takes`], by the facts of a full socket whose lock a task holds. `event`, never 0, tells it
/// from others of this socket.
#[inline(always)]
pub fn takes_by_socket(turn: Turn, point: Point, facts: Option<&mut Facts>, event: u16) -> bool {
    let Some(facts) = facts else {
        return turn == Turn::First;
    };
    let note = &mut facts.taken[point as usize];
    if turn == Turn::First {
        *note = event;
        return true;
    }
    let taken = *note == event;
    *note = 0;
    !taken
}

/// Whether a number is that of an address, or of another number.
#[inline(always)]
fn is_same(number: u64, address: u64) -> bool {
    let same: u64;
    // SAFETY: registers only. A comparison and nothing else, because the compiler would calculate
    // with the address, which the verifier refuses.
    unsafe {
        core::arch::asm!(
            "{same} = 1",
            "if {number} == {address} goto +1",
            "{same} = 0",
            same = out(reg) same,
            number = in(reg) number,
            address = in(reg) address,
            options(pure, nomem, nostack),
        );
    }
    same != 0
}

/// The argument at byte `OFFSET`, for tests that are over before the work begins.
///
/// Loaded out of the compiler's sight: it would keep what it learns of the pointer here, that it is
/// NULL or not, in memory until the work asks for it, and there the verifier loses it.
#[inline(always)]
pub fn argument<const OFFSET: i16>(ctx: &impl EbpfContext) -> Object {
    let argument: Object;
    // SAFETY: one aligned load from the context; the verifier knows how many words it has.
    unsafe {
        core::arch::asm!(
            "{argument} = *(u64 *)({ctx} + {offset})",
            argument = lateout(reg) argument,
            ctx = in(reg) ctx.as_ptr(),
            offset = const OFFSET,
            options(readonly, nostack, preserves_flags),
        );
    }
    argument
}

/// Whether a task is at work on this socket of whatever shape, so that a softirq may interrupt it.
///
/// A listening socket answers packets without its lock, whoever holds that.
#[inline(always)]
pub fn is_in_task(sk: Object) -> bool {
    let state = socket::state_of(sk);
    state != state::TIME_WAIT
        && state != state::NEW_SYN_RECV
        && state != state::LISTEN
        && socket::in_task(sk)
}
