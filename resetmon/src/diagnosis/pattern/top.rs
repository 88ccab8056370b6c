//! What is named most, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;

/// Counts by key. With more keys than it has room for it keeps those that are frequent: a key that
/// makes more than 1 in `limit` of all is always among them (Misra and Gries, 1982).
#[derive(Clone, Debug)]
pub struct Top<K> {
    counts: HashMap<K, u64>,
    limit: usize,
    total: u64,
    /// Counts taken off each key when there was no room.
    taken: u64,
}

impl<K: Copy + Eq + Hash + Ord> Top<K> {
    /// At most `limit` keys.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            counts: HashMap::new(),
            limit: limit.max(1),
            total: 0,
            taken: 0,
        }
    }

    /// Counts `events` more of `key`; with 0 the key is merely known.
    pub fn add(&mut self, key: K, events: u64) {
        self.total = self.total.saturating_add(events);
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_add(events);
            return;
        }
        if self.counts.len() < self.limit {
            self.counts.insert(key, events);
            return;
        }
        let least = self.counts.values().copied().min().unwrap_or_default();
        let off = least.min(events);
        self.taken = self.taken.saturating_add(off);
        self.counts.retain(|_, count| {
            *count -= off;
            *count > 0
        });
        if events > off && self.counts.len() < self.limit {
            self.counts.insert(key, events - off);
        }
    }

    /// Adds the counts of `other`.
    pub fn absorb(&mut self, other: &Self) {
        for (key, events) in other.sorted() {
            self.add(key, events);
        }
        // What `other` could not keep was counted too.
        let kept: u64 = other.counts.values().sum();
        self.total = self.total.saturating_add(other.total.saturating_sub(kept));
    }

    /// Keys and counts, the most frequent first; equal ones in the order of their keys.
    #[must_use]
    pub fn sorted(&self) -> Vec<(K, u64)> {
        let mut all: Vec<_> = self
            .counts
            .iter()
            .map(|(key, count)| (*key, *count))
            .collect();
        all.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        all
    }

    /// The most frequent key and its count.
    #[must_use]
    pub fn first(&self) -> Option<(K, u64)> {
        let most = |(key, count): (&K, &u64)| (*key, *count);
        let all = self.counts.iter().map(most);
        all.max_by(|(a, x), (b, y)| x.cmp(y).then(b.cmp(a)))
    }

    /// The count of `key`; at most too low by what was taken off when there was no room.
    #[must_use]
    pub fn get(&self, key: &K) -> u64 {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// How many keys are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// True if no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Every count, also of keys that are no longer kept.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// True while every key has its full count.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.taken == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_order() {
        let mut top = Top::new(10);
        for (key, events) in [(1, 2), (2, 5), (3, 2), (1, 1), (4, 0)] {
            top.add(key, events);
        }
        assert_eq!(top.sorted(), [(2, 5), (1, 3), (3, 2), (4, 0)]);
        assert_eq!(top.first(), Some((2, 5)));
        assert_eq!((top.get(&1), top.get(&9), top.total()), (3, 0, 10));
        assert!(top.is_exact());
    }

    #[test]
    fn the_frequent_stay_where_there_is_no_room() {
        let mut top = Top::new(8);
        for number in 0..10_000_u64 {
            top.add(number + 100, 1);
            if number % 3 == 0 {
                top.add(7, 1);
            }
        }
        assert!(top.len() <= 8);
        assert_eq!(top.first().map(|(key, _)| key), Some(7));
        assert_eq!(top.total(), 13_334);
        assert!(!top.is_exact());
        // Too low by no more than 1 in 8 of all.
        assert!((3334 - 13_334 / 8..=3334).contains(&top.get(&7)));
    }

    #[test]
    fn two_become_one() {
        let (mut one, mut two) = (Top::new(8), Top::new(8));
        one.add(1, 2);
        two.add(1, 3);
        two.add(2, 1);
        one.absorb(&two);
        assert_eq!(one.sorted(), [(1, 5), (2, 1)]);
        assert_eq!(one.total(), 6);
    }
}
