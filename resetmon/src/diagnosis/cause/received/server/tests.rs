use crate::diagnosis::fixture::{Traffic, expect, set};
use crate::kernel::observation::{Role, TcpState};
use crate::reset::Cause::{AbortedDuringSetup, ClientCanceled, ResetAfterClose, Unknown};

const SERVER: Option<Role> = Some(Role::Server);

#[test]
fn server_exchanges() {
    let table = [
        (
            "request pending",
            TcpState::Established,
            Traffic::new((50, 0), (300, 400), 0),
            ClientCanceled,
        ),
        (
            "pending for long",
            TcpState::Established,
            Traffic::new((50, 0), (30_000, 40_000), 0),
            ClientCanceled,
        ),
        (
            "answering",
            TcpState::Established,
            Traffic::new((50, 900), (12, 4), 900),
            ClientCanceled,
        ),
        (
            "between two parts",
            TcpState::Established,
            Traffic::new((50, 900), (500, 40), 0),
            ClientCanceled,
        ),
        (
            "one tick",
            TcpState::Established,
            Traffic::new((50, 900), (4, 4), 0),
            ClientCanceled,
        ),
        (
            "closed, answering",
            TcpState::CloseWait,
            Traffic::new((50, 900), (12, 4), 900),
            ClientCanceled,
        ),
        (
            "closed, answered after long",
            TcpState::CloseWait,
            Traffic::new((50, 900), (75_000, 4), 900),
            ClientCanceled,
        ),
        (
            "closed without a word, answered all the same",
            TcpState::CloseWait,
            Traffic::new((0, 209), (40, 4), 209),
            ResetAfterClose,
        ),
        (
            "the same, closed by us too",
            TcpState::LastAck,
            Traffic::new((0, 209), (40, 4), 209),
            ResetAfterClose,
        ),
        (
            "greeted and gone",
            TcpState::Established,
            Traffic::new((0, 209), (40, 4), 209),
            AbortedDuringSetup,
        ),
        (
            "closed, close_notify",
            TcpState::CloseWait,
            Traffic::new((50, 900), (12, 4), 24),
            ResetAfterClose,
        ),
        (
            "closed, pending",
            TcpState::CloseWait,
            Traffic::new((50, 900), (4, 12), 0),
            ClientCanceled,
        ),
        (
            "closed, answered",
            TcpState::CloseWait,
            Traffic::new((50, 900), (12, 4), 0),
            ResetAfterClose,
        ),
        (
            "closed, one tick",
            TcpState::CloseWait,
            Traffic::new((50, 900), (4, 4), 0),
            Unknown,
        ),
    ];
    for (name, state, traffic, cause) in table {
        expect(name, &traffic.at(SERVER, state), cause, &[]);
    }
}

#[test]
fn a_client_that_said_goodbye() {
    let one_segment = set(
        Traffic::new((50, 900), (4, 4), 0).at(SERVER, TcpState::CloseWait),
        |o| {
            o.vitals.as_mut().unwrap().data_segs_in = 1;
        },
    );
    expect(
        "closed, one segment",
        &one_segment,
        ResetAfterClose,
        &["one segment"],
    );

    let goodbye = |unread, unacked| {
        set(
            Traffic::new((50, 900), (0, 12), unacked).at(SERVER, TcpState::Established),
            |o| {
                o.vitals.as_mut().unwrap().unread = unread;
            },
        )
    };
    expect(
        "goodbye",
        &goodbye(24, 0),
        ResetAfterClose,
        &["close_notify"],
    );
    expect("alert", &goodbye(7, 0), ResetAfterClose, &["TLS alert"]);
    expect(
        "a request of 8 bytes",
        &goodbye(8, 0),
        ClientCanceled,
        &["no answer yet"],
    );
    expect(
        "goodbye in the answer",
        &goodbye(24, 900),
        ClientCanceled,
        &[],
    );
    expect(
        "a request of 26 bytes",
        &goodbye(26, 0),
        ClientCanceled,
        &["no answer yet"],
    );
}
