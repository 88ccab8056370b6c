use super::ACK;
use crate::diagnosis::fixture::{Traffic, expect, ms, received, set};
use crate::kernel::observation::{Role, RstPacket, TcpState};
use crate::reset::Cause::{
    AbortedBeforeResponse, AbortedDuringSetup, AbortedMidResponse, ClientCanceled, IdleTimeout,
    Refused, ResetAfterClose, Unknown,
};

const CLIENT: Option<Role> = Some(Role::Client);
const SERVER: Option<Role> = Some(Role::Server);
const RST: u8 = 0x04;

/// A RST with these TCP flags.
fn rst(flags: u8) -> RstPacket {
    RstPacket {
        ttl: 64,
        ip_id: 0,
        seq_offset: 0,
        flags,
    }
}

#[test]
fn by_state_alone() {
    let table = [
        (TcpState::SynSent, Refused),
        (TcpState::SynRecv, AbortedDuringSetup),
        (TcpState::NewSynRecv, AbortedDuringSetup),
        (TcpState::Close, Unknown),
        (TcpState::Listen, Unknown),
    ];
    for (state, cause) in table {
        for role in [CLIENT, SERVER, None] {
            let o = set(received(state), |o| o.role = role);
            expect(state.name(), &o, cause, &[]);
        }
    }
    let unseen = set(received(TcpState::Established), |o| {
        o.state = None;
        o.state_before = None;
    });
    expect("no state", &unseen, Unknown, &["not known"]);
    let no_counters = set(received(TcpState::Established), |o| o.vitals = None);
    expect("no counters", &no_counters, Unknown, &["counters"]);
}

#[test]
fn nothing_exchanged() {
    for role in [CLIENT, SERVER, None] {
        for state in [TcpState::Established, TcpState::CloseWait] {
            let o = set(received(state), |o| o.role = role);
            expect(
                "0 and 0",
                &o,
                AbortedDuringSetup,
                &["no payload", "300.0 s"],
            );
        }
    }
    let greeting = Traffic::new((90, 0), (2, 5), 0);
    expect(
        "greeted",
        &greeting.at(CLIENT, TcpState::Established),
        AbortedDuringSetup,
        &["spoke first"],
    );
    let greeting = Traffic::new((0, 90), (5, 2), 0);
    expect(
        "greeted",
        &greeting.at(SERVER, TcpState::Established),
        AbortedDuringSetup,
        &["spoke first"],
    );
}

#[test]
fn both_closed() {
    for state in [TcpState::LastAck, TcpState::Closing] {
        for (role, unacked, cause) in [
            (CLIENT, 0, ResetAfterClose),
            (CLIENT, 500, ResetAfterClose),
            (SERVER, 0, ResetAfterClose),
            (SERVER, 500, ClientCanceled),
            (None, 0, ResetAfterClose),
            (None, 500, Unknown),
            // The size of a TLS close_notify, and one byte beside it.
            (SERVER, 24, ResetAfterClose),
            (SERVER, 25, ClientCanceled),
            (None, 31, ResetAfterClose),
        ] {
            let o = Traffic::new((100, 900), (8, 4), unacked).at(role, state);
            expect(
                &format!("{state:?} {role:?} {unacked}"),
                &o,
                cause,
                &["both ends had closed"],
            );
        }
    }
    // The FINs, not only the state, tell.
    let o = set(
        Traffic::new((100, 900), (8, 4), 0).at(SERVER, TcpState::FinWait2),
        |o| {
            o.fin_received = true;
        },
    );
    expect("FINs", &o, ResetAfterClose, &["both ends had closed"]);
}

#[test]
fn we_had_closed() {
    for state in [TcpState::FinWait1, TcpState::FinWait2] {
        for (role, unacked, cause) in [
            (CLIENT, 0, ResetAfterClose),
            (CLIENT, 500, ResetAfterClose),
            (SERVER, 0, ResetAfterClose),
            (SERVER, 24, ResetAfterClose),
            (SERVER, 500, ClientCanceled),
            (None, 0, ResetAfterClose),
            (None, 500, Unknown),
        ] {
            let orphan = set(
                Traffic::new((100, 900), (8, 4), unacked).at(role, state),
                |o| {
                    o.flags.dead = true;
                },
            );
            expect(
                &format!("{state:?} {role:?} {unacked}"),
                &orphan,
                cause,
                &["no FIN"],
            );
            let shut = set(orphan, |o| {
                o.flags.dead = false;
                o.flags.receive_shut = true;
                o.flags.send_shut = true;
            });
            expect(
                &format!("shut {state:?} {role:?} {unacked}"),
                &shut,
                cause,
                &["no FIN"],
            );
        }
    }
}

#[test]
fn half_closed_by_us() {
    let half = |traffic: Traffic, role| {
        set(traffic.at(role, TcpState::FinWait2), |o| {
            o.flags.send_shut = true;
        })
    };
    let table = [
        (
            "no answer",
            CLIENT,
            Traffic::new((0, 50), (9, 8), 0),
            AbortedBeforeResponse,
        ),
        (
            "in the answer",
            CLIENT,
            Traffic::new((500, 50), (4, 12), 0),
            AbortedMidResponse,
        ),
        (
            "all sent",
            SERVER,
            Traffic::new((50, 500), (12, 4), 0),
            ResetAfterClose,
        ),
        (
            "part not taken",
            SERVER,
            Traffic::new((50, 500), (12, 4), 300),
            ClientCanceled,
        ),
        (
            "role unknown",
            None,
            Traffic::new((500, 50), (4, 12), 0),
            Unknown,
        ),
    ];
    for (name, role, traffic, cause) in table {
        expect(name, &half(traffic, role), cause, &["no FIN was received"]);
    }
}

#[test]
fn silence() {
    // Unsolicited after silence.
    let table = [
        (
            "client",
            CLIENT,
            Traffic::new((500, 50), (75_000, 75_004), 0),
            IdleTimeout,
        ),
        (
            "client, one tick",
            CLIENT,
            Traffic::new((500, 50), (75_000, 75_000), 0),
            IdleTimeout,
        ),
        (
            "client, just long enough",
            CLIENT,
            Traffic::new((500, 50), (1000, 1004), 0),
            IdleTimeout,
        ),
        (
            "client, too short",
            CLIENT,
            Traffic::new((500, 50), (996, 1000), 0),
            AbortedMidResponse,
        ),
        (
            "client, request pending",
            CLIENT,
            Traffic::new((500, 50), (75_004, 75_000), 0),
            AbortedBeforeResponse,
        ),
        (
            "client, unacknowledged",
            CLIENT,
            Traffic::new((500, 50), (75_000, 75_004), 9),
            AbortedMidResponse,
        ),
        (
            "server",
            SERVER,
            Traffic::new((50, 500), (75_004, 75_000), 0),
            IdleTimeout,
        ),
        (
            "server, one tick",
            SERVER,
            Traffic::new((50, 500), (75_000, 75_000), 0),
            IdleTimeout,
        ),
        (
            "server, request pending",
            SERVER,
            Traffic::new((50, 500), (75_000, 75_004), 0),
            ClientCanceled,
        ),
        (
            "server, unacknowledged",
            SERVER,
            Traffic::new((50, 500), (75_004, 75_000), 9),
            ClientCanceled,
        ),
        (
            "unknown, one tick",
            None,
            Traffic::new((50, 500), (75_000, 75_000), 0),
            IdleTimeout,
        ),
        (
            "unknown",
            None,
            Traffic::new((50, 500), (75_004, 75_000), 0),
            Unknown,
        ),
    ];
    for (name, role, traffic, cause) in table {
        expect(
            name,
            &traffic.at(role, TcpState::Established),
            cause,
            &["no FIN was received"],
        );
    }
}

#[test]
fn sending_into_silence() {
    for (role, otherwise) in [
        (CLIENT, AbortedBeforeResponse),
        (SERVER, ClientCanceled),
        (None, Unknown),
    ] {
        let o = Traffic::new((500, 50), (75_000, 4), 50).at(role, TcpState::Established);
        expect(
            "RST at once",
            &o,
            IdleTimeout,
            &["after 75.0 s without data", "was the first answer"],
        );
        let late = |out| set(o.clone(), |o| o.since_data_out = Some(ms(out)));
        let near_misses = [
            (
                "acknowledged",
                set(o.clone(), |o| o.since_ack_in = Some(ms(4))),
            ),
            (
                "taken, when is not known",
                set(o.clone(), |o| {
                    o.since_ack_in = None;
                    o.vitals.as_mut().unwrap().unacked = 0;
                }),
            ),
            (
                "short gap",
                set(o.clone(), |o| o.since_data_in = Some(ms(1000))),
            ),
            ("not before it was sent again", late(204)),
            (
                "by a connection that lives, later than an answer",
                set(late(16), |o| o.packet = Some(rst(RST | ACK))),
            ),
        ];
        for (name, o) in near_misses {
            expect(name, &o, otherwise, &["no FIN was received"]);
        }
        let answers = [
            ("before it was sent again", late(196)),
            (
                "with ACK, at once",
                set(late(8), |o| o.packet = Some(rst(RST | ACK))),
            ),
            (
                "without ACK, whenever",
                set(late(900), |o| o.packet = Some(rst(RST))),
            ),
        ];
        for (name, o) in answers {
            expect(name, &o, IdleTimeout, &["was the first answer"]);
        }
        let far_peer = set(o.clone(), |o| {
            o.since_data_out = Some(ms(300));
            o.vitals.as_mut().unwrap().srtt = Some(ms(80));
        });
        expect(
            "long round trip",
            &far_peer,
            IdleTimeout,
            &["was the first answer"],
        );
        let coarse_clock = set(o, |o| {
            o.tick = ms(10);
            o.since_data_out = Some(ms(20));
        });
        expect(
            "coarse clock",
            &coarse_clock,
            IdleTimeout,
            &["was the first answer"],
        );
    }
}

#[test]
fn unknown_roles_say_why() {
    let o = Traffic::new((50, 900), (12, 4), 0).at(None, TcpState::Established);
    expect(
        "role",
        &o,
        Unknown,
        &["who opened the connection is not known"],
    );
    let old = set(o, |o| o.flags.existing = true);
    expect("old", &old, Unknown, &["before resetmon started"]);
}

#[test]
fn evidence_names_the_uncertainty() {
    let o = Traffic::new((500, 50), (4, 75_000), 0).at(CLIENT, TcpState::Established);
    expect(
        "ticks",
        &o,
        AbortedMidResponse,
        &["last data came in 4 ms (±4 ms) ago", "went out 75.0 s ago"],
    );
}
