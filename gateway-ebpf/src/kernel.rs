//! Reads of kernel memory by the offsets that the agent resolved.
//!
//! A pointer that came typed from the kernel (tracepoint argument, helper) is read directly: the
//! verifier knows its type and sees a constant offset. A pointer that is only a number to the
//! verifier (`sk_buff.head`) is read with `bpf_probe_read_kernel`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use gateway_ebpf_common::layout::{DROP_REASONS, LOAD_MARK, SWITCH_MARK, Switches};

/// Differences between kernels, written by the agent before load and frozen; only what is looked up
/// by an index is read from here, see [`marked`] for the rest.
#[unsafe(no_mangle)]
pub static SWITCHES: Switches = Switches {
    has_reason: 0,
    unmarked_null: 0,
    accept_two_args: 0,
    preemptible: 0,
    detail_rate: 0,
    typed_skb_sk: 0,
    victim_is_task: 0,
    refusals: [0; DROP_REASONS / 32],
};

/// A kernel object; what it is, its type alias says.
pub type Object = *const u8;

/// An integer that is loaded from a member.
pub trait Word: Copy {
    /// Loads by the instruction that `MARK` marks; zero where this kernel lacks the member.
    fn load<const MARK: i16>(base: Object) -> Self;
}

macro_rules! word {
    ($($type:ty: $load:literal),+) => {
        $(impl Word for $type {
            #[inline(always)]
            fn load<const MARK: i16>(base: Object) -> Self {
                let word: u64;
                // SAFETY: one load. The verifier accepts the program only if `base` is a typed
                // kernel pointer and the offset, which the agent writes in place of the mark, lies
                // on a member of that type; a fault on a stale object reads as zero.
                unsafe {
                    core::arch::asm!(
                        concat!("{word} = *(", $load, " *)({base} + {mark})"),
                        word = lateout(reg) word,
                        base = in(reg) base,
                        mark = const MARK,
                        options(readonly, nostack, preserves_flags),
                    );
                }
                word as Self
            }
        })+
    };
}

word!(u8: "u8", u16: "u16", u32: "u32", i32: "u32", u64: "u64");

/// The mark of a load from the member whose place in [`Layout`] is `place`, from its four bytes
/// number `word` on.
pub const fn mark(place: usize, word: i16) -> i16 {
    LOAD_MARK + (place as u16).cast_signed() + word
}

/// The mark of a constant: `from` and the place in bytes of what it stands for.
pub const fn constant_mark(from: i32, place: usize) -> i32 {
    from + (place as u32).cast_signed()
}

/// The constant that the agent puts in place of `MARK`.
#[inline(always)]
pub fn marked<const MARK: i32>() -> u32 {
    let number: u64;
    // SAFETY: a constant, which the agent puts in place of the mark.
    unsafe {
        core::arch::asm!(
            "{number} = {mark}",
            number = lateout(reg) number,
            mark = const MARK,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    number as u32
}

/// The value of a member, zero where this kernel lacks it.
///
/// `member!(base, field as type)`: `base` must be a typed, non-NULL pointer to (or into, by the
/// verifier's view) the struct that `Layout::field` belongs to.
macro_rules! member {
    ($base:expr, $field:ident as $type:ty) => {
        $crate::kernel::member!($base, $field as $type, 0)
    };
    ($base:expr, $field:ident as $type:ty, $word:literal) => {
        <$type as $crate::kernel::Word>::load::<
            {
                $crate::kernel::mark(
                    core::mem::offset_of!(gateway_ebpf_common::layout::Layout, $field),
                    $word,
                )
            },
        >($base)
    };
}

/// The offset of a member, `ABSENT` where this kernel lacks it.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::marked::<
            {
                $crate::kernel::constant_mark(
                    gateway_ebpf_common::layout::OFFSET_MARK,
                    core::mem::offset_of!(gateway_ebpf_common::layout::Layout, $field),
                )
            },
        >()
    };
}

/// Whether this kernel has the member.
macro_rules! has_member {
    ($field:ident) => {
        $crate::kernel::offset!($field) != gateway_ebpf_common::layout::ABSENT
    };
}

/// Copies four consecutive words of a member; zeros where this kernel lacks it.
macro_rules! member_words {
    ($base:expr, $field:ident) => {
        [
            $crate::kernel::member!($base, $field as u32, 0),
            $crate::kernel::member!($base, $field as u32, 1),
            $crate::kernel::member!($base, $field as u32, 2),
            $crate::kernel::member!($base, $field as u32, 3),
        ]
    };
}

pub(crate) use {has_member, member, member_words, offset};

/// Loads from a typed kernel pointer at an offset that is the same in every kernel.
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

/// The number of a switch.
macro_rules! switch {
    ($field:ident) => {
        marked::<{ constant_mark(SWITCH_MARK, core::mem::offset_of!(Switches, $field)) }>()
    };
}

/// Whether `tcp_send_reset` passes the kernel's reason.
#[inline(always)]
pub fn has_reason() -> bool {
    switch!(has_reason) != 0
}

/// Whether `tcp_send_reset` may pass NULL behind the verifier's back.
#[inline(always)]
pub fn unmarked_null() -> bool {
    switch!(unmarked_null) != 0
}

/// Whether a task that interrupts a program may run it too.
#[inline(always)]
pub fn preemptible() -> bool {
    switch!(preemptible) != 0
}

/// Resets of one source that are reported one by one, a second and CPU; 0 for all.
#[inline(always)]
pub fn detail_rate() -> u32 {
    switch!(detail_rate)
}

/// Whether `inet_csk_accept` takes two arguments (6.10 and newer) instead of four.
#[inline(always)]
pub fn accept_has_two_args() -> bool {
    switch!(accept_two_args) != 0
}

/// Whether the verifier takes `sk_buff.sk` for a pointer.
#[inline(always)]
pub fn typed_skb_sk() -> bool {
    switch!(typed_skb_sk) != 0
}

/// Whether `oom/mark_victim` passes a task instead of its thread id.
#[inline(always)]
pub fn victim_is_task() -> bool {
    switch!(victim_is_task) != 0
}

/// Whether the kernel refuses resets under this number of `enum skb_drop_reason`.
#[inline(always)]
pub fn is_refusal(reason: u32) -> bool {
    if reason as usize >= DROP_REASONS {
        return false;
    }
    let word = (reason as usize / 32) & (DROP_REASONS / 32 - 1);
    // SAFETY: a volatile read of an own static, so that the verifier sees the frozen value; the index
    // is masked to the array's length.
    let words =
        unsafe { core::ptr::read_volatile((&raw const SWITCHES.refusals).cast::<u32>().add(word)) };
    words >> (reason & 31) & 1 != 0
}
