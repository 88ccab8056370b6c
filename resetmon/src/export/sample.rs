//! Realistic resets for the exporters' tests: take one and change what the row is about.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::kernel::observation::{
    Direction, Ended, KnownBy, Observation, Reason, Role, Shape, SocketFlags, Task, TcpState,
    Trigger, Vitals,
};
use crate::reset::{
    Cause, Container, ContainerNames, Diagnosis, FailureKind, Leg, Owner, Process, Propagated,
    Reset, ResetId, RouteMatch, Sender, Stage, Twin,
};

/// A worker of nginx, pid 4242, on the host.
pub(crate) fn nginx() -> Process {
    Process {
        pid: 4242,
        parent: None,
        name: Arc::from("nginx"),
        comm: Arc::from("nginx"),
        exe: Some(Arc::from("/usr/sbin/nginx")),
        cmdline: Some(Arc::from("nginx: worker process")),
        container: None,
        unit: Some(Arc::from("nginx.service")),
    }
}

/// A container of a Kubernetes pod.
pub(crate) fn container() -> Container {
    Container {
        id: Arc::from("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        runtime: "containerd",
        pod_uid: Some(Arc::from("11111111-2222-3333-4444-555555555555")),
        names: None,
    }
}

/// The same, named by Kubernetes.
pub(crate) fn named_container() -> Container {
    Container {
        names: Some(Arc::new(ContainerNames {
            namespace: Arc::from("shop"),
            pod: Arc::from("web-0"),
            container: Some(Arc::from("proxy")),
            workload: Some(Arc::from("StatefulSet/web")),
        })),
        ..container()
    }
}

/// The task of a process, alive.
pub(crate) fn task(pid: u32, comm: &str, known_by: KnownBy) -> Task {
    Task {
        pid,
        tid: pid,
        start: Duration::from_secs(100),
        comm: Arc::from(comm),
        cgroup: 77,
        known_by: Some(known_by),
        exit: None,
    }
}

/// A client's reset that may have led to one of the upstream leg.
pub(crate) fn propagated() -> Propagated {
    Propagated {
        id: ResetId(0x29),
        leg: Leg::Downstream,
        remote: "[2001:db8::9]:50000".parse().unwrap(),
        peer: Arc::from("office"),
        route: Some(RouteMatch {
            gateway: Arc::from("edge"),
            route: Arc::from("/api/pay"),
            upstream: Arc::default(),
            host: None,
            leg: Leg::Downstream,
        }),
        cause: Cause::ClientCanceled,
    }
}

/// A backend on the same node that closed with data unread.
pub(crate) fn twin() -> Twin {
    Twin {
        id: ResetId(0x28),
        netns: 4_026_531_999,
        owner: Some(Owner {
            process: Arc::new(Process {
                pid: 77,
                name: Arc::from("payd"),
                comm: Arc::from("payd"),
                container: Some(named_container()),
                ..nginx()
            }),
            known_by: KnownBy::Accept,
        }),
        cause: Cause::ClosedWithUnreadData,
        fact: Some("closed with 12 bytes unread".to_owned()),
        is_settled: false,
    }
}

/// Received by nginx on its upstream leg: the backend reset in the middle of an answer.
pub(crate) fn received() -> Reset {
    Reset {
        id: ResetId(0x2a),
        time: "2025-03-04T05:06:07.123456789Z"
            .parse::<Timestamp>()
            .unwrap(),
        observation: Observation {
            time: Duration::from_secs(5000),
            direction: Direction::Received,
            netns: 4_026_531_840,
            cookie: Some(9_007_199_254_740_993),
            local: "10.0.0.1:45678".parse().unwrap(),
            remote: "10.0.0.9:8080".parse().unwrap(),
            shape: Shape::Full,
            state: Some(TcpState::Close),
            state_before: Some(TcpState::Established),
            reason: None,
            role: Some(Role::Client),
            owner: Some(task(4242, "nginx", KnownBy::Connect)),
            closer: None,
            age: Some(Duration::from_millis(61_250)),
            since_opened: Some(Duration::from_millis(61_251)),
            since_data_in: Some(Duration::from_millis(1_500)),
            since_data_out: Some(Duration::from_millis(61_200)),
            since_ack_in: Some(Duration::from_millis(1_500)),
            tick: Duration::from_millis(4),
            fin_received: false,
            since_fin_received: None,
            fin_sent: false,
            since_fin_sent: None,
            vitals: Some(Vitals {
                bytes_received: 12_345,
                bytes_acked: 340,
                bytes_sent: 340,
                segs_in: 12,
                segs_out: 9,
                data_segs_in: 10,
                data_segs_out: 1,
                unread: 0,
                unacked: 0,
                srtt: Some(Duration::from_micros(420)),
                retransmits: 0,
                retransmits_now: 0,
                probes_out: 0,
                received_since_ack: Some(12_345),
                rcv_nxt: 1,
                snd_nxt: 2,
            }),
            trigger: None,
            packet: None,
            handshake_ttl: None,
            firewall: None,
            linger: None,
            linger2_abort: false,
            socket_error: u32::try_from(libc::ECONNRESET).unwrap(),
            uid: Some(33),
            accept_queue: None,
            flags: SocketFlags {
                has_file: true,
                keepalive: true,
                ..SocketFlags::default()
            },
            provisional: false,
            retracts: false,
        },
        owner: Some(Owner {
            process: Arc::new(nginx()),
            known_by: KnownBy::Connect,
        }),
        closer: None,
        peer: Arc::from("payments-1"),
        route: Some(RouteMatch {
            gateway: Arc::from("edge"),
            route: Arc::from("/api/pay"),
            upstream: Arc::from("payments"),
            host: None,
            leg: Leg::Upstream,
        }),
        diagnosis: Diagnosis {
            cause: Cause::AbortedMidResponse,
            sender: Sender::Peer,
            stage: Stage::Established,
            evidence: vec![
                "no FIN was seen".to_owned(),
                "12345 bytes of the answer had come".to_owned(),
            ]
            .into(),
        },
        packets: 1,
        repeat_of: None,
        propagated_from: None,
        twin: None,
    }
}

/// Sent by this node: nobody listens on the port, so there is neither socket nor process.
pub(crate) fn sent_without_socket() -> Reset {
    let mut reset = received();
    reset.id = ResetId(0x2b);
    reset.observation = Observation {
        direction: Direction::Sent,
        cookie: None,
        local: "10.0.0.1:81".parse().unwrap(),
        remote: "10.0.0.7:50000".parse().unwrap(),
        shape: Shape::NoSocket,
        state: None,
        state_before: None,
        reason: Some(Reason(Arc::from("no_socket"))),
        role: None,
        owner: None,
        age: None,
        since_opened: None,
        since_data_in: None,
        since_data_out: None,
        since_ack_in: None,
        vitals: None,
        trigger: Some(Trigger {
            seq: 1000,
            ack: 0,
            len: 0,
            flags: 2,
            ttl: 64,
        }),
        socket_error: 0,
        uid: None,
        flags: SocketFlags::default(),
        ..reset.observation
    };
    reset.owner = None;
    reset.peer = Arc::from("10.0.0.7");
    reset.route = None;
    reset.diagnosis = Diagnosis {
        cause: Cause::NoListener,
        sender: Sender::Local,
        stage: Stage::None,
        evidence: vec!["a SYN met no listening socket".to_owned()].into(),
    };
    reset
}

/// A connection of nginx to its upstream on which the request was given up.
pub(crate) fn failure() -> Failure {
    let reset = received();
    Failure {
        id: ResetId(0x2c),
        time: reset.time,
        observation: Observation {
            direction: Direction::Sent,
            socket_error: u32::try_from(libc::ETIMEDOUT).unwrap(),
            ..reset.observation
        },
        owner: reset.owner,
        closer: None,
        peer: reset.peer,
        route: reset.route,
        kind: FailureKind::TimedOut,
        stage: Stage::Established,
        ended: Ended::Error,
        unanswered: 340,
        evidence: vec!["the peer did not answer any more".to_owned()].into(),
        count: 1,
    }
}
