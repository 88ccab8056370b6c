//! Events that came all at once, in a time that was long.

use super::numerics::{float, poisson_tail};
use super::problem::Problem;
use super::series::SECOND;

/// A burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// First event of it, microseconds since 1970.
    pub from: i64,
    /// How long it lasted at most, seconds.
    pub seconds: f64,
    /// Events of it.
    pub events: u64,
    /// Events in all.
    pub of: u64,
    /// Likelihood by chance.
    pub chance: f64,
}

/// Events of a burst, at least.
pub const FEWEST: u64 = 5;
/// Part of all events that is in it, at least.
const SHARE: f64 = 0.6;
/// The time watched is this many times as long, at least.
const LONGER: i64 = 5;
/// Likelihood by chance up to which it is one.
const CHANCE: f64 = 1e-4;
/// Lengths tried: the step of the series, doubled so many times at most.
const DOUBLINGS: u32 = 5;

/// The burst that most of the problem's events are in, if there is one in the time watched, which
/// is given by its ends in microseconds.
#[must_use]
pub fn look(problem: &Problem, (from, to): (i64, i64)) -> Option<Burst> {
    let watched = to.saturating_sub(from);
    let of = problem.events;
    let mut best: Option<Burst> = None;
    for doubling in 0..=DOUBLINGS {
        let steps = 1_i64 << doubling;
        let length = problem.series.length().saturating_mul(steps);
        if watched < length.saturating_mul(LONGER) || watched < 10 * SECOND {
            break;
        }
        for (number, first) in problem.series.steps() {
            let events: u64 = (number..number.saturating_add(steps))
                .map(|number| problem.series.at(number))
                .fold(0, u64::saturating_add);
            if events < FEWEST || float(events) < SHARE * float(of) {
                continue;
            }
            let part = micros(length) / micros(watched);
            let tries = float(u64::from(DOUBLINGS) + 1) / part;
            let chance = poisson_tail(events, float(of) * part) * tries;
            let better = best.is_none_or(|best| chance < best.chance && events > best.events)
                || best.is_some_and(|best| chance < best.chance * 1e-3);
            if chance <= CHANCE && better {
                best = Some(Burst {
                    from: first.first,
                    seconds: micros(length) / 1e6,
                    events,
                    of,
                    chance,
                });
            }
        }
    }
    best
}

fn micros(time: i64) -> f64 {
    float(time.unsigned_abs())
}
