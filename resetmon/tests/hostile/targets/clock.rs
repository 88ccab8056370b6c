//! The kernel's clocks.

use std::num::NonZeroU32;
use std::time::Duration;

use resetmon::kernel::clock::{Anchor, Clock, Sample, hz_from_pair, hz_from_sample};

use crate::random::Random;
use crate::run::Target;

/// Samples of clocks, and times.
#[derive(Debug, Default)]
pub(crate) struct Clocks;

impl Target for Clocks {
    const NAME: &'static str = "clock";
    const QUICK: u64 = 60_000;
    const REFUSES: bool = true;
    type Input = [u64; 4];

    fn make(&mut self, random: &mut Random) -> [u64; 4] {
        if random.one_in(2) {
            return [(); 4].map(|()| random.number());
        }
        // As a kernel counts: from its start, at one rate.
        let hz = random.choose(&[24, 100, 250, 300, 1000, 1200]);
        let after = |random: &mut Random| {
            let ticks = random.next() % 100_000_000;
            let jiffies = (1_u64 << 32).wrapping_add(ticks).wrapping_sub(300 * hz);
            [jiffies, ticks * 1_000_000_000 / hz]
        };
        let ([first, at], [second, later]) = (after(random), after(random));
        [first, at, second, later]
    }

    fn check(&mut self, [jiffies, ktime_ns, more, later]: &[u64; 4]) -> bool {
        let first = Sample {
            jiffies: *jiffies,
            ktime_ns: *ktime_ns,
        };
        let second = Sample {
            jiffies: *more,
            ktime_ns: *later,
        };
        let rates = [
            hz_from_sample(first),
            hz_from_sample(second),
            hz_from_pair(first, second),
        ];
        for rate in rates.into_iter().flatten() {
            assert!((24..=1200).contains(&rate.get()));
        }
        let hz = rates.into_iter().flatten().next();
        let clock = Clock::new(hz.unwrap_or(NonZeroU32::MIN), Anchor::default());
        for nanos in [*jiffies, *ktime_ns] {
            let wall = clock.wall(Duration::from_nanos(nanos));
            assert_eq!(i128::from(nanos), wall.as_nanosecond());
        }
        // Beyond the calendar there is its last day.
        assert!(clock.wall(Duration::MAX) >= clock.wall(Duration::from_nanos(*more)));
        assert!(clock.tick() <= Duration::from_secs(1));
        assert!(clock.ticks(u32::MAX).is_none() && clock.ticks(u32::MAX - 1).is_some());
        hz.is_some()
    }
}
