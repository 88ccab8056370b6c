use crate::diagnosis::fixture::{Traffic, expect, ms, set};
use crate::kernel::observation::{Role, TcpState};
use crate::reset::Cause::{
    AbortedBeforeResponse, AbortedMidResponse, KeepaliveRace, ResetAfterClose, Unknown,
};

const CLIENT: Option<Role> = Some(Role::Client);

#[test]
fn client_exchanges() {
    let table = [
        (
            "no answer",
            Traffic::new((0, 50), (300, 8), 50),
            AbortedBeforeResponse,
        ),
        (
            "no answer for long",
            Traffic::new((0, 50), (90_000, 60_000), 0),
            AbortedBeforeResponse,
        ),
        (
            "in the answer",
            Traffic::new((500, 50), (4, 8), 0),
            AbortedMidResponse,
        ),
        (
            "second request",
            Traffic::new((500, 50), (800, 4), 50),
            AbortedBeforeResponse,
        ),
        (
            "request taken, no answer",
            Traffic::new((500, 50), (90_000, 60_000), 0),
            AbortedBeforeResponse,
        ),
        ("one tick", Traffic::new((500, 50), (4, 4), 0), Unknown),
        (
            "one tick, unacknowledged",
            Traffic::new((500, 50), (4, 4), 50),
            Unknown,
        ),
    ];
    for (name, traffic, cause) in table {
        expect(
            name,
            &traffic.at(CLIENT, TcpState::Established),
            cause,
            &["no FIN was received"],
        );
    }

    // A single segment was sent and acknowledged: what came back is its answer.
    let first = |unacked| {
        set(
            Traffic::new((500, 50), (4, 4), unacked).at(CLIENT, TcpState::Established),
            |o| {
                o.vitals.as_mut().unwrap().data_segs_out = 1;
            },
        )
    };
    expect(
        "first exchange",
        &first(0),
        AbortedMidResponse,
        &["one segment"],
    );
    expect("not acknowledged", &first(50), Unknown, &["4 ms"]);

    let blind = set(
        Traffic::new((500, 50), (4, 8), 0).at(CLIENT, TcpState::Established),
        |o| {
            o.since_data_in = None;
        },
    );
    expect("no times", &blind, Unknown, &["when data last moved"]);
}

#[test]
fn races() {
    let after_fin = |traffic: Traffic, fin: Option<u64>| {
        set(traffic.at(CLIENT, TcpState::CloseWait), |o| {
            o.since_fin_received = fin.map(ms);
        })
    };
    let request = |ago| Traffic::new((500, 50), (60_000, ago), 50);
    let table = [
        (
            "sent after the FIN",
            after_fin(request(4), Some(900)),
            KeepaliveRace,
        ),
        (
            "crossed the FIN",
            after_fin(request(4), Some(1)),
            KeepaliveRace,
        ),
        (
            "FIN long after the request",
            after_fin(request(30_000), Some(1)),
            AbortedBeforeResponse,
        ),
        (
            "moment not seen, at once",
            after_fin(request(4), None),
            KeepaliveRace,
        ),
        (
            "moment not seen, later",
            after_fin(request(400), None),
            AbortedBeforeResponse,
        ),
        (
            "request acknowledged",
            after_fin(Traffic::new((500, 50), (60_000, 4), 0), Some(900)),
            AbortedBeforeResponse,
        ),
        (
            "only a close_notify",
            after_fin(Traffic::new((500, 50), (60_000, 4), 24), Some(900)),
            ResetAfterClose,
        ),
        (
            "first request, closed without answer",
            after_fin(Traffic::new((0, 50), (60_000, 4), 50), Some(1)),
            AbortedBeforeResponse,
        ),
        (
            "answered, FIN, RST",
            after_fin(Traffic::new((500, 50), (4, 12), 0), Some(3)),
            ResetAfterClose,
        ),
        (
            "answered before all was sent",
            after_fin(Traffic::new((500, 50_000), (4, 12), 9000), Some(3)),
            AbortedMidResponse,
        ),
        (
            "one tick, all acknowledged",
            after_fin(Traffic::new((500, 50), (4, 4), 0), Some(3)),
            ResetAfterClose,
        ),
        (
            "one tick",
            after_fin(Traffic::new((500, 50), (4, 4), 50), Some(3)),
            Unknown,
        ),
    ];
    for (name, o, cause) in table {
        expect(name, &o, cause, &["the peer's FIN"]);
    }
}

#[test]
fn races_say_how_sure_they_are() {
    let race = |ago: (u64, u64), fin: Option<u64>| {
        set(
            Traffic::new((500, 50), ago, 50).at(CLIENT, TcpState::CloseWait),
            |o| {
                o.since_fin_received = fin.map(ms);
            },
        )
    };
    let idle = "the connection had been idle for 60.0 s";
    let busy = "the connection had not been idle";
    for (name, o, facts) in [
        (
            "after",
            race((60_004, 4), Some(900)),
            ["after the peer's FIN", idle],
        ),
        (
            "crossed",
            race((60_004, 4), Some(1)),
            ["crossed (within 10 ms)", idle],
        ),
        ("not seen", race((60_004, 4), None), ["was not seen", idle]),
        (
            "at once",
            race((8, 4), Some(1)),
            ["crossed (within 10 ms)", busy],
        ),
        ("just short", race((1000, 4), Some(1)), ["crossed", busy]),
        (
            "just long",
            race((1004, 4), Some(1)),
            ["crossed", "idle for 1.0 s"],
        ),
    ] {
        expect(name, &o, KeepaliveRace, &facts);
    }
}

#[test]
fn one_tick_is_told_apart_by_the_acknowledgement() {
    let one_tick = |unacked, received_since_ack| {
        set(
            Traffic::new((500, 50), (4, 4), unacked).at(CLIENT, TcpState::Established),
            |o| o.vitals.as_mut().unwrap().received_since_ack = received_since_ack,
        )
    };
    for (name, unacked, received_since_ack, cause) in [
        ("answered", 0, Some(120), AbortedMidResponse),
        ("acknowledged only", 0, Some(0), AbortedBeforeResponse),
        ("not even that", 50, Some(120), AbortedBeforeResponse),
        ("a kernel that does not tell", 0, None, Unknown),
    ] {
        let found = crate::diagnosis::cause::diagnose(&one_tick(unacked, received_since_ack));
        assert_eq!(found.cause, cause, "{name}: {:?}", found.evidence);
    }
    expect(
        "numbers",
        &one_tick(0, Some(120)),
        AbortedMidResponse,
        &["told by their numbers"],
    );
    // Stamps a tick apart decide on their own.
    let apart = set(
        Traffic::new((500, 50), (4, 8), 0).at(CLIENT, TcpState::Established),
        |o| o.vitals.as_mut().unwrap().received_since_ack = Some(0),
    );
    expect("a tick apart", &apart, AbortedMidResponse, &[]);
}
