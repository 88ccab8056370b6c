use std::time::Duration;

use crate::diagnosis::fixture::{expect, no_socket, packet, reason, sent, set, task};
use crate::kernel::observation::{Exit, Observation, Shape, TcpState};
use crate::reset::Cause;

mod active;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// `o` with and without the kernel's reason gives the same cause.
fn expect_both(name: &str, o: &Observation, why: &str, cause: Cause, evidence: &[&str]) {
    let with = Observation {
        reason: reason(why),
        ..o.clone()
    };
    expect(&format!("{name}, no reason"), o, cause, evidence);
    expect(
        &format!("{name}, {why}"),
        &with,
        cause,
        &[evidence, &[why]].concat(),
    );
}

/// An orphan: no file, let go of.
fn orphan(state: TcpState) -> Observation {
    set(sent(state), |o| {
        o.flags.has_file = false;
        o.flags.dead = true;
    })
}

fn listener(flags: u8, queue: (u32, u32)) -> Observation {
    set(sent(TcpState::Listen), |o| {
        o.vitals = None;
        o.trigger = Some(packet(flags, 0));
        o.accept_queue = Some(queue);
    })
}

#[test]
fn without_a_socket() {
    expect_both(
        "closed port",
        &no_socket(SYN),
        "no_socket",
        Cause::NoListener,
        &["port 40000"],
    );
    expect_both(
        "late ACK",
        &no_socket(ACK),
        "no_socket",
        Cause::StraySegment,
        &["an ACK came in"],
    );
    expect(
        "SYN-ACK",
        &no_socket(SYN | ACK),
        Cause::StraySegment,
        &["a SYN-ACK"],
    );
    let data = set(no_socket(ACK), |o| o.trigger = Some(packet(ACK | 8, 12)));
    expect(
        "late data",
        &data,
        Cause::StraySegment,
        &["an ACK with 12 bytes"],
    );
    let again = set(no_socket(ACK), |o| o.cookie = Some(5));
    expect(
        "after a reset",
        &again,
        Cause::StraySegment,
        &["had been reset before"],
    );
    let went_on = set(data, |o| o.flags.peer_went_on = true);
    expect(
        "data after a forged reset",
        &went_on,
        Cause::StraySegment,
        &["the peer went on after the RST"],
    );
    let unreadable = set(no_socket(ACK), |o| o.trigger = None);
    expect(
        "unreadable",
        &unreadable,
        Cause::Unknown,
        &["could not be read"],
    );
}

#[test]
fn time_wait() {
    let o = set(sent(TcpState::TimeWait), |o| {
        o.shape = Shape::TimeWait;
        o.trigger = Some(packet(ACK, 1));
    });
    expect_both(
        "TIME_WAIT",
        &o,
        "tcp_timewait_socket",
        Cause::Timewait,
        &["an ACK with 1 byte"],
    );
}

#[test]
fn listeners() {
    let invalid_syn =
        |flags, queue| set(listener(flags, queue), |o| o.reason = reason("invalid_syn"));
    let flags = |bits, queue| set(listener(bits, queue), |o| o.reason = reason("tcp_flags"));
    let table = [
        (
            "overflow",
            invalid_syn(ACK, (129, 128)),
            Cause::ListenOverflow,
        ),
        (
            "overflow, no reason",
            listener(ACK, (129, 128)),
            Cause::ListenOverflow,
        ),
        (
            "room left, no reason",
            listener(ACK, (128, 128)),
            Cause::StraySegment,
        ),
        (
            "empty queue, no reason",
            listener(ACK, (0, 128)),
            Cause::StraySegment,
        ),
        (
            "second SYN",
            invalid_syn(SYN, (129, 128)),
            Cause::ProtocolError,
        ),
        (
            "second SYN, no reason",
            listener(SYN, (129, 128)),
            Cause::ProtocolError,
        ),
        ("stray ACK", flags(ACK, (0, 128)), Cause::StraySegment),
        (
            "stray ACK, full queue",
            flags(ACK, (129, 128)),
            Cause::StraySegment,
        ),
        (
            "stray SYN-ACK, full queue",
            listener(SYN | ACK, (129, 128)),
            Cause::StraySegment,
        ),
        ("neither", listener(0, (0, 128)), Cause::Unknown),
    ];
    for (name, o, cause) in table {
        expect(
            name,
            &o,
            cause,
            &["came in at a listener", "waiting for accept(): "],
        );
    }
    let request = |reason_name: Option<&str>, bits| {
        set(listener(bits, (0, 0)), |o| {
            o.shape = Shape::Request;
            o.state = Some(TcpState::NewSynRecv);
            o.accept_queue = None;
            o.reason = reason_name.and_then(reason);
        })
    };
    let table = [
        (
            "request, overflow",
            request(Some("invalid_syn"), ACK),
            Cause::ListenOverflow,
        ),
        ("request, SYN", request(None, SYN), Cause::ProtocolError),
        (
            "request, old ACK",
            request(Some("tcp_old_ack"), ACK),
            Cause::ProtocolError,
        ),
        (
            "request, ACK, queue not known",
            request(None, ACK),
            Cause::Unknown,
        ),
    ];
    for (name, o, cause) in table {
        expect(name, &o, cause, &["came in at a listener"]);
    }
}

#[test]
fn broken_handshakes() {
    for (state, why) in [
        (TcpState::SynSent, "tcp_invalid_ack_sequence"),
        (TcpState::SynSent, "tcp_rfc7323_paws"),
        (TcpState::SynRecv, "tcp_too_old_ack"),
        (TcpState::SynRecv, "tcp_ack_unsent_data"),
    ] {
        let o = set(sent(state), |o| o.trigger = Some(packet(ACK, 0)));
        expect_both(why, &o, why, Cause::ProtocolError, &[state.name()]);
    }
    let established = set(sent(TcpState::Established), |o| {
        o.trigger = Some(packet(ACK, 0));
    });
    expect(
        "no such rule",
        &established,
        Cause::Unknown,
        &["established"],
    );
}

#[test]
fn data_after_close() {
    let o = set(orphan(TcpState::Close), |o| {
        o.state_before = Some(TcpState::FinWait2);
        o.trigger = Some(packet(ACK, 5));
        o.since_fin_sent = Some(Duration::from_millis(20));
        o.closer = Some(task(9, None));
    });
    let facts = ["an ACK with 5 bytes", "20 ms before"];
    expect_both(
        "data",
        &o,
        "tcp_abort_on_data",
        Cause::DataAfterClose,
        &facts,
    );

    let killed = set(o.clone(), |o| {
        o.closer = Some(task(9, Some(Exit::Signal(9))));
    });
    expect_both(
        "killed",
        &killed,
        "tcp_abort_on_data",
        Cause::ProcessKilled,
        &["signal 9 (SIGKILL)", "after the local end had closed"],
    );
    let exited = set(o.clone(), |o| {
        o.closer = Some(task(9, Some(Exit::Status(3))));
    });
    expect("exited", &exited, Cause::ProcessExit, &["exit status 3"]);

    let shut = set(o.clone(), |o| {
        o.flags.dead = false;
        o.flags.receive_shut = true;
    });
    expect_both(
        "shut, not closed",
        &shut,
        "tcp_abort_on_data",
        Cause::DataAfterClose,
        &[],
    );
    let neither = set(o.clone(), |o| o.flags.dead = false);
    expect(
        "neither shut nor closed",
        &neither,
        Cause::Unknown,
        &["was answered in close"],
    );

    // What `shutdown()` and the peer's FIN leave behind looks alike but for our own FIN.
    let past_fin = set(o.clone(), |o| {
        o.state_before = Some(TcpState::CloseWait);
        o.flags.dead = false;
        o.flags.receive_shut = true;
        o.fin_received = true;
        o.fin_sent = false;
    });
    expect_both(
        "past the peer's own FIN",
        &past_fin,
        "tcp_abort_on_data",
        Cause::ProtocolError,
        &["past the peer's own FIN"],
    );
    let last_ack = set(past_fin, |o| {
        o.state_before = Some(TcpState::LastAck);
        o.fin_sent = true;
    });
    expect_both(
        "past the peer's FIN, and closed",
        &last_ack,
        "tcp_abort_on_data",
        Cause::DataAfterClose,
        &[],
    );

    let linger2 = set(o.clone(), |o| {
        o.linger2_abort = true;
        o.trigger = Some(packet(ACK, 0));
    });
    expect_both(
        "TCP_LINGER2",
        &linger2,
        "tcp_abort_on_data",
        Cause::LingerAbort,
        &["TCP_LINGER2"],
    );
    let with_data = set(linger2, |o| o.trigger = Some(packet(ACK, 1)));
    expect("TCP_LINGER2, data", &with_data, Cause::DataAfterClose, &[]);
}
