use super::*;
use crate::export::sample;
use crate::kernel::observation::{RstPacket, Trigger, Vitals};

/// What a reader finds in a packet whose checksums are right.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    from: SocketAddr,
    to: SocketAddr,
    flags: u8,
    seq: u32,
    ack: u32,
    ttl: u8,
    ip_id: u16,
}

/// One's complement sum over bytes as 16-bit words: 0xffff where a checksum among them is right.
fn sum(bytes: &[u8]) -> u32 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + u32::from(pair[1]);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn read(packet: &[u8]) -> Read {
    let v4 = packet[0] == 0x45;
    let (ip, tcp) = packet.split_at(if v4 { 20 } else { 40 });
    let (from, to): (IpAddr, IpAddr) = if v4 {
        assert_eq!(usize::from(u16_at(ip, 2)), packet.len());
        assert_eq!((ip[9], sum(ip)), (6, 0xffff));
        let address = |at: usize| <[u8; 4]>::try_from(&ip[at..at + 4]).unwrap();
        (address(12).into(), address(16).into())
    } else {
        assert_eq!(ip[..4], [0x60, 0, 0, 0]);
        assert_eq!(usize::from(u16_at(ip, 4)), tcp.len());
        assert_eq!(ip[6], 6);
        let address = |at: usize| <[u8; 16]>::try_from(&ip[at..at + 16]).unwrap();
        (address(8).into(), address(24).into())
    };
    let addresses = &ip[if v4 { 12 } else { 8 }..];
    assert_eq!(sum(&[addresses, &[0, 6, 0, 20], tcp].concat()), 0xffff);
    assert_eq!((tcp.len(), tcp[12]), (20, 0x50));
    Read {
        from: (from, u16_at(tcp, 0)).into(),
        to: (to, u16_at(tcp, 2)).into(),
        flags: tcp[13],
        seq: u32_at(tcp, 4),
        ack: u32_at(tcp, 8),
        ttl: ip[if v4 { 8 } else { 7 }],
        ip_id: if v4 { u16_at(ip, 4) } else { 0 },
    }
}

const LOCAL: &str = "10.0.0.1:45678";
const REMOTE: &str = "10.0.0.9:8080";

/// Received, with nothing that tells the packet's fields.
fn bare() -> Observation {
    let mut observation = sample::received().observation;
    observation.vitals = None;
    observation.packet = None;
    observation.trigger = None;
    observation
}

fn vitals() -> Vitals {
    Vitals {
        rcv_nxt: u32::MAX,
        snd_nxt: 7_000,
        ..Vitals::default()
    }
}

fn seen(flags: u8) -> RstPacket {
    RstPacket {
        ttl: 57,
        ip_id: 0x1234,
        seq_offset: 3,
        flags,
    }
}

fn trigger(flags: u8) -> Trigger {
    Trigger {
        seq: u32::MAX - 1,
        ack: 42,
        len: 10,
        flags,
        ttl: 61,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn fields_are_as_seen_else_as_they_must_have_been() {
    let received = bare();
    let sent = Observation {
        direction: Direction::Sent,
        ..bare()
    };
    let rebuilt = |flags, seq, ack| (flags, seq, ack, 64, 0);
    for (row, observation, origin, expected) in [
        (
            "seen, its number reckoned from the one expected",
            Observation {
                packet: Some(seen(RST)),
                vitals: Some(vitals()),
                ..received.clone()
            },
            Origin::Seen,
            (RST, 2, 0, 57, 0x1234),
        ),
        (
            "seen with an acknowledgement",
            Observation {
                packet: Some(seen(RST | ACK)),
                vitals: Some(vitals()),
                ..received.clone()
            },
            Origin::Seen,
            (RST | ACK, 2, 7_000, 57, 0x1234),
        ),
        (
            "seen without the number expected",
            Observation {
                packet: Some(seen(RST | ACK)),
                ..received.clone()
            },
            Origin::SeenWithoutSequence,
            (RST | ACK, 0, 0, 57, 0x1234),
        ),
        (
            "what was seen is no RST",
            Observation {
                packet: Some(seen(ACK)),
                vitals: Some(vitals()),
                ..received.clone()
            },
            Origin::Socket,
            rebuilt(RST, u32::MAX, 0),
        ),
        (
            "received and not seen",
            Observation {
                vitals: Some(vitals()),
                ..received.clone()
            },
            Origin::Socket,
            rebuilt(RST, u32::MAX, 0),
        ),
        (
            "refused: nothing had come from the peer",
            Observation {
                vitals: Some(Vitals {
                    rcv_nxt: 0,
                    ..vitals()
                }),
                ..received.clone()
            },
            Origin::Socket,
            rebuilt(RST | ACK, 0, 7_000),
        ),
        (
            "received, nothing known",
            received.clone(),
            Origin::Endpoints,
            rebuilt(RST, 0, 0),
        ),
        (
            "sent by a socket of its own accord",
            Observation {
                vitals: Some(vitals()),
                ..sent.clone()
            },
            Origin::Socket,
            rebuilt(RST | ACK, 7_000, u32::MAX),
        ),
        (
            "sent upon data: its acknowledgement number, whatever the socket has",
            Observation {
                trigger: Some(trigger(8 | ACK)),
                vitals: Some(vitals()),
                ..sent.clone()
            },
            Origin::Answered,
            rebuilt(RST, 42, 0),
        ),
        (
            "sent upon a SYN: acknowledges it and what it carried",
            Observation {
                trigger: Some(trigger(2)),
                ..sent.clone()
            },
            Origin::Answered,
            rebuilt(RST | ACK, 0, 9),
        ),
        (
            "sent upon a FIN without ACK",
            Observation {
                trigger: Some(trigger(1)),
                ..sent.clone()
            },
            Origin::Answered,
            rebuilt(RST | ACK, 0, 9),
        ),
        (
            "sent, nothing known",
            sent,
            Origin::Endpoints,
            rebuilt(RST, 0, 0),
        ),
    ] {
        let (bytes, from) = packet(&observation);
        let read = read(&bytes);
        assert_eq!(from, origin, "{row}");
        let fields = (read.flags, read.seq, read.ack, read.ttl, read.ip_id);
        assert_eq!(fields, expected, "{row}");
    }
}

#[test]
fn a_packet_goes_from_who_sent_it() {
    for (direction, firewall, expected) in [
        (Direction::Sent, None, (LOCAL, REMOTE)),
        (Direction::Received, None, (REMOTE, LOCAL)),
        (Direction::Sent, Some(Hook::Input), (LOCAL, REMOTE)),
        (Direction::Sent, Some(Hook::Forward), (LOCAL, REMOTE)),
        // Our own packet was rejected.
        (Direction::Sent, Some(Hook::Output), (REMOTE, LOCAL)),
    ] {
        let mut observation = bare();
        observation.direction = direction;
        observation.firewall = firewall;
        observation.local = LOCAL.parse().unwrap();
        observation.remote = REMOTE.parse().unwrap();
        let read = read(&packet(&observation).0);
        let ends = (read.from.to_string(), read.to.to_string());
        assert_eq!((&*ends.0, &*ends.1), expected, "{direction:?} {firewall:?}");
    }
}

#[test]
fn addresses_of_both_families() {
    for (local, remote, expected) in [
        (
            "[2001:db8::1]:443",
            "[2001:db8::2]:5",
            ("[2001:db8::2]:5", "[2001:db8::1]:443"),
        ),
        // IPv4 by IPv6 sockets is IPv4 on the wire.
        (
            "[::ffff:192.0.2.1]:443",
            "[::ffff:192.0.2.2]:5",
            ("192.0.2.2:5", "192.0.2.1:443"),
        ),
        (
            "255.255.255.255:65535",
            "0.0.0.0:0",
            ("0.0.0.0:0", "255.255.255.255:65535"),
        ),
        // No such packet exists; the file is still one.
        (
            "192.0.2.1:1",
            "[2001:db8::2]:5",
            ("[2001:db8::2]:5", "[::ffff:192.0.2.1]:1"),
        ),
    ] {
        let mut observation = bare();
        observation.packet = Some(seen(RST));
        observation.local = local.parse().unwrap();
        observation.remote = remote.parse().unwrap();
        let read = read(&packet(&observation).0);
        let ends = (read.from.to_string(), read.to.to_string());
        assert_eq!((&*ends.0, &*ends.1), expected);
    }
}
