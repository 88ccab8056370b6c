use super::*;
use crate::diagnosis::cause::diagnose;
use crate::diagnosis::fixture::{self, ms, no_socket, packet, set};
use crate::kernel::observation::{Hook, KnownBy, RstPacket, TcpState};
use crate::reset::{Cause, FailureKind, Owner, Process, ResetId};

const SYN: u8 = 2;
const ACK: u8 = 16;
/// Number of the RST.
const SEQ: u32 = 7000;

pub(super) fn reset(id: u64, observation: Observation) -> Reset {
    Reset {
        id: ResetId(id),
        time: jiff::Timestamp::UNIX_EPOCH,
        owner: None,
        closer: None,
        peer: "peer".into(),
        route: None,
        diagnosis: diagnose(&observation),
        packets: 1,
        repeat_of: None,
        propagated_from: None,
        twin: None,
        observation,
    }
}

/// What the client gets.
pub(super) fn received(id: u64) -> Reset {
    let state = TcpState::Established;
    reset(
        id,
        set(fixture::received(state), |o| {
            o.vitals.as_mut().unwrap().rcv_nxt = SEQ;
        }),
    )
}

/// What the server sends: its own decision.
pub(super) fn sent(id: u64) -> Reset {
    let o = set(fixture::sent(TcpState::Close), |o| {
        std::mem::swap(&mut o.local, &mut o.remote);
        o.role = Some(Role::Server);
        o.linger = Some(Duration::ZERO);
        (o.flags.receive_shut, o.flags.send_shut) = (true, true);
        o.vitals.as_mut().unwrap().snd_nxt = SEQ;
    });
    let mut reset = reset(id, o);
    reset.owner = Some(owner("payd", 5));
    reset
}

pub(super) fn owner(name: &str, pid: u32) -> Owner {
    Owner {
        process: Process {
            pid,
            parent: None,
            name: name.into(),
            comm: name.into(),
            exe: None,
            cmdline: None,
            container: None,
            unit: None,
        }
        .into(),
        known_by: KnownBy::Accept,
    }
}

/// What the server sends in answer to a packet of the client.
fn answered(id: u64, flags: u8, ack: u32) -> Reset {
    let o = set(no_socket(flags), |o| {
        std::mem::swap(&mut o.local, &mut o.remote);
        o.trigger = Some(packet(flags, 0));
        o.trigger.as_mut().unwrap().ack = ack;
    });
    reset(id, o)
}

pub(super) fn changed(mut reset: Reset, change: impl FnOnce(&mut Observation)) -> Reset {
    change(&mut reset.observation);
    reset
}

/// All that come out, in order, after the last was given.
fn run(resets: Vec<Reset>) -> Vec<Reset> {
    let (mut twins, mut out) = (Twins::default(), Vec::new());
    for reset in resets {
        twins.push(reset, &mut out);
    }
    twins.finish(&mut out);
    out
}

/// `received<-sent` of every join.
fn joins(resets: Vec<Reset>) -> String {
    let given: Vec<_> = resets.iter().map(|reset| reset.id).collect();
    let out = run(resets);
    let told: Vec<_> = out.iter().map(|reset| reset.id).collect();
    assert_eq!(told, given, "each once and in order");
    let joins = out.iter().filter_map(|reset| {
        let twin = reset.twin.as_ref()?;
        Some(format!("{}<-{}", reset.id.0, twin.id.0))
    });
    joins.collect::<Vec<_>>().join(" ")
}

#[test]
fn either_may_come_first() {
    assert_eq!(joins(vec![received(1), sent(2)]), "1<-2");
    assert_eq!(joins(vec![sent(1), received(2)]), "2<-1");
    let out = run(vec![received(1), sent(2)]);
    let twin = out[0].twin.as_ref().unwrap();
    assert_eq!(twin.cause, Cause::LingerAbort);
    assert_eq!(twin.owner, Some(owner("payd", 5)));
    assert_eq!(out[1].twin, None);
}

#[test]
fn across_namespaces_but_not_by_the_loopback() {
    let elsewhere = || changed(sent(2), |o| o.netns = 2);
    assert_eq!(joins(vec![received(1), elsewhere()]), "1<-2");
    assert_eq!(joins(vec![elsewhere(), received(1)]), "1<-2");
    let local = |reset| {
        changed(reset, |o| {
            o.local = ([127, 0, 0, 1], o.local.port()).into();
            o.remote = ([127, 0, 0, 1], o.remote.port()).into();
        })
    };
    assert_eq!(joins(vec![local(received(1)), local(sent(2))]), "1<-2");
    assert_eq!(joins(vec![local(received(1)), local(elsewhere())]), "");
}

#[test]
fn the_same_namespace_before_others_and_no_choice_among_those() {
    let of = |id, netns| changed(sent(id), |o| o.netns = netns);
    assert_eq!(joins(vec![of(1, 2), of(2, 1), received(3)]), "3<-2");
    assert_eq!(joins(vec![of(1, 2), of(2, 3), received(3)]), "");
    let to = |id, netns| changed(received(id), |o| o.netns = netns);
    assert_eq!(joins(vec![to(1, 2), to(2, 1), sent(3)]), "2<-3");
    assert_eq!(joins(vec![to(1, 2), to(2, 3), sent(3)]), "");
}

#[test]
fn answers_are_known_by_what_they_acknowledge() {
    let refused = || {
        let mut o = fixture::received(TcpState::SynSent);
        o.vitals.as_mut().unwrap().rcv_nxt = 0;
        reset(2, o)
    };
    assert_eq!(joins(vec![answered(1, SYN, 0), refused()]), "2<-1");
    assert_eq!(joins(vec![answered(1, ACK, SEQ), received(2)]), "2<-1");
    assert_eq!(joins(vec![answered(1, ACK, SEQ), refused()]), "");
    // A connection attempt again from the same port.
    let (one, other) = (refused(), changed(refused(), |o| o.time += ms(5)));
    let again = changed(answered(3, SYN, 0), |o| o.time += ms(5));
    let other = Reset {
        id: ResetId(4),
        ..other
    };
    assert_eq!(
        joins(vec![answered(1, SYN, 0), one, again, other]),
        "2<-1 4<-3"
    );
}

#[test]
fn a_reset_from_before_the_fin_fits() {
    let closed = |fin| {
        changed(received(2), |o| {
            o.fin_received = fin;
            o.vitals.as_mut().unwrap().rcv_nxt = SEQ + 1;
        })
    };
    assert_eq!(joins(vec![sent(1), closed(true)]), "2<-1");
    assert_eq!(joins(vec![sent(1), closed(false)]), "");
}

#[test]
fn near_misses_stay_apart() {
    let with_packet = |offset| {
        Some(RstPacket {
            ttl: 64,
            ip_id: 0,
            seq_offset: offset,
            flags: 4,
        })
    };
    let table = [
        (
            "another number",
            changed(received(2), |o| o.vitals.as_mut().unwrap().rcv_nxt = 1),
        ),
        (
            "the packet says so",
            changed(received(2), |o| o.packet = with_packet(1)),
        ),
        (
            "another port",
            changed(received(2), |o| o.local.set_port(1)),
        ),
        // As by a translated address.
        (
            "another peer",
            changed(received(2), |o| o.remote = "10.9.9.9:80".parse().unwrap()),
        ),
        (
            "not mirrored",
            changed(received(2), |o| std::mem::swap(&mut o.local, &mut o.remote)),
        ),
        (
            "much later",
            changed(received(2), |o| o.time += WINDOW + ms(1)),
        ),
        (
            "number not known",
            changed(received(2), |o| o.vitals = None),
        ),
        (
            "the filter's",
            changed(received(2), |o| o.firewall = Some(Hook::Input)),
        ),
        (
            "one of many",
            Reset {
                packets: 2,
                ..received(2)
            },
        ),
        (
            "a repeat",
            Reset {
                repeat_of: Some(ResetId(9)),
                ..received(2)
            },
        ),
    ];
    for (name, miss) in table {
        assert_eq!(joins(vec![sent(1), miss.clone()]), "", "{name}");
        if name != "much later" {
            assert_eq!(
                joins(vec![
                    Reset {
                        id: ResetId(1),
                        ..miss
                    },
                    sent(2)
                ]),
                "",
                "{name}, first"
            );
        }
    }
    let unreadable = changed(sent(1), |o| o.vitals = None);
    assert_eq!(joins(vec![unreadable, received(2)]), "");
    let filtered = changed(sent(1), |o| o.firewall = Some(Hook::Input));
    assert_eq!(joins(vec![filtered, received(2)]), "");
}

#[test]
fn one_sent_reset_is_one_received() {
    assert_eq!(joins(vec![sent(1), received(2), received(3)]), "2<-1");
    // Further packets of the same reset add nothing.
    assert_eq!(joins(vec![sent(1), sent(2), received(3)]), "3<-1");
    assert_eq!(joins(vec![received(1), sent(2), sent(3)]), "1<-2");
}

#[test]
fn who_waits_and_how_long() {
    let (mut twins, mut out) = (Twins::default(), Vec::new());
    let start = received(1).observation.time;
    twins.push(received(1), &mut out);
    assert_eq!(twins.next_deadline(), Some(start + HOLD));
    assert_eq!(twins.waits_since(), Some(start));
    // What comes behind waits too, so that the order stays.
    let other = changed(sent(2), |o| o.local.set_port(1));
    twins.push(other, &mut out);
    twins.expire(start + ms(19), &mut out);
    assert!(out.is_empty());
    twins.expire(start + HOLD, &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!((twins.next_deadline(), twins.waits_since()), (None, None));
    assert!(twins.waiting.is_empty());
    // Its sender comes too late.
    let late = changed(sent(3), |o| o.time += HOLD);
    twins.push(late, &mut out);
    assert!(out.iter().all(|reset| reset.twin.is_none()));
}

#[test]
fn a_joined_one_goes_at_once() {
    let (mut twins, mut out) = (Twins::default(), Vec::new());
    twins.push(received(1), &mut out);
    twins.push(sent(2), &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(twins.next_deadline(), None);
}

#[test]
fn a_time_to_come_holds_nobody_up() {
    let (mut twins, mut out) = (Twins::default(), Vec::new());
    let ahead = changed(received(1), |o| o.time = Duration::from_nanos(u64::MAX));
    twins.push(ahead, &mut out);
    twins.push(received(2), &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn memory_is_bounded_and_nothing_is_lost() {
    let (mut twins, mut out) = (Twins::default(), Vec::new());
    for id in 0..HELD_LIMIT as u64 + 10 {
        twins.push(received(id), &mut out);
    }
    assert_eq!(out.len(), 10);
    assert_eq!(twins.queue.len(), HELD_LIMIT);
    twins.finish(&mut out);
    assert_eq!(out.len(), HELD_LIMIT + 10);

    let mut twins = Twins::default();
    for number in 0..u32::try_from(REMEMBERED).unwrap() + 10 {
        let sent = || sent(number.into());
        let one = changed(sent(), |o| o.vitals.as_mut().unwrap().snd_nxt = number);
        twins.push(one, &mut out);
        let address = std::net::Ipv4Addr::from(0x0a09_0000 + number);
        let other = changed(sent(), |o| o.remote = (address, 1).into());
        twins.push(other, &mut out);
    }
    assert_eq!(twins.order.len(), REMEMBERED);
    let remembered: usize = twins.sent.values().map(Vec::len).sum();
    assert!(remembered <= REMEMBERED, "{remembered}");
    let end = changed(received(0), |o| o.time += WINDOW + ms(1));
    twins.push(end, &mut out);
    assert_eq!((twins.order.len(), twins.sent.len()), (0, 0));
}

#[test]
fn a_client_that_had_its_answer_breaks_nothing() {
    let aborting = |answer: u64| {
        let o = set(sent(1).observation, |o| {
            o.role = Some(Role::Client);
            (o.since_data_in, o.since_data_out) = (Some(ms(0)), Some(ms(1)));
            let vitals = o.vitals.as_mut().unwrap();
            (vitals.bytes_sent, vitals.bytes_received) = (20, answer);
        });
        reset(1, o)
    };
    // It does not know that its answer has arrived.
    let robbed = set(received(2).observation, |o| {
        o.role = Some(Role::Server);
        (o.since_data_in, o.since_data_out) = (Some(ms(1)), Some(ms(0)));
        let vitals = o.vitals.as_mut().unwrap();
        (vitals.bytes_received, vitals.bytes_sent, vitals.unacked) = (20, 144, 144);
    });
    for (answer, expected) in [(144, None), (0, Some(FailureKind::Reset))] {
        let out = run(vec![aborting(answer), reset(2, robbed.clone())]);
        assert!(out[1].twin.is_some(), "{out:?}");
        assert_eq!(out[1].diagnosis.cause, Cause::ClientCanceled);
        assert_eq!(out[1].failure(), expected, "{answer} bytes of answer");
    }
}
