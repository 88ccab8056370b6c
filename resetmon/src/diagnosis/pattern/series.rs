//! Counts over time, in steps that double when the time gets long.

use std::collections::BTreeMap;

/// Steps at most.
const STEPS: i64 = 240;

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Events.
    pub events: u64,
    /// When the first of them was, microseconds.
    pub first: i64,
}

/// Counts over time. Steps begin at multiples of their length, which is a power of two seconds, so
/// that two series can be laid over each other.
#[derive(Clone, Debug)]
pub struct Series {
    /// By number of the step since 1970.
    steps: BTreeMap<i64, Step>,
    /// Microseconds.
    length: i64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            steps: BTreeMap::new(),
            length: SECOND,
        }
    }
}

impl Series {
    /// Counts `events` at `time`, microseconds.
    pub fn add(&mut self, time: i64, events: u64) {
        let step = self
            .steps
            .entry(time.div_euclid(self.length))
            .or_insert(Step {
                events: 0,
                first: time,
            });
        step.events = step.events.saturating_add(events);
        step.first = step.first.min(time);
        while self
            .range()
            .is_some_and(|(from, to)| to.saturating_sub(from) >= STEPS)
        {
            *self = self.coarser(self.length.saturating_mul(2));
        }
    }

    /// Adds the counts of `other`.
    pub fn absorb(&mut self, other: &Self) {
        for step in other.steps.values() {
            self.add(step.first, step.events);
        }
    }

    /// The same in steps of `length` microseconds, a multiple of the present one.
    #[must_use]
    pub fn coarser(&self, length: i64) -> Self {
        let mut coarser = Self {
            steps: BTreeMap::new(),
            length: length.max(self.length),
        };
        for step in self.steps.values() {
            let number = step.first.div_euclid(coarser.length);
            let sum = coarser.steps.entry(number).or_insert(Step {
                events: 0,
                first: step.first,
            });
            sum.events = sum.events.saturating_add(step.events);
        }
        coarser
    }

    /// Length of a step, microseconds.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.length
    }

    /// Numbers of the first and last step that has events.
    #[must_use]
    pub fn range(&self) -> Option<(i64, i64)> {
        let (from, _) = self.steps.first_key_value()?;
        let (to, _) = self.steps.last_key_value()?;
        Some((*from, *to))
    }

    /// The steps that have events, by number.
    pub fn steps(&self) -> impl Iterator<Item = (i64, Step)> + '_ {
        self.steps.iter().map(|(number, step)| (*number, *step))
    }

    /// Events from one time up to another, microseconds, in whole steps.
    #[must_use]
    pub fn between(&self, from: i64, to: i64) -> u64 {
        let steps = from.div_euclid(self.length)..=to.div_euclid(self.length);
        self.steps.range(steps).map(|(_, step)| step.events).sum()
    }

    /// Events of the step with this number.
    #[must_use]
    pub fn at(&self, number: i64) -> u64 {
        self.steps.get(&number).map_or(0, |step| step.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_and_lose_nothing() {
        let mut series = Series::default();
        // Out of order, and from before 1970.
        for second in (0..1000).rev().chain([-500]) {
            series.add(second * SECOND + 7, 2);
        }
        assert_eq!(series.length(), 8 * SECOND);
        assert_eq!(
            series.steps().map(|(_, step)| step.events).sum::<u64>(),
            2002
        );
        assert_eq!(series.at(0), 16);
        let (number, first) = series.steps().next().unwrap();
        assert_eq!((number, first.first), (-63, -500 * SECOND + 7));
        assert_eq!(series.between(0, 8 * SECOND), 32);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut series = Series::default();
        for time in [i64::MIN, i64::MAX, 0] {
            series.add(time, u64::MAX);
        }
        assert_eq!(series.steps().count(), 3);
    }
}
