//! The confusion matrix: what was due against what was reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Counts of pairs.
#[derive(Debug, Default)]
pub(crate) struct Matrix(BTreeMap<(String, String), usize>);

impl Matrix {
    /// Counts one pair of expected and reported.
    pub(crate) fn add(&mut self, pair: (String, String)) {
        *self.0.entry(pair).or_default() += 1;
    }

    /// How many pairs there are, and how many of them agree.
    pub(crate) fn agreement(&self) -> (usize, usize) {
        let agree = self.0.iter().filter(|((due, said), _)| due == said);
        (self.0.values().sum(), agree.map(|(_, count)| count).sum())
    }
}

impl fmt::Display for Matrix {
    /// A line for what was due, with what was reported for it; what was reported wrongly is marked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: BTreeSet<&String> = self.0.keys().map(|(due, _)| due).collect();
        let width = all.iter().map(|due| due.len()).max().unwrap_or_default();
        writeln!(f, "{:<width$}  {:>6}  reported as", "expected", "events")?;
        for due in all {
            let row = || self.0.iter().filter(|((one, _), _)| one == due);
            let total: usize = row().map(|(_, count)| count).sum();
            write!(f, "{due:<width$}  {total:>6} ")?;
            for ((_, said), count) in row() {
                let mark = if said == due { "" } else { "!" };
                write!(f, " {mark}{said} {count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
