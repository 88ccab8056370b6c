//! fexit `inet_csk_accept`: a task takes a connection from the accept queue, by whatever call
//! (accept, accept4, io_uring).

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use gateway_ebpf_common::event::known_by;

use crate::kernel::{self, Object};
use crate::owner;
use crate::socket;

#[fexit(function = "inet_csk_accept")]
pub fn accept(ctx: FExitContext) -> i32 {
    // The returned socket follows the arguments: four up to Linux 6.9, two since 6.10.
    let sk: Object = if kernel::accept_has_two_args() {
        ctx.arg(2)
    } else {
        ctx.arg(4)
    };
    if !sk.is_null()
        && socket::is_tcp(sk)
        && let Some(facts) = owner::facts(sk)
    {
        facts.tag(known_by::ACCEPT, owner::now());
    }
    0
}
