//! TCP segments by hand: build and read, IPv4 and IPv6.

use std::net::{IpAddr, SocketAddr};

/// TCP flags.
pub(crate) mod flag {
    /// FIN.
    pub(crate) const FIN: u8 = 1;
    /// SYN.
    pub(crate) const SYN: u8 = 2;
    /// RST.
    pub(crate) const RST: u8 = 4;
    /// PSH.
    pub(crate) const PSH: u8 = 8;
    /// ACK.
    pub(crate) const ACK: u8 = 16;
}

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// One TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Sender.
    pub(crate) from: SocketAddr,
    /// Receiver.
    pub(crate) to: SocketAddr,
    /// Bits of [`flag`].
    pub(crate) flags: u8,
    /// Sequence number.
    pub(crate) seq: u32,
    /// Acknowledgement number.
    pub(crate) ack: u32,
    /// Receive window, unscaled.
    pub(crate) window: u16,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// Options, a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// Payload.
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// Sequence numbers it takes: payload, SYN and FIN.
    pub(crate) fn length(&self) -> u32 {
        let payload = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        payload + u32::from(self.flags & flag::SYN != 0) + u32::from(self.flags & flag::FIN != 0)
    }

    /// The whole IP packet.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut tcp = self.from.port().to_be_bytes().to_vec();
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let header = 20 + self.options.len();
        tcp.push(u8::try_from(header / 4).unwrap_or(5) << 4);
        tcp.push(self.flags);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let length = u16::try_from(tcp.len()).unwrap_or(u16::MAX);

        let (mut packet, mut pseudo) = (Vec::new(), Vec::new());
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet.extend([0x45, 0]);
                packet.extend((length + 20).to_be_bytes());
                packet.extend([0, 0, 0x40, 0, self.ttl, TCP, 0, 0]);
                packet.extend(from.octets());
                packet.extend(to.octets());
                let sum = checksum(&packet);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                pseudo.extend(from.octets());
                pseudo.extend(to.octets());
            }
            (from, to) => {
                let (from, to) = (octets(from), octets(to));
                packet.extend([0x60, 0, 0, 0]);
                packet.extend(length.to_be_bytes());
                packet.extend([TCP, self.ttl]);
                packet.extend(from);
                packet.extend(to);
                pseudo.extend(from);
                pseudo.extend(to);
            }
        }
        pseudo.extend([0, TCP]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&tcp);
        let sum = checksum(&pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet.extend(tcp);
        packet
    }

    /// Reads an IP packet; `None` if it is not TCP or is cut short.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let (from, to, ttl, tcp) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 15) * 4;
                let total = usize::from(u16_at(packet, 2)?);
                if *packet.get(9)? != TCP {
                    return None;
                }
                let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
                (
                    IpAddr::from(from),
                    IpAddr::from(to),
                    *packet.get(8)?,
                    packet.get(header..total)?,
                )
            }
            6 => {
                let length = usize::from(u16_at(packet, 4)?);
                if *packet.get(6)? != TCP {
                    return None;
                }
                let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
                (
                    IpAddr::from(from),
                    IpAddr::from(to),
                    *packet.get(7)?,
                    packet.get(40..40 + length)?,
                )
            }
            _ => return None,
        };
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        Some(Self {
            from: (from, u16_at(tcp, 0)?).into(),
            to: (to, u16_at(tcp, 2)?).into(),
            flags: *tcp.get(13)? & 0x3f,
            seq: u32_at(tcp, 4)?,
            ack: u32_at(tcp, 8)?,
            window: u16_at(tcp, 14)?,
            ttl,
            options: tcp.get(20..header)?.to_vec(),
            payload: tcp.get(header..)?.to_vec(),
        })
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
