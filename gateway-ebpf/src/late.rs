//! What is remembered of connections for packets that come when the socket is gone or in `TIME_WAIT`.

use gateway_ebpf_common::event::{ResetRecord, Task, flag, known_by};
use gateway_ebpf_common::tally::Tally;

use crate::emit;
use crate::maps::{GONE, GONE_SLOTS, TIME_WAIT, WAITING_SLOTS};
use crate::owner::{Facts, Tuple};

/// How long a late packet is still put down to the reset connection of the same endpoints.
const GONE_NS: u64 = 60_000_000_000;

/// A connection in `TIME_WAIT`, which has no storage but keeps the cookie.
#[repr(C)]
pub struct Waiting {
    /// Cookie of the socket; 0 in an empty slot, and while it is written.
    cookie: u64,
    facts: Facts,
}

/// A connection that was reset and is gone.
#[repr(C)]
pub struct Gone {
    /// When it went; 0 in an empty slot, and while it is written.
    time_ns: u64,
    /// Whose it was.
    owner: Task,
    /// Its cookie.
    cookie: u64,
    tuple: Tuple,
    /// Who opened the connection.
    role: u32,
}

/// Keeps the facts of a socket on its way to `TIME_WAIT`.
#[inline(always)]
pub fn keep_waiting(cookie: u64, facts: &Facts) {
    let Some(slot) = TIME_WAIT.get_ptr_mut(cookie as u32 & (WAITING_SLOTS as u32 - 1)) else {
        emit::count(Tally::TimeWaitFailed);
        return;
    };
    // SAFETY: a map value. Two writers at once would need two cookies of one slot at the same
    // moment; what they leave is an owner whose pid and start the agent finds not to fit.
    unsafe {
        (&raw mut (*slot).cookie).write_volatile(0);
        (*slot).facts = *facts;
        (&raw mut (*slot).cookie).write_volatile(cookie);
    }
}

/// Writes the facts of the connection in `TIME_WAIT` with this cookie, if they are still known.
#[inline(always)]
pub fn write_waiting(cookie: u64, record: &mut ResetRecord) {
    let Some(slot) = TIME_WAIT.get(cookie as u32 & (WAITING_SLOTS as u32 - 1)) else {
        return;
    };
    if slot.cookie == cookie && cookie != 0 {
        let state = record.state;
        slot.facts.write(record);
        record.state_before = state;
        record.flags |= flag::BY_COOKIE | flag::STATE_SEEN;
    }
}

/// Keeps the owner of a reset connection for the packets that come late.
#[inline(always)]
pub fn keep_gone(facts: &Facts, cookie: u64, time_ns: u64) {
    let Some(slot) = GONE.get_ptr_mut(slot_of(&facts.tuple)) else {
        return;
    };
    // SAFETY: as in `keep_waiting`.
    unsafe {
        (&raw mut (*slot).time_ns).write_volatile(0);
        (*slot).owner = facts.owner;
        (*slot).cookie = cookie;
        (*slot).tuple = facts.tuple;
        (*slot).role = u32::from(facts.role);
        (&raw mut (*slot).time_ns).write_volatile(time_ns);
    }
}

/// Writes the owner of the reset connection with the endpoints of `record`, if it is still known.
#[inline(always)]
pub fn write_gone(record: &mut ResetRecord) {
    let tuple = Tuple::of(record);
    let Some(slot) = GONE.get(slot_of(&tuple)) else {
        return;
    };
    if slot.tuple == tuple && record.time_ns.wrapping_sub(slot.time_ns) < GONE_NS {
        record.owner = slot.owner;
        record.owner.known_by = known_by::EARLIER_RESET;
        record.cookie = slot.cookie;
        record.role = slot.role as u8;
    }
}

/// The slot of these endpoints in [`GONE`].
#[inline(always)]
fn slot_of(tuple: &Tuple) -> u32 {
    let addresses = u64::from(tuple.local[0] ^ tuple.local[3]) << 32
        | u64::from(tuple.remote[0] ^ tuple.remote[3]);
    let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
    emit::slot(addresses, ports << 32 | u64::from(tuple.netns), GONE_SLOTS)
}
