//! `skb:kfree_skb`: resets that the kernel did not believe.
//!
//! A RST outside of the window, inside of it but not exact (RFC 5961), for a connection in
//! `TIME_WAIT` or half-open ends here, as does any other packet that is dropped. So this runs only
//! where it was asked for. A RST that is accepted never comes here.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::emit;
use crate::kernel::{self, Object};
use crate::maps::REFUSED;
use crate::packet;

#[btf_tracepoint(function = "kfree_skb")]
pub fn refused(ctx: BtfTracePointContext) -> i32 {
    let reason = ctx.arg::<u64>(2) as u32;
    if !kernel::is_refusal(reason) {
        return 0;
    }
    let skb: Object = ctx.arg(0);
    if packet::is_reset(skb)
        && let Some(slot) = REFUSED.get_ptr_mut(reason)
    {
        emit::add_one(slot);
    }
    0
}
