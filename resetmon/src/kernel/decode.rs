//! From the bytes of the ring buffer to an [`Observation`]: pure, total, no panic on any input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use gateway_ebpf_common::event::{
    self, NEVER, ProcessRecord, REASON_ABSENT, ResetRecord, direction, failure, flag, hook, kind,
    known_by, role, shape, task_flag,
};
use thiserror::Error;

use super::observation::{
    Direction, Ended, Exit, Failed, Hook, KnownBy, Observation, Reason, Role, RstPacket, Shape,
    Sighting, SocketFlags, Task, TcpState, Trigger, Vitals,
};
use crate::text::printable;

#[cfg(test)]
mod tests;

/// One decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A reset.
    Reset(Observation),
    /// A connection that may have failed without one.
    Failure(Failed),
    /// A process seen for the first time.
    Process {
        /// When, since boot (`CLOCK_MONOTONIC`).
        time: Duration,
        /// The process.
        sighting: Sighting,
    },
}

/// Why bytes of the ring buffer are not a record. The caller counts it and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the record has.
    #[error("record is cut short: {have} bytes, {need} needed")]
    Truncated {
        /// Bytes there are.
        have: usize,
        /// Bytes a record of this kind has.
        need: usize,
    },
    /// More bytes than the record has.
    #[error(
        "record of kind {kind} is too long: {have} bytes instead of {need}; agent and eBPF \
         programs are of different builds, rebuild both with `cargo xtask build`"
    )]
    Oversized {
        /// The kind it claims.
        kind: u32,
        /// Bytes there are.
        have: usize,
        /// Bytes a record of this kind has.
        need: usize,
    },
    /// The record's own size member differs from this build's.
    #[error(
        "record of kind {kind} says it has {said} bytes instead of {need}; agent and eBPF \
         programs are of different builds, rebuild both with `cargo xtask build`"
    )]
    SizeMismatch {
        /// The kind it claims.
        kind: u32,
        /// The size it claims.
        said: u32,
        /// Bytes a record of this kind has.
        need: usize,
    },
    /// The first word names no kind of record.
    #[error(
        "record of unknown kind {0}; agent and eBPF programs are of different builds, rebuild \
         both with `cargo xtask build`"
    )]
    UnknownKind(u32),
    /// A member has a value that it cannot have.
    #[error("record has {member} {value}; allowed: {allowed}")]
    BadValue {
        /// Name of the member.
        member: &'static str,
        /// What it holds.
        value: u8,
        /// What it may hold.
        allowed: &'static str,
    },
}

/// Decodes one ring-buffer entry.
///
/// `tick` is one jiffy (1/HZ); `reason` names a number of the running kernel's
/// `enum sk_rst_reason`.
pub fn decode(
    bytes: &[u8],
    tick: Duration,
    reason: impl Fn(u32) -> Reason,
) -> Result<Record, DecodeError> {
    match word(bytes, 0)? {
        kind::RESET | kind::FAILURE => ending(&whole::<ResetRecord>(bytes)?, tick, reason),
        kind::PROCESS => {
            let record = whole::<ProcessRecord>(bytes)?;
            let mut task = task(&record.task, "task.known_by")?;
            task.known_by = None;
            Ok(Record::Process {
                time: Duration::from_nanos(record.time_ns),
                sighting: Sighting {
                    task,
                    exe_name: until_nul(&record.exe_name).to_vec(),
                    arguments: without_padding(&record.arguments).to_vec(),
                },
            })
        }
        other => Err(DecodeError::UnknownKind(other)),
    }
}

/// Records that may be copied from bytes.
///
/// # Safety
/// `repr(C)`, without padding, every bit pattern a valid value.
unsafe trait Wire: Copy {}
// SAFETY: repr(C), integers only, padding named; the size asserts beside the type hold it to that.
unsafe impl Wire for ResetRecord {}
// SAFETY: as above.
unsafe impl Wire for ProcessRecord {}

/// The record that `bytes` are, if their number is exactly its size and its own size member agrees.
fn whole<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let need = size_of::<T>();
    let have = bytes.len();
    if have < need {
        return Err(DecodeError::Truncated { have, need });
    }
    let (kind, said) = (word(bytes, 0)?, word(bytes, 4)?);
    if have > need {
        return Err(DecodeError::Oversized { kind, have, need });
    }
    if said as usize != need {
        return Err(DecodeError::SizeMismatch { kind, said, need });
    }
    // SAFETY: `bytes` has size_of::<T>() bytes, any of which make a T by the contract of Wire;
    // the read needs no alignment.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The 32-bit word at `offset`, in the byte order of this machine.
fn word(bytes: &[u8], offset: usize) -> Result<u32, DecodeError> {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map(|chunk| u32::from_ne_bytes(*chunk))
        .ok_or(DecodeError::Truncated {
            have: bytes.len(),
            need: offset + size_of::<u32>(),
        })
}

/// What one record of a reset or failure says; see [`decode`].
pub fn ending(
    record: &ResetRecord,
    tick: Duration,
    reason: impl Fn(u32) -> Reason,
) -> Result<Record, DecodeError> {
    if record.kind != kind::FAILURE {
        return observation(record, tick, reason).map(Record::Reset);
    }
    let ended = match record.failure {
        failure::ERROR => Ended::Error,
        failure::ABANDONED => Ended::Abandoned,
        failure::LEFT => Ended::Left,
        failure::UNANSWERED => Ended::Unanswered,
        value => return Err(bad("failure", value, "1 to 4")),
    };
    Ok(Record::Failure(Failed {
        ended,
        unanswered: record.unanswered,
        observation: observation(record, tick, reason)?,
    }))
}

/// What one reset record says; see [`decode`].
pub fn observation(
    record: &ResetRecord,
    tick: Duration,
    reason: impl Fn(u32) -> Reason,
) -> Result<Observation, DecodeError> {
    let has = |bit: u32| record.flags & bit != 0;
    let direction = match record.direction {
        direction::SENT => Direction::Sent,
        direction::RECEIVED => Direction::Received,
        value => return Err(bad("direction", value, "1 sent, 2 received")),
    };
    let shape = match record.shape {
        shape::NONE => Shape::NoSocket,
        shape::FULL => Shape::Full,
        shape::TIME_WAIT => Shape::TimeWait,
        shape::REQUEST => Shape::Request,
        value => return Err(bad("shape", value, "0 to 3")),
    };
    let role = match record.role {
        role::UNKNOWN => None,
        role::CLIENT => Some(Role::Client),
        role::SERVER => Some(Role::Server),
        value => return Err(bad("role", value, "0 unknown, 1 client, 2 server")),
    };
    let firewall = rejecting(record.hook)?;
    let local = address(&record.local_addr, record.ip_version)?;
    let remote = address(&record.remote_addr, record.ip_version)?;

    let state = TcpState::from_number(record.state);
    // A state that is not CLOSE at the event was not changed by it.
    let state_before = if has(flag::STATE_SEEN) {
        TcpState::from_number(record.state_before)
    } else {
        state.filter(|state| *state != TcpState::Close)
    };
    let fins = Fins::of(record, state_before);

    let time = Duration::from_nanos(record.time_ns);
    let since =
        |then: u64| (then != 0).then(|| Duration::from_nanos(record.time_ns.saturating_sub(then)));
    let since_tick = |ticks: u32| (ticks != NEVER).then(|| tick.saturating_mul(ticks));

    Ok(Observation {
        time,
        direction,
        netns: record.netns,
        cookie: (record.cookie != 0).then_some(record.cookie),
        local: SocketAddr::new(local, record.local_port),
        remote: SocketAddr::new(remote, record.remote_port),
        shape,
        state,
        state_before,
        reason: (direction == Direction::Sent && record.reason != REASON_ABSENT)
            .then(|| reason(record.reason)),
        role,
        owner: known_task(&record.owner, "owner.known_by")?.filter(|task| task.known_by.is_some()),
        closer: known_task(&record.closer, "closer.known_by")?,
        age: since(record.established_ns),
        since_opened: since(record.opened_ns),
        since_data_in: since_tick(record.ticks_since_data_in).filter(|_| has(flag::VITALS)),
        since_data_out: since_tick(record.ticks_since_data_out).filter(|_| has(flag::VITALS)),
        since_ack_in: since_tick(record.ticks_since_ack_in).filter(|_| has(flag::VITALS)),
        tick,
        fin_received: fins.received,
        since_fin_received: since(record.fin_received_ns),
        fin_sent: fins.sent,
        since_fin_sent: since(record.fin_sent_ns),
        vitals: has(flag::VITALS).then(|| vitals(record, role, state_before, fins)),
        trigger: has(flag::TRIGGERED).then_some(Trigger {
            seq: record.trigger_seq,
            ack: record.trigger_ack,
            len: record.trigger_len,
            flags: record.trigger_flags,
            ttl: record.trigger_ttl,
        }),
        packet: has(flag::PACKET).then_some(RstPacket {
            ttl: record.rst_ttl,
            ip_id: record.rst_ip_id,
            seq_offset: record.rst_seq_offset,
            flags: record.rst_flags,
        }),
        handshake_ttl: (record.handshake_ttl != 0).then_some(record.handshake_ttl),
        firewall: firewall.filter(|_| direction == Direction::Sent && has(flag::FIREWALL)),
        linger: has(flag::LINGER).then(|| tick.saturating_mul(record.linger_ticks)),
        linger2_abort: has(flag::VITALS) && record.linger2 < 0,
        socket_error: record.socket_error,
        uid: (shape == Shape::Full).then_some(record.uid),
        accept_queue: (state == Some(TcpState::Listen))
            .then_some((record.accept_queue, record.accept_limit)),
        flags: SocketFlags {
            dead: has(flag::DEAD),
            keepalive: has(flag::KEEPOPEN),
            has_file: has(flag::HAS_SOCKET),
            in_task: has(flag::IN_TASK),
            mptcp: has(flag::MPTCP),
            existing: has(flag::EXISTING),
            listener_closed: has(flag::LISTENER_CLOSED),
            peer_went_on: false,
            by_cookie: has(flag::BY_COOKIE),
            receive_shut: record.shutdown & 1 != 0,
            send_shut: record.shutdown & 2 != 0,
        },
        provisional: direction == Direction::Received && has(flag::PROVISIONAL),
        retracts: direction == Direction::Sent && has(flag::RETRACTS),
    })
}

/// Where a packet filter rejected.
fn rejecting(value: u8) -> Result<Option<Hook>, DecodeError> {
    Ok(match value {
        hook::NONE => None,
        hook::INPUT => Some(Hook::Input),
        hook::FORWARD => Some(Hook::Forward),
        hook::OUTPUT => Some(Hook::Output),
        value => return Err(bad("hook", value, "0 to 3")),
    })
}

/// Which FINs had passed.
#[derive(Clone, Copy)]
struct Fins {
    received: bool,
    sent: bool,
}

impl Fins {
    /// From the state, the flags and the moments seen.
    ///
    /// `TIME_WAIT` tells nothing of the peer's FIN: the kernel resets from there only while it
    /// still waits for that FIN (`tcp_timewait_state_process`, substate `FIN_WAIT2`).
    fn of(record: &ResetRecord, before: Option<TcpState>) -> Self {
        use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck, TimeWait};
        Self {
            received: record.flags & flag::DONE != 0
                || record.fin_received_ns != 0
                || matches!(before, Some(CloseWait | LastAck | Closing)),
            sent: record.fin_sent_ns != 0
                || matches!(
                    before,
                    Some(FinWait1 | FinWait2 | Closing | LastAck | TimeWait)
                ),
        }
    }
}

/// The counters, with the SYN and FIN taken out that the kernel counts as a byte each.
fn vitals(
    record: &ResetRecord,
    role: Option<Role>,
    before: Option<TcpState>,
    fins: Fins,
) -> Vitals {
    use TcpState::{Closing, FinWait1, FinWait2, LastAck, SynSent, TimeWait};
    let fin_in = u32::from(fins.received);
    // The passive side's SYN is acknowledged before the counter starts.
    let syn_acked = u64::from(role == Some(Role::Client));
    let fin_acked = u64::from(matches!(before, Some(FinWait2 | TimeWait)));
    let flag_unacked = u32::from(matches!(
        before,
        Some(SynSent | FinWait1 | LastAck | Closing)
    ));
    Vitals {
        bytes_received: record.bytes_received.saturating_sub(u64::from(fin_in)),
        bytes_acked: record.bytes_acked.saturating_sub(syn_acked + fin_acked),
        bytes_sent: record.bytes_sent,
        segs_in: record.segs_in,
        segs_out: record.segs_out,
        data_segs_in: record.data_segs_in,
        data_segs_out: record.data_segs_out,
        unread: record.unread.saturating_sub(fin_in),
        unacked: record.unacked.saturating_sub(flag_unacked),
        srtt: (record.srtt_us != 0).then(|| Duration::from_micros(record.srtt_us.into())),
        retransmits: record.retransmits,
        retransmits_now: record.retransmits_now,
        probes_out: record.probes_out,
        rcv_nxt: record.rcv_nxt,
        snd_nxt: record.snd_nxt,
        received_since_ack: (record.received_since_ack != NEVER)
            .then(|| record.received_since_ack.saturating_sub(fin_in)),
    }
}

/// An address of the wire; a v4-mapped one is IPv4 where the packet was.
fn address(words: &[u32; 4], ip_version: u8) -> Result<IpAddr, DecodeError> {
    let mut octets = [0; 16];
    for (quad, word) in octets.chunks_exact_mut(4).zip(words) {
        quad.copy_from_slice(&word.to_ne_bytes());
    }
    let whole = Ipv6Addr::from(octets);
    match ip_version {
        4 => Ok(whole
            .to_ipv4_mapped()
            .unwrap_or_else(|| Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
            .into()),
        6 => Ok(whole.into()),
        value => Err(bad("ip_version", value, "4, 6")),
    }
}

/// A task that may be missing (`pid` 0).
fn known_task(wire: &event::Task, member: &'static str) -> Result<Option<Task>, DecodeError> {
    let task = task(wire, member)?;
    Ok((task.pid != 0).then_some(task))
}

fn task(wire: &event::Task, member: &'static str) -> Result<Task, DecodeError> {
    Ok(Task {
        pid: wire.pid,
        tid: wire.tid,
        start: Duration::from_nanos(wire.start_ns),
        comm: comm(&wire.comm).into(),
        cgroup: wire.cgroup,
        known_by: how_known(wire.known_by, member)?,
        exit: (wire.flags & task_flag::EXITING != 0)
            .then(|| exit(wire.exit_code, wire.flags & task_flag::OOM_VICTIM != 0)),
    })
}

fn how_known(value: u8, member: &'static str) -> Result<Option<KnownBy>, DecodeError> {
    Ok(Some(match value {
        known_by::NOBODY => return Ok(None),
        known_by::CONNECT => KnownBy::Connect,
        known_by::LISTEN => KnownBy::Listen,
        known_by::INHERITED => KnownBy::Inherited,
        known_by::ACCEPT => KnownBy::Accept,
        known_by::FIRST_READ => KnownBy::FirstRead,
        known_by::EXISTING => KnownBy::Existing,
        known_by::EXISTING_SHARED => KnownBy::ExistingShared,
        known_by::CURRENT => KnownBy::Current,
        known_by::EARLIER_RESET => KnownBy::EarlierReset,
        known_by::EXITED => KnownBy::Exited,
        value => return Err(bad(member, value, "0 to 10")),
    }))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Without the zeros at the end.
fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0);
    end.map_or(&[], |last| &bytes[..=last])
}

/// A wait status as wait(2) encodes it: signal in the low 7 bits, else the status above 8.
///
/// A process that was dying already may be chosen too, so that it gets the memory to do so: only
/// SIGKILL is the kernel's.
fn exit(wait_status: u32, out_of_memory: bool) -> Exit {
    const SIGKILL: u8 = 9;
    let [low, status, ..] = wait_status.to_le_bytes();
    match low & 0x7f {
        0 => Exit::Status(status),
        SIGKILL if out_of_memory => Exit::OutOfMemory,
        signal => Exit::Signal(signal),
    }
}

/// Text of a NUL-padded name, printable as the names read from /proc are.
fn comm(bytes: &[u8; 16]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    printable(&String::from_utf8_lossy(&bytes[..end])).into_owned()
}

const fn bad(member: &'static str, value: u8, allowed: &'static str) -> DecodeError {
    DecodeError::BadValue {
        member,
        value,
        allowed,
    }
}
