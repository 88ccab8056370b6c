//! Packets of one logical reset, in any order and at any time.

use std::time::Duration;

use resetmon::diagnosis::repeat::{Repeats, WINDOW};
use resetmon::kernel::observation::{Direction, KnownBy, Observation, Task, TcpState, Trigger};
use resetmon::reset::ResetId;

use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Sequences of observations, compared with a plain model.
#[derive(Debug)]
pub(crate) struct Packets {
    template: Observation,
}

impl Default for Packets {
    fn default() -> Self {
        let mut random = Random::of(4, "template", 0);
        Self {
            template: resets::observation(&mut random),
        }
    }
}

/// One remembered row: the observations of it, first to last.
#[derive(Debug)]
struct Row {
    first: ResetId,
    cookie: Option<u64>,
    owner: Option<Task>,
    latest: Duration,
    key: Observation,
}

fn same_ends(one: &Observation, other: &Observation) -> bool {
    (one.netns, one.direction, one.local, one.remote)
        == (other.netns, other.direction, other.local, other.remote)
}

fn attempt(o: &Observation) -> bool {
    match o.direction {
        Direction::Sent => o
            .trigger
            .is_some_and(|packet| packet.syn() && !packet.ack_flag()),
        Direction::Received => o.state_before.or(o.state) == Some(TcpState::SynSent),
    }
}

impl Target for Packets {
    const NAME: &'static str = "repeats";
    const QUICK: u64 = 6_000;
    const REFUSES: bool = false;
    type Input = Vec<Observation>;

    fn make(&mut self, random: &mut Random) -> Vec<Observation> {
        let task = |pid: u32| Task {
            pid,
            tid: pid,
            start: Duration::from_secs(1),
            comm: "nginx".into(),
            cgroup: 1,
            known_by: Some(KnownBy::Accept),
            exit: None,
        };
        let length = 1 + random.below(24);
        (0..length)
            .map(|_| Observation {
                time: match random.below(20) {
                    0 => Duration::ZERO,
                    1 => Duration::from_nanos(u64::MAX),
                    _ => Duration::from_secs(1000 + random.next() % 30),
                },
                direction: random.choose(&[Direction::Sent, Direction::Received]),
                cookie: random.choose(&[None, Some(1), Some(2)]),
                netns: random.choose(&[1, 1, 1, 2]),
                local: ([10, 0, 0, 1], random.choose(&[1, 1, 2])).into(),
                remote: ([10, 0, 0, 2], 80).into(),
                owner: random.one_in(2).then(|| task(random.choose(&[5, 6]))),
                closer: None,
                state: Some(TcpState::Close),
                state_before: random.choose(&[
                    None,
                    Some(TcpState::SynSent),
                    Some(TcpState::Established),
                ]),
                trigger: random.one_in(2).then(|| Trigger {
                    seq: 1,
                    ack: 1,
                    len: 0,
                    flags: random.choose(&[2, 16, 18]),
                    ttl: 64,
                }),
                ..self.template.clone()
            })
            .collect()
    }

    fn check(&mut self, packets: &Vec<Observation>) -> bool {
        let mut repeats = Repeats::default();
        let mut rows: Vec<Row> = Vec::new();
        for (number, packet) in packets.iter().enumerate() {
            let id = ResetId(number as u64 + 1);
            let mut marked = packet.clone();
            let repeat_of = repeats.mark(id, &mut marked);
            let row = rows.iter_mut().find(|row| same_ends(&row.key, packet));
            let continues = row.as_ref().is_some_and(|row| {
                let other =
                    matches!((row.cookie, packet.cookie), (Some(one), Some(two)) if one != two);
                let late = packet.time >= row.latest.saturating_add(WINDOW);
                !attempt(packet) && !other && !late
            });
            let mut expected = packet.clone();
            if let Some(row) = row
                && continues
            {
                assert_eq!(repeat_of, Some(row.first));
                if expected.owner.is_none() {
                    let known_by = Some(KnownBy::EarlierReset);
                    expected.owner = row.owner.clone().map(|owner| Task { known_by, ..owner });
                }
                row.owner = row.owner.take().or_else(|| packet.owner.clone());
                row.cookie = row.cookie.or(packet.cookie);
                row.latest = row.latest.max(packet.time);
            } else {
                assert_eq!(repeat_of, None);
                rows.retain(|row| !same_ends(&row.key, packet));
                rows.push(Row {
                    first: id,
                    cookie: packet.cookie,
                    owner: packet.owner.clone(),
                    latest: packet.time,
                    key: packet.clone(),
                });
            }
            // Nothing but a missing owner is filled in.
            assert_eq!(marked, expected);
        }
        true
    }
}
