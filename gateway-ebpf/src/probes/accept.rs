//! fexit `inet_csk_accept`: a task takes a connection from the accept queue, by whatever call
//! (accept, accept4, `io_uring`).

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use gateway_ebpf_common::event::known_by;

use crate::kernel::{self, Object};
use crate::owner;
use crate::socket;

#[fexit(function = "inet_csk_accept")]
pub fn accept(ctx: FExitContext) -> i32 {
    // The returned socket follows the arguments: four up to Linux 6.9, two since 6.10.
    let sk = if kernel::accept_has_two_args() {
        argument::<16>(&ctx)
    } else {
        argument::<32>(&ctx)
    };
    if !sk.is_null()
        && socket::is_tcp(sk)
        && let Some(facts) = owner::facts(sk)
    {
        facts.tag(known_by::ACCEPT);
    }
    0
}

/// The pointer at byte `OFFSET` of the arguments, as typed by the verifier.
#[inline(always)]
fn argument<const OFFSET: i16>(ctx: &FExitContext) -> Object {
    let sk: Object;
    // SAFETY: one aligned load from the context; the verifier knows how many words it has. One
    // instruction, because the compiler would make two loads at different offsets into one at a
    // computed offset, and verifiers before Linux 7 refuse that for a context.
    unsafe {
        core::arch::asm!(
            "{sk} = *(u64 *)({ctx} + {offset})",
            sk = lateout(reg) sk,
            ctx = in(reg) ctx.as_ptr(),
            offset = const OFFSET,
            options(readonly, nostack, preserves_flags),
        );
    }
    sk
}
