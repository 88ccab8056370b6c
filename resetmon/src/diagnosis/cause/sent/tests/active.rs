use std::time::Duration;

use super::{SYN, expect_both, listener, orphan};
use crate::diagnosis::fixture::{expect, reason, sent, set, task};
use crate::kernel::observation::{Exit, Observation, TcpState, Vitals};
use crate::reset::Cause;

/// `close()`: state CLOSE, both directions shut, file still there.
fn closed() -> Observation {
    set(sent(TcpState::Close), |o| {
        o.flags.in_task = true;
        o.flags.receive_shut = true;
        o.flags.send_shut = true;
        o.closer = Some(task(100, None));
    })
}

fn with_unread(bytes: u32) -> Observation {
    set(closed(), |o| o.vitals.as_mut().unwrap().unread = bytes)
}

#[test]
fn close_calls() {
    use Cause::{ClosedWithUnreadData, LingerAbort, Unknown};
    let unread = with_unread(100);
    expect_both(
        "unread",
        &unread,
        "tcp_abort_on_close",
        ClosedWithUnreadData,
        &["100 bytes unread"],
    );

    let linger = |time| set(closed(), |o| o.linger = Some(time));
    let zero = linger(Duration::ZERO);
    expect_both(
        "linger 0",
        &zero,
        "tcp_state",
        LingerAbort,
        &["SO_LINGER set to 0"],
    );
    let both = set(unread, |o| o.linger = Some(Duration::ZERO));
    expect_both(
        "unread, linger 0",
        &both,
        "tcp_abort_on_close",
        ClosedWithUnreadData,
        &[],
    );
    let named = set(zero, |o| o.reason = reason("tcp_abort_on_linger"));
    expect("the kernel's LINGER", &named, LingerAbort, &["TCP_LINGER2"]);

    let old_test = set(linger(Duration::from_secs(1)), |_| {});
    expect(
        "older unread test",
        &old_test,
        ClosedWithUnreadData,
        &["still queued"],
    );
    let after_shutdown = |before, why: Option<&str>| {
        set(closed(), |o| {
            o.state_before = before;
            o.reason = why.and_then(reason);
        })
    };
    let fin_wait = Some(TcpState::FinWait1);
    expect(
        "shutdown, no reason",
        &after_shutdown(fin_wait, None),
        Unknown,
        &["gives no reason"],
    );
    expect(
        "not specified",
        &after_shutdown(fin_wait, Some("not_specified")),
        Unknown,
        &[],
    );
    for last in [TcpState::Closing, TcpState::LastAck] {
        let unsent = after_shutdown(Some(last), None);
        expect("unsent, no reason", &unsent, LingerAbort, &["data unsent"]);
        let unread = set(unsent, |o| o.vitals.as_mut().unwrap().unread = 5);
        expect("unread", &unread, ClosedWithUnreadData, &["5 bytes unread"]);
    }
    expect("before unseen", &after_shutdown(None, None), Unknown, &[]);
    let disconnected = after_shutdown(fin_wait, Some("tcp_state"));
    expect(
        "disconnect after shutdown",
        &disconnected,
        LingerAbort,
        &["AF_UNSPEC"],
    );
    let unread_too = set(disconnected, |o| o.vitals.as_mut().unwrap().unread = 5);
    expect("and unread", &unread_too, LingerAbort, &["AF_UNSPEC"]);

    let disconnect = set(closed(), |o| o.flags.send_shut = false);
    expect_both(
        "AF_UNSPEC",
        &disconnect,
        "tcp_state",
        LingerAbort,
        &["AF_UNSPEC"],
    );
    let unsent = set(closed(), |o| o.reason = reason("tcp_disconnect_with_data"));
    expect("with data", &unsent, LingerAbort, &["data unsent"]);
    let odd = set(closed(), |o| o.reason = reason("of_the_future"));
    expect("unknown reason", &odd, Unknown, &["of_the_future"]);
}

#[test]
fn dying_closers() {
    let table = [
        (
            "killed",
            Exit::Signal(9),
            Cause::ProcessKilled,
            "signal 9 (SIGKILL)",
        ),
        (
            "terminated",
            Exit::Signal(15),
            Cause::ProcessKilled,
            "signal 15 (SIGTERM)",
        ),
        (
            "exited",
            Exit::Status(0),
            Cause::ProcessExit,
            "exit status 0",
        ),
    ];
    for (name, exit, cause, text) in table {
        let dying = |o: Observation| set(o, |o| o.closer = Some(task(9, Some(exit))));
        let unread = dying(with_unread(5));
        expect_both(
            name,
            &unread,
            "tcp_abort_on_close",
            cause,
            &[text, "nginx (pid 9)"],
        );
        let linger = dying(set(closed(), |o| o.linger = Some(Duration::ZERO)));
        expect_both(name, &linger, "tcp_state", cause, &[text]);
        let queued = dying(set(closed(), |o| {
            o.flags.has_file = false;
            o.flags.listener_closed = true;
        }));
        expect_both(name, &queued, "tcp_state", cause, &[text]);
        // A timer resets whatever its process does.
        let keepalive = dying(keepalive());
        expect_both(
            name,
            &keepalive,
            "tcp_keepalive_timeout",
            Cause::KeepaliveTimeout,
            &[],
        );
    }
}

#[test]
fn unaccepted() {
    let child = set(sent(TcpState::Close), |o| {
        o.flags.has_file = false;
        o.closer = Some(task(9, None));
    });
    expect_both(
        "unaccepted",
        &child,
        "tcp_state",
        Cause::ListenerClosed,
        &["waiting for accept()"],
    );
}

#[test]
fn orphans() {
    let at_close = orphan(TcpState::Close);
    expect_both(
        "memory",
        &at_close,
        "tcp_abort_on_memory",
        Cause::MemoryPressure,
        &[],
    );
    let dying = set(at_close.clone(), |o| {
        o.closer = Some(task(9, Some(Exit::Signal(9))));
    });
    expect_both(
        "memory, dying",
        &dying,
        "tcp_abort_on_memory",
        Cause::MemoryPressure,
        &[],
    );
    let linger2 = set(at_close.clone(), |o| {
        o.linger2_abort = true;
        o.state_before = Some(TcpState::FinWait2);
    });
    expect_both(
        "TCP_LINGER2",
        &linger2,
        "tcp_abort_on_linger",
        Cause::LingerAbort,
        &["TCP_LINGER2"],
    );
    let state = set(at_close, |o| o.reason = reason("tcp_state"));
    expect("neither", &state, Cause::Unknown, &["orphaned"]);

    let retransmit = orphan(TcpState::FinWait1);
    expect_both(
        "timer",
        &retransmit,
        "tcp_abort_on_memory",
        Cause::MemoryPressure,
        &[],
    );
    let fin_wait2 = orphan(TcpState::FinWait2);
    expect_both(
        "FIN_WAIT2",
        &fin_wait2,
        "tcp_state",
        Cause::LingerAbort,
        &["tcp_fin_timeout"],
    );
    let linger2 = set(fin_wait2.clone(), |o| o.linger2_abort = true);
    expect_both(
        "FIN_WAIT2, LINGER2",
        &linger2,
        "tcp_state",
        Cause::LingerAbort,
        &[],
    );
    let killed = set(fin_wait2, |o| o.flags.in_task = true);
    expect_both(
        "ss -K of an orphan",
        &killed,
        "tcp_state",
        Cause::SocketDestroyed,
        &[],
    );
}

/// The keep-alive timer: softirq, established, probes unanswered.
fn keepalive() -> Observation {
    set(sent(TcpState::Established), |o| {
        o.flags.keepalive = true;
        o.vitals = Some(Vitals {
            probes_out: 9,
            ..Vitals::default()
        });
    })
}

#[test]
fn keepalive_timer() {
    let o = keepalive();
    expect_both(
        "9 probes",
        &o,
        "tcp_keepalive_timeout",
        Cause::KeepaliveTimeout,
        &["9 keep-alive"],
    );
    let left_open = set(o.clone(), |o| o.reason = reason("not_specified"));
    expect(
        "6.10",
        &left_open,
        Cause::KeepaliveTimeout,
        &["9 keep-alive"],
    );
    let table = [
        (
            "no probes",
            set(o.clone(), |o| o.vitals = None),
            Cause::Unknown,
        ),
        (
            "not asked for",
            set(o.clone(), |o| o.flags.keepalive = false),
            Cause::Unknown,
        ),
        (
            "by a task",
            set(o.clone(), |o| o.flags.in_task = true),
            Cause::SocketDestroyed,
        ),
        (
            "other reason",
            set(o, |o| o.reason = reason("tcp_state")),
            Cause::Unknown,
        ),
    ];
    for (name, o, cause) in table {
        expect(name, &o, cause, &["established"]);
    }
}

#[test]
fn destroyed() {
    for state in [
        TcpState::Established,
        TcpState::CloseWait,
        TcpState::FinWait1,
        TcpState::SynRecv,
    ] {
        let o = set(sent(state), |o| {
            o.flags.in_task = true;
            o.closer = Some(task(555, None));
        });
        expect_both(
            "ss -K",
            &o,
            "tcp_state",
            Cause::SocketDestroyed,
            &["pid 555", state.name()],
        );
        let softirq = set(o, |o| o.flags.in_task = false);
        expect_both(
            "softirq",
            &softirq,
            "tcp_state",
            Cause::Unknown,
            &["outside of any task"],
        );
    }
}

#[test]
fn multipath() {
    let fastclose = set(sent(TcpState::Established), |o| {
        o.flags.in_task = true;
        o.flags.mptcp = true;
    });
    expect_both(
        "fastclose",
        &fastclose,
        "tcp_abort_on_close",
        Cause::Mptcp,
        &["established"],
    );
    let killed = set(fastclose.clone(), |o| {
        o.closer = Some(task(9, Some(Exit::Signal(9))));
    });
    expect_both(
        "killed",
        &killed,
        "tcp_abort_on_close",
        Cause::ProcessKilled,
        &["SIGKILL"],
    );
    let earlier = set(killed, |o| o.flags.in_task = false);
    expect_both(
        "closed before",
        &earlier,
        "mptcp_rst_emptcp",
        Cause::Mptcp,
        &[],
    );
    let worker = set(fastclose.clone(), |o| o.flags.in_task = false);
    expect_both("worker", &worker, "mptcp_rst_emptcp", Cause::Mptcp, &[]);
    expect_both("worker", &worker, "error", Cause::Mptcp, &[]);
    for dead in [false, true] {
        let subflow = set(sent(TcpState::Close), |o| {
            o.flags.mptcp = true;
            o.flags.has_file = false;
            o.flags.dead = dead;
        });
        expect_both(
            "subflow closed",
            &subflow,
            "tcp_state",
            Cause::Mptcp,
            &["subflow"],
        );
    }
    let join = set(listener(SYN, (0, 128)), |o| {
        o.reason = reason("mptcp_rst_eprohibit");
    });
    expect(
        "join refused",
        &join,
        Cause::Mptcp,
        &["mptcp_rst_eprohibit"],
    );
    let plain = set(worker, |o| {
        o.flags.mptcp = false;
        o.reason = reason("error");
    });
    expect("not a subflow", &plain, Cause::Unknown, &["error"]);
    let close = set(with_unread(5), |o| o.flags.mptcp = true);
    expect_both(
        "plain close",
        &close,
        "tcp_abort_on_close",
        Cause::ClosedWithUnreadData,
        &[],
    );
}
