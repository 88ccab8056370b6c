use std::sync::Arc;

use super::*;
use crate::diagnosis::cause::diagnose;
use crate::diagnosis::fixture;
use crate::kernel::observation::{Role, Task, TcpState};
use crate::reset::{Owner, Process, RouteMatch};

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn at(micros: u64) -> Duration {
    Duration::from_secs(100) + us(micros)
}

fn reset(id: u64, observation: Observation, leg: Leg, cause: Cause) -> Reset {
    let process = Arc::new(Process {
        pid: 100,
        parent: None,
        name: "nginx".into(),
        comm: "nginx".into(),
        exe: None,
        cmdline: None,
        container: None,
        unit: None,
    });
    let mut diagnosis = diagnose(&observation);
    diagnosis.cause = cause;
    Reset {
        id: ResetId(id),
        time: jiff::Timestamp::UNIX_EPOCH,
        owner: Some(Owner {
            process,
            known_by: crate::kernel::observation::KnownBy::Connect,
        }),
        closer: None,
        peer: "peer".into(),
        route: Some(RouteMatch {
            gateway: "edge".into(),
            route: "/".into(),
            upstream: Arc::default(),
            host: None,
            leg,
        }),
        diagnosis,
        packets: 1,
        repeat_of: None,
        propagated_from: None,
        twin: None,
        observation,
    }
}

/// A connection opened at `opened` that sent and got one request then, and ends at `end`.
fn connection(mut o: Observation, role: Role, opened: Duration, end: Duration) -> Observation {
    o.time = end;
    o.role = Some(role);
    let ago = end.checked_sub(opened);
    (o.age, o.since_opened) = (ago, ago);
    (o.since_data_in, o.since_data_out) = (ago, ago);
    let vitals = o.vitals.as_mut().unwrap();
    match role {
        Role::Client => vitals.bytes_acked = 100,
        Role::Server => vitals.bytes_received = 100,
    }
    o
}

/// A client that came at `opened` and resets at `end`.
fn canceled(id: u64, opened: u64, end: u64) -> Reset {
    let o = fixture::received(TcpState::Established);
    let o = connection(o, Role::Server, at(opened), at(end));
    reset(id, o, Leg::Downstream, Cause::ClientCanceled)
}

/// The abort of an upstream connection that was opened at `opened`.
fn aborted(id: u64, opened: u64, end: u64) -> Reset {
    let o = fixture::sent(TcpState::Close);
    let o = connection(o, Role::Client, at(opened), at(end));
    reset(id, o, Leg::Upstream, Cause::LingerAbort)
}

fn changed(mut reset: Reset, change: impl FnOnce(&mut Reset)) -> Reset {
    change(&mut reset);
    reset
}

/// `id<-origin` of every link.
fn links(resets: Vec<Reset>) -> String {
    let mut propagation = Propagation::default();
    let mut out = Vec::new();
    let count = resets.len();
    for reset in resets {
        propagation.push(reset, &mut out);
    }
    propagation.finish(&mut out);
    assert_eq!(out.len(), count, "nothing is lost");
    let link = |reset: &Reset| {
        let from = reset.propagated_from.as_ref()?;
        Some(format!("{}<-{}", reset.id.0, from.id.0))
    };
    let links: Vec<String> = out.iter().filter_map(link).collect();
    links.join(" ")
}

fn owned_by(pid: u32) -> impl FnOnce(&mut Reset) {
    move |reset| reset.observation.owner = Some(fixture::task(pid, None))
}

#[test]
fn a_client_s_reset_explains_the_abort_upstream() {
    let pair = || (canceled(1, 0, 50_000), aborted(2, 200, 50_300));
    let after = |change: fn(&mut Reset)| {
        let (first, second) = pair();
        links(vec![first, changed(second, change)])
    };
    assert_eq!(after(|_| {}), "2<-1");
    let from = {
        let mut propagation = Propagation::default();
        let mut out = Vec::new();
        let (first, second) = pair();
        propagation.push(first, &mut out);
        propagation.push(second, &mut out);
        assert_eq!(out.len(), 1, "the second is held");
        assert_eq!(propagation.next_deadline(), Some(at(50_300) + HOLD));
        propagation.expire(at(50_299) + HOLD, &mut out);
        assert_eq!(out.len(), 1);
        propagation.expire(at(50_300) + HOLD, &mut out);
        out[1].propagated_from.clone().unwrap()
    };
    assert_eq!((from.id, from.leg), (ResetId(1), Leg::Downstream));
    assert_eq!(from.cause, Cause::ClientCanceled);

    // Late data meet a connection that the gateway had closed at once.
    let late = after(|reset| {
        let late = Duration::from_secs(20);
        let o = &mut reset.observation;
        o.time += late;
        for since in [
            &mut o.age,
            &mut o.since_opened,
            &mut o.since_data_in,
            &mut o.since_data_out,
        ] {
            *since = since.map(|since| since + late);
        }
        o.since_fin_sent = Some(late);
        reset.diagnosis.cause = Cause::DataAfterClose;
    });
    assert_eq!(late, "2<-1");

    // Near misses.
    assert_eq!(after(|r| r.diagnosis.cause = Cause::ProcessExit), "");
    assert_eq!(after(|r| r.diagnosis.cause = Cause::NoListener), "");
    assert_eq!(after(|r| r.repeat_of = Some(ResetId(7))), "");
    assert_eq!(after(|r| r.packets = 2), "");
    assert_eq!(after(|r| r.route = None), "");
    assert_eq!(
        after(|r| r.route.as_mut().unwrap().leg = Leg::Downstream),
        ""
    );
    assert_eq!(after(|r| owned_by(101)(r)), "");
    assert_eq!(after(|r| r.observation.owner = None), "");
    assert_eq!(after(|r| r.observation.time -= us(400)), "");
    assert_eq!(after(|r| r.observation.time += REACTION), "");
    let (first, second) = pair();
    let benign = changed(first, |r| r.diagnosis.cause = Cause::ResetAfterClose);
    assert_eq!(links(vec![benign, second]), "");
}

#[test]
fn a_backend_s_reset_explains_the_abort_downstream() {
    let backend = |cause| {
        let o = fixture::received(TcpState::Established);
        let o = connection(o, Role::Client, at(200), at(50_000));
        reset(1, o, Leg::Upstream, cause)
    };
    let client = || {
        let o = fixture::sent(TcpState::Close);
        let o = connection(o, Role::Server, at(0), at(50_100));
        reset(2, o, Leg::Downstream, Cause::ClosedWithUnreadData)
    };
    for cause in [
        Cause::AbortedBeforeResponse,
        Cause::Refused,
        Cause::Injected,
    ] {
        assert_eq!(links(vec![backend(cause), client()]), "2<-1", "{cause}");
    }
    // The kernel may end it as well.
    let timeout = changed(backend(Cause::UserTimeout), |reset| {
        reset.observation.direction = Direction::Sent;
    });
    assert_eq!(links(vec![timeout, client()]), "2<-1");
}

#[test]
fn two_that_fit_are_one_too_many() {
    // Two clients that came and left together, and one abort.
    let crowd = vec![
        canceled(1, 0, 50_000),
        canceled(2, 50, 50_050),
        aborted(3, 200, 50_300),
    ];
    assert_eq!(links(crowd), "");
    // One client and two aborts: a multiplexed connection, or a coincidence.
    let fan = vec![
        canceled(1, 0, 50_000),
        aborted(2, 200, 50_300),
        aborted(3, 210, 50_310),
    ];
    assert_eq!(links(fan), "");
    // The second abort comes while the first is held.
    let late = vec![
        canceled(1, 0, 50_000),
        aborted(2, 200, 50_300),
        aborted(3, 210, 50_900),
    ];
    assert_eq!(links(late), "");
}

#[test]
fn pairs_that_keep_their_order_are_told_apart() {
    let pairs = |second: (u64, u64)| {
        let (opened, end) = second;
        vec![
            canceled(1, 0, 50_000),
            canceled(2, 300, 50_100),
            aborted(3, 400, 50_300),
            aborted(4, opened, end),
        ]
    };
    assert_eq!(links(pairs((450, 50_350))), "3<-1 4<-2");
    // Opened in one order and ended in the other.
    let crossed = vec![
        canceled(1, 0, 50_100),
        canceled(2, 300, 50_000),
        aborted(3, 400, 50_300),
        aborted(4, 450, 50_350),
    ];
    assert_eq!(links(crossed), "");
    // Threads overtake each other.
    let mut threads = pairs((450, 50_350));
    let other = |task: &mut Option<Task>| task.as_mut().unwrap().tid = 7;
    other(&mut threads[3].observation.owner);
    assert_eq!(links(threads), "");
    // A stranger is easily told.
    let mut strangers = pairs((40_000, 70_000));
    strangers[1] = canceled(2, 20_000, 50_100);
    assert_eq!(links(strangers), "3<-1");
}

#[test]
fn a_coincidence_is_no_link() {
    // The right moment, but opened and used at another time.
    let stranger = canceled(1, 0, 50_000);
    assert_eq!(links(vec![stranger, aborted(2, 30_000, 50_200)]), "");
}

#[test]
fn memory_is_bounded_and_nothing_is_lost() {
    let mut propagation = Propagation::default();
    let mut out = Vec::new();
    let many = 2 * HELD_LIMIT as u64;
    for number in 0..many {
        propagation.push(canceled(2 * number, 0, 50_000), &mut out);
        propagation.push(aborted(2 * number + 1, 200, 50_300), &mut out);
    }
    assert_eq!(propagation.held.len(), HELD_LIMIT);
    assert_eq!(propagation.origins.sides.len(), REMEMBERED);
    assert_eq!(propagation.ends.sides.len(), REMEMBERED);
    assert_eq!(propagation.ends.order.len(), REMEMBERED);
    propagation.finish(&mut out);
    assert_eq!(out.len() as u64, 2 * many);
    assert!(out.iter().all(|reset| reset.propagated_from.is_none()));
}
