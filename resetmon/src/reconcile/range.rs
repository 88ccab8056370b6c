//! A difference of two counters that cannot be read at the same moment.

/// From `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub low: i64,
    pub high: i64,
}

impl Range {
    /// Exactly `value`.
    pub(super) const fn at(value: i64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    pub(super) const fn contains(self, value: i64) -> bool {
        self.low <= value && value <= self.high
    }

    fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// The smallest and largest distance from a point of `base` to one of this range.
    const fn from(self, base: Self) -> Self {
        Self {
            low: self.low.saturating_sub(base.high),
            high: self.high.saturating_sub(base.low),
        }
    }
}

/// How far a difference has moved, from readings each of which is a range.
///
/// One reading may even be wrong: a RST that is being sent right now is in one counter and not in
/// the other. So a movement counts once two readings in a row show it.
#[derive(Clone, Debug, Default)]
pub(super) struct Movement {
    last: Option<Range>,
    /// Where the difference was at the start.
    base: Option<Range>,
    moved: i64,
}

impl Movement {
    /// From a start that is known.
    pub(super) const fn since(base: Range) -> Self {
        Self {
            last: None,
            base: Some(base),
            moved: 0,
        }
    }

    /// Takes a reading.
    pub(super) fn take(&mut self, reading: Range) {
        let Some(last) = self.last.replace(reading) else {
            return;
        };
        let both = last.hull(reading);
        let base = *self.base.get_or_insert(both);
        let possible = both.from(base);
        self.moved = self.moved.clamp(possible.low, possible.high);
        // Not empty, because `moved` is possible.
        self.base = Some(Range {
            low: base.low.max(both.low.saturating_sub(self.moved)),
            high: base.high.min(both.high.saturating_sub(self.moved)),
        });
    }

    /// How far it has moved since the start, at least; 0 before the second reading.
    pub(super) const fn moved(&self) -> i64 {
        self.moved
    }

    /// Whether `reading`, if it is right, shows a movement beyond [`Self::moved`].
    ///
    /// Also true while there is no start yet.
    pub(super) fn is_news(&self, reading: Range) -> bool {
        self.base
            .is_none_or(|base| !reading.from(base).contains(self.moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range((low, high): (i64, i64)) -> Range {
        Range { low, high }
    }

    #[test]
    fn what_readings_show() {
        for (name, readings, expected) in [
            ("nothing yet", &[][..], 0),
            ("one reading", &[(7, 7)], 0),
            ("still", &[(7, 7), (7, 7), (7, 7)], 0),
            ("moved, not confirmed", &[(7, 7), (7, 7), (9, 9)], 0),
            ("moved", &[(7, 7), (7, 7), (9, 9), (9, 9)], 2),
            ("moved back", &[(7, 7), (7, 7), (5, 5), (5, 5)], -2),
            ("one wrong", &[(7, 7), (7, 7), (8, 8), (7, 7), (7, 7)], 0),
            ("one wrong early", &[(8, 8), (7, 7), (7, 7), (7, 7)], 0),
            (
                "one wrong twice",
                &[(7, 7), (7, 7), (8, 8), (7, 7), (6, 6), (7, 7)],
                0,
            ),
            ("busy", &[(0, 40), (-9, 50), (-70, 3), (1, 90)], 0),
            (
                "busy, then quiet at once",
                &[(0, 40), (-9, 50), (2, 2), (2, 2)],
                0,
            ),
            (
                "busy after a quiet start, and lost some",
                &[(2, 2), (2, 2), (-30, 60), (-40, 9), (5, 5), (5, 5)],
                3,
            ),
            (
                "goes on moving: what is certain",
                &[(0, 0), (0, 0), (5, 5), (9, 9)],
                5,
            ),
            (
                "has stopped: all of it",
                &[(0, 0), (0, 0), (5, 5), (9, 9), (12, 12), (12, 12)],
                12,
            ),
            (
                "a correction",
                &[(0, 0), (0, 0), (3, 3), (3, 3), (0, 0), (0, 0)],
                0,
            ),
        ] {
            let mut movement = Movement::default();
            for reading in readings {
                movement.take(range(*reading));
            }
            assert_eq!(movement.moved(), expected, "{name}");
        }
    }

    #[test]
    fn a_known_start_takes_the_first_movement_in() {
        let mut movement = Movement::since(Range::at(0));
        movement.take(Range::at(0));
        movement.take(Range::at(5));
        assert_eq!(movement.moved(), 0);
        movement.take(Range::at(5));
        assert_eq!(movement.moved(), 5);
    }

    #[test]
    fn news() {
        let mut movement = Movement::default();
        assert!(movement.is_news(Range::at(7)));
        movement.take(Range::at(7));
        assert!(movement.is_news(Range::at(7)));
        movement.take(Range::at(7));
        for (reading, expected) in [
            ((7, 7), false),
            ((6, 7), false),
            ((0, 90), false),
            ((8, 8), true),
            ((8, 90), true),
            ((-3, 6), true),
        ] {
            assert_eq!(movement.is_news(range(reading)), expected, "{reading:?}");
        }
    }

    /// Whatever happens between the two readings of a round, and with an error of one round in
    /// three, the end is exact once it is quiet.
    #[test]
    fn random_histories_end_at_the_truth() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            i64::try_from(seed % below).unwrap()
        };
        for _ in 0..20_000 {
            let start = random(1000) - 500;
            let mut movement = Movement::default();
            let mut lost = 0;
            for _ in 0..2 {
                movement.take(Range::at(start));
            }
            let mut wrong_before = false;
            for _ in 0..random(12) {
                lost += random(3);
                let truth = start + lost;
                let wrong = !wrong_before && random(3) == 0;
                wrong_before = wrong;
                let reading = if wrong {
                    Range::at(truth + random(7) - 3)
                } else {
                    Range {
                        low: truth - random(50),
                        high: truth + random(50),
                    }
                };
                movement.take(reading);
                assert!(movement.moved() <= lost, "moved too far");
            }
            for _ in 0..2 {
                movement.take(Range::at(start + lost));
            }
            assert_eq!(movement.moved(), lost);
        }
    }
}
