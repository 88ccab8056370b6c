//! `sched:sched_process_exit` and `oom:mark_victim`: how the owner of a socket ended.
//!
//! Most sockets are closed by the dying process itself, which tells. What a kernel thread closes
//! later (descriptors under way between processes, `io_uring`) is put down to the dead owner by what
//! is kept here. Both come before the process lets go of its files.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use gateway_ebpf_common::event::task_flag;
use gateway_ebpf_common::tally::Tally;

use crate::kernel::{self, Object, member};
use crate::maps::{EXITED, OOM_VICTIMS, PROCESSES};
use crate::{emit, owner};

/// Every thread of the node ends here: all but the last ones of owners of sockets leave at once.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: Object = ctx.arg(0);
    let signal = member!(task, task_signal as u64) as Object;
    if signal.is_null() || member!(signal, signal_live as u32) != 0 {
        return 0;
    }
    let leader = member!(task, task_group_leader as u64) as Object;
    if leader.is_null() {
        return 0;
    }
    let pid = member!(task, task_tgid as u32);
    let start_ns = member!(leader, task_start_boottime as u64);
    let key = [start_ns, u64::from(pid)];
    // SAFETY: only whether it is there matters.
    if unsafe { PROCESSES.get(key) }.is_none() {
        return 0;
    }
    let mut flags = task_flag::EXITING;
    if owner::is_oom_victim(pid, start_ns) {
        flags |= task_flag::OOM_VICTIM;
    }
    let end = [
        member!(signal, signal_group_exit_code as u32),
        u32::from(flags),
    ];
    if EXITED.insert(key, end, 0).is_err() {
        emit::count(Tally::ExitFailed);
    }
    0
}

/// The kernel is about to kill this process for want of memory, its own or that of its cgroup.
#[btf_tracepoint(function = "mark_victim")]
pub fn oom_victim(ctx: BtfTracePointContext) -> i32 {
    let pid = if kernel::victim_is_task() {
        let task: Object = ctx.arg(0);
        member!(task, task_tgid as u32)
    } else {
        ctx.arg::<u64>(0) as u32
    };
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if OOM_VICTIMS.insert(pid, now, 0).is_err() {
        emit::count(Tally::ExitFailed);
    }
    0
}
