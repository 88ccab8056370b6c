//! Reads a `struct sk_buff`: the packet that a reset answers.

use gateway_ebpf_common::event::{ResetRecord, flag};

use crate::kernel::{Object, member, probe};

/// As `member!`, for an object that the verifier does not know: `sk_buff.dev` lies in a union.
macro_rules! read_member {
    ($base:expr, $field:ident as $type:ty) => {{
        let offset = $crate::kernel::offset!($field);
        if offset == gateway_ebpf_common::layout::ABSENT {
            0
        } else {
            probe::<$type>($base.wrapping_add(offset as usize)).unwrap_or(0)
        }
    }};
}

/// Writes the endpoints (swapped: they become ours and theirs) and the TCP header.
///
/// The headers decide the IP version, so an IPv4 packet to a v4-mapped socket counts as 4.
/// False if the packet cannot be read.
#[inline(always)]
pub fn fill(record: &mut ResetRecord, skb: Object) -> bool {
    let head = member!(skb, skb_head as u64) as Object;
    let network = member!(skb, skb_network_header as u16);
    let transport = member!(skb, skb_transport_header as u16);
    // Wrapping: the verifier sees plain numbers here, and the reads below survive any address.
    let ip = head.wrapping_add(network as usize);
    let tcp = head.wrapping_add(transport as usize);

    let Some(first) = probe::<[u32; 5]>(ip) else {
        return false;
    };
    let Some(header) = probe::<[u32; 5]>(tcp) else {
        return false;
    };
    let version = (u32::from_be(first[0]) >> 28) as u8;
    record.ip_version = version;
    match version {
        4 => {
            // RFC 791: TTL in byte 8, source in 12..16, destination in 16..20.
            record.trigger_ttl = (u32::from_be(first[2]) >> 24) as u8;
            record.remote_addr[0] = first[3];
            record.local_addr[0] = first[4];
        }
        6 => {
            // RFC 8200: hop limit in byte 7, source in 8..24, destination in 24..40.
            let Some(last) = probe::<[u32; 5]>(ip.wrapping_add(20)) else {
                return false;
            };
            record.trigger_ttl = u32::from_be(first[1]) as u8;
            record.remote_addr = [first[2], first[3], first[4], last[0]];
            record.local_addr = [last[1], last[2], last[3], last[4]];
        }
        _ => return false,
    }

    // RFC 9293: ports, sequence, acknowledgement, data offset and flags.
    let ports = u32::from_be(header[0]);
    record.remote_port = (ports >> 16) as u16;
    record.local_port = ports as u16;
    record.trigger_seq = u32::from_be(header[1]);
    record.trigger_ack = u32::from_be(header[2]);
    let word = u32::from_be(header[3]);
    record.trigger_flags = (word >> 16) as u8;
    // The packet begins at the TCP header when the stack resets (`tcp_v4_rcv` does not pull it).
    let header_len = (word >> 28) * 4;
    let len = member!(skb, skb_len as u32);
    let payload = len.saturating_sub(header_len);
    record.trigger_len = if payload > 0xffff {
        0xffff
    } else {
        payload as u16
    };
    record.flags |= flag::TRIGGERED;
    true
}

/// What of a packet tells who made it.
#[derive(Clone, Copy)]
pub struct Marks {
    /// TTL or hop limit.
    pub ttl: u8,
    /// TCP flags.
    pub flags: u8,
    /// IP identification, 0 for IPv6.
    pub ip_id: u16,
    /// Sequence number.
    pub seq: u32,
}

/// `RST` among the TCP flags.
pub const RST: u8 = 4;

/// Reads what tells who made a packet; `None` if it cannot be read.
#[inline(always)]
pub fn marks(skb: Object) -> Option<Marks> {
    let head = member!(skb, skb_head as u64) as Object;
    let ip = head.wrapping_add(member!(skb, skb_network_header as u16) as usize);
    let tcp = head.wrapping_add(member!(skb, skb_transport_header as u16) as usize);
    let first = probe::<[u32; 3]>(ip)?;
    let header = probe::<[u32; 4]>(tcp)?;
    let (ttl, ip_id) = match u32::from_be(first[0]) >> 28 {
        // RFC 791: identification in 4..6, TTL in byte 8.
        4 => (u32::from_be(first[2]) >> 24, u32::from_be(first[1]) >> 16),
        // RFC 8200: hop limit in byte 7.
        6 => (u32::from_be(first[1]) & 0xff, 0),
        _ => return None,
    };
    Some(Marks {
        ttl: ttl as u8,
        flags: (u32::from_be(header[3]) >> 16) as u8,
        ip_id: ip_id as u16,
        seq: u32::from_be(header[1]),
    })
}

/// Inode number of the network namespace that the packet came in by; 0 without a device.
#[inline(always)]
pub fn netns(skb: Object) -> u32 {
    let dev = member!(skb, skb_dev as u64) as Object;
    if dev.is_null() {
        return 0;
    }
    let net = read_member!(dev, dev_net as u64) as Object;
    if net.is_null() {
        return 0;
    }
    read_member!(net, net_inum as u32)
}

/// Index of the device that the packet came in by; 0 for one of our own.
#[inline(always)]
pub fn came_in_by(skb: Object) -> u32 {
    member!(skb, skb_iif as u32)
}

/// The packet's route (`skb_dst`), NULL if it has none yet.
#[inline(always)]
pub fn route(skb: Object) -> Object {
    /// `SKB_DST_PTRMASK` of `include/linux/skbuff.h`, and room for further flags.
    const POINTER: u64 = !7;
    (member!(skb, skb_refdst as u64) & POINTER) as Object
}

/// Whether a route of this IP version leads to the node itself.
#[inline(always)]
pub fn is_local(route: Object, ip_version: u8) -> bool {
    /// `RTCF_LOCAL` of `include/uapi/linux/in_route.h`, `RTF_LOCAL` of `ipv6_route.h`.
    const LOCAL: u32 = 0x8000_0000;
    // A `dst_entry` is the first member of both.
    let flags = if ip_version == 4 {
        read_member!(route, rt_flags as u32)
    } else {
        read_member!(route, rt6_flags as u32)
    };
    flags & LOCAL != 0
}

/// Bytes of the IP header with its extensions.
#[inline(always)]
pub fn ip_header(skb: Object) -> u16 {
    member!(skb, skb_transport_header as u16).wrapping_sub(member!(skb, skb_network_header as u16))
}

/// Whether this is a TCP segment with RST: of any packet at any place in the stack.
///
/// The TCP header is looked for behind the IP header, because `skb_reset_transport_header` leaves
/// the start of the packet in a RST of a packet filter (`nf_reject_ip_tcphdr_put`). IPv6 segments
/// behind extension headers are taken for none.
#[inline(always)]
pub fn is_reset(skb: Object) -> bool {
    const ETH_P_IP: u16 = 0x0800_u16.to_be();
    const ETH_P_IPV6: u16 = 0x86dd_u16.to_be();
    /// `IPPROTO_TCP`.
    const TCP: u8 = 6;
    /// Byte of the flags in a TCP header (RFC 9293).
    const FLAGS: usize = 13;
    let head = member!(skb, skb_head as u64) as Object;
    let ip = head.wrapping_add(member!(skb, skb_network_header as u16) as usize);
    let protocol = member!(skb, skb_protocol as u16);
    let (carried, header) = if protocol == ETH_P_IP {
        // RFC 791: length in byte 0, protocol in byte 9.
        let Some(start) = probe::<[u8; 10]>(ip) else {
            return false;
        };
        (start[9], usize::from(start[0] & 15) * 4)
    } else if protocol == ETH_P_IPV6 {
        // RFC 8200: next header in byte 6.
        let Some(next) = probe::<u8>(ip.wrapping_add(6)) else {
            return false;
        };
        (next, 40)
    } else {
        return false;
    };
    carried == TCP
        && probe::<u8>(ip.wrapping_add(header + FLAGS)).is_some_and(|flags| flags & RST != 0)
}
