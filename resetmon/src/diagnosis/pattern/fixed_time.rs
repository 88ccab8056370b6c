//! Connections that end at one age, after one silence or one wait: a configured timeout.
//!
//! A timeout shows as a peak: many events in a narrow window of durations, where a smooth spread
//! over the durations around it would put few. Connections that began together and were broken
//! together look the same and are not: only events that ended apart from each other count.

use super::numerics::{binomial_tail, float};
use super::problem::{Key, Problem};
use super::reservoir::Moment;
use super::series::SECOND;
use crate::reset::Cause;

/// Shorter ones are no timeouts that anybody sets, seconds.
pub const SHORTEST: f64 = 0.5;
/// Independent events at least.
pub const FEWEST: usize = 4;
/// Share of the events whose duration is known.
const SHARE: f64 = 0.5;
/// Likelihood by chance, over everything tried, up to which a peak is one.
const CHANCE: f64 = 1e-4;
/// Events that ended within this time of each other may have one reason, microseconds.
const TOGETHER: i64 = SECOND / 2;
/// A precise timer: share of the duration, and seconds.
const TIGHT: (f64, f64) = (0.015, 0.03);
/// A timer that looks once a second, from this duration on.
const COARSE: (f64, f64) = (1.1, 4.0);

/// What is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The silence before the end.
    Silence,
    /// The time since the request of the exchange under way.
    Waiting,
    /// The age of the connection.
    Age,
}

/// A time at which connections end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedTime {
    /// What is fixed.
    pub measure: Measure,
    /// Shortest and longest of the peak, seconds.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// The middle one.
    pub median: f64,
    /// Events in the peak.
    pub events: usize,
    /// Events whose duration is known.
    pub of: usize,
    /// Likelihood by chance.
    pub chance: f64,
    /// Uncertainty of the clock, seconds.
    pub tick: f64,
}

impl FixedTime {
    /// The time as it was configured, seconds: timers fire late, seldom early, and people like
    /// whole seconds.
    #[must_use]
    pub fn configured(&self) -> f64 {
        const EARLY: f64 = 0.01;
        const LATE: f64 = 0.05;
        let whole = self.low.round();
        let from = self.low - (EARLY * self.low).max(LATE).max(2.0 * self.tick);
        let to = self.low + 2.0 * self.tick;
        if whole >= 1.0 && (from..=to).contains(&whole) {
            whole
        } else {
            self.median
        }
    }
}

/// The time that is fixed, if one is.
#[must_use]
pub fn look(key: &Key, problem: &Problem) -> Option<FixedTime> {
    let moments = problem.moments.moments();
    let found: Vec<FixedTime> = [Measure::Silence, Measure::Waiting, Measure::Age]
        .into_iter()
        .filter_map(|measure| peak(moments, measure))
        .collect();
    let most = found.iter().map(|fixed| fixed.events).max()?;
    // Where several are fixed, the one that the cause speaks of is what was configured.
    let wanted = order(key.cause);
    let good = |fixed: &&FixedTime| float(fixed.events as u64) >= 0.8 * float(most as u64);
    let rank = |fixed: &FixedTime| wanted.iter().position(|measure| *measure == fixed.measure);
    found
        .iter()
        .filter(good)
        .min_by_key(|fixed| rank(fixed))
        .copied()
}

fn order(cause: Option<Cause>) -> [Measure; 3] {
    use Measure::{Age, Silence, Waiting};
    match cause {
        Some(
            Cause::AbortedBeforeResponse
            | Cause::ClientCanceled
            | Cause::DataAfterClose
            | Cause::Timewait
            | Cause::LingerAbort,
        )
        | None => [Waiting, Silence, Age],
        _ => [Silence, Waiting, Age],
    }
}

fn value(moment: &Moment, measure: Measure) -> Option<f64> {
    match measure {
        Measure::Silence => moment.silence,
        Measure::Waiting => moment.waiting,
        Measure::Age => moment.age,
    }
}

/// The best peak of one measure.
fn peak(moments: &[Moment], measure: Measure) -> Option<FixedTime> {
    let mut values: Vec<(f64, &Moment)> = moments
        .iter()
        .filter_map(|moment| Some((value(moment, measure)?, moment)))
        .collect();
    values.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let tick = values
        .iter()
        .map(|(_, moment)| moment.tick)
        .fold(0.0, f64::max);
    let fewest = FEWEST.max(at_least(SHARE, values.len()));
    let mut best: Option<FixedTime> = None;
    for coarse in [false, true] {
        for first in 0..values.len() {
            let low = values[first].0;
            if low < SHORTEST || coarse && low < COARSE.1 {
                continue;
            }
            let tight = (TIGHT.0 * low).max(TIGHT.1).max(2.0 * tick);
            let width = if coarse { tight.max(COARSE.0) } else { tight };
            let past = values.partition_point(|(value, _)| *value <= low + width);
            let peak = &values[first..past];
            if peak.len() < fewest || best.as_ref().is_some_and(|best| best.events > peak.len()) {
                continue;
            }
            let chance = chance(&values, peak, low, width);
            if chance <= CHANCE && best.as_ref().is_none_or(|best| chance < best.chance) {
                best = Some(FixedTime {
                    measure,
                    low,
                    high: peak[peak.len() - 1].0,
                    median: peak[peak.len() / 2].0,
                    events: peak.len(),
                    of: values.len(),
                    chance,
                    tick,
                });
            }
        }
    }
    best
}

fn at_least(share: f64, of: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    let least = (share * float(of as u64)).ceil() as usize;
    least
}

/// How likely a smooth spread over half to twice the duration puts as many into the window, over
/// all windows that might have been.
fn chance(values: &[(f64, &Moment)], peak: &[(f64, &Moment)], low: f64, width: f64) -> f64 {
    /// From the shortest timeout to a month, in doublings.
    const DOUBLINGS: f64 = 22.0;
    const MEASURES: f64 = 3.0;
    const WIDTHS: f64 = 2.0;
    let inside = apart(peak);
    if inside < FEWEST {
        return 1.0;
    }
    let from = values.partition_point(|(value, _)| *value < low / 2.0);
    let to = values.partition_point(|(value, _)| *value <= low * 2.0);
    let around = to - from - peak.len();
    let share = ((low + width) / low).ln() / 4_f64.ln();
    let windows = DOUBLINGS / 2.0 / share * MEASURES * WIDTHS;
    binomial_tail(inside as u64, (inside + around) as u64, share) * windows
}

/// How many of them ended apart from each other.
fn apart(peak: &[(f64, &Moment)]) -> usize {
    let mut times: Vec<i64> = peak.iter().map(|(_, moment)| moment.time).collect();
    times.sort_unstable();
    let gaps = times
        .windows(2)
        .filter(|pair| pair[1].saturating_sub(pair[0]) > TOGETHER);
    gaps.count() + usize::from(!times.is_empty())
}

#[cfg(test)]
mod tests;
