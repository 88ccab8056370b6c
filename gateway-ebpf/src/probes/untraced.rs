//! fentry `tcp_v4_send_reset` and `tcp_v6_send_reset`: resets that `tcp_send_reset` does not trace.
//!
//! Before Linux 6.10 that tracepoint is silent where there is no full socket: closed ports, late
//! packets, `TIME_WAIT`. Socket and packet are the first two arguments in every version. The few
//! packets for which the function returns without a reset (not addressed to this host) count too.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use gateway_ebpf_common::event::REASON_ABSENT;

use crate::kernel::Object;
use crate::maps::UNTRACED;
use crate::packet;
use crate::probes::reset_sent::{half_socket, without_socket};
use crate::socket::{self, state};

#[fentry(function = "tcp_v4_send_reset")]
pub fn untraced_v4(ctx: FEntryContext) -> i32 {
    untraced(ctx.arg(0), ctx.arg(1))
}

#[fentry(function = "tcp_v6_send_reset")]
pub fn untraced_v6(ctx: FEntryContext) -> i32 {
    untraced(ctx.arg(0), ctx.arg(1))
}

#[inline(always)]
fn untraced(sk: Object, skb: Object) -> i32 {
    let Some(marks) = packet::marks(skb) else {
        return 0;
    };
    if marks.flags & packet::RST != 0 {
        // RFC 9293: a RST is never answered by one.
        return 0;
    }
    if sk.is_null() {
        without_socket(&UNTRACED, skb, REASON_ABSENT);
        return 0;
    }
    let state = socket::state_of(sk);
    if state == state::TIME_WAIT || state == state::NEW_SYN_RECV {
        half_socket(&UNTRACED, sk, skb, REASON_ABSENT);
    }
    0
}
