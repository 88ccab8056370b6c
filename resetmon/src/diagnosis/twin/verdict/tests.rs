use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::diagnosis::fixture::{Traffic, set};
use crate::diagnosis::twin::tests::{owner, received, reset, sent};
use crate::kernel::observation::{RstPacket, TcpState};
use crate::reset::{Container, ContainerNames, Evidence, Owner, Process};

/// `received` joined with a sent one of this cause.
fn joined(mut received: Reset, cause: Cause) -> Reset {
    let mut sent = Sent::of(&sent(2)).unwrap();
    sent.twin.cause = cause;
    join(&mut received, sent);
    received
}

fn with_cause(cause: Cause, role: Role, unacked: u32) -> Reset {
    let mut received = received(1);
    received.diagnosis.cause = cause;
    received.observation.role = Some(role);
    received.observation.vitals.as_mut().unwrap().unacked = unacked;
    received
}

#[test]
fn only_guesses_give_way() {
    use Cause::{
        AbortedBeforeResponse, AbortedDuringSetup, AbortedMidResponse, ClientCanceled,
        ClosedWithUnreadData, DataAfterClose, IdleTimeout, KeepaliveRace, KeepaliveTimeout,
        LingerAbort, ListenOverflow, ListenerClosed, NoListener, ProcessExit, ProcessKilled,
        Refused, ResetAfterClose, SocketDestroyed, StraySegment, Timewait, Unknown,
    };
    let (client, server) = (Role::Client, Role::Server);
    for (cause, role, unacked, sent, expected) in [
        (KeepaliveRace, client, 9, DataAfterClose, KeepaliveRace),
        (KeepaliveRace, client, 9, Timewait, KeepaliveRace),
        (
            KeepaliveRace,
            client,
            9,
            ProcessKilled,
            AbortedBeforeResponse,
        ),
        (KeepaliveRace, client, 9, ProcessExit, AbortedBeforeResponse),
        (IdleTimeout, client, 9, StraySegment, IdleTimeout),
        (
            IdleTimeout,
            client,
            9,
            ClosedWithUnreadData,
            AbortedBeforeResponse,
        ),
        (IdleTimeout, client, 9, ProcessKilled, AbortedBeforeResponse),
        (IdleTimeout, server, 9, LingerAbort, ClientCanceled),
        (IdleTimeout, client, 0, LingerAbort, IdleTimeout),
        (IdleTimeout, client, 0, ProcessKilled, IdleTimeout),
        (IdleTimeout, client, 0, KeepaliveTimeout, IdleTimeout),
        (Unknown, client, 0, NoListener, Refused),
        (Unknown, client, 0, ListenOverflow, AbortedDuringSetup),
        (Unknown, client, 0, ListenerClosed, AbortedDuringSetup),
        (Unknown, client, 0, LingerAbort, Unknown),
        (
            AbortedMidResponse,
            client,
            0,
            ProcessKilled,
            AbortedMidResponse,
        ),
        (
            AbortedBeforeResponse,
            client,
            9,
            SocketDestroyed,
            AbortedBeforeResponse,
        ),
        (ClientCanceled, server, 9, ProcessExit, ClientCanceled),
        (
            ResetAfterClose,
            client,
            0,
            ClosedWithUnreadData,
            ResetAfterClose,
        ),
    ] {
        let joined = joined(with_cause(cause, role, unacked), sent);
        let case = format!("{cause} and {sent}");
        assert_eq!(joined.diagnosis.cause, expected, "{case}");
        assert_eq!(joined.twin.unwrap().cause, sent, "{case}");
    }
}

#[test]
fn nobody_in_between_made_it() {
    let o = Traffic::new((100, 100), (500, 10), 9).at(Some(Role::Client), TcpState::Established);
    let o = set(o, |o| {
        o.handshake_ttl = Some(64);
        o.packet = Some(RstPacket {
            ttl: 255,
            ip_id: 0,
            seq_offset: 0,
            flags: 4,
        });
    });
    let accused = reset(1, o);
    assert_eq!(accused.diagnosis.cause, Cause::Injected);
    let joined = joined(accused, Cause::LingerAbort);
    assert_eq!(joined.diagnosis.cause, Cause::AbortedBeforeResponse);
    assert_eq!(joined.diagnosis.sender, Sender::Peer);
    let facts = joined.diagnosis.evidence.join("; ");
    assert!(!facts.contains("another host"), "{facts}");
    assert_eq!(joined.observation.handshake_ttl, Some(64));
}

#[test]
fn the_sender_knows_who_opened_the_connection() {
    let o = Traffic::new((100, 100), (5, 500), 0).at(None, TcpState::Established);
    let o = set(o, |o| o.flags.existing = true);
    let unknown = reset(1, o);
    assert_eq!(unknown.diagnosis.cause, Cause::Unknown);
    let joined = joined(unknown, Cause::LingerAbort);
    assert_eq!(joined.diagnosis.cause, Cause::AbortedMidResponse);
    assert_eq!(joined.observation.role, Some(Role::Client));

    let mut sent = sent(2);
    sent.observation.role = None;
    let mut unknown = received(1);
    unknown.observation.role = None;
    let before = unknown.diagnosis.cause;
    join(&mut unknown, Sent::of(&sent).unwrap());
    assert_eq!(unknown.observation.role, None);
    assert_eq!(unknown.diagnosis.cause, before);
}

#[test]
fn the_sender_is_told_and_decides_only_what_was_a_guess() {
    let joined = |cause, sent: &Reset| {
        let mut received = with_cause(cause, Role::Client, 9);
        let before = received.diagnosis.evidence.clone();
        join(&mut received, Sent::of(sent).unwrap());
        (before, received)
    };
    let mut killed = sent(2);
    killed.diagnosis.cause = Cause::ProcessKilled;
    for (cause, decides) in [
        (Cause::IdleTimeout, true),
        (Cause::KeepaliveRace, true),
        (Cause::AbortedMidResponse, false),
    ] {
        let (before, after) = joined(cause, &killed);
        let told = after.twin.as_ref().unwrap().told();
        let evidence = &after.diagnosis.evidence;
        assert!(evidence.contains(&told), "{evidence:?}");
        let deciding = if decides {
            Some(&*told)
        } else {
            before.deciding()
        };
        assert_eq!(evidence.deciding(), deciding, "{cause}");
    }
}

#[test]
fn the_sender_is_named_by_what_is_known_of_it() {
    let last = |sent: &Reset| Sent::of(sent).unwrap().twin.told();
    let mut sent = sent(2);
    assert_eq!(
        last(&sent),
        "the other end, payd (pid 5), sent it: linger_abort (closed with SO_LINGER set to 0)"
    );
    sent.closer = sent.owner.take();
    sent.diagnosis.evidence = Evidence::default();
    assert_eq!(
        last(&sent),
        "the other end, payd (pid 5), sent it: linger_abort"
    );
    let names = ContainerNames {
        namespace: "shop".into(),
        pod: "pay-0".into(),
        container: None,
        workload: None,
    };
    sent.owner = Some(Owner {
        process: Arc::new(Process {
            container: Some(Container {
                id: "0123".into(),
                runtime: "containerd",
                pod_uid: None,
                names: Some(Arc::new(names)),
            }),
            ..Process::clone(&owner("payd", 5).process)
        }),
        ..owner("payd", 5)
    });
    let text = last(&sent);
    assert!(
        text.contains("payd (pid 5) in pod shop/pay-0, sent it"),
        "{text}"
    );
    (sent.owner, sent.closer) = (None, None);
    sent.observation.time += Duration::from_millis(1);
    assert_eq!(
        last(&sent),
        "the other end is on this node and sent it: linger_abort"
    );
}
