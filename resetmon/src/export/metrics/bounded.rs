//! A family of series that cannot grow without end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::labels::Labels;

/// Series by label set, at most `cap` of them beside the folded ones.
///
/// A label set that finds the family full is counted in its folded form, where only closed labels
/// are left; of these there are few, so they are always admitted and never removed.
#[derive(Debug)]
pub(crate) struct Bounded<L, V> {
    series: HashMap<L, Series<V>>,
    /// How many of them are not folded: these count against `cap`.
    open: usize,
    cap: usize,
    idle: Option<Duration>,
    new: fn() -> V,
    evicted: u64,
    folded: u64,
}

#[derive(Debug)]
struct Series<V> {
    value: V,
    touched: Instant,
    folded: bool,
}

impl<L: Labels, V> Bounded<L, V> {
    /// A family of at most `cap` series that removes those idle for longer than `idle`.
    pub(crate) fn new(cap: usize, idle: Option<Duration>, new: fn() -> V) -> Self {
        Self {
            series: HashMap::new(),
            open: 0,
            cap,
            idle,
            new,
            evicted: 0,
            folded: 0,
        }
    }

    /// The series of these labels, or of their folded form if the family is full.
    pub(crate) fn at(&mut self, labels: L, now: Instant) -> &mut V {
        let labels = if self.series.contains_key(&labels) || self.open < self.cap {
            labels
        } else {
            self.folded += 1;
            labels.folded()
        };
        let (new, open) = (self.new, &mut self.open);
        let series = self.series.entry(labels).or_insert_with_key(|labels| {
            // Something of the workload may itself be called like the folded form.
            let folded = *labels == labels.folded();
            *open += usize::from(!folded);
            Series {
                value: new(),
                touched: now,
                folded,
            }
        });
        series.touched = now;
        &mut series.value
    }

    /// Removes the series that have been idle for too long. To be called after they were shown:
    /// a value that no scraper has seen must not disappear.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let Some(idle) = self.idle else { return };
        let before = self.series.len();
        self.series
            .retain(|_, series| series.folded || now.duration_since(series.touched) <= idle);
        let removed = before - self.series.len();
        self.open -= removed;
        self.evicted += removed as u64;
    }

    /// Every series.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&L, &V)> {
        self.series
            .iter()
            .map(|(labels, series)| (labels, &series.value))
    }

    /// No series yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Series removed because they were idle.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How often a label set found the family full.
    pub(crate) fn folded(&self) -> u64 {
        self.folded
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::metrics::labels::{OTHER, PeerLabels};
    use crate::kernel::observation::Direction;
    use crate::reset::Cause;

    fn peer(name: &str, cause: Cause) -> PeerLabels {
        PeerLabels {
            direction: Direction::Received,
            cause,
            peer: Arc::from(name),
        }
    }

    fn values(family: &Bounded<PeerLabels, u64>) -> Vec<(String, Cause, u64)> {
        let mut values: Vec<_> = family
            .iter()
            .map(|(labels, value)| (labels.peer.to_string(), labels.cause, *value))
            .collect();
        values.sort();
        values
    }

    #[test]
    fn a_full_family_folds_open_labels_only() {
        let now = Instant::now();
        let mut family = Bounded::new(2, None, u64::default);
        for name in ["a", "b", "c", "d", "a"] {
            *family.at(peer(name, Cause::Refused), now) += 1;
        }
        *family.at(peer("a", Cause::IdleTimeout), now) += 1;
        assert_eq!(
            values(&family),
            [
                ("a".to_owned(), Cause::Refused, 2),
                ("b".to_owned(), Cause::Refused, 1),
                (OTHER.to_owned(), Cause::Refused, 2),
                (OTHER.to_owned(), Cause::IdleTimeout, 1),
            ]
        );
        assert_eq!(family.folded(), 3);
    }

    #[test]
    fn a_peer_named_other_shares_the_folded_series() {
        let now = Instant::now();
        let mut family = Bounded::new(1, Some(Duration::ZERO), u64::default);
        for name in [OTHER, "a", "b"] {
            *family.at(peer(name, Cause::Refused), now) += 1;
        }
        family.sweep(now + Duration::from_secs(1));
        assert_eq!(values(&family), [(OTHER.to_owned(), Cause::Refused, 2)]);
    }

    #[test]
    fn idle_series_go_and_make_room() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut family = Bounded::new(2, Some(Duration::from_secs(10)), u64::default);
        *family.at(peer("old", Cause::Refused), at(0)) += 1;
        *family.at(peer("busy", Cause::Refused), at(0)) += 1;
        *family.at(peer("folded", Cause::Refused), at(0)) += 1;
        *family.at(peer("busy", Cause::Refused), at(9)) += 1;

        family.sweep(at(10));
        assert_eq!((family.evicted(), values(&family).len()), (0, 3));
        family.sweep(at(11));
        assert_eq!(family.evicted(), 1);
        *family.at(peer("new", Cause::Refused), at(12)) += 1;
        let names: Vec<_> = values(&family).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["busy", "new", OTHER]);
    }
}
