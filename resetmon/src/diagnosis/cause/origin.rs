//! Whether the peer made a RST, or something in between.
//!
//! A false accusation is worse than silence: one packet's TTL is held against the same
//! connection's own handshake, and only a difference that no change of route explains counts.

use super::evidence::bytes;
use crate::kernel::observation::Observation;
use crate::reset::{Cause, Evidence, Sender};

/// Hops by which the way between two hosts may change while a connection lives.
const ROUTE_CHANGE: u8 = 4;

/// Who made the RST, and what `cause` becomes by it.
///
/// In the middle of an exchange a RST that is not the peer's was injected. After a silence, or at
/// the end, a box in between that no longer knew the connection is the ordinary case: the cause
/// stays.
pub(super) fn of_received(o: &Observation, cause: Cause, e: &mut Evidence) -> (Cause, Sender) {
    if let Some(distance) = o.packet.map(|packet| packet.seq_offset)
        && !matches!(distance, 0 | -1)
    {
        // Legal behind a gap in the peer's data (RFC 5961, section 3), so it accuses nobody; -1 is
        // what a stack sends after its FIN.
        e.say(format!(
            "the RST's number was {} {} the one expected",
            bytes(distance.unsigned_abs()),
            if distance > 0 { "beyond" } else { "before" }
        ));
    }
    let (Some(packet), Some(peer)) = (o.packet, o.handshake_ttl) else {
        return (cause, Sender::Peer);
    };
    if packet.ttl.abs_diff(peer) <= ROUTE_CHANGE {
        return (cause, Sender::Peer);
    }
    let another = format!(
        "the RST came with TTL {}, the peer's handshake with {peer}: another host made it",
        packet.ttl
    );
    (of_another(cause, another, e), Sender::Middlebox)
}

/// What `cause` becomes where another host than the peer made the RST, as `fact` shows.
pub(super) fn of_another(cause: Cause, fact: String, e: &mut Evidence) -> Cause {
    match cause {
        Cause::AbortedBeforeResponse
        | Cause::AbortedMidResponse
        | Cause::AbortedDuringSetup
        | Cause::ClientCanceled => e.so(Cause::Injected, fact),
        other => {
            e.say(fact);
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::cause::diagnose;
    use crate::diagnosis::fixture;
    use crate::kernel::observation::{RstPacket, TcpState};

    #[test]
    fn only_a_ttl_beyond_a_change_of_route_accuses() {
        let with = |rst: Option<u8>, peer| {
            let mut o = fixture::received(TcpState::Established);
            o.packet = rst.map(|ttl| RstPacket {
                ttl,
                ip_id: 0,
                seq_offset: 0,
                flags: 4,
            });
            o.handshake_ttl = peer;
            o
        };
        for (rst, peer, expected) in [
            (Some(41), Some(64), (Cause::Injected, Sender::Middlebox)),
            (Some(255), Some(52), (Cause::Injected, Sender::Middlebox)),
            (Some(59), Some(64), (Cause::Injected, Sender::Middlebox)),
            (
                Some(60),
                Some(64),
                (Cause::AbortedMidResponse, Sender::Peer),
            ),
            (
                Some(64),
                Some(60),
                (Cause::AbortedMidResponse, Sender::Peer),
            ),
            (Some(41), None, (Cause::AbortedMidResponse, Sender::Peer)),
            (None, Some(64), (Cause::AbortedMidResponse, Sender::Peer)),
        ] {
            let mut e = Evidence::default();
            let found = of_received(&with(rst, peer), Cause::AbortedMidResponse, &mut e);
            assert_eq!(found, expected, "{rst:?} {peer:?}");
            let said = !e.is_empty();
            assert_eq!(said, expected.1 == Sender::Middlebox);
        }
    }

    #[test]
    fn a_box_that_forgot_the_connection_injects_nothing() {
        for cause in [
            Cause::IdleTimeout,
            Cause::ResetAfterClose,
            Cause::KeepaliveRace,
        ] {
            let mut o = fixture::received(TcpState::Established);
            o.packet = Some(RstPacket {
                ttl: 255,
                ip_id: 0,
                seq_offset: 0,
                flags: 4,
            });
            o.handshake_ttl = Some(60);
            let found = of_received(&o, cause, &mut Evidence::default());
            assert_eq!(found, (cause, Sender::Middlebox));
        }
    }

    #[test]
    fn a_number_that_is_not_exact_is_said_and_accuses_nobody() {
        for (distance, said) in [
            (0, None),
            (-1, None),
            (1, Some("1 byte beyond")),
            (-2, Some("2 bytes before")),
            (105, Some("105 bytes beyond")),
        ] {
            let mut o = fixture::received(TcpState::Established);
            o.packet = Some(RstPacket {
                ttl: 64,
                ip_id: 0,
                seq_offset: distance,
                flags: 4,
            });
            o.handshake_ttl = Some(64);
            let diagnosis = diagnose(&o);
            let facts = diagnosis.evidence.join("; ");
            let text = said.unwrap_or("the RST's number");
            assert_eq!(facts.contains(text), said.is_some(), "{distance}: {facts}");
            assert_eq!(diagnosis.sender, Sender::Peer);
        }
    }
}
