//! fentry `nf_ct_attach`: a packet filter rejects with a RST.
//!
//! `nf_send_reset` and `nf_send_reset6` build the RST themselves: no tracepoint, no `OutRsts`. On
//! most kernels they stand in modules that are loaded with the first such rule. Both hand the RST,
//! finished and with its route, to `nf_ct_attach(new, old)`, which is in the kernel itself wherever
//! connections are tracked: so rules that come after the agent are seen too. The other callers are
//! ICMP errors, whose packets have no route there.

use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use gateway_ebpf_common::event::{REASON_ABSENT, ResetRecord, direction, flag, hook, shape};
use gateway_ebpf_common::tally::Tally;

use crate::kernel::{self, Object, member};
use crate::maps::{REJECTED, SOCKETS};
use crate::owner::{self, Facts};
use crate::{emit, packet, socket};

#[fentry(function = "nf_ct_attach")]
pub fn firewall_reject(ctx: FEntryContext) -> i32 {
    let rst: Object = ctx.arg(0);
    let old: Object = ctx.arg(1);
    if packet::route(rst).is_null() || !packet::is_reset(rst) {
        return 0;
    }
    let sk: Object = if kernel::typed_skb_sk() {
        member!(old, skb_sk as u64) as Object
    } else {
        core::ptr::null()
    };
    let facts = if sk.is_null() { None } else { SOCKETS.get(sk) };
    emit::reset(&REJECTED, Tally::RejectedLost, |record| {
        if !fill(record, old) {
            return false;
        }
        if !sk.is_null() {
            // What this node sends itself has no device yet.
            record.netns = socket::netns(sk);
            if let Some(facts) = facts {
                of_socket(record, sk, facts);
            }
        }
        true
    });
    0
}

/// What the rejected packet tells.
#[inline(always)]
fn fill(record: &mut ResetRecord, old: Object) -> bool {
    record.time_ns = owner::now();
    record.direction = direction::SENT;
    record.reason = REASON_ABSENT;
    record.shape = shape::NONE;
    record.netns = packet::netns(old);
    record.flags = flag::FIREWALL;
    if !packet::fill(record, old) {
        return false;
    }
    // At the hooks a packet begins with its IP header.
    record.trigger_len = record.trigger_len.saturating_sub(packet::ip_header(old));
    record.hook = if packet::came_in_by(old) == 0 {
        // Our own packet: what was taken for the remote end is the local one.
        core::mem::swap(&mut record.local_addr, &mut record.remote_addr);
        core::mem::swap(&mut record.local_port, &mut record.remote_port);
        hook::OUTPUT
    } else if packet::is_local(packet::route(old), record.ip_version) {
        hook::INPUT
    } else {
        hook::FORWARD
    };
    true
}

/// What is known of the connection, which only full sockets have.
#[inline(always)]
fn of_socket(record: &mut ResetRecord, sk: Object, facts: &Facts) {
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        return;
    }
    record.shape = shape::FULL;
    record.state = socket::state_of(sk);
    record.cookie = owner::cookie(sk);
    socket::fill(record, sk, tcp);
    facts.write(record);
    record.state_before = record.state;
    record.flags |= flag::STATE_SEEN;
}
