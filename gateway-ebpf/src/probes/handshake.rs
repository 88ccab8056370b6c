//! fentry `tcp_finish_connect` and `tcp_child_process`: the peer's packet that completes a handshake.
//!
//! Its TTL is the distance of the real peer, to be held against that of a RST.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;

use crate::kernel::Object;
use crate::maps::SOCKETS;
use crate::packet;

/// `tcp_finish_connect(sk, skb)`: the SYN-ACK; `skb` is NULL for a repaired socket.
#[fentry(function = "tcp_finish_connect")]
pub fn handshake_client(ctx: FEntryContext) -> i32 {
    keep(ctx.arg(0), ctx.arg(1))
}

/// `tcp_child_process(parent, child, skb)`: the last ACK.
#[fentry(function = "tcp_child_process")]
pub fn handshake_server(ctx: FEntryContext) -> i32 {
    keep(ctx.arg(1), ctx.arg(2))
}

#[inline(always)]
fn keep(sk: Object, skb: Object) -> i32 {
    if let Some(facts) = SOCKETS.get(sk)
        && let Some(marks) = packet::marks(skb)
    {
        facts.handshake_ttl = marks.ttl;
    }
    0
}
