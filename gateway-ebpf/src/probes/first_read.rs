//! `tcp:tcp_rcv_space_adjust`: a task reads from a connection.
//!
//! The first reader of an accepted connection is the worker that really serves it, not the
//! process that called `listen`. Later reads cost one look at the socket's storage.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use gateway_ebpf_common::event::known_by;

use crate::kernel::Object;
use crate::maps::SOCKETS;
use crate::{owner, socket};

#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn first_read(ctx: BtfTracePointContext) -> i32 {
    let sk: Object = ctx.arg(0);
    let Some(facts) = SOCKETS.get(sk) else {
        // Open before the agent, and not found by its iterators.
        if socket::is_tcp(sk)
            && socket::in_task(sk)
            && let Some(facts) = owner::facts(sk)
        {
            facts.flags |= owner::fact::EXISTING;
            facts.tag(known_by::FIRST_READ, owner::now());
        }
        return 0;
    };
    match facts.owner.known_by {
        // In-kernel readers (strparser, sockmap) run in softirq: no task holds the lock.
        known_by::INHERITED | known_by::EXISTING_SHARED | known_by::NOBODY
            if socket::in_task(sk) =>
        {
            facts.tag(known_by::FIRST_READ, owner::now());
        }
        _ => {}
    }
    0
}
