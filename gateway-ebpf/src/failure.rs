//! Connections that fail without a RST, seen at changes of state.
//!
//! What is sent from here is a candidate: the agent decides, by more than a program can weigh. But a
//! connection that ends in good order ends here, after a few tests.
//!
//! The exchange under way is told by what was written since the application last read: in a healthy
//! one the answer was read last. That is exact, where the times that the kernel keeps (ticks) leave
//! open which came first, and it needs no hook on sending.

use gateway_ebpf_common::event::{
    CLOSE_NOTIFY, CONNECT_PATIENCE_NS, FIRST_REQUEST, LATER_REQUEST, NEVER, REASON_ABSENT,
    direction, failure, flag, kind, known_by, role, shape,
};
use gateway_ebpf_common::tally::Tally;

use crate::emit::{self, Scratch};
use crate::kernel::{Object, member};
use crate::owner::{self, Facts, fact};
use crate::socket::{self, state};

/// Ticks for which an answer was waited for at least before this end closed, where none had ever
/// come: who writes and closes at once wants none. From 4 ms (HZ 1000) to 40 ms (HZ 100), so the
/// agent looks again.
const WAITED_TICKS: u32 = 4;

/// Marks what had been written when the application read.
#[inline(always)]
pub fn note_read(facts: &mut Facts, sk: Object) {
    let tcp = socket::tcp(sk);
    if !tcp.is_null() {
        facts.written_at_read = member!(tcp, write_seq as u32);
        facts.flags |= fact::READ;
    }
}

/// Looks at a change of state from `old` to `new`, after `facts` took it over.
#[inline(always)]
pub fn look(scratch: &Scratch, sk: Object, facts: &mut Facts, old: u8, new: u8) {
    let ended = match new {
        state::CLOSE => closed(sk, facts, old),
        state::FIN_WAIT1 if facts.role == role::CLIENT => left(sk, facts),
        state::CLOSE_WAIT if facts.role == role::CLIENT => {
            facts.unanswered = unanswered(sk, facts, 1);
            failure::NONE
        }
        // A RST may still cross: only now it is settled that there was none.
        state::LAST_ACK if facts.unanswered != 0 => failure::UNANSWERED,
        _ => failure::NONE,
    };
    if ended != failure::NONE {
        send(scratch, sk, facts, ended, old);
    }
}

/// The connection is over at once: by an error, or before it began.
#[inline(always)]
fn closed(sk: Object, facts: &Facts, old: u8) -> u8 {
    if facts.flags & fact::RESET != 0 {
        return failure::NONE;
    }
    match old {
        state::SYN_SENT => {
            if socket::error(sk) != 0 {
                return failure::ERROR;
            }
            let waited = owner::now().wrapping_sub(facts.opened_ns);
            if facts.opened_ns != 0 && waited >= CONNECT_PATIENCE_NS {
                failure::ABANDONED
            } else {
                failure::NONE
            }
        }
        state::ESTABLISHED | state::CLOSE_WAIT | state::FIN_WAIT1 | state::FIN_WAIT2
            if socket::error(sk) != 0 && !socket::is_dead(sk) =>
        {
            failure::ERROR
        }
        _ => failure::NONE,
    }
}

/// This end, a client, sends its FIN first: has it closed without waiting for the answer?
#[inline(always)]
fn left(sk: Object, facts: &mut Facts) -> u8 {
    // `shutdown()` of the sending side alone goes on reading.
    if socket::shutdown(sk) & socket::SHUTDOWN != socket::SHUTDOWN {
        return failure::NONE;
    }
    let bytes = unanswered(sk, facts, 0);
    if bytes == 0 {
        return failure::NONE;
    }
    facts.unanswered = bytes;
    failure::LEFT
}

/// Bytes of a request that nothing answered, 0 if there is none; `fin` is 1 if the peer's FIN is in
/// the count of what was received.
#[inline(always)]
fn unanswered(sk: Object, facts: &Facts, fin: u32) -> u32 {
    let tcp = socket::tcp(sk);
    if tcp.is_null() || member!(tcp, is_mptcp as u8) & 1 != 0 {
        return 0;
    }
    let write_seq = member!(tcp, write_seq as u32);
    let unread = member!(tcp, rcv_nxt as u32).wrapping_sub(member!(tcp, copied_seq as u32));
    if unread != fin {
        return 0;
    }
    let unacked = write_seq.wrapping_sub(member!(tcp, snd_una as u32));
    if facts.flags & fact::READ != 0 {
        let bytes = write_seq.wrapping_sub(facts.written_at_read);
        if bytes < LATER_REQUEST || fin == 0 && !waited(tcp) && !is_farewell(bytes, unacked) {
            return 0;
        }
        return bytes;
    }
    if member!(tcp, bytes_received as u64) != u64::from(fin) {
        // Something was received, and who read it was not seen.
        return 0;
    }
    // The client's own SYN is acknowledged as a byte.
    let acked = (member!(tcp, bytes_acked as u64) as u32).wrapping_sub(1);
    let bytes = acked.wrapping_add(unacked);
    if !(FIRST_REQUEST..=NEVER / 2).contains(&bytes) || fin == 0 && !waited(tcp) {
        return 0;
    }
    bytes
}

/// Whether nothing was sent for a while.
#[inline(always)]
fn waited(tcp: Object) -> bool {
    // SAFETY: no arguments.
    let now = unsafe { aya_ebpf::helpers::generated::bpf_jiffies64() } as u32;
    now.wrapping_sub(member!(tcp, lsndtime as u32)) >= WAITED_TICKS
}

/// Whether all that is under way is a TLS `close_notify` behind a request that has arrived.
#[inline(always)]
fn is_farewell(bytes: u32, unacked: u32) -> bool {
    let mut index = 0;
    while index < CLOSE_NOTIFY.len() {
        if unacked == CLOSE_NOTIFY[index] {
            return bytes - unacked >= LATER_REQUEST;
        }
        index += 1;
    }
    false
}

/// Hands the candidate over.
#[inline(always)]
fn send(scratch: &Scratch, sk: Object, facts: &mut Facts, ended: u8, old: u8) {
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        return;
    }
    emit::record(scratch, kind::FAILURE, Tally::FailureLost, |record| {
        record.time_ns = owner::now();
        record.failure = ended;
        record.direction = if ended == failure::LEFT || ended == failure::ABANDONED {
            direction::SENT
        } else {
            direction::RECEIVED
        };
        record.reason = REASON_ABSENT;
        record.shape = shape::FULL;
        record.state = old;
        record.cookie = owner::cookie(sk);
        let mut tuple = owner::NO_TUPLE;
        record.ip_version = socket::endpoints(&mut tuple, sk, tcp);
        tuple.write(record);
        socket::fill(record, sk, tcp);
        record.unanswered = facts.unanswered;
        facts.write(record);
        if record.closer.pid == 0 && socket::in_task(sk) {
            owner::current(&mut record.closer, known_by::CURRENT);
        }
        record.state_before = old;
        record.flags |= flag::STATE_SEEN;
        true
    });
}
