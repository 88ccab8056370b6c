//! What each cause and each kind of failure means and what to change: the one table behind report, dashboard and docs.

use crate::reset::Cause;

mod causes;
mod failures;

pub use causes::advice;
pub use failures::failure_advice;

/// What an operator should know of a cause. Plain text, each member a few sentences at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The cause in one line.
    pub summary: &'static str,
    /// What it means for the connection and its user.
    pub meaning: &'static str,
    /// What usually makes it.
    pub makers: &'static str,
    /// Where to look to be sure.
    pub check: &'static str,
    /// What to change, in the words of the programs concerned.
    pub change: &'static str,
}

impl Cause {
    /// Nobody waited for anything any more: alarms can leave it out.
    ///
    /// Only where this holds whatever else happened. A stray segment or data for a connection
    /// in `TIME_WAIT` is mostly harmless too, but may be the trace of a lost connection.
    #[must_use]
    pub const fn benign(self) -> bool {
        matches!(self, Self::ResetAfterClose)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::reset::FailureKind;

    /// Every row with its word.
    fn rows() -> impl Iterator<Item = (&'static str, &'static Advice)> {
        let causes = Cause::ALL
            .iter()
            .map(|cause| (cause.name(), advice(*cause)));
        let failures = FailureKind::ALL.iter();
        causes.chain(failures.map(|kind| (kind.name(), failure_advice(*kind))))
    }

    #[test]
    fn every_word_has_its_own_row() {
        let mut summaries = HashSet::new();
        for (word, row) in rows() {
            assert!(summaries.insert(row.summary), "{word}: shared summary");
        }
        assert_eq!(summaries.len(), Cause::ALL.len() + FailureKind::ALL.len());
    }

    #[test]
    fn rows_fit_where_they_are_shown() {
        for (word, row) in rows() {
            assert!(
                (10..=90).contains(&row.summary.len()),
                "{word}: {}",
                row.summary.len()
            );
            assert!(
                !row.summary.ends_with('.'),
                "{word}: a summary is no sentence"
            );
            for text in [row.meaning, row.makers, row.check, row.change] {
                assert!(
                    (20..=480).contains(&text.len()),
                    "{word}: {} in {text:?}",
                    text.len()
                );
                assert!(
                    text.ends_with('.') || text.ends_with('?'),
                    "{word}: {text:?}"
                );
            }
            for text in [row.summary, row.meaning, row.makers, row.check, row.change] {
                assert!(
                    !text.contains("  ") && text.trim() == text,
                    "{word}: blanks in {text:?}"
                );
                assert!(
                    !text.contains(['\n', '|', '`']),
                    "{word}: breaks a table: {text:?}"
                );
            }
        }
    }

    #[test]
    fn only_the_harmless_is_benign() {
        let benign: Vec<_> = Cause::ALL.iter().filter(|cause| cause.benign()).collect();
        assert_eq!(benign, [&Cause::ResetAfterClose]);
    }
}
