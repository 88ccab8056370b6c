//! The kernel's clocks and configuration.

use resetmon::kernel::clock::{
    Anchor, Clock, Sample, hz_from_config, hz_from_pair, hz_from_sample,
};
use std::time::Duration;

use crate::mutate::Pool;
use crate::random::Random;
use crate::run::Target;

/// Samples and configurations.
#[derive(Debug)]
pub(crate) struct Clocks {
    pool: Pool,
}

impl Default for Clocks {
    fn default() -> Self {
        let seeds = [
            "#\n# Timers\n#\nCONFIG_HZ_250=y\nCONFIG_HZ=250\nCONFIG_SCHED_HRTICK=y\n",
            "# CONFIG_HZ_100 is not set\nCONFIG_HZ_1000=y\nCONFIG_HZ=1000\r\n",
        ];
        let tokens: &[&[u8]] = &[b"CONFIG_HZ=", b"\n", b"-1", b"4294967296", b"0", b"\xff"];
        Self {
            pool: Pool::new(seeds, tokens, 512),
        }
    }
}

impl Target for Clocks {
    const NAME: &'static str = "clock";
    const QUICK: u64 = 60_000;
    const REFUSES: bool = true;
    type Input = (String, [u64; 4]);

    fn make(&mut self, random: &mut Random) -> Self::Input {
        let text = String::from_utf8_lossy(&self.pool.make(random)).into_owned();
        let seconds = random.next() % 100_000;
        let fitting = [
            (1_u64 << 32).wrapping_add(seconds.wrapping_sub(300).wrapping_mul(250)),
            seconds * 1_000_000_000,
        ];
        let any = [random.number(), random.number()];
        let second = [random.number(), random.number()];
        let [jiffies, ktime] = if random.one_in(2) { fitting } else { any };
        (text, [jiffies, ktime, second[0], second[1]])
    }

    fn check(&mut self, (text, [jiffies, ktime_ns, more, later]): &Self::Input) -> bool {
        let hz = hz_from_config(text);
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
        if let Some(hz) = hz {
            self.pool.keep(text.as_bytes());
            let clock = Clock::new(hz, Anchor::default());
            for nanos in [*jiffies, *ktime_ns] {
                let wall = clock.wall(Duration::from_nanos(nanos));
                assert_eq!(i128::from(nanos), wall.as_nanosecond());
            }
            // Beyond the calendar there is its last day.
            assert!(clock.wall(Duration::MAX) >= clock.wall(Duration::from_nanos(*more)));
            assert!(clock.tick() <= Duration::from_secs(1));
            assert!(clock.ticks(u32::MAX).is_none() && clock.ticks(u32::MAX - 1).is_some());
        }
        hz.is_some()
    }
}
