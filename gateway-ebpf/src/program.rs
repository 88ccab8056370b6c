//! Reads what the current process executes: it may be gone before the agent can look.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user};
use gateway_ebpf_common::event::{ARGUMENTS, EXE_NAME, ProcessRecord};

use crate::kernel::{Object, member};

/// Writes name and arguments of what `task` (the current one, typed) executes.
#[inline(always)]
pub fn fill(record: &mut ProcessRecord, task: Object) {
    let mm = member!(task, task_mm as u64) as Object;
    if mm.is_null() {
        return;
    }
    let file = member!(mm, mm_exe_file as u64) as Object;
    if !file.is_null() {
        let entry = member!(file, file_dentry as u64) as Object;
        if !entry.is_null() {
            let name = member!(entry, dentry_name as u64) as *const c_void;
            // SAFETY: the helper writes at most that many bytes, ends them with NUL, and
            // survives any source; a failure leaves the zeros.
            let _ = unsafe {
                bpf_probe_read_kernel_str(
                    record.exe_name.as_mut_ptr().cast::<c_void>(),
                    EXE_NAME as u32,
                    name,
                )
            };
        }
    }
    let start = member!(mm, mm_arg_start as u64);
    let end = member!(mm, mm_arg_end as u64);
    if end > start {
        let all = end - start;
        let len = if all > ARGUMENTS as u64 {
            ARGUMENTS as u32
        } else {
            all as u32
        };
        // SAFETY: the helper writes at most `len` bytes, which fit, and fails where the user's
        // page is not in memory, which leaves zeros.
        let _ = unsafe {
            bpf_probe_read_user(
                record.arguments.as_mut_ptr().cast::<c_void>(),
                len,
                start as *const c_void,
            )
        };
    }
}
