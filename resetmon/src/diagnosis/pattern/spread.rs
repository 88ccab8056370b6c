//! How durations are spread: counts in bars of a round scale, and quantiles.

use std::time::Duration;

/// Upper ends of the bars in milliseconds; the last bar has none. Steps that a reader knows from
/// timeouts.
pub const BARS: [u64; 15] = [
    10, 100, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    3_600_000, 21_600_000, 86_400_000,
];

/// Sub-steps of each doubling: quantiles are right within 3 %.
const FINE: u32 = 5;
const OCTAVES: usize = 64;

/// Counts of durations.
#[derive(Clone, Debug)]
pub struct Spread {
    /// By logarithm, for quantiles.
    fine: Vec<u64>,
    bars: [u64; BARS.len() + 1],
    total: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            fine: vec![0; OCTAVES << FINE],
            bars: [0; BARS.len() + 1],
            total: 0,
        }
    }
}

impl Spread {
    /// Counts `events` of this duration.
    pub fn add(&mut self, duration: Duration, events: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bar = BARS.partition_point(|end| *end * 1000 <= micros);
        self.bars[bar] = self.bars[bar].saturating_add(events);
        let fine = index(micros);
        self.fine[fine] = self.fine[fine].saturating_add(events);
        self.total = self.total.saturating_add(events);
    }

    /// How many.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Counts by bar; one more than [`BARS`].
    #[must_use]
    pub fn bars(&self) -> &[u64] {
        &self.bars
    }

    /// Seconds below which `percent` of 100 durations are.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Option<f64> {
        let rank = u128::from(self.total) * u128::from(percent);
        let mut below = 0_u128;
        let place = self.fine.iter().position(|count| {
            below += u128::from(*count) * 100;
            *count > 0 && below >= rank
        })?;
        Some(middle(place))
    }
}

fn index(micros: u64) -> usize {
    let one = 1_u64 << FINE;
    if micros < one {
        return usize::try_from(micros).unwrap_or_default();
    }
    let octave = micros.ilog2() - FINE;
    let sub = (micros >> octave) - one;
    let index = ((u64::from(octave) + 1) << FINE) + sub;
    usize::try_from(index).unwrap_or_default()
}

/// The middle of a fine step, seconds.
fn middle(index: usize) -> f64 {
    let index = index as u64;
    let one = 1_u64 << FINE;
    if index < one {
        return super::numerics::float(index) / 1e6;
    }
    let octave = (index >> FINE) - 1;
    let sub = (index & (one - 1)) + one;
    let scale = 2_f64.powi(i32::try_from(octave).unwrap_or_default());
    (super::numerics::float(sub) + 0.5) * scale / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near() {
        let mut spread = Spread::default();
        for ms in 1..=1000 {
            spread.add(Duration::from_millis(ms), 1);
        }
        for (percent, expected) in [(50, 0.5), (90, 0.9), (99, 0.99)] {
            let quantile = spread.quantile(percent).unwrap();
            assert!(
                (quantile / expected - 1.0).abs() < 0.03,
                "{percent}: {quantile}"
            );
        }
        assert_eq!(Spread::default().quantile(50), None);
    }

    #[test]
    fn ends_of_bars_belong_to_the_next() {
        let mut spread = Spread::default();
        for (duration, bar) in [
            (Duration::ZERO, 0),
            (Duration::from_micros(9_999), 0),
            (Duration::from_millis(10), 1),
            (Duration::from_secs(60), 9),
            (Duration::MAX, BARS.len()),
        ] {
            let before = spread.bars()[bar];
            spread.add(duration, 2);
            assert_eq!(spread.bars()[bar], before + 2, "{duration:?}");
        }
        assert_eq!(spread.total(), 10);
    }
}
