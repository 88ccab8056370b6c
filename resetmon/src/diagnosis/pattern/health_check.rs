//! A client that connects and resets at fixed intervals: a health check, which is no trouble.

use super::numerics::float;
use super::problem::{Problem, Side};
use crate::diagnosis::pattern::problem::Key;
use crate::reset::Cause;

/// Beats before a rhythm can be told.
const BEATS: u64 = 4;
/// Deviation of the intervals, as a share of their mean, that still is a rhythm.
const STEADY: f64 = 0.2;
/// Interval of the quickest checks that are in use, seconds.
const QUICKEST: f64 = 0.2;

/// Intervals between the events of one client (Welford's method).
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    last: i64,
    intervals: u64,
    mean: f64,
    squares: f64,
}

impl Rhythm {
    /// The first event, at this time in microseconds.
    #[must_use]
    pub fn new(time: i64) -> Self {
        Self {
            last: time,
            intervals: 0,
            mean: 0.0,
            squares: 0.0,
        }
    }

    /// A further event.
    pub fn beat(&mut self, time: i64) {
        let interval = float(time.abs_diff(self.last)) / 1e6;
        self.last = time;
        self.intervals = self.intervals.saturating_add(1);
        let off = interval - self.mean;
        self.mean += off / float(self.intervals);
        self.squares += off * (interval - self.mean);
    }

    /// The interval in seconds, if there is one.
    #[must_use]
    pub fn period(&self) -> Option<f64> {
        let enough = self.intervals + 1 >= BEATS && self.mean >= QUICKEST;
        let deviation = (self.squares / float(self.intervals.max(1))).sqrt();
        (enough && deviation <= self.mean * STEADY).then_some(self.mean)
    }
}

/// The interval, if every client of the problem is a health check.
#[must_use]
pub fn look(key: &Key, problem: &Problem) -> Option<f64> {
    let setup = key.cause == Some(Cause::AbortedDuringSetup) && key.service.side == Side::Server;
    if !setup || problem.rhythms.len() != problem.clients.len() {
        return None;
    }
    let periods: Option<Vec<f64>> = problem.rhythms.values().map(Rhythm::period).collect();
    periods?.into_iter().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[f64]) -> Option<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "small")]
        let micros = |seconds: f64| (seconds * 1e6) as i64;
        let mut rhythm = Rhythm::new(micros(times[0]));
        for time in &times[1..] {
            rhythm.beat(micros(*time));
        }
        rhythm.period()
    }

    #[test]
    fn rhythms() {
        for (times, expected) in [
            (&[0.0, 2.0, 4.0, 6.0, 8.0][..], Some(2.0)),
            (&[0.0, 2.1, 3.9, 6.0, 8.0], Some(2.0)),
            // Too few; at random; all at once.
            (&[0.0, 2.0, 4.0], None),
            (&[0.0, 0.5, 4.0, 4.3, 9.0], None),
            (&[0.0, 0.001, 0.002, 0.003, 0.004], None),
        ] {
            assert_eq!(of(times), expected, "{times:?}");
        }
    }
}
