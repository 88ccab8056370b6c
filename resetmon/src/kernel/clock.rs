//! Kernel time to ours: since boot to wall clock, jiffies to durations.

use std::num::NonZeroU32;
use std::time::Duration;

use gateway_ebpf_common::event::NEVER;
use jiff::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS: i128 = 1_000_000_000;

/// `jiffies_64` starts 300 s before it passes this (`INITIAL_JIFFIES` in `include/linux/jiffies.h`),
/// whatever HZ is.
const WRAP: i128 = 1 << 32;
const START: i128 = 300 * NANOS;

/// Values of `CONFIG_HZ` on the architectures that the programs are built for (`kernel/Kconfig.hz`).
const HZ_VALUES: [u32; 4] = [100, 250, 300, 1000];

/// The counter lags behind the clock by ticks lost in early boot: a fraction of a second.
const FITS: i128 = 2 * NANOS;
/// So far off must every other value be.
const DIFFERS: i128 = 4 * NANOS;

/// Least time between the samples of a pair: some ticks at every HZ.
const PAIR_APART: i128 = NANOS / 5;

/// `jiffies_64` and `CLOCK_MONOTONIC` read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// `bpf_jiffies64()`.
    pub jiffies: u64,
    /// `bpf_ktime_get_ns()`.
    pub ktime_ns: u64,
}

/// The kernel's HZ from one sample, by where `jiffies_64` starts; `None` where two values fit.
///
/// Five minutes after boot the counter is the same whatever HZ is, and for some minutes around
/// values close to each other cannot be told apart: [`hz_from_pair`] then can.
#[must_use]
pub fn hz_from_sample(sample: Sample) -> Option<NonZeroU32> {
    let ticks = i128::from(sample.jiffies) - WRAP;
    let elapsed = i128::from(sample.ktime_ns) - START;
    only_fit(ticks, elapsed, FITS, DIFFERS)
}

/// The kernel's HZ from two samples, by how fast the counter runs; `None` where none fits.
///
/// Between 250 and 300 lie 20 %, so a twelfth tells them apart and leaves room for samples that a
/// busy machine takes late.
#[must_use]
pub fn hz_from_pair(first: Sample, second: Sample) -> Option<NonZeroU32> {
    let ticks = i128::from(second.jiffies) - i128::from(first.jiffies);
    let elapsed = i128::from(second.ktime_ns) - i128::from(first.ktime_ns);
    if elapsed < PAIR_APART {
        return None;
    }
    only_fit(ticks, elapsed, elapsed / 12, elapsed / 12)
}

/// The one HZ at which `ticks` last `elapsed` nanoseconds to within `fits`, if at every other they
/// differ by more than `differs`.
fn only_fit(ticks: i128, elapsed: i128, fits: i128, differs: i128) -> Option<NonZeroU32> {
    let error = |hz: u32| (ticks * NANOS / i128::from(hz) - elapsed).abs();
    let mut fitting = HZ_VALUES.iter().filter(|&&hz| error(hz) <= fits);
    let hz = *fitting.next()?;
    let rival = HZ_VALUES
        .iter()
        .any(|&other| other != hz && error(other) <= differs);
    if rival { None } else { NonZeroU32::new(hz) }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// `CLOCK_MONOTONIC`: since boot, without suspend.
    pub since_boot: Duration,
    /// `CLOCK_REALTIME`.
    pub wall: Timestamp,
}

impl Anchor {
    /// Reads both clocks at once, to well below a millisecond.
    #[must_use]
    pub fn now() -> Self {
        // If the thread is put aside between the readings, they are apart: the closest of a few is taken.
        let (_, anchor) = (0..5)
            .map(|_| {
                let before = duration(clock_gettime(ClockId::Monotonic));
                let wall = clock_gettime(ClockId::Realtime);
                let after = duration(clock_gettime(ClockId::Monotonic));
                let width = after.saturating_sub(before);
                (
                    width,
                    Self {
                        since_boot: before + width / 2,
                        wall: timestamp(wall),
                    },
                )
            })
            .min_by_key(|(width, _)| *width)
            .unwrap_or_default();
        anchor
    }
}

impl Default for Anchor {
    /// Boot at the Unix epoch.
    fn default() -> Self {
        Self {
            since_boot: Duration::ZERO,
            wall: Timestamp::UNIX_EPOCH,
        }
    }
}

/// Translates the kernel's times.
///
/// The wall clock may be set after the anchor was taken: take a new one now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    hz: NonZeroU32,
    anchor: Anchor,
}

impl Clock {
    /// A clock of a kernel's HZ and one moment.
    #[must_use]
    pub const fn new(hz: NonZeroU32, anchor: Anchor) -> Self {
        Self { hz, anchor }
    }

    /// The kernel's HZ: ticks a second.
    #[must_use]
    pub const fn hz(&self) -> NonZeroU32 {
        self.hz
    }

    /// The wall-clock time of a moment on `CLOCK_MONOTONIC`; the nearest one that can be told if it is
    /// beyond the calendar.
    #[must_use]
    pub fn wall(&self, since_boot: Duration) -> Timestamp {
        let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
        let since_anchor = nanos(since_boot).saturating_sub(nanos(self.anchor.since_boot));
        let wall = self
            .anchor
            .wall
            .as_nanosecond()
            .saturating_add(since_anchor);
        let calendar = Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond();
        Timestamp::from_nanosecond(wall.clamp(*calendar.start(), *calendar.end()))
            .unwrap_or(self.anchor.wall)
    }

    /// How long some jiffies are; `None` for [`NEVER`].
    #[must_use]
    pub fn ticks(&self, ticks: u32) -> Option<Duration> {
        if ticks == NEVER {
            return None;
        }
        let nanos = u64::from(ticks) * 1_000_000_000 / u64::from(self.hz.get());
        Some(Duration::from_nanos(nanos))
    }

    /// How long one jiffy is: the uncertainty of what [`Clock::ticks`] says.
    #[must_use]
    pub fn tick(&self) -> Duration {
        Duration::from_secs(1) / self.hz.get()
    }
}

/// `CLOCK_MONOTONIC` does not go below zero.
fn duration(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

fn timestamp(time: Timespec) -> Timestamp {
    let nanos = i128::from(time.tv_sec) * NANOS + i128::from(time.tv_nsec);
    Timestamp::from_nanosecond(nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests;
