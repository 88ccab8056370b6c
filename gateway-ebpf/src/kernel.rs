//! Reads of kernel memory by the offsets that the agent resolved.
//!
//! A pointer that came typed from the kernel (tracepoint argument, helper) is read directly: the
//! verifier knows its type and sees a constant offset. A pointer that is only a number to the
//! verifier (`sk_buff.head`) is read with `bpf_probe_read_kernel`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use gateway_ebpf_common::layout::{DROP_REASONS, Layout, Switches};

/// Offsets of kernel members, written by the agent before load and frozen.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNKNOWN;

/// Differences between kernels, written by the agent before load and frozen.
#[unsafe(no_mangle)]
pub static SWITCHES: Switches = Switches {
    has_reason: 0,
    unmarked_null: 0,
    accept_two_args: 0,
    detail_rate: 0,
    typed_skb_sk: 0,
    victim_is_task: 0,
    refusals: [0; DROP_REASONS / 32],
};

/// A kernel object; what it is, its type alias says.
pub type Object = *const u8;

/// The value of a member, zero where this kernel lacks it.
///
/// `member!(base, field as type)`: `base` must be a typed, non-NULL pointer to (or into, by the
/// verifier's view) the struct that `LAYOUT.field` belongs to.
macro_rules! member {
    ($base:expr, $field:ident as $type:ty) => {{
        // SAFETY: a volatile read of an own static, so that the compiler keeps it and the
        // verifier sees the frozen value.
        let offset = unsafe { core::ptr::read_volatile(&raw const $crate::kernel::LAYOUT.$field) };
        if offset == gateway_ebpf_common::layout::ABSENT {
            0 as $type
        } else {
            $crate::kernel::load::<$type>($base, offset)
        }
    }};
}

/// Whether this kernel has the member.
macro_rules! has_member {
    ($field:ident) => {{
        // SAFETY: as in `member!`.
        let offset = unsafe { core::ptr::read_volatile(&raw const $crate::kernel::LAYOUT.$field) };
        offset != gateway_ebpf_common::layout::ABSENT
    }};
}

/// Copies consecutive words of a member; zeros where this kernel lacks it.
macro_rules! member_words {
    ($base:expr, $field:ident, $count:literal) => {{
        // SAFETY: as in `member!`.
        let offset = unsafe { core::ptr::read_volatile(&raw const $crate::kernel::LAYOUT.$field) };
        let mut words = [0u32; $count];
        if offset != gateway_ebpf_common::layout::ABSENT {
            let mut index = 0;
            while index < $count {
                words[index] = $crate::kernel::load::<u32>($base, offset + 4 * index as u32);
                index += 1;
            }
        }
        words
    }};
}

pub(crate) use {has_member, member, member_words};

/// Loads from a typed kernel pointer.
#[inline(always)]
pub fn load<T: Copy>(base: Object, offset: u32) -> T {
    // SAFETY: the verifier accepts the program only if `base` is a typed kernel pointer and the
    // offset lies on a member of that type; a fault on a stale object reads as zero.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}

/// Copies kernel memory behind a pointer that the verifier does not know; `None` if it faults.
#[inline(always)]
pub fn probe<T: Copy>(from: Object) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes at most `size_of::<T>()` bytes to `value` and survives any source.
    let failed = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            from.cast::<c_void>(),
        )
    };
    if failed == 0 {
        // SAFETY: the helper filled it.
        Some(unsafe { value.assume_init() })
    } else {
        None
    }
}

/// Whether `tcp_send_reset` passes the kernel's reason.
#[inline(always)]
pub fn has_reason() -> bool {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.has_reason) != 0 }
}

/// Whether `tcp_send_reset` may pass NULL behind the verifier's back.
#[inline(always)]
pub fn unmarked_null() -> bool {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.unmarked_null) != 0 }
}

/// Resets of one source that are reported one by one, a second and CPU; 0 for all.
#[inline(always)]
pub fn detail_rate() -> u32 {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.detail_rate) }
}

/// Whether `inet_csk_accept` takes two arguments (6.10 and newer) instead of four.
#[inline(always)]
pub fn accept_has_two_args() -> bool {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.accept_two_args) != 0 }
}

/// Whether the verifier takes `sk_buff.sk` for a pointer.
#[inline(always)]
pub fn typed_skb_sk() -> bool {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.typed_skb_sk) != 0 }
}

/// Whether `oom/mark_victim` passes a task instead of its thread id.
#[inline(always)]
pub fn victim_is_task() -> bool {
    // SAFETY: as in `member!`.
    unsafe { core::ptr::read_volatile(&raw const SWITCHES.victim_is_task) != 0 }
}

/// Whether the kernel refuses resets under this number of `enum skb_drop_reason`.
#[inline(always)]
pub fn is_refusal(reason: u32) -> bool {
    if reason as usize >= DROP_REASONS {
        return false;
    }
    let word = (reason as usize / 32) & (DROP_REASONS / 32 - 1);
    // SAFETY: as in `member!`; the index is masked to the array's length.
    let words =
        unsafe { core::ptr::read_volatile((&raw const SWITCHES.refusals).cast::<u32>().add(word)) };
    words >> (reason & 31) & 1 != 0
}
