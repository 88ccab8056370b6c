//! Hands records over: to the ring buffer, else to the tally.

use gateway_ebpf_common::event::{ProcessRecord, ResetRecord, Task, kind};
use gateway_ebpf_common::tally::Tally;

use crate::maps::{EVENTS, TALLY};

/// Adds one to a tally of this CPU.
#[inline(always)]
pub fn count(tally: Tally) {
    if let Some(slot) = TALLY.get_ptr_mut(tally as u32) {
        // SAFETY: `slot` is a map value of 8 bytes. One instruction, because a softirq may run
        // these programs on this CPU between a load and a store.
        unsafe {
            core::arch::asm!("lock *(u64 *)({slot} + 0) += {one}", slot = in(reg) slot, one = in(reg) 1u64);
        }
    }
}

/// Room for one reset in the ring buffer, zeroed, filled by `fill` and submitted; else counted.
///
/// `fill` returns false if the reset cannot be described at all.
#[inline(always)]
pub fn reset(lost: Tally, fill: impl FnOnce(&mut ResetRecord) -> bool) {
    let Some(mut entry) = EVENTS.reserve_untyped::<ResetRecord>(0) else {
        count(lost);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the kernel reserved `size_of::<ResetRecord>()` bytes, 8-byte aligned; all-zero is a
    // valid record.
    let record = unsafe {
        core::ptr::write_bytes(record, 0, 1);
        &mut *record
    };
    record.kind = kind::RESET;
    record.size = size_of::<ResetRecord>() as u32;
    if fill(record) {
        entry.submit(0);
    } else {
        entry.discard(0);
        count(Tally::Unreadable);
    }
}

/// Tells the agent of a process, so that it can read /proc while the process lives.
#[inline(always)]
pub fn process(time_ns: u64, task: &Task) -> bool {
    let Some(mut entry) = EVENTS.reserve_untyped::<ProcessRecord>(0) else {
        count(Tally::ProcessLost);
        return false;
    };
    entry.write(ProcessRecord {
        kind: kind::PROCESS,
        size: size_of::<ProcessRecord>() as u32,
        time_ns,
        task: *task,
    });
    entry.submit(0);
    true
}
