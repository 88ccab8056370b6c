//! Who owns a socket, and what is remembered of it.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_get_socket_cookie, bpf_ktime_get_ns,
};
use gateway_ebpf_common::event::{ResetRecord, Task, flag, known_by, task_flag};
use gateway_ebpf_common::tally::Tally;

use crate::emit;
use crate::kernel::{Object, member};
use crate::maps::{ANNOUNCED, EXITED, NO_TASK, OOM_VICTIMS, PROCESSES, SOCKETS};
use crate::socket::{self, state};

/// `PF_EXITING` of `include/linux/sched.h`.
const PF_EXITING: u32 = 0x4;
/// `PF_KTHREAD` of `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Bits of [`Facts::flags`].
pub mod fact {
    /// `state_before` holds.
    pub const STATE_SEEN: u8 = 1;
    /// Open before the agent started.
    pub const EXISTING: u8 = 2;
    /// A received reset was reported that may be data after close.
    pub const PROVISIONAL: u8 = 4;
    /// That received reset was only counted in a tally.
    pub const TALLIED: u8 = 16;
    /// `tcp_reset` was entered with a packet that is no RST.
    pub const NO_RST: u8 = 32;
    /// `tcp_reset` was entered with a RST: `rst_*` hold.
    pub const PACKET: u8 = 64;
    /// A reset was sent or received; `tuple` holds.
    pub const RESET: u8 = 8;
    /// The application has read: `written_at_read` holds.
    pub const READ: u8 = 128;
}

/// Both endpoints of a connection and where it lives.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Local address, network order, IPv4 in the first word.
    pub local: [u32; 4],
    /// Remote address.
    pub remote: [u32; 4],
    /// Network namespace.
    pub netns: u32,
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
}

/// What is remembered of a socket, in its own storage.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Facts {
    /// Whose it is.
    pub owner: Task,
    /// Who closed it.
    pub closer: Task,
    /// See `ResetRecord`.
    pub opened_ns: u64,
    /// See `ResetRecord`.
    pub established_ns: u64,
    /// See `ResetRecord`.
    pub fin_received_ns: u64,
    /// See `ResetRecord`.
    pub fin_sent_ns: u64,
    /// Endpoints at the reset, because the kernel clears them afterwards. The network namespace is
    /// there from the start (0 for not known): beside its number in `struct net` the kernel counts
    /// sockets, so that a CPU as a rule has to fetch it from another.
    pub tuple: Tuple,
    /// State before CLOSE.
    pub state_before: u8,
    /// Who opened the connection.
    pub role: u8,
    /// Bits of [`fact`].
    pub flags: u8,
    /// TTL or hop limit of the peer's packet in the handshake; 0 if not seen.
    pub handshake_ttl: u8,
    /// See `ResetRecord`.
    pub rst_seq_offset: i32,
    /// See `ResetRecord`.
    pub rst_ip_id: u16,
    /// See `ResetRecord`.
    pub rst_ttl: u8,
    /// See `ResetRecord`.
    pub rst_flags: u8,
    /// `tcp_sock.write_seq` when the application last read; see [`crate::failure`].
    pub written_at_read: u32,
    /// Bytes that the peer left unanswered when it closed.
    pub unanswered: u32,
    /// Which event of each [`crate::nesting::Point`] a program has taken while a task held the
    /// socket; 0 for none.
    pub taken: [u16; 4],
}

/// `CLOCK_MONOTONIC` in ns.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// When the packet at hand came, `CLOCK_MONOTONIC` in ns: the kernel has looked at the clock for each
/// packet of a connection (`tcp_mstamp_refresh`), which costs more than all else of a short program.
#[inline(always)]
pub fn packet_time(sk: Object) -> u64 {
    let tcp = socket::tcp(sk);
    let us = if tcp.is_null() {
        0
    } else {
        member!(tcp, tcp_mstamp as u64)
    };
    if us == 0 { now() } else { us * 1000 }
}

/// The socket's cookie, made now if it had none.
#[inline(always)]
pub fn cookie(sk: Object) -> u64 {
    let made = socket::cookie(sk);
    if made != 0 {
        return made;
    }
    // SAFETY: `sk` is a typed socket by the verifier's own check.
    unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) }
}

/// Facts of a socket that may be older than the agent.
#[inline(always)]
pub fn facts(sk: Object) -> Option<&'static mut Facts> {
    let facts = SOCKETS.get_or_create(sk);
    if facts.is_none() {
        emit::count(Tally::StorageFailed);
    }
    facts
}

/// Writes the identity of `task` (a typed `task_struct`).
#[inline(always)]
fn describe(into: &mut Task, task: Object) {
    let leader = member!(task, task_group_leader as u64) as Object;
    into.pid = member!(task, task_tgid as u32);
    into.tid = member!(task, task_pid as u32);
    if !leader.is_null() {
        into.start_ns = member!(leader, task_start_boottime as u64);
        let halves = [
            member!(leader, task_comm as u64, 0),
            member!(leader, task_comm as u64, 2),
        ];
        // SAFETY: 16 bytes of plain integers to 16 bytes.
        into.comm = unsafe { core::mem::transmute::<[u64; 2], [u8; 16]>(halves) };
    }
    into.flags = 0;
    into.exit_code = 0;
    if member!(task, task_flags as u32) & PF_EXITING != 0 {
        into.flags = task_flag::EXITING;
        let signal = member!(task, task_signal as u64) as Object;
        if !signal.is_null() {
            into.exit_code = member!(signal, signal_group_exit_code as u32);
        }
        if is_oom_victim(into.pid, into.start_ns) {
            into.flags |= task_flag::OOM_VICTIM;
        }
    }
}

/// Whether the kernel chose this process, which started then, to be killed for want of memory.
#[inline(always)]
pub fn is_oom_victim(pid: u32, start_ns: u64) -> bool {
    // SAFETY: a plain integer, whole once inserted.
    let chosen = unsafe { OOM_VICTIMS.get(pid) };
    // An earlier process of that id was chosen before this one started.
    chosen.is_some_and(|time| *time >= start_ns)
}

/// Names the dead owner of a socket that a kernel thread closes; nobody if the owner lives.
#[inline(always)]
pub fn dead(into: &mut Task, owner: &Task) {
    if owner.pid == 0 {
        return;
    }
    // SAFETY: two integers, written once in the life of a process.
    if let Some([status, flags]) = unsafe { EXITED.get([owner.start_ns, u64::from(owner.pid)]) } {
        *into = *owner;
        into.known_by = known_by::EXITED;
        into.exit_code = *status;
        into.flags = *flags as u8;
    }
}

/// The current task, typed.
#[inline(always)]
fn current_task() -> Object {
    // SAFETY: no arguments; never NULL.
    unsafe { bpf_get_current_task_btf() }
        .cast::<u8>()
        .cast_const()
}

/// Names the current process; false (and nothing written) for a kernel thread.
#[inline(always)]
pub fn current(into: &mut Task, known_by: u8) -> bool {
    named(into, current_task(), known_by)
}

/// The same of the current `task`.
#[inline(always)]
fn named(into: &mut Task, task: Object, known_by: u8) -> bool {
    if member!(task, task_flags as u32) & PF_KTHREAD != 0 {
        return false;
    }
    describe(into, task);
    into.cgroup = cgroup(task);
    into.known_by = known_by;
    true
}

/// cgroup v2 id of the current `task`: what `bpf_get_current_cgroup_id` says, without its calls.
#[inline(always)]
fn cgroup(task: Object) -> u64 {
    let set = member!(task, task_cgroups as u64) as Object;
    if set.is_null() {
        return 0;
    }
    let cgroup = member!(set, css_set_dfl_cgrp as u64) as Object;
    if cgroup.is_null() {
        return 0;
    }
    socket::cgroup_id(cgroup)
}

/// Names a process that the iterator shows; its cgroup is the socket's.
#[inline(always)]
pub fn existing(into: &mut Task, task: Object, cgroup: u64) {
    describe(into, task);
    into.cgroup = cgroup;
    into.known_by = known_by::EXISTING;
}

/// Thread id of the current task.
#[inline(always)]
pub fn current_thread() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Tells the agent of the process once, and again when its name changed (exec); `running` is the
/// typed task if it is the current one, else NULL.
#[inline(always)]
pub fn announce(task: &Task, running: Object) {
    let key = [task.start_ns, u64::from(task.pid)];
    let name = u64::from_ne_bytes([
        task.comm[0],
        task.comm[1],
        task.comm[2],
        task.comm[3],
        task.comm[4],
        task.comm[5],
        task.comm[6],
        task.comm[7],
    ]);
    // The same process as a rule makes one connection after another.
    let latest = ANNOUNCED.get_ptr_mut(0);
    // SAFETY: a value of this CPU. An interruption leaves parts of two processes at worst, which
    // are none together.
    let said = latest.is_some_and(|latest| unsafe { *latest } == [key[0], key[1], name]);
    if said {
        return;
    }
    // SAFETY: a plain integer; a concurrent writer writes the same or a newer name.
    let known = unsafe { PROCESSES.get(key) } == Some(&name);
    if !known {
        if !emit::process(now(), task, running) {
            return;
        }
        // A full map only means that the process is announced again.
        let _ = PROCESSES.insert(key, name, 0);
    }
    if let Some(latest) = latest {
        // SAFETY: as above.
        unsafe { *latest = [key[0], key[1], name] };
    }
}

impl Facts {
    /// Forgets an earlier connection of the same socket or of its listener.
    #[inline(always)]
    pub fn begin(&mut self, role: u8, time_ns: u64) {
        self.closer = NO_TASK;
        self.opened_ns = time_ns;
        self.established_ns = 0;
        self.fin_received_ns = 0;
        self.fin_sent_ns = 0;
        self.state_before = 0;
        self.flags = 0;
        self.role = role;
        self.handshake_ttl = 0;
        self.unanswered = 0;
    }

    /// Writes what is remembered to a record; `state` must be set.
    #[inline(always)]
    pub fn write(&self, record: &mut ResetRecord) {
        record.closer = self.closer;
        self.write_all_but_closer(record);
    }

    /// As [`Self::write`], for who has found the closer already.
    #[inline(always)]
    pub fn write_all_but_closer(&self, record: &mut ResetRecord) {
        record.owner = self.owner;
        record.opened_ns = self.opened_ns;
        record.established_ns = self.established_ns;
        record.fin_received_ns = self.fin_received_ns;
        record.fin_sent_ns = self.fin_sent_ns;
        record.role = self.role;
        record.handshake_ttl = self.handshake_ttl;
        if self.flags & fact::EXISTING != 0 {
            record.flags |= flag::EXISTING;
        }
        if record.state != state::CLOSE {
            record.state_before = record.state;
            record.flags |= flag::STATE_SEEN;
        } else if self.flags & fact::STATE_SEEN != 0 {
            record.state_before = self.state_before;
            record.flags |= flag::STATE_SEEN;
        }
    }

    /// Makes the current process the owner.
    #[inline(always)]
    pub fn tag(&mut self, known_by: u8) {
        let task = current_task();
        if named(&mut self.owner, task, known_by) {
            announce(&self.owner, task);
        }
    }
}

/// No endpoints.
pub const NO_TUPLE: Tuple = Tuple {
    local: [0; 4],
    remote: [0; 4],
    netns: 0,
    local_port: 0,
    remote_port: 0,
};

impl Tuple {
    /// The endpoints of a record.
    #[inline(always)]
    pub fn of(record: &ResetRecord) -> Self {
        Self {
            local: record.local_addr,
            remote: record.remote_addr,
            netns: record.netns,
            local_port: record.local_port,
            remote_port: record.remote_port,
        }
    }

    /// Writes them to a record.
    #[inline(always)]
    pub fn write(&self, record: &mut ResetRecord) {
        record.local_addr = self.local;
        record.remote_addr = self.remote;
        record.netns = self.netns;
        record.local_port = self.local_port;
        record.remote_port = self.remote_port;
    }
}
