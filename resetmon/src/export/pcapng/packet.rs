//! The RST of an event as an IP packet: as it was seen, or rebuilt.

use std::net::{IpAddr, SocketAddr};

use crate::kernel::observation::{Direction, Hook, Observation};

/// TCP flags (RFC 9293).
const RST: u8 = 4;
const ACK: u8 = 16;

/// IP protocol number of TCP.
const TCP: u8 = 6;
/// Bytes of the headers, which have no options.
const TCP_HEADER: u8 = 20;
const IPV4_HEADER: u8 = 20;
/// TTL or hop limit that a RST leaves Linux with, where nothing else is known.
const DEFAULT_TTL: u8 = 64;

/// Where a packet's fields are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The RST itself was seen; with its sequence number.
    Seen,
    /// The RST itself was seen, but not what its sequence number was reckoned from.
    SeenWithoutSequence,
    /// The packet that it answers says what it must be (RFC 9293, 3.10.7).
    Answered,
    /// The socket's own numbers.
    Socket,
    /// The endpoints are all there is.
    Endpoints,
}

impl Origin {
    /// What is real and what is rebuilt, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Seen => {
                "as received: TTL, IP id, flags, sequence number; rebuilt: acknowledgement number, \
                 window, options, checksums"
            }
            Self::SeenWithoutSequence => {
                "as received: TTL, IP id, flags; rebuilt: window, options, checksums; sequence \
                 numbers are not known"
            }
            Self::Answered => {
                "rebuilt: flags and sequence numbers follow from the packet that it answers; TTL, \
                 IP id, window and options are assumed"
            }
            Self::Socket => {
                "rebuilt: sequence numbers are the socket's; flags, TTL, IP id, window and options \
                 are assumed"
            }
            Self::Endpoints => {
                "rebuilt from the endpoints alone: sequence numbers are not known; flags, TTL, IP \
                 id, window and options are assumed"
            }
        }
    }
}

/// What of the headers is not the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    flags: u8,
    seq: u32,
    ack: u32,
    ttl: u8,
    ip_id: u16,
}

/// The packet from its IP header on, without payload, and where its fields are from.
#[must_use]
pub fn packet(observation: &Observation) -> (Vec<u8>, Origin) {
    let (from, to) = match (observation.direction, observation.firewall) {
        // A packet filter answers our own packet in the other end's name.
        (Direction::Sent, Some(Hook::Output)) | (Direction::Received, _) => {
            (observation.remote, observation.local)
        }
        (Direction::Sent, _) => (observation.local, observation.remote),
    };
    let (fields, origin) = fields(observation);
    (headers(from, to, fields), origin)
}

fn fields(observation: &Observation) -> (Fields, Origin) {
    let assumed = Fields {
        flags: RST,
        seq: 0,
        ack: 0,
        ttl: DEFAULT_TTL,
        ip_id: 0,
    };
    let vitals = observation.vitals.as_ref();
    if let Some(seen) = observation.packet.filter(|seen| seen.flags & RST != 0) {
        let acks = seen.flags & ACK != 0;
        let fields = Fields {
            flags: seen.flags,
            seq: vitals.map_or(0, |vitals| {
                vitals.rcv_nxt.wrapping_add_signed(seen.seq_offset)
            }),
            ack: vitals.filter(|_| acks).map_or(0, |vitals| vitals.snd_nxt),
            ttl: seen.ttl,
            ip_id: seen.ip_id,
        };
        let origin = match vitals {
            Some(_) => Origin::Seen,
            None => Origin::SeenWithoutSequence,
        };
        return (fields, origin);
    }
    if let Some(trigger) = observation.trigger {
        let length = u32::from(trigger.len) + u32::from(trigger.syn()) + u32::from(trigger.fin());
        let fields = if trigger.ack_flag() {
            Fields {
                seq: trigger.ack,
                ..assumed
            }
        } else {
            Fields {
                flags: RST | ACK,
                ack: trigger.seq.wrapping_add(length),
                ..assumed
            }
        };
        return (fields, Origin::Answered);
    }
    let Some(vitals) = vitals else {
        return (assumed, Origin::Endpoints);
    };
    let fields = match observation.direction {
        Direction::Sent => Fields {
            flags: RST | ACK,
            seq: vitals.snd_nxt,
            ack: vitals.rcv_nxt,
            ..assumed
        },
        // Before anything came from the peer, its RST can but answer our SYN.
        Direction::Received if vitals.rcv_nxt == 0 => Fields {
            flags: RST | ACK,
            ack: vitals.snd_nxt,
            ..assumed
        },
        Direction::Received => Fields {
            seq: vitals.rcv_nxt,
            ..assumed
        },
    };
    (fields, Origin::Socket)
}

fn headers(from: SocketAddr, to: SocketAddr, fields: Fields) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(TCP_HEADER.into());
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(fields.seq.to_be_bytes());
    tcp.extend(fields.ack.to_be_bytes());
    // Length in words of four bytes, flags; window, checksum and urgent pointer are 0.
    tcp.extend([(TCP_HEADER / 4) << 4, fields.flags, 0, 0, 0, 0, 0, 0]);
    let length = u16::from(TCP_HEADER);

    let (mut ip, addresses) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = vec![(4 << 4) | (IPV4_HEADER / 4), 0];
            ip.extend((u16::from(IPV4_HEADER) + length).to_be_bytes());
            ip.extend(fields.ip_id.to_be_bytes());
            // "Don't fragment", then the checksum's place.
            ip.extend([0x40, 0, fields.ttl, TCP, 0, 0]);
            let addresses = [from.octets(), to.octets()].concat();
            let sum = checksum(&[&ip, &addresses]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            (ip, addresses)
        }
        (from, to) => {
            let mut ip = vec![6 << 4, 0, 0, 0];
            ip.extend(length.to_be_bytes());
            ip.extend([TCP, fields.ttl]);
            (ip, [octets(from), octets(to)].concat())
        }
    };
    let sum = checksum(&[&addresses, &[0, TCP], &length.to_be_bytes(), &tcp]);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    ip.extend(addresses);
    ip.extend(tcp);
    ip
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Internet checksum (RFC 1071) of parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.as_chunks().0);
    let mut sum: u64 = words.map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded, it fits.
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
