//! Provisional resets and their retractions, in any order and at any time.

use std::time::Duration;

use resetmon::diagnosis::merge::{HELD_LIMIT, HOLD, Merge};
use resetmon::kernel::observation::{Direction, Observation};

use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Sequences of observations, compared with a plain model.
#[derive(Debug)]
pub(crate) struct Held {
    template: Observation,
    next: u32,
}

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    Push(Observation),
    /// A burst, each with a cookie of its own.
    Burst(Observation, usize),
    Expire(Duration),
    Finish,
}

impl Default for Held {
    fn default() -> Self {
        let template = resets::observation(&mut Random::of(3, "template", 0));
        Self { template, next: 0 }
    }
}

impl Held {
    fn observation(&mut self, random: &mut Random) -> Observation {
        // The number by which it is known in the end.
        self.next = self.next.wrapping_add(1);
        let kind = random.below(4);
        Observation {
            uid: Some(self.next),
            time: time(random),
            cookie: random.choose(&[None, Some(1), Some(2), Some(3)]),
            netns: random.choose(&[1, 1, 2]),
            local: ([10, 0, 0, 1], random.choose(&[1, 2])).into(),
            remote: ([10, 0, 0, 2], 80).into(),
            provisional: kind == 0 || kind == 1,
            retracts: kind == 2,
            direction: if kind == 2 {
                Direction::Sent
            } else {
                Direction::Received
            },
            owner: None,
            closer: None,
            ..self.template.clone()
        }
    }
}

/// Mostly near each other, in any order; sometimes the ends of time.
fn time(random: &mut Random) -> Duration {
    match random.below(20) {
        0 => Duration::ZERO,
        1 => Duration::from_nanos(u64::MAX),
        _ => Duration::from_millis(1_000_000 + random.next() % 60),
    }
}

/// The same rules, as plainly as can be.
#[derive(Debug, Default)]
struct Model {
    held: Vec<Observation>,
    retracted: Vec<Option<u32>>,
}

impl Model {
    fn push(&mut self, new: &Observation) -> Vec<Observation> {
        if new.retracts {
            let same = |held: &Observation| match (held.cookie, new.cookie) {
                (Some(held), Some(new)) => held == new,
                _ => (held.netns, held.local, held.remote) == (new.netns, new.local, new.remote),
            };
            if let Some(at) = (0..self.held.len()).rev().find(|at| same(&self.held[*at])) {
                self.retracted.push(self.held.remove(at).uid);
            }
        }
        let mut out = self.expire(new.time);
        if new.provisional {
            if self.held.len() == HELD_LIMIT {
                out.push(self.held.remove(0));
            }
            self.held.push(new.clone());
        } else {
            out.push(new.clone());
        }
        out
    }

    fn expire(&mut self, now: Duration) -> Vec<Observation> {
        let mut out = Vec::new();
        while self
            .held
            .first()
            .is_some_and(|first| first.time + HOLD <= now)
        {
            out.push(self.held.remove(0));
        }
        out
    }
}

impl Target for Held {
    const NAME: &'static str = "merge";
    const QUICK: u64 = 6_000;
    const REFUSES: bool = false;
    type Input = Vec<Step>;

    fn make(&mut self, random: &mut Random) -> Vec<Step> {
        let length = 1 + random.below(24);
        (0..length)
            .map(|_| match random.below(400) {
                0..40 => Step::Expire(time(random)),
                40..44 => Step::Finish,
                44 if random.one_in(100) => {
                    let count = HELD_LIMIT + random.below(20) - 10;
                    Step::Burst(self.observation(random), count)
                }
                _ => Step::Push(self.observation(random)),
            })
            .collect()
    }

    fn check(&mut self, steps: &Vec<Step>) -> bool {
        let (mut merge, mut model) = (Merge::default(), Model::default());
        let (mut fed, mut told) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Push(observation) => {
                    fed += 1;
                    let out = merge.push(observation.clone());
                    assert_eq!(out, model.push(observation));
                    told.extend(out.iter().map(|out| out.uid));
                }
                Step::Burst(observation, count) => {
                    for number in 0..*count {
                        fed += 1;
                        let one = Observation {
                            cookie: Some(number as u64 + 10),
                            uid: Some(u32::MAX - u32::try_from(number).unwrap()),
                            provisional: true,
                            retracts: false,
                            ..observation.clone()
                        };
                        let out = merge.push(one.clone());
                        assert_eq!(out, model.push(&one));
                        told.extend(out.iter().map(|out| out.uid));
                    }
                }
                Step::Expire(now) => {
                    let out = merge.expire(*now);
                    assert_eq!(out, model.expire(*now));
                    told.extend(out.iter().map(|out| out.uid));
                }
                Step::Finish => told.extend(merge.finish().iter().map(|out| out.uid)),
            }
            if let Step::Finish = step {
                model.held.clear();
            }
            let due = model.held.first().map(|first| first.time + HOLD);
            assert_eq!(merge.next_deadline(), due);
            let held = fed - told.len() - model.retracted.len();
            assert!(
                held == model.held.len() && held <= HELD_LIMIT,
                "{held} held"
            );
        }
        told.extend(merge.finish().iter().map(|out| out.uid));
        assert_eq!(told.len() + model.retracted.len(), fed);
        // Each once: told or retracted.
        told.extend(&model.retracted);
        if !steps.iter().any(|step| matches!(step, Step::Burst(..))) {
            told.sort_unstable();
            told.dedup();
            assert_eq!(told.len(), fed);
        }
        true
    }
}
