use super::*;
use crate::diagnosis::cause::diagnose;
use crate::diagnosis::fixture::{Traffic, ms, no_socket, packet, received, sent, set, task};
use crate::event::Event;
use crate::kernel::observation::{Exit, Observation};
use crate::reset::{ResetId, Twin};

mod resets;

const CLIENT: Option<Role> = Some(Role::Client);

fn failed(ended: Ended, unanswered: u32, observation: Observation) -> Failed {
    Failed {
        ended,
        unanswered,
        observation,
    }
}

/// Asserts what follows, and that each text is part of some evidence.
fn expect(name: &str, failed: &Failed, kind: Option<FailureKind>, evidence: &[&str]) {
    let judged = judge(failed);
    let found = judged.as_ref().map(|(kind, _)| *kind);
    assert_eq!(found, kind, "{name}: {judged:?}");
    let facts = judged.map_or_else(Evidence::default, |(_, facts)| facts);
    assert_eq!(facts.is_empty(), kind.is_none(), "{name}: {facts:?}");
    for text in evidence {
        assert!(
            facts.iter().any(|fact| fact.contains(text)),
            "{name}: {text:?} is not in {facts:?}"
        );
    }
}

fn error(state: TcpState, errno: i32) -> Failed {
    let o = set(received(state), |o| {
        o.socket_error = errno.unsigned_abs();
        o.since_opened = Some(ms(7100));
        let vitals = o.vitals.as_mut().unwrap();
        (vitals.segs_out, vitals.unacked, vitals.retransmits_now) = (4, 70, 15);
    });
    failed(Ended::Error, 0, o)
}

#[test]
fn the_errno_tells() {
    use FailureKind::{Canceled, Refused, TimedOut, Unreachable};
    let connecting = TcpState::SynSent;
    let open = TcpState::Established;
    for (state, errno, kind, text) in [
        (
            connecting,
            libc::ETIMEDOUT,
            Some(TimedOut),
            "4 SYNs in 7.1 s had no answer",
        ),
        (connecting, libc::ECONNREFUSED, Some(Refused), "ICMP"),
        (
            connecting,
            libc::EHOSTUNREACH,
            Some(Unreachable),
            "EHOSTUNREACH",
        ),
        (
            connecting,
            libc::ENETUNREACH,
            Some(Unreachable),
            "ENETUNREACH",
        ),
        (connecting, libc::EACCES, Some(Unreachable), "EACCES"),
        (
            connecting,
            libc::ECONNABORTED,
            Some(Canceled),
            "administrator",
        ),
        (connecting, libc::ECONNRESET, None, ""),
        (connecting, 0, None, ""),
        (
            open,
            libc::ETIMEDOUT,
            Some(TimedOut),
            "70 bytes of ours under way that were sent again 15 times",
        ),
        (
            open,
            libc::EHOSTUNREACH,
            Some(Unreachable),
            "acknowledged nothing",
        ),
        (open, libc::ECONNABORTED, None, ""),
        (open, libc::EPIPE, None, ""),
        (open, libc::ECONNRESET, None, ""),
        (TcpState::CloseWait, libc::ETIMEDOUT, Some(TimedOut), ""),
    ] {
        let texts: &[&str] = if kind.is_some() { &[text] } else { &[] };
        let name = format!("{} {errno}", state.name());
        expect(&name, &error(state, errno), kind, texts);
    }
}

#[test]
fn a_number_that_is_no_errno_is_none() {
    let mut one = error(TcpState::SynSent, 0);
    one.observation.socket_error = u32::MAX;
    expect("beyond", &one, None, &[]);
}

#[test]
fn giving_up_a_connect_takes_patience() {
    let after = |waited| {
        let o = set(received(TcpState::SynSent), |o| {
            o.since_opened = waited;
            o.vitals.as_mut().unwrap().segs_out = 2;
        });
        failed(Ended::Abandoned, 0, o)
    };
    let canceled = Some(FailureKind::Canceled);
    expect(
        "1 s",
        &after(Some(ms(1000))),
        canceled,
        &["gave up connecting after 1.0 s", "2 SYNs"],
    );
    // The loser of a race between address families.
    expect("race", &after(Some(ms(999))), None, &[]);
    expect("not known", &after(None), None, &[]);
}

/// A client's connection: bytes and milliseconds ago, in and out; so many not acknowledged.
fn exchange(bytes: (u64, u64), ago: (u64, u64), unacked: u32) -> Observation {
    let o = Traffic::new(bytes, ago, unacked).at(CLIENT, TcpState::Established);
    set(o, |o| o.age = Some(ms(ago.0.max(ago.1) + 1000)))
}

#[test]
fn a_request_that_we_did_not_wait_for() {
    let canceled = Some(FailureKind::Canceled);
    let table = [
        ("first", 300, exchange((0, 300), (1000, 1000), 0), canceled),
        (
            "later",
            300,
            exchange((900, 600), (5000, 1000), 0),
            canceled,
        ),
        ("soon", 300, exchange((0, 300), (50, 50), 0), canceled),
        // Who writes and closes wants no answer.
        ("at once", 300, exchange((0, 300), (49, 49), 0), None),
        (
            "later, at once",
            300,
            exchange((900, 600), (5000, 4), 0),
            None,
        ),
        (
            "later, at once, not arrived",
            300,
            exchange((900, 600), (5000, 4), 300),
            None,
        ),
        // Nothing acknowledged it, and it had just been sent again.
        (
            "sent again",
            300,
            set(exchange((900, 600), (5000, 4), 300), |o| {
                o.vitals.as_mut().unwrap().retransmits_now = 3;
            }),
            canceled,
        ),
        // But a TLS close_notify goes out last.
        ("TLS", 324, exchange((900, 600), (5000, 0), 24), canceled),
        (
            "TLS 1.2",
            331,
            exchange((900, 600), (5000, 0), 31),
            canceled,
        ),
        (
            "TLS, nothing but",
            151,
            exchange((900, 600), (5000, 0), 24),
            None,
        ),
        (
            "no length of TLS",
            324,
            exchange((900, 600), (5000, 0), 25),
            None,
        ),
        (
            "TLS, never an answer",
            324,
            exchange((0, 600), (5000, 0), 24),
            None,
        ),
        // Too short for a request.
        ("quit", 6, exchange((0, 6), (1000, 1000), 0), None),
        (
            "later, farewell",
            127,
            exchange((900, 600), (5000, 1000), 0),
            None,
        ),
        (
            "later, short",
            128,
            exchange((900, 600), (5000, 1000), 0),
            canceled,
        ),
    ];
    for (name, unanswered, o, kind) in table {
        expect(name, &failed(Ended::Left, unanswered, o), kind, &[]);
    }
}

#[test]
fn a_request_without_answer() {
    type Row = (
        &'static str,
        u32,
        Observation,
        Option<FailureKind>,
        &'static [&'static str],
    );
    let empty = Some(FailureKind::EmptyResponse);
    let closed = |bytes, ago, fin: u64| {
        set(exchange(bytes, ago, 0), |o| {
            o.fin_received = true;
            o.since_fin_received = Some(ms(fin));
        })
    };
    let table: [Row; 6] = [
        (
            "first",
            300,
            closed((0, 300), (2000, 2000), 10),
            empty,
            &["no byte had ever come in", "2.0 s after"],
        ),
        (
            "later",
            300,
            closed((900, 600), (5000, 2000), 10),
            empty,
            &["after the last answer was read"],
        ),
        (
            "race",
            300,
            closed((900, 600), (5000, 8), 4),
            empty,
            &["keep-alive race: after 5.0 s"],
        ),
        ("quit", 6, closed((0, 6), (10, 10), 4), None, &[]),
        (
            "later, farewell",
            39,
            closed((900, 600), (5000, 8), 4),
            None,
            &[],
        ),
        (
            "later, short",
            128,
            closed((900, 600), (5000, 2000), 4),
            empty,
            &[],
        ),
    ];
    for (name, unanswered, o, kind, texts) in table {
        expect(name, &failed(Ended::Unanswered, unanswered, o), kind, texts);
    }
}

#[test]
fn who_asks_nothing_gets_no_answer() {
    let change = |change: fn(&mut Observation)| {
        let o = set(exchange((0, 3000), (90_000, 1000), 0), change);
        failed(Ended::Unanswered, 3000, o)
    };
    let empty = Some(FailureKind::EmptyResponse);
    let young = |o: &mut Observation| o.age = Some(ms(5000));
    expect("in one go", &change(young), empty, &[]);
    // Three segments in five minutes.
    expect("a log", &change(|_| ()), None, &[]);
    let two = |o: &mut Observation| o.vitals.as_mut().unwrap().data_segs_out = 2;
    expect("an old connection, one request", &change(two), empty, &[]);
    expect(
        "a server",
        &change(|o| {
            o.age = Some(ms(5000));
            o.role = Some(Role::Server);
        }),
        None,
        &[],
    );
    expect(
        "not known who",
        &change(|o| {
            o.age = Some(ms(5000));
            o.role = None;
        }),
        None,
        &[],
    );
    expect(
        "a subflow",
        &change(|o| {
            o.age = Some(ms(5000));
            o.flags.mptcp = true;
        }),
        None,
        &[],
    );
    expect("no counters", &change(|o| o.vitals = None), None, &[]);
}

#[test]
fn a_dying_closer_is_named() {
    let o = set(exchange((0, 300), (1000, 1000), 0), |o| {
        o.closer = Some(task(7, Some(Exit::Signal(9))));
    });
    let kind = Some(FailureKind::Canceled);
    expect(
        "killed",
        &failed(Ended::Left, 300, o),
        kind,
        &["nginx (pid 7) was ending: signal 9 (SIGKILL)"],
    );
}

/// A reset with what follows from `observation`.
fn reset(observation: Observation) -> Reset {
    Reset {
        id: ResetId(2),
        time: jiff::Timestamp::UNIX_EPOCH,
        owner: None,
        closer: None,
        peer: "10.0.0.2".into(),
        route: None,
        diagnosis: diagnose(&observation),
        observation,
        packets: 1,
        repeat_of: None,
        propagated_from: None,
        twin: None,
    }
}
