//! `tcp:tcp_destroy_sock`: the end of a TCP socket.
//!
//! If it was reset, late packets of the connection will meet no socket; who owned it is kept
//! for them.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::kernel::Object;
use crate::maps::SOCKETS;
use crate::owner::{self, fact};
use crate::{late, socket};

#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn socket_destroyed(ctx: BtfTracePointContext) -> i32 {
    let sk: Object = ctx.arg(0);
    if let Some(facts) = SOCKETS.get(sk)
        && facts.flags & fact::RESET != 0
    {
        late::keep_gone(facts, socket::cookie(sk), owner::now());
    }
    0
}
