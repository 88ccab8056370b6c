//! How a connection failed by a reset.

use super::*;

fn of_cause(cause: Cause, observation: Observation) -> Reset {
    let mut reset = reset(observation);
    reset.diagnosis.cause = cause;
    reset
}

#[test]
fn what_a_reset_says_of_its_connection() {
    use FailureKind::{Refused, Reset, TimedOut};
    const SYN: u8 = 2;
    let used = || exchange((900, 600), (10, 10), 0);
    let unused = || sent(TcpState::Close);
    let server = |o: Observation| set(o, |o| o.role = Some(Role::Server));
    let unread = |bytes| set(used(), |o| o.vitals.as_mut().unwrap().unread = bytes);
    let table = vec![
        ("refused", reset(received(TcpState::SynSent)), Some(Refused)),
        (
            "refused by us",
            reset(set(no_socket(SYN), |o| o.trigger = Some(packet(SYN, 0)))),
            Some(Refused),
        ),
        ("harmless", of_cause(Cause::ResetAfterClose, used()), None),
        (
            "mid-response",
            of_cause(Cause::AbortedMidResponse, used()),
            Some(Reset),
        ),
        (
            "keep-alive",
            of_cause(Cause::KeepaliveTimeout, used()),
            Some(TimedOut),
        ),
        ("stray", of_cause(Cause::StraySegment, no_socket(16)), None),
        (
            "late data to a client",
            of_cause(Cause::DataAfterClose, used()),
            None,
        ),
        (
            "late data to a server",
            of_cause(Cause::DataAfterClose, server(used())),
            Some(Reset),
        ),
        (
            "to a client's TIME_WAIT",
            of_cause(Cause::Timewait, used()),
            None,
        ),
        (
            "to a server's TIME_WAIT",
            of_cause(Cause::Timewait, server(used())),
            Some(Reset),
        ),
        ("health check", of_cause(Cause::LingerAbort, unused()), None),
        (
            "abort of a request",
            of_cause(Cause::LingerAbort, exchange((900, 600), (90, 10), 0)),
            Some(Reset),
        ),
        (
            "server aborts",
            of_cause(Cause::LingerAbort, server(unused())),
            Some(Reset),
        ),
        (
            "health check met",
            of_cause(Cause::AbortedDuringSetup, server(unused())),
            None,
        ),
        (
            "setup of ours",
            of_cause(Cause::AbortedDuringSetup, unused()),
            Some(Reset),
        ),
        (
            "setup, payload passed",
            of_cause(Cause::AbortedDuringSetup, server(used())),
            Some(Reset),
        ),
        (
            "close_notify unread",
            of_cause(Cause::ClosedWithUnreadData, unread(24)),
            None,
        ),
        (
            "answer unread",
            of_cause(Cause::ClosedWithUnreadData, unread(25)),
            Some(Reset),
        ),
    ];
    for (name, reset, failure) in table {
        assert_eq!(reset.failure(), failure, "{name}");
        let repeat = crate::reset::Reset {
            repeat_of: Some(ResetId(1)),
            ..reset
        };
        assert_eq!(repeat.failure(), None, "{name}, again");
        assert!(Event::Reset(repeat).into_reset().is_some());
    }
}

#[test]
fn the_last_word_of_tls_is_no_loss() {
    let late = |cause, bytes| {
        let o = set(exchange((900, 600), (10, 10), 0), |o| {
            o.role = Some(Role::Server);
            o.trigger = Some(packet(16, bytes));
        });
        of_cause(cause, o).failure()
    };
    assert_eq!(late(Cause::DataAfterClose, 7), None, "an alert");
    assert_eq!(late(Cause::Timewait, 24), None, "a close_notify");
    let reset = Some(FailureKind::Reset);
    assert_eq!(late(Cause::DataAfterClose, 8), reset, "a few bytes");
}

#[test]
fn whoever_resets_what_is_settled_breaks_nothing() {
    type Change = fn(&mut Observation);
    let client = |input, output| {
        let o = exchange((900, 600), (input, output), 0);
        set(o, |o| o.direction = Direction::Sent)
    };
    let server = |input, output| {
        set(client(input, output), |o| {
            o.role = Some(Role::Server);
            o.fin_received = true;
        })
    };
    let received = |o: Observation| set(o, |o| o.direction = Direction::Received);
    let (aborts, canceled) = (Cause::LingerAbort, Cause::ClientCanceled);
    let settled = [
        ("a client has its answer", aborts, client(10, 90)),
        ("in one tick", aborts, client(10, 10)),
        ("a server after the client's FIN", aborts, server(90, 10)),
        ("the client of a server", canceled, received(server(90, 10))),
    ];
    let near: [(&str, Change); 4] = [
        ("unread", |o| o.vitals.as_mut().unwrap().unread = 1),
        ("not acknowledged", |o| {
            o.vitals.as_mut().unwrap().unacked = 1;
        }),
        ("not known who", |o| o.role = None),
        ("a request was last", |o| {
            let (input, output) = match o.role {
                Some(Role::Server) => (ms(5), ms(9)),
                _ => (ms(9), ms(5)),
            };
            (o.since_data_in, o.since_data_out) = (Some(input), Some(output));
        }),
    ];
    for (name, cause, o) in settled {
        assert_eq!(of_cause(cause, o.clone()).failure(), None, "{name}");
        for (what, change) in near {
            let failure = of_cause(cause, set(o.clone(), change)).failure();
            assert_eq!(failure, Some(FailureKind::Reset), "{name}, {what}");
        }
    }
    let open = set(server(90, 10), |o| o.fin_received = false);
    assert_eq!(
        of_cause(aborts, open.clone()).failure(),
        Some(FailureKind::Reset),
        "a server with the connection open"
    );
    assert_eq!(of_cause(canceled, received(open)).failure(), None);
    let silent = set(received(server(90, 10)), |o| {
        o.vitals.as_mut().unwrap().bytes_sent = 0;
    });
    assert_eq!(
        of_cause(canceled, silent).failure(),
        Some(FailureKind::Reset),
        "nothing was answered"
    );
}

#[test]
fn the_sender_tells_what_was_left_unread() {
    const SERVER: Option<Role> = Some(Role::Server);
    // The client had taken all that was sent.
    let o = Traffic::new((100, 900), (8, 4), 0).at(SERVER, TcpState::Established);
    let mut left = of_cause(Cause::ClientCanceled, o);
    assert_eq!(left.failure(), None);
    for (cause, kind) in [
        (Cause::LingerAbort, None),
        (Cause::ProcessKilled, Some(FailureKind::Reset)),
        (Cause::ProcessExit, Some(FailureKind::Reset)),
        (Cause::ClosedWithUnreadData, Some(FailureKind::Reset)),
    ] {
        left.twin = Some(Twin {
            id: ResetId(1),
            netns: 1,
            owner: None,
            cause,
            fact: None,
            is_settled: false,
        });
        assert_eq!(left.failure(), kind, "{cause}");
    }
}
