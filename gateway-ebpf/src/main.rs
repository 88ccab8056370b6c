//! resetmon's eBPF programs: one file a probe, and what they share.
//!
//! The way of a reset: a probe reads the socket ([`socket`]) or the packet ([`packet`]), looks
//! up whose it is ([`owner`]) and hands the record over ([`emit`]).
#![no_std]
#![no_main]
// One atomic add; core has none for this target.
#![feature(asm_experimental_arch)]
#![expect(unreachable_pub, reason = "modules of a binary are private to it")]
#![expect(
    clippy::inline_always,
    reason = "the verifier knows typed kernel pointers only within one function"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "aya's attributes want the context by value"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "registers are 64 bits wide, what they hold is not"
)]

mod emit;
mod failure;
mod kernel;
mod late;
mod maps;
mod nesting;
mod owner;
mod packet;
mod probes;
mod program;
mod socket;

/// Tells the kernel that GPL-only helpers may be used.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
