//! Resets of both legs of gateways, in any order and at any time, through what links them.

use std::collections::HashMap;
use std::time::Duration;

use resetmon::diagnosis::propagation::{HELD_LIMIT, HOLD, Propagation, REACTION};
use resetmon::kernel::observation::{Direction, Observation, Role, Task, Vitals};
use resetmon::reset::{Cause, Leg, Reset, ResetId, RouteMatch};

use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Sequences of resets of a few processes.
#[derive(Debug)]
pub(crate) struct Legs {
    template: Reset,
}

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    Push(Box<Reset>),
    /// So many at once, each with an id of its own.
    Burst(Box<Reset>, usize),
    Expire(Duration),
    Finish,
}

impl Default for Legs {
    fn default() -> Self {
        let mut random = Random::of(6, "template", 0);
        Self {
            template: resets::hostile(&mut random, 0),
        }
    }
}

/// Mostly near each other, in any order; sometimes the ends of time.
fn time(random: &mut Random) -> Duration {
    match random.below(30) {
        0 => Duration::ZERO,
        1 => Duration::from_nanos(u64::MAX),
        _ => Duration::from_micros(1_000_000_000 + random.next() % 40_000),
    }
}

/// How long ago something was: about when others were, or at the ends of time.
fn ago(random: &mut Random) -> Option<Duration> {
    match random.below(12) {
        0 => None,
        1 => Some(Duration::MAX),
        2 => Some(Duration::ZERO),
        _ => Some(Duration::from_micros(random.next() % 30_000)),
    }
}

impl Legs {
    fn reset(&self, random: &mut Random, id: u64) -> Reset {
        let task = |pid: u32, tid| Task {
            pid,
            tid,
            start: Duration::from_secs(1),
            comm: "gateway".into(),
            cgroup: 1,
            known_by: None,
            exit: None,
        };
        let causes = [
            Cause::ClientCanceled,
            Cause::AbortedMidResponse,
            Cause::LingerAbort,
            Cause::DataAfterClose,
            Cause::ClosedWithUnreadData,
            Cause::Timewait,
        ];
        let bytes = |random: &mut Random| match random.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => 100,
            _ => 20_000 + random.next() % 5000,
        };
        let pid = random.choose(&[1, 1, 1, 2]);
        let tid = random.choose(&[1, 2]);
        let vitals = Vitals {
            bytes_received: bytes(random),
            bytes_acked: bytes(random),
            unread: random.choose(&[0, 0, 100, u32::MAX]),
            unacked: random.choose(&[0, 0, 100, u32::MAX]),
            ..Vitals::default()
        };
        let observation = Observation {
            time: time(random),
            direction: random.choose(&[Direction::Sent, Direction::Received]),
            role: random.choose(&[Some(Role::Client), Some(Role::Server), None]),
            owner: (!random.one_in(12)).then(|| task(pid, tid)),
            closer: random.one_in(4).then(|| task(random.choose(&[1, 2]), tid)),
            age: ago(random),
            since_opened: ago(random),
            since_data_in: ago(random),
            since_data_out: ago(random),
            since_fin_sent: random.one_in(4).then(|| ago(random)).flatten(),
            tick: random.choose(&[
                Duration::ZERO,
                Duration::from_millis(4),
                Duration::from_secs(1),
            ]),
            vitals: (!random.one_in(6)).then_some(vitals),
            ..self.template.observation.clone()
        };
        let mut reset = Reset {
            id: ResetId(id),
            route: (!random.one_in(12)).then(|| RouteMatch {
                gateway: "g".into(),
                route: "r".into(),
                upstream: "u".into(),
                host: None,
                leg: random.choose(&[Leg::Upstream, Leg::Downstream, Leg::Upstream, Leg::None]),
            }),
            packets: random.choose(&[1, 1, 1, 1, 1, 0, 2, u64::MAX]),
            repeat_of: random.one_in(12).then(|| ResetId(random.number())),
            propagated_from: None,
            observation,
            ..self.template.clone()
        };
        reset.diagnosis.cause = if random.one_in(6) {
            random.choose(Cause::ALL)
        } else {
            random.choose(&causes)
        };
        reset
    }
}

impl Target for Legs {
    const NAME: &'static str = "propagation";
    const QUICK: u64 = 4_000;
    const REFUSES: bool = false;
    type Input = Vec<Step>;

    fn make(&mut self, random: &mut Random) -> Vec<Step> {
        let length = 1 + random.below(24);
        (0..length)
            .map(|number| {
                let id = number as u64 * 100_000;
                match random.below(400) {
                    0..30 => Step::Expire(time(random)),
                    30..34 => Step::Finish,
                    34 if random.one_in(100) => {
                        let count = HELD_LIMIT + random.below(20) - 10;
                        Step::Burst(Box::new(self.reset(random, id)), count)
                    }
                    _ => Step::Push(Box::new(self.reset(random, id))),
                }
            })
            .collect()
    }

    fn check(&mut self, steps: &Vec<Step>) -> bool {
        let mut propagation = Propagation::default();
        let mut fed: HashMap<ResetId, Reset> = HashMap::new();
        let (mut out, mut told) = (Vec::new(), Vec::new());
        for step in steps {
            let mut now = None;
            match step {
                Step::Push(reset) => {
                    now = Some(reset.observation.time);
                    fed.insert(reset.id, (**reset).clone());
                    propagation.push((**reset).clone(), &mut out);
                }
                Step::Burst(reset, count) => {
                    for number in 0..*count {
                        let ResetId(first) = reset.id;
                        let one = Reset {
                            id: ResetId(first + number as u64),
                            ..(**reset).clone()
                        };
                        fed.insert(one.id, one.clone());
                        propagation.push(one, &mut out);
                    }
                }
                Step::Expire(time) => {
                    now = Some(*time);
                    propagation.expire(*time, &mut out);
                }
                Step::Finish => {
                    propagation.finish(&mut out);
                    assert_eq!(propagation.next_deadline(), None);
                }
            }
            told.append(&mut out);
            assert!(fed.len() - told.len() <= HELD_LIMIT, "too many are held");
            // What is due is not held, but for the one that has just come.
            if let (Some(now), Some(due)) = (now, propagation.next_deadline())
                && matches!(step, Step::Expire(_))
            {
                assert!(due > now, "{due:?} was due at {now:?}");
            }
        }
        propagation.finish(&mut told);
        // Each comes out once, and with nothing changed but its link.
        assert_eq!(told.len(), fed.len());
        let mut linked = false;
        for reset in told {
            let original = fed.remove(&reset.id);
            let original = original.unwrap_or_else(|| panic!("{:?} came out twice", reset.id));
            linked |= reset.propagated_from.is_some();
            if let Some(from) = &reset.propagated_from {
                assert_ne!(from.id, reset.id);
                assert_ne!(from.leg, reset.leg(), "two of one leg");
                assert!(reset.leg() != Leg::None && from.leg != Leg::None);
                assert_eq!(reset.observation.direction, Direction::Sent);
            }
            let expected = Reset {
                propagated_from: reset.propagated_from.clone(),
                ..original
            };
            assert_eq!(format!("{reset:?}"), format!("{expected:?}"));
        }
        linked
    }
}

const _: () = assert!(HOLD.as_nanos() < REACTION.as_nanos());
