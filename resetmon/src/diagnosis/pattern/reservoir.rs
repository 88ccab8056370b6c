//! A fair choice of events where there are too many to keep.

/// Events kept at most.
pub(crate) const KEPT: usize = 256;

/// What of an event the patterns over times need; durations in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// When, microseconds since 1970.
    pub time: i64,
    /// Age of the connection.
    pub age: Option<f64>,
    /// Its silence.
    pub silence: Option<f64>,
    /// How long its request had been under way.
    pub waiting: Option<f64>,
    /// Uncertainty of the latter two.
    pub tick: f64,
}

/// Every event up to [`KEPT`]; of more, each with the same chance (Vitter's algorithm R).
#[derive(Clone, Debug)]
pub struct Reservoir {
    kept: Vec<Moment>,
    seen: u64,
    state: u64,
}

impl Default for Reservoir {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            seen: 0,
            // The same events give the same report.
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl Reservoir {
    /// Takes an event.
    pub fn add(&mut self, moment: Moment) {
        self.seen = self.seen.saturating_add(1);
        if self.kept.len() < KEPT {
            self.kept.push(moment);
            return;
        }
        // Marsaglia's xorshift64.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let place = usize::try_from(self.state % self.seen).unwrap_or(usize::MAX);
        if let Some(old) = self.kept.get_mut(place) {
            *old = moment;
        }
    }

    /// Takes those of `other`; fair where both have room.
    pub fn absorb(&mut self, other: &Self) {
        for moment in &other.kept {
            self.add(*moment);
        }
    }

    /// The chosen ones.
    #[must_use]
    pub fn moments(&self) -> &[Moment] {
        &self.kept
    }

    /// True while every event is kept.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        usize::try_from(self.seen).is_ok_and(|seen| seen == self.kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64) -> Moment {
        Moment {
            time,
            age: None,
            silence: None,
            waiting: None,
            tick: 0.0,
        }
    }

    #[test]
    fn few_are_all_kept() {
        let mut reservoir = Reservoir::default();
        (0..10).for_each(|time| reservoir.add(at(time)));
        assert!(reservoir.is_complete());
        assert_eq!(reservoir.moments().len(), 10);
    }

    #[test]
    fn of_many_the_early_and_the_late_have_the_same_chance() {
        let mut reservoir = Reservoir::default();
        (0..100_000).for_each(|time| reservoir.add(at(time)));
        assert!(!reservoir.is_complete());
        assert_eq!(reservoir.moments().len(), KEPT);
        let early = reservoir
            .moments()
            .iter()
            .filter(|m| m.time < 50_000)
            .count();
        // 128 expected, with a deviation of 8.
        assert!((88..=168).contains(&early), "{early}");
    }
}
