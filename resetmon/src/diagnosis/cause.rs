//! The cause of one reset: pure, from what the kernel showed.
//!
//! No cause is guessed. Each conclusion names the facts that carry it, and what they do not
//! carry is [`Cause::Unknown`](crate::reset::Cause::Unknown). With the kernel's reason (Linux 6.10 and newer) and without it
//! the same facts lead to the same cause; the reason only settles what they leave open.

use std::time::Duration;

use gateway_ebpf_common::event::CLOSE_NOTIFY;

use crate::kernel::observation::{Direction, Observation, Shape, TcpState};
use crate::reset::{Diagnosis, Evidence, Sender, Stage};

pub(super) mod evidence;
mod firewall;
mod origin;
mod received;
mod sent;

/// From here on a connection counts as having been silent for long.
///
/// Keep-alive and NAT timeouts of the field begin at seconds; pauses within one exchange on a
/// healthy connection seldom reach one.
pub const LONG_SILENCE: Duration = Duration::from_secs(1);

/// Length on the wire of a TLS alert in clear: what ends a handshake that has failed (RFC 8446, 6).
const CLEAR_ALERT: u32 = 7;

/// What payload of this length is, if it has the size of a TLS end's last word: nothing is lost if nobody
/// takes it.
pub(super) fn farewell(length: u32) -> Option<&'static str> {
    match length {
        CLEAR_ALERT => Some("alert"),
        _ if CLOSE_NOTIFY.contains(&length) => Some("close_notify"),
        _ => None,
    }
}

/// Concludes why.
#[must_use]
pub fn diagnose(observation: &Observation) -> Diagnosis {
    let mut evidence = Evidence::default();
    let (cause, sender) = match (observation.direction, observation.firewall) {
        (_, Some(hook)) => (
            firewall::cause(observation, hook, &mut evidence),
            Sender::Firewall,
        ),
        (Direction::Sent, None) => (sent::cause(observation, &mut evidence), Sender::Local),
        (Direction::Received, None) => {
            let cause = received::cause(observation, &mut evidence);
            origin::of_received(observation, cause, &mut evidence)
        }
    };
    Diagnosis {
        cause,
        sender,
        stage: stage(observation),
        evidence,
    }
}

/// The peer cannot have made the received RST, as `fact` shows: something in between did.
pub fn acquit_peer(diagnosis: &mut Diagnosis, fact: String) {
    diagnosis.cause = origin::of_another(diagnosis.cause, fact, &mut diagnosis.evidence);
    diagnosis.sender = Sender::Middlebox;
}

/// How far the connection had come.
///
/// Where the state before the reset was not seen, FINs and the moment of establishment tell.
pub(crate) fn stage(o: &Observation) -> Stage {
    use TcpState::{
        Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, NewSynRecv,
        SynRecv, SynSent, TimeWait,
    };
    match (o.shape, o.state_before) {
        (Shape::NoSocket, _) if o.firewall.is_some() && o.trigger.is_some_and(|p| p.syn()) => {
            Stage::Connecting
        }
        (Shape::NoSocket, _) => Stage::None,
        (Shape::TimeWait, _) => Stage::Closing,
        (Shape::Request, _) | (_, Some(Listen | SynSent | SynRecv | NewSynRecv)) => {
            Stage::Connecting
        }
        (_, Some(Established)) => Stage::Established,
        (_, Some(CloseWait | FinWait1 | FinWait2 | LastAck | Closing | TimeWait)) => Stage::Closing,
        (_, None | Some(Close)) if o.fin_sent || o.fin_received => Stage::Closing,
        (_, None | Some(Close)) if o.age.is_some() => Stage::Established,
        (_, None | Some(Close)) => Stage::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture;

    #[test]
    fn stages() {
        let table = [
            (Some(TcpState::SynSent), Stage::Connecting),
            (Some(TcpState::SynRecv), Stage::Connecting),
            (Some(TcpState::NewSynRecv), Stage::Connecting),
            (Some(TcpState::Listen), Stage::Connecting),
            (Some(TcpState::Established), Stage::Established),
            (Some(TcpState::CloseWait), Stage::Closing),
            (Some(TcpState::FinWait1), Stage::Closing),
            (Some(TcpState::FinWait2), Stage::Closing),
            (Some(TcpState::LastAck), Stage::Closing),
            (Some(TcpState::Closing), Stage::Closing),
            (Some(TcpState::TimeWait), Stage::Closing),
            (None, Stage::None),
        ];
        for (before, expected) in table {
            let mut o = fixture::received(TcpState::Established);
            o.state_before = before;
            o.age = None;
            assert_eq!(diagnose(&o).stage, expected, "{before:?}");
        }
    }

    #[test]
    fn stage_without_a_state() {
        let mut o = fixture::sent(TcpState::Close);
        o.state_before = None;
        o.age = None;
        assert_eq!(stage(&o), Stage::None);
        o.age = Some(Duration::from_secs(1));
        assert_eq!(stage(&o), Stage::Established);
        o.fin_received = true;
        assert_eq!(stage(&o), Stage::Closing);
        o.shape = Shape::NoSocket;
        assert_eq!(stage(&o), Stage::None);
        o.shape = Shape::TimeWait;
        assert_eq!(stage(&o), Stage::Closing);
        o.shape = Shape::Request;
        assert_eq!(stage(&o), Stage::Connecting);
    }

    #[test]
    fn an_acquitted_peer() {
        use crate::reset::Cause;
        for (cause, expected) in [
            (Cause::AbortedBeforeResponse, Cause::Injected),
            (Cause::AbortedMidResponse, Cause::Injected),
            (Cause::AbortedDuringSetup, Cause::Injected),
            (Cause::ClientCanceled, Cause::Injected),
            // A box that forgot an idle connection is the ordinary case.
            (Cause::IdleTimeout, Cause::IdleTimeout),
            (Cause::ResetAfterClose, Cause::ResetAfterClose),
            (Cause::Refused, Cause::Refused),
        ] {
            let mut diagnosis = diagnose(&fixture::received(TcpState::Established));
            diagnosis.cause = cause;
            acquit_peer(&mut diagnosis, "its socket lives".to_owned());
            assert_eq!(
                (diagnosis.cause, diagnosis.sender),
                (expected, Sender::Middlebox)
            );
            let fact = "its socket lives";
            assert!(diagnosis.evidence.iter().any(|one| one == fact));
            let decides = diagnosis.evidence.deciding() == Some(fact);
            assert_eq!(decides, expected == Cause::Injected, "{cause:?}");
        }
    }

    #[test]
    fn senders() {
        let sent = diagnose(&fixture::sent(TcpState::Close));
        let received = diagnose(&fixture::received(TcpState::SynSent));
        assert_eq!(
            (sent.sender, received.sender),
            (Sender::Local, Sender::Peer)
        );
    }
}
