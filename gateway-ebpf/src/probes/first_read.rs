//! `tcp:tcp_rcv_space_adjust`: a task reads from a connection.
//!
//! The first reader of an accepted connection is the worker that really serves it, not the
//! process that called `listen`. Later reads cost one look at the socket's storage, and on a
//! client's connection a mark there: what is written after it has no answer yet.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use gateway_ebpf_common::event::{known_by, role};

use crate::kernel::Object;
use crate::maps::SOCKETS;
use crate::{failure, owner, socket};

#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn first_read(ctx: BtfTracePointContext) -> i32 {
    let sk: Object = ctx.arg(0);
    let facts = match SOCKETS.get(sk) {
        Some(facts) => {
            if facts.role == role::CLIENT {
                failure::note_read(facts, sk);
            }
            match facts.owner.known_by {
                // In-kernel readers (strparser, sockmap) run in softirq: no task holds the lock.
                known_by::INHERITED | known_by::EXISTING_SHARED | known_by::NOBODY
                    if socket::in_task(sk) =>
                {
                    facts
                }
                _ => return 0,
            }
        }
        // Open before the agent, and not found by its iterators.
        None if socket::is_tcp(sk) && socket::in_task(sk) => match owner::facts(sk) {
            Some(facts) => {
                facts.flags |= owner::fact::EXISTING;
                facts
            }
            None => return 0,
        },
        None => return 0,
    };
    facts.tag(known_by::FIRST_READ);
    0
}
