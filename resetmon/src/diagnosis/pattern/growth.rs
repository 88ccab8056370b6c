//! A problem that gets worse while it is watched.

use super::numerics::{binomial_tail, float};
use super::problem::Problem;

/// A share that grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Events in each quarter of the time watched.
    pub quarters: [u64; 4],
    /// Likelihood by chance.
    pub chance: f64,
}

/// Events at least.
const FEWEST: u64 = 30;
/// The last quarter has so many times as many as the first, at least.
const TIMES: u64 = 3;
/// Steps of the series in the time watched, at least, so that quarters mean something.
const STEPS: i64 = 16;
/// Likelihood by chance up to which it grows.
const CHANCE: f64 = 1e-6;

/// How it grows over the time watched, which is given by its ends in microseconds.
///
/// Each quarter has more than the one before. What grows with everything else at once is a burst
/// or a crowd, and says less: still the user wants to know.
#[must_use]
pub fn look(problem: &Problem, (from, to): (i64, i64)) -> Option<Growth> {
    let watched = to.saturating_sub(from);
    if problem.events < FEWEST || watched / problem.series.length() < STEPS {
        return None;
    }
    let mut quarters = [0_u64; 4];
    for (_, step) in problem.series.steps() {
        let into = i128::from(step.first) - i128::from(from);
        let quarter = (into * 4 / i128::from(watched.max(1))).clamp(0, 3);
        if let Some(sum) = usize::try_from(quarter)
            .ok()
            .and_then(|q| quarters.get_mut(q))
        {
            *sum = sum.saturating_add(step.events);
        }
    }
    let [first, second, third, fourth] = quarters;
    let rising = first < second && second < third && third < fourth;
    // Were it steady, each event would be in either half alike.
    let late = third.saturating_add(fourth);
    let all = first.saturating_add(second).saturating_add(late);
    let chance = binomial_tail(late, all, 0.5);
    // Half of it in one quarter is a burst at the end.
    let gradual = float(second.saturating_add(third)) >= 0.25 * float(all);
    (rising && gradual && fourth >= TIMES * first.max(1) && chance <= CHANCE)
        .then_some(Growth { quarters, chance })
}
