//! Reads a `struct sock`.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_skc_to_tcp_sock};
use gateway_ebpf_common::event::{NEVER, ResetRecord, flag};

use crate::kernel::{Object, has_member, member, member_words};
use crate::owner::Tuple;

/// `IPPROTO_TCP`.
const IPPROTO_TCP: u16 = 6;
/// `AF_INET` of `include/linux/socket.h`.
const AF_INET: u16 = 2;
/// `AF_INET6` of `include/linux/socket.h`.
const AF_INET6: u16 = 10;

/// Numbers of `include/net/tcp_states.h`.
pub mod state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const FIN_WAIT1: u8 = 4;
    pub const FIN_WAIT2: u8 = 5;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const CLOSE_WAIT: u8 = 8;
    pub const LAST_ACK: u8 = 9;
    pub const LISTEN: u8 = 10;
    pub const CLOSING: u8 = 11;
    pub const NEW_SYN_RECV: u8 = 12;
}

/// Bits of `enum sock_flags`, the same in every kernel from 5.10 to 7.2.
mod sock_flag {
    pub const DEAD: u64 = 1 << 0;
    pub const DONE: u64 = 1 << 1;
    pub const KEEPOPEN: u64 = 1 << 3;
    pub const LINGER: u64 = 1 << 4;
}

/// `RCV_SHUTDOWN` of `include/net/sock.h`.
pub const RCV_SHUTDOWN: u8 = 1;
/// `SHUTDOWN_MASK`: both directions, as `close()` sets it.
pub const SHUTDOWN: u8 = 3;

/// TCP state; valid for every shape of socket.
#[inline(always)]
pub fn state_of(sk: Object) -> u8 {
    member!(sk, skc_state as u8)
}

/// Whether this is a TCP socket: the tracepoints also fire for MPTCP and SCTP. Full sockets only.
#[inline(always)]
pub fn is_tcp(sk: Object) -> bool {
    member!(sk, sk_protocol as u16) == IPPROTO_TCP
}

/// Whether this is an IPv4 or IPv6 TCP socket; for a socket of any family.
#[inline(always)]
pub fn is_inet_tcp(sk: Object) -> bool {
    let family = member!(sk, skc_family as u16);
    (family == AF_INET || family == AF_INET6) && is_tcp(sk)
}

/// Whether a task holds the socket's lock, so that `current` is at work on it. Full sockets only.
#[inline(always)]
pub fn in_task(sk: Object) -> bool {
    member!(sk, sk_lock_owned as u32) != 0
}

/// Whether no file belongs to this socket, though nobody let go of one. `tcp` is not NULL.
#[inline(always)]
pub fn is_unaccepted(sk: Object, tcp: Object) -> bool {
    member!(sk, skc_flags as u64) & sock_flag::DEAD == 0 && member!(tcp, sk_socket as u64) == 0
}

/// Whether the application has let go of the socket. Full sockets only.
#[inline(always)]
pub fn is_dead(sk: Object) -> bool {
    member!(sk, skc_flags as u64) & sock_flag::DEAD != 0
}

/// Pending errno, 0 for none. Full sockets only.
#[inline(always)]
pub fn error(sk: Object) -> u32 {
    member!(sk, sk_err as u32)
}

/// `sk_shutdown`. Full sockets only.
#[inline(always)]
pub fn shutdown(sk: Object) -> u8 {
    member!(sk, sk_shutdown as u8)
}

/// Inode number of the network namespace; valid for every shape of socket.
///
/// Of a full socket ask by its `tcp_sock`, which is the same address: for each pointer that is
/// loaded by a tracepoint's argument the verifier searches the kernel's types several times, a
/// millisecond in all; for those loaded by what a helper returned it does not.
#[inline(always)]
pub fn netns(sk: Object) -> u32 {
    let net = member!(sk, skc_net as u64) as Object;
    if net.is_null() {
        0
    } else {
        member!(net, net_inum as u32)
    }
}

/// Cookie without making one; valid for every shape of socket.
#[inline(always)]
pub fn cookie(sk: Object) -> u64 {
    member!(sk, skc_cookie as u64)
}

/// cgroup id of the socket's creator. Full sockets only.
#[inline(always)]
pub fn cgroup(sk: Object) -> u64 {
    let cgroup = member!(sk, sk_cgroup as u64) as Object;
    if cgroup.is_null() {
        return 0;
    }
    cgroup_id(cgroup)
}

/// Id of a cgroup, which is not NULL.
#[inline(always)]
pub fn cgroup_id(cgroup: Object) -> u64 {
    let node = member!(cgroup, cgroup_kn as u64) as Object;
    if node.is_null() {
        0
    } else {
        member!(node, kernfs_id as u64)
    }
}

/// The `tcp_sock`, NULL for other protocols and shapes.
#[inline(always)]
pub fn tcp(sk: Object) -> Object {
    // SAFETY: the helper takes any typed socket and checks it.
    unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()) }
        .cast::<u8>()
        .cast_const()
}

/// Local port in host order, also after the kernel released it. `tcp` is not NULL.
#[inline(always)]
pub fn local_port(tcp: Object) -> u16 {
    u16::from_be(member!(tcp, inet_sport as u16))
}

/// Writes both endpoints, the network namespace only if it is still 0, and returns the IP version.
/// Full sockets only; a v4-mapped one counts as 4.
#[inline(always)]
pub fn endpoints(into: &mut Tuple, sk: Object, tcp: Object) -> u8 {
    if into.netns == 0 {
        into.netns = netns(tcp);
    }
    into.local_port = local_port(tcp);
    into.remote_port = u16::from_be(member!(sk, skc_dport as u16));
    if member!(sk, skc_family as u16) == AF_INET6 {
        into.local = member_words!(sk, skc_v6_rcv_saddr);
        into.remote = member_words!(sk, skc_v6_daddr);
        if !is_mapped(&into.remote) && !is_mapped(&into.local) {
            return 6;
        }
    }
    let bound = member!(sk, skc_rcv_saddr as u32);
    let local = if bound == 0 {
        member!(tcp, inet_saddr as u32)
    } else {
        bound
    };
    into.local = [local, 0, 0, 0];
    into.remote = [member!(sk, skc_daddr as u32), 0, 0, 0];
    4
}

/// `::ffff:0:0/96`.
#[inline(always)]
fn is_mapped(address: &[u32; 4]) -> bool {
    address[0] == 0 && address[1] == 0 && address[2] == u32::to_be(0xffff)
}

/// What can be read of any full socket. `state_before` must be set.
#[inline(always)]
pub fn fill(record: &mut ResetRecord, sk: Object, tcp: Object) {
    let flags = member!(sk, skc_flags as u64);
    let mut out = 0;
    if flags & sock_flag::DEAD != 0 {
        out |= flag::DEAD;
    }
    if flags & sock_flag::DONE != 0 {
        out |= flag::DONE;
    }
    if flags & sock_flag::KEEPOPEN != 0 {
        out |= flag::KEEPOPEN;
    }
    if flags & sock_flag::LINGER != 0 {
        out |= flag::LINGER;
        let ticks = member!(sk, sk_lingertime as u64);
        record.linger_ticks = if ticks > u64::from(NEVER - 1) {
            NEVER - 1
        } else {
            ticks as u32
        };
    }
    if member!(tcp, sk_socket as u64) != 0 {
        out |= flag::HAS_SOCKET;
    }
    if in_task(sk) {
        out |= flag::IN_TASK;
    }
    record.flags |= out;
    record.shutdown = shutdown(sk);
    record.socket_error = member!(sk, sk_err as u32);
    record.uid = member!(sk, sk_uid as u32);
    if state_of(sk) == state::LISTEN {
        record.accept_queue = member!(sk, sk_ack_backlog as u32);
        record.accept_limit = member!(sk, sk_max_ack_backlog as u32);
    } else {
        vitals(record, tcp);
    }
}

/// Counters and times of a connection.
#[inline(always)]
fn vitals(record: &mut ResetRecord, tcp: Object) {
    record.flags |= flag::VITALS;
    // SAFETY: no arguments.
    let jiffies = unsafe { bpf_jiffies64() } as u32;
    if has_member!(lrcvtime) {
        record.ticks_since_data_in = since(jiffies, member!(tcp, lrcvtime as u32));
    }
    if has_member!(lsndtime) {
        record.ticks_since_data_out = since(jiffies, member!(tcp, lsndtime as u32));
    }
    if has_member!(rcv_tstamp) {
        record.ticks_since_ack_in = since(jiffies, member!(tcp, rcv_tstamp as u32));
    }
    record.bytes_received = member!(tcp, bytes_received as u64);
    record.bytes_acked = member!(tcp, bytes_acked as u64);
    record.bytes_sent = member!(tcp, bytes_sent as u64);
    record.segs_in = member!(tcp, segs_in as u32);
    record.segs_out = member!(tcp, segs_out as u32);
    record.data_segs_in = member!(tcp, data_segs_in as u32);
    record.data_segs_out = member!(tcp, data_segs_out as u32);
    record.rcv_nxt = member!(tcp, rcv_nxt as u32);
    record.snd_nxt = member!(tcp, snd_nxt as u32);
    record.unread = record.rcv_nxt.wrapping_sub(member!(tcp, copied_seq as u32));
    record.unacked = member!(tcp, write_seq as u32).wrapping_sub(member!(tcp, snd_una as u32));
    record.received_since_ack = NEVER;
    if has_member!(snd_wl1) {
        record.received_since_ack = record.rcv_nxt.wrapping_sub(member!(tcp, snd_wl1 as u32));
    }
    record.srtt_us = member!(tcp, srtt_us as u32) >> 3;
    record.retransmits = member!(tcp, total_retrans as u32);
    record.retransmits_now = member!(tcp, icsk_retransmits as u8);
    record.probes_out = member!(tcp, icsk_probes_out as u8);
    record.linger2 = member!(tcp, linger2 as i32);
    if member!(tcp, is_mptcp as u8) & 1 != 0 {
        record.flags |= flag::MPTCP;
    }
}

/// Ticks from a 32-bit jiffies stamp to now; a stamp of 0 was never set.
#[inline(always)]
fn since(now: u32, stamp: u32) -> u32 {
    if stamp == 0 {
        return NEVER;
    }
    let ticks = now.wrapping_sub(stamp);
    // A stamp taken after `now` was read on another CPU.
    if ticks > 0x8000_0000 { 0 } else { ticks }
}
