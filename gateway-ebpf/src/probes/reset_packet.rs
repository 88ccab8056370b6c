//! fentry `tcp_reset`: the RST itself, before the tracepoint of the same function.
//!
//! It settles whether there is a RST at all (data after close comes here too), and keeps what
//! tells whether the peer made it: TTL, IP identification, distance from the sequence number
//! expected.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;

use crate::kernel::{Object, member};
use crate::owner::{self, fact};
use crate::{packet, socket};

#[fentry(function = "tcp_reset")]
pub fn reset_packet(ctx: FEntryContext) -> i32 {
    let sk: Object = ctx.arg(0);
    let skb: Object = ctx.arg(1);
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        return 0;
    }
    let (Some(facts), Some(marks)) = (owner::facts(sk), packet::marks(skb)) else {
        return 0;
    };
    if marks.flags & packet::RST == 0 {
        facts.flags = facts.flags & !fact::PACKET | fact::NO_RST;
        return 0;
    }
    facts.flags = facts.flags & !fact::NO_RST | fact::PACKET;
    facts.rst_ttl = marks.ttl;
    facts.rst_flags = marks.flags;
    facts.rst_ip_id = marks.ip_id;
    facts.rst_seq_offset = marks
        .seq
        .wrapping_sub(member!(tcp, rcv_nxt as u32))
        .cast_signed();
    0
}
