//! Observations to start tests from.

use std::time::Duration;

use super::cause::diagnose;
use crate::kernel::observation::{
    Direction, Exit, KnownBy, Observation, Reason, Role, Shape, SocketFlags, Task, TcpState,
    Trigger, Vitals,
};
use crate::reset::Cause;

/// A connection of ours to a server, in this state, with no payload yet.
pub(super) fn received(state: TcpState) -> Observation {
    use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck};
    let fin_received = matches!(state, CloseWait | LastAck | Closing);
    let fin_sent = matches!(state, FinWait1 | FinWait2 | LastAck | Closing);
    Observation {
        time: Duration::from_secs(1000),
        direction: Direction::Received,
        netns: 1,
        cookie: Some(77),
        local: "10.0.0.1:40000".parse().unwrap(),
        remote: "10.0.0.2:80".parse().unwrap(),
        shape: Shape::Full,
        state: Some(state),
        state_before: Some(state),
        reason: None,
        role: Some(Role::Client),
        owner: Some(task(100, None)),
        closer: None,
        age: Some(Duration::from_mins(5)),
        since_opened: Some(Duration::from_mins(5)),
        since_data_in: Some(Duration::from_mins(5)),
        since_data_out: Some(Duration::from_mins(5)),
        since_ack_in: Some(Duration::from_mins(5)),
        tick: Duration::from_millis(4),
        fin_received,
        since_fin_received: None,
        fin_sent,
        since_fin_sent: None,
        vitals: Some(Vitals {
            srtt: Some(Duration::from_micros(500)),
            ..Vitals::default()
        }),
        trigger: None,
        packet: None,
        handshake_ttl: None,
        firewall: None,
        linger: None,
        linger2_abort: false,
        socket_error: 0,
        uid: Some(0),
        accept_queue: None,
        flags: SocketFlags {
            has_file: true,
            ..SocketFlags::default()
        },
        provisional: false,
        retracts: false,
    }
}

/// A reset that this stack sent in this state; the connection had been established.
pub(super) fn sent(state: TcpState) -> Observation {
    Observation {
        direction: Direction::Sent,
        state_before: Some(if state == TcpState::Close {
            TcpState::Established
        } else {
            state
        }),
        ..received(state)
    }
}

/// A reset that this stack sent for want of a socket.
pub(super) fn no_socket(flags: u8) -> Observation {
    Observation {
        shape: Shape::NoSocket,
        state: None,
        state_before: None,
        cookie: None,
        role: None,
        owner: None,
        vitals: None,
        uid: None,
        trigger: Some(packet(flags, 0)),
        ..sent(TcpState::Close)
    }
}

/// A process, dying if `exit` is set.
pub(super) fn task(pid: u32, exit: Option<Exit>) -> Task {
    Task {
        pid,
        tid: pid,
        start: Duration::from_secs(1),
        comm: "nginx".into(),
        cgroup: 1,
        known_by: Some(KnownBy::Connect),
        exit,
    }
}

/// A packet with these TCP flags and so much payload.
pub(super) fn packet(flags: u8, len: u16) -> Trigger {
    Trigger {
        seq: 1,
        ack: 1,
        len,
        flags,
        ttl: 64,
    }
}

/// A reason of this name.
#[expect(clippy::unnecessary_wraps, reason = "the type of the member")]
pub(super) fn reason(name: &str) -> Option<Reason> {
    Some(Reason(name.into()))
}

/// `o`, changed.
pub(super) fn set(mut o: Observation, change: impl FnOnce(&mut Observation)) -> Observation {
    change(&mut o);
    o
}

/// A connection with payload: bytes in and out, how long ago each last moved, bytes unacknowledged.
#[derive(Clone, Copy)]
pub(super) struct Traffic {
    bytes: (u64, u64),
    ago: (u64, u64),
    unacked: u32,
}

impl Traffic {
    /// Bytes and milliseconds, in and out.
    pub(super) const fn new(bytes: (u64, u64), ago: (u64, u64), unacked: u32) -> Self {
        Self {
            bytes,
            ago,
            unacked,
        }
    }

    /// As an observation; the peer last acknowledged when its data came, or ours left if nothing
    /// is unacknowledged.
    pub(super) fn at(self, role: Option<Role>, state: TcpState) -> Observation {
        let mut o = received(state);
        o.role = role;
        o.since_data_in = Some(ms(self.ago.0));
        o.since_data_out = Some(ms(self.ago.1));
        let acked = if self.unacked == 0 {
            self.ago.0.min(self.ago.1)
        } else {
            self.ago.0
        };
        o.since_ack_in = Some(ms(acked));
        let vitals = o.vitals.as_mut().unwrap();
        (vitals.bytes_received, vitals.bytes_sent) = self.bytes;
        vitals.data_segs_in = 3;
        vitals.data_segs_out = 3;
        vitals.unacked = self.unacked;
        o
    }
}

/// Milliseconds.
pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Asserts the cause, and that each text is part of some evidence.
pub(super) fn expect(name: &str, o: &Observation, cause: Cause, evidence: &[&str]) {
    let diagnosis = diagnose(o);
    assert_eq!(diagnosis.cause, cause, "{name}: {:?}", diagnosis.evidence);
    assert!(!diagnosis.evidence.is_empty(), "{name}: no evidence");
    for text in evidence {
        assert!(
            diagnosis.evidence.iter().any(|fact| fact.contains(text)),
            "{name}: {text:?} is not in {:?}",
            diagnosis.evidence
        );
    }
}
