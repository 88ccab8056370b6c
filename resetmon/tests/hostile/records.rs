//! Ring-buffer records, made and unmade.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_ebpf_common::event::{
    self, NEVER, ProcessRecord, REASON_ABSENT, ResetRecord, direction, flag, hook, kind, known_by,
    role, shape, task_flag,
};
use resetmon::kernel::observation::{
    Direction, Exit, Hook, KnownBy, Observation, Reason, Role, Shape, Task, TcpState,
};

use crate::random::Random;

/// One jiffy at the usual HZ.
pub(crate) const TICK: Duration = Duration::from_millis(4);

/// A reason that tells its number, so that it can be told back.
pub(crate) fn reason(number: u32) -> Reason {
    Reason(number.to_string().into())
}

/// Records are integers without padding.
pub(crate) trait Wire: Copy {}
impl Wire for ResetRecord {}
impl Wire for ProcessRecord {}

/// The bytes that the programs would write.
pub(crate) fn bytes_of<T: Wire>(record: &T) -> Vec<u8> {
    let start = std::ptr::from_ref(record).cast::<u8>();
    // SAFETY: a Wire type is repr(C) integers without padding, so all of its bytes are set.
    unsafe { std::slice::from_raw_parts(start, size_of::<T>()) }.to_vec()
}

/// A record with zero in every member.
fn zeroed<T: Wire>() -> T {
    // SAFETY: a Wire type is integers only, all of which may be 0.
    unsafe { std::mem::zeroed() }
}

/// A record with random values in every member.
pub(crate) fn noise<T: Wire>(random: &mut Random) -> T {
    let mut bytes = Vec::with_capacity(size_of::<T>());
    while bytes.len() < size_of::<T>() {
        match random.below(4) {
            0 => bytes.extend([0; 4]),
            1 => bytes.extend(random.word().to_le_bytes()),
            2 => bytes.extend(random.number().to_le_bytes()),
            _ => bytes.extend(random.next().to_le_bytes()),
        }
    }
    // SAFETY: there are enough bytes, and any of them make a Wire type.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// A reset record that must decode, with random values wherever a value is allowed.
pub(crate) fn reset(random: &mut Random) -> ResetRecord {
    let mut record: ResetRecord = noise(random);
    record.kind = kind::RESET;
    record.size = u32::try_from(size_of::<ResetRecord>()).unwrap();
    record.direction = random.choose(&[direction::SENT, direction::RECEIVED]);
    record.shape = random.choose(&[shape::NONE, shape::FULL, shape::TIME_WAIT, shape::REQUEST]);
    record.role = random.choose(&[role::UNKNOWN, role::CLIENT, role::SERVER]);
    record.hook = random.byte() % 4;
    record.ip_version = random.choose(&[4, 6]);
    record.state = random.byte() % 14;
    record.state_before = random.byte() % 14;
    if random.one_in(2) {
        // Addresses that meet again.
        record.local_addr = [u32::from_ne_bytes([10, 0, 0, 1]), 0, 0, 0];
        record.remote_addr = [u32::from_ne_bytes([10, 0, 1, random.byte() % 4]), 0, 0, 0];
        record.local_port = random.choose(&[443, 8080, 40000]);
        record.remote_port = random.choose(&[9000, 443, 50000]);
    }
    if random.one_in(2) {
        record.flags &= !(flag::PROVISIONAL | flag::RETRACTS);
    }
    task(&mut record.owner, random);
    task(&mut record.closer, random);
    record
}

/// A failure record that must decode.
pub(crate) fn failure(random: &mut Random) -> ResetRecord {
    let mut record = reset(random);
    record.kind = kind::FAILURE;
    record.failure = 1 + random.byte() % 4;
    if random.one_in(2) {
        // Values that a failure has.
        record.role = role::CLIENT;
        record.flags |= flag::VITALS;
        record.socket_error = random.choose(&[0, 110, 111, 113]);
        record.unanswered = random.choose(&[0, 20, 200, u32::MAX]);
        record.bytes_received = random.choose(&[0, 1, 500]);
    }
    record
}

/// A process record that must decode.
pub(crate) fn process(random: &mut Random) -> ProcessRecord {
    let mut record: ProcessRecord = noise(random);
    record.kind = kind::PROCESS;
    record.size = u32::try_from(size_of::<ProcessRecord>()).unwrap();
    task(&mut record.task, random);
    record
}

fn task(task: &mut event::Task, random: &mut Random) {
    task.known_by = random.byte() % 11;
    if random.one_in(4) {
        task.pid = random.choose(&[0, 1, 7, 8]);
    }
    let length = random.below(17);
    task.comm = [0; 16];
    for byte in &mut task.comm[..length] {
        *byte = b' ' + random.byte() % 95;
    }
}

/// The record that decodes to `observation`, which was decoded with [`TICK`] and [`reason`].
#[expect(clippy::too_many_lines, reason = "one member after the other")]
pub(crate) fn encode(o: &Observation) -> ResetRecord {
    use TcpState::{Closing, FinWait1, FinWait2, LastAck, SynSent, TimeWait};
    let time_ns = nanos(o.time);
    // The moment this long ago; 0 would say that it is not known, and time does not go below it.
    let then = |since: Option<Duration>| {
        since.map_or(0, |since| (time_ns.saturating_sub(nanos(since))).max(1))
    };
    let ticks = |since: Option<Duration>| since.map_or(NEVER, in_ticks);
    let vitals = o.vitals.clone().unwrap_or_default();
    let fin_in = u32::from(o.fin_received);
    let syn_acked = u64::from(o.role == Some(Role::Client));
    let fin_acked = u64::from(matches!(o.state_before, Some(FinWait2 | TimeWait)));
    let unacked_flag = u32::from(matches!(
        o.state_before,
        Some(SynSent | FinWait1 | LastAck | Closing)
    ));
    let (accept_queue, accept_limit) = o.accept_queue.unwrap_or_default();
    let packet = o.packet.as_ref();
    let number = |reason: &Reason| reason.name().parse().unwrap();
    ResetRecord {
        kind: kind::RESET,
        size: u32::try_from(size_of::<ResetRecord>()).unwrap(),
        time_ns,
        cookie: o.cookie.unwrap_or(0),
        opened_ns: then(o.since_opened),
        established_ns: then(o.age),
        fin_received_ns: then(o.since_fin_received),
        fin_sent_ns: then(o.since_fin_sent),
        bytes_received: vitals.bytes_received + u64::from(fin_in),
        bytes_acked: vitals.bytes_acked + syn_acked + fin_acked,
        bytes_sent: vitals.bytes_sent,
        owner: o.owner.as_ref().map_or_else(nobody, wire_task),
        closer: o.closer.as_ref().map_or_else(nobody, wire_task),
        local_addr: words(o.local),
        remote_addr: words(o.remote),
        netns: o.netns,
        reason: o.reason.as_ref().map_or(REASON_ABSENT, number),
        flags: flags(o),
        local_port: o.local.port(),
        remote_port: o.remote.port(),
        ticks_since_data_in: ticks(o.since_data_in),
        ticks_since_data_out: ticks(o.since_data_out),
        ticks_since_ack_in: ticks(o.since_ack_in),
        segs_in: vitals.segs_in,
        segs_out: vitals.segs_out,
        data_segs_in: vitals.data_segs_in,
        data_segs_out: vitals.data_segs_out,
        unread: vitals.unread + fin_in,
        unacked: vitals.unacked + unacked_flag,
        srtt_us: vitals
            .srtt
            .map_or(0, |srtt| u32::try_from(srtt.as_micros()).unwrap()),
        retransmits: vitals.retransmits,
        rcv_nxt: vitals.rcv_nxt,
        snd_nxt: vitals.snd_nxt,
        linger_ticks: o.linger.map_or(0, in_ticks),
        linger2: if o.linger2_abort { -1 } else { 0 },
        socket_error: o.socket_error,
        uid: o.uid.unwrap_or(0),
        accept_queue,
        accept_limit,
        trigger_seq: o.trigger.map_or(0, |trigger| trigger.seq),
        trigger_ack: o.trigger.map_or(0, |trigger| trigger.ack),
        received_since_ack: vitals
            .received_since_ack
            .map_or(NEVER, |bytes| bytes + fin_in),
        trigger_len: o.trigger.map_or(0, |trigger| trigger.len),
        trigger_flags: o.trigger.map_or(0, |trigger| trigger.flags),
        trigger_ttl: o.trigger.map_or(0, |trigger| trigger.ttl),
        direction: match o.direction {
            Direction::Sent => direction::SENT,
            Direction::Received => direction::RECEIVED,
        },
        ip_version: if o.local.is_ipv4() { 4 } else { 6 },
        shape: match o.shape {
            Shape::NoSocket => shape::NONE,
            Shape::Full => shape::FULL,
            Shape::TimeWait => shape::TIME_WAIT,
            Shape::Request => shape::REQUEST,
        },
        state: o.state.map_or(0, |state| state as u8),
        state_before: o.state_before.map_or(0, |state| state as u8),
        role: match o.role {
            None => role::UNKNOWN,
            Some(Role::Client) => role::CLIENT,
            Some(Role::Server) => role::SERVER,
        },
        shutdown: u8::from(o.flags.receive_shut) | (u8::from(o.flags.send_shut) << 1),
        probes_out: vitals.probes_out,
        retransmits_now: vitals.retransmits_now,
        rst_ttl: packet.map_or(0, |packet| packet.ttl),
        rst_ip_id: packet.map_or(0, |packet| packet.ip_id),
        rst_seq_offset: packet.map_or(0, |packet| packet.seq_offset),
        rst_flags: packet.map_or(0, |packet| packet.flags),
        handshake_ttl: o.handshake_ttl.unwrap_or(0),
        hook: match o.firewall {
            None => hook::NONE,
            Some(Hook::Input) => hook::INPUT,
            Some(Hook::Forward) => hook::FORWARD,
            Some(Hook::Output) => hook::OUTPUT,
        },
        ..zeroed()
    }
}

fn flags(o: &Observation) -> u32 {
    let bit = |set: bool, flag: u32| if set { flag } else { 0 };
    let f = &o.flags;
    bit(o.trigger.is_some(), flag::TRIGGERED)
        | bit(o.packet.is_some(), flag::PACKET)
        | bit(o.vitals.is_some(), flag::VITALS)
        | bit(f.dead, flag::DEAD)
        | bit(o.fin_received, flag::DONE)
        | bit(f.keepalive, flag::KEEPOPEN)
        | bit(o.linger.is_some(), flag::LINGER)
        | bit(f.has_file, flag::HAS_SOCKET)
        | bit(f.in_task, flag::IN_TASK)
        | bit(f.mptcp, flag::MPTCP)
        | flag::STATE_SEEN
        | bit(o.provisional, flag::PROVISIONAL)
        | bit(o.retracts, flag::RETRACTS)
        | bit(f.by_cookie, flag::BY_COOKIE)
        | bit(f.existing, flag::EXISTING)
        | bit(f.listener_closed, flag::LISTENER_CLOSED)
        | bit(o.firewall.is_some(), flag::FIREWALL)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

fn in_ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos() / TICK.as_nanos()).unwrap()
}

fn words(address: SocketAddr) -> [u32; 4] {
    let mut words = [0; 4];
    let octets = match address.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    for (word, quad) in words.iter_mut().zip(octets.chunks_exact(4)) {
        *word = u32::from_ne_bytes(quad.try_into().unwrap());
    }
    words
}

fn nobody() -> event::Task {
    event::Task::default()
}

fn wire_task(task: &Task) -> event::Task {
    let mut comm = [0; 16];
    comm[..task.comm.len()].copy_from_slice(task.comm.as_bytes());
    event::Task {
        start_ns: nanos(task.start),
        cgroup: task.cgroup,
        pid: task.pid,
        tid: task.tid,
        comm,
        exit_code: match task.exit {
            None => 0,
            Some(exit @ (Exit::Signal(_) | Exit::OutOfMemory)) => exit.signal().unwrap().into(),
            Some(Exit::Status(status)) => u32::from(status) << 8,
        },
        known_by: match task.known_by {
            None => known_by::NOBODY,
            Some(KnownBy::Connect) => known_by::CONNECT,
            Some(KnownBy::Listen) => known_by::LISTEN,
            Some(KnownBy::Inherited) => known_by::INHERITED,
            Some(KnownBy::Accept) => known_by::ACCEPT,
            Some(KnownBy::FirstRead) => known_by::FIRST_READ,
            Some(KnownBy::Existing) => known_by::EXISTING,
            Some(KnownBy::ExistingShared) => known_by::EXISTING_SHARED,
            Some(KnownBy::Current) => known_by::CURRENT,
            Some(KnownBy::EarlierReset) => known_by::EARLIER_RESET,
            Some(KnownBy::Exited) => known_by::EXITED,
        },
        flags: match task.exit {
            None => 0,
            Some(Exit::OutOfMemory) => task_flag::EXITING | task_flag::OOM_VICTIM,
            Some(_) => task_flag::EXITING,
        },
        pad: [0; 2],
    }
}
