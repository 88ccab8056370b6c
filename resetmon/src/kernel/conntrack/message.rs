//! Question and answer of ctnetlink, as bytes.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Tuple as TuplePart,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rustix::io::Errno;

use super::Tuple;

/// What the kernel can mean by an error (`MAX_ERRNO`).
const ERRNO: RangeInclusive<i32> = 1..=4095;

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How packets of the connection leave.
    Leaving(Tuple),
    /// It tracks no such connection.
    Unknown,
    /// It refuses to say.
    Refused(Errno),
    /// It says something else, which nobody asked.
    Other,
}

/// The question for the TCP connection whose first packet came as `tuple`.
#[must_use]
pub fn request(tuple: Tuple, sequence: u32) -> Vec<u8> {
    let family = match tuple.destination {
        SocketAddr::V4(_) => NetfilterProtoFamily::IPv4,
        SocketAddr::V6(_) => NetfilterProtoFamily::IPv6,
    };
    let original = ConntrackAttribute::CtaTupleOrig(vec![
        TuplePart::Ip(vec![
            IPTuple::SourceAddress(tuple.source.ip()),
            IPTuple::DestinationAddress(tuple.destination.ip()),
        ]),
        TuplePart::Proto(vec![
            ProtoTuple::Protocol(Protocol::Tcp),
            ProtoTuple::SourcePort(tuple.source.port()),
            ProtoTuple::DestinationPort(tuple.destination.port()),
        ]),
    ]);
    let inner = NetfilterMessage::new(
        NetfilterHeader::new(family, 0, 0),
        ConntrackMessage::Get(vec![original]),
    );
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(inner));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// What `bytes` say to the question for `tuple` that had the number `sequence`.
///
/// Errors: they are no message, or an entry without what every TCP entry has.
pub fn answer(bytes: &[u8], tuple: Tuple, sequence: u32) -> Result<Answer, String> {
    let message = NetlinkMessage::<NetfilterMessage>::deserialize(bytes)
        .map_err(|error| format!("its answer is damaged: {error}"))?;
    if message.header.sequence_number != sequence {
        return Ok(Answer::Other);
    }
    let attributes = match message.payload {
        NetlinkPayload::Error(error) => {
            let number = error.code.map_or(0, |code| code.get().wrapping_neg());
            if !ERRNO.contains(&number) {
                return Ok(Answer::Other);
            }
            return Ok(match Errno::from_raw_os_error(number) {
                Errno::NOENT => Answer::Unknown,
                errno => Answer::Refused(errno),
            });
        }
        NetlinkPayload::InnerMessage(NetfilterMessage {
            inner: NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)),
            ..
        }) => attributes,
        _ => return Ok(Answer::Other),
    };
    let (mut original, mut reply) = (None, None);
    for attribute in &attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(parts) => original = tuple_of(parts),
            ConntrackAttribute::CtaTupleReply(parts) => reply = tuple_of(parts),
            _ => {}
        }
    }
    let (Some(original), Some(reply)) = (original, reply) else {
        return Err("its answer has no addresses of a TCP connection".to_owned());
    };
    // Entries are found by the addresses of their answers, too: that is another connection.
    if original != tuple {
        return Ok(Answer::Unknown);
    }
    Ok(Answer::Leaving(Tuple {
        source: reply.destination,
        destination: reply.source,
    }))
}

/// The addresses of a TCP tuple that has them all.
fn tuple_of(parts: &[TuplePart]) -> Option<Tuple> {
    let (mut source, mut destination) = ((None, None), (None, None));
    let mut is_tcp = false;
    for part in parts {
        match part {
            TuplePart::Ip(addresses) => {
                for address in addresses {
                    match address {
                        IPTuple::SourceAddress(address) => source.0 = Some(*address),
                        IPTuple::DestinationAddress(address) => destination.0 = Some(*address),
                        _ => {}
                    }
                }
            }
            TuplePart::Proto(values) => {
                for value in values {
                    match value {
                        ProtoTuple::Protocol(protocol) => is_tcp = *protocol == Protocol::Tcp,
                        ProtoTuple::SourcePort(port) => source.1 = Some(*port),
                        ProtoTuple::DestinationPort(port) => destination.1 = Some(*port),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let whole = |(address, port): (Option<IpAddr>, Option<u16>)| Some((address?, port?).into());
    let (source, destination): (SocketAddr, SocketAddr) = (whole(source)?, whole(destination)?);
    (is_tcp && source.is_ipv4() == destination.is_ipv4()).then_some(Tuple {
        source,
        destination,
    })
}

#[cfg(test)]
mod tests;
