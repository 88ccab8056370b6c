//! How often the screen is drawn.

use std::time::{Duration, Instant};

/// Shortest time between two drawings of what has come by itself: an eye needs no more.
pub const BETWEEN: Duration = Duration::from_millis(100);

/// Keeps drawings apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Whether it is time for a drawing.
    ///
    /// At the time that [`Pace::due`] has named it is: who waits until then need not wait again.
    #[must_use]
    pub fn is_ready(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// When the next drawing may be; `None` for at once.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + BETWEEN)
    }

    /// Something was drawn.
    pub const fn drawn(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_drawing_is_at_once_and_the_next_when_it_is_due() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        assert!(pace.is_ready(start));
        pace.drawn(start);
        assert!(!pace.is_ready(start));
        let due = pace.due().unwrap();
        assert_eq!(due, start + BETWEEN);
        assert!(!pace.is_ready(start + BETWEEN / 2));
        assert!(pace.is_ready(due));
    }
}
