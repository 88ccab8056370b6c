//! Resets of both directions, in any order and at any time: each comes out once and in order, and
//! only what mirrors is joined.

use std::time::Duration;

use resetmon::diagnosis::twin::{HELD_LIMIT, Twins};
use resetmon::kernel::observation::{Direction, Observation, RstPacket, Shape, Vitals};
use resetmon::reset::{Reset, ResetId};

use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Sequences of resets.
#[derive(Debug)]
pub(crate) struct Joined {
    template: Reset,
    next: u64,
}

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    Push(Box<Reset>),
    /// So many of one kind.
    Burst(Box<Reset>, usize),
    Expire(Duration),
    Finish,
}

impl Default for Joined {
    fn default() -> Self {
        let template = resets::hostile(&mut Random::of(5, "template", 0), 0);
        Self { template, next: 0 }
    }
}

impl Joined {
    fn reset(&mut self, random: &mut Random) -> Reset {
        self.next += 1;
        let number = random.choose(&[0, 1, 2, u32::MAX]);
        let direction = random.choose(&[Direction::Sent, Direction::Received]);
        let ends = [
            (random.choose(&[[10, 0, 0, 1], [127, 0, 0, 1]]), 1).into(),
            ([10, 0, 0, 2], random.choose(&[80, 81])).into(),
        ];
        let [local, remote] = match direction {
            Direction::Sent => [ends[1], ends[0]],
            Direction::Received => ends,
        };
        let observation = Observation {
            time: time(random),
            direction,
            netns: random.choose(&[1, 1, 2, 3]),
            local,
            remote,
            shape: random.choose(&[Shape::Full, Shape::NoSocket]),
            vitals: (!random.one_in(8)).then(|| Vitals {
                rcv_nxt: number,
                snd_nxt: number,
                ..Vitals::default()
            }),
            packet: random.one_in(4).then(|| RstPacket {
                ttl: 64,
                ip_id: 0,
                seq_offset: random.choose(&[0, -1, i32::MIN]),
                flags: 4,
            }),
            trigger: if random.one_in(2) {
                None
            } else {
                self.template.observation.trigger
            },
            firewall: None,
            ..self.template.observation.clone()
        };
        Reset {
            id: ResetId(self.next),
            packets: if random.one_in(16) { 2 } else { 1 },
            repeat_of: random.one_in(16).then_some(ResetId(1)),
            twin: None,
            observation,
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

/// What went in and what came out.
#[derive(Debug, Default)]
struct Books {
    given: Vec<Reset>,
    told: usize,
    twins: Vec<ResetId>,
}

impl Books {
    fn take(&mut self, out: &mut Vec<Reset>) {
        for reset in out.drain(..) {
            let given = &self.given[self.told];
            self.told += 1;
            assert_eq!(reset.id, given.id, "each once and in order");
            assert_eq!(reset.packets, given.packets);
            let Some(twin) = &reset.twin else {
                assert_eq!(reset, *given, "what is not joined is not changed");
                continue;
            };
            assert!(!self.twins.contains(&twin.id), "{} twice", twin.id);
            self.twins.push(twin.id);
            let sent = self.given.iter().find(|sent| sent.id == twin.id).unwrap();
            let (o, s) = (&reset.observation, &sent.observation);
            assert_eq!(
                (o.direction, s.direction),
                (Direction::Received, Direction::Sent)
            );
            assert_eq!((o.local, o.remote), (s.remote, s.local));
            assert!(o.netns == s.netns || !o.local.ip().is_loopback());
            assert!(o.vitals.is_some());
        }
    }
}

impl Target for Joined {
    const NAME: &'static str = "twin";
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
                    Step::Burst(Box::new(self.reset(random)), count)
                }
                _ => Step::Push(Box::new(self.reset(random))),
            })
            .collect()
    }

    fn check(&mut self, steps: &Vec<Step>) -> bool {
        let (mut twins, mut books, mut out) = (Twins::default(), Books::default(), Vec::new());
        for step in steps {
            match step {
                Step::Push(reset) => {
                    books.given.push(Reset::clone(reset));
                    twins.push(Reset::clone(reset), &mut out);
                }
                Step::Burst(reset, count) => {
                    for number in 0..*count {
                        let one = Reset {
                            id: ResetId(u64::MAX - number as u64),
                            ..Reset::clone(reset)
                        };
                        books.given.push(one.clone());
                        twins.push(one, &mut out);
                    }
                }
                Step::Expire(now) => twins.expire(*now, &mut out),
                Step::Finish => twins.finish(&mut out),
            }
            books.take(&mut out);
            let held = books.given.len() - books.told;
            assert!(held <= HELD_LIMIT, "{held} held");
            assert_eq!(held == 0, twins.next_deadline().is_none());
        }
        twins.finish(&mut out);
        books.take(&mut out);
        assert_eq!(books.told, books.given.len());
        true
    }
}
