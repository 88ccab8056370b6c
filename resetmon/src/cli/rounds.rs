//! When the kernel's own counters are read for [`crate::reconcile`], and where: beside the event
//! loop, because many namespaces on many CPUs take their time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::kernel::counters::namespaces::{NamespaceId, Namespaces, Reading, Readings};

/// Between two rounds; also between two passes over /proc, at least.
const EVERY: Duration = Duration::from_secs(10);
/// Until the round that is to confirm or to refute what the last one showed.
const SOON: Duration = Duration::from_secs(1);

/// The rounds, one after the other.
pub(super) struct Rounds {
    step: Step,
    /// When /proc may be looked through again.
    search: Instant,
    /// The last round was one that came early.
    early: bool,
}

/// What a round has to offer.
pub(super) enum Progress {
    /// Every namespace was read. Next comes [`Rounds::read_again`].
    Read(Readings),
    /// Some were read once more. Next comes [`Rounds::rest`].
    ReadAgain(Vec<Reading>),
}

enum Step {
    Rest(Namespaces, Instant),
    Read(JoinHandle<(Namespaces, Readings)>),
    Between(Namespaces),
    ReadAgain(JoinHandle<(Namespaces, Vec<Reading>)>),
    /// Between two of the others; for good if reading has failed.
    Nothing,
}

impl Rounds {
    /// The first round is due at once; at most `limit` namespaces are read.
    pub(super) fn new(limit: usize) -> Self {
        let now = Instant::now();
        Self {
            step: Step::Rest(Namespaces::new(PathBuf::from("/proc"), limit), now),
            search: now,
            early: false,
        }
    }

    /// Waits for the next progress; for ever where the caller is to go on.
    ///
    /// Dropping the future before it is done loses nothing.
    pub(super) async fn next(&mut self) -> Progress {
        loop {
            match &mut self.step {
                Step::Rest(_, due) => {
                    tokio::time::sleep_until(*due).await;
                    self.begin();
                }
                Step::Read(reading) => match reading.await {
                    Ok((namespaces, readings)) => {
                        self.step = Step::Between(namespaces);
                        return Progress::Read(readings);
                    }
                    Err(error) => self.fail(&error),
                },
                Step::ReadAgain(reading) => match reading.await {
                    Ok((namespaces, readings)) => {
                        self.step = Step::Between(namespaces);
                        return Progress::ReadAgain(readings);
                    }
                    Err(error) => self.fail(&error),
                },
                Step::Between(_) | Step::Nothing => std::future::pending().await,
            }
        }
    }

    /// Reads some namespaces once more.
    pub(super) fn read_again(&mut self, ids: BTreeSet<NamespaceId>) {
        self.advance(|namespaces| {
            Step::ReadAgain(spawn_blocking(move || {
                let readings = namespaces.read_again(&ids);
                (namespaces, readings)
            }))
        });
    }

    /// Ends the round; the next one comes soon if it would tell more.
    pub(super) fn rest(&mut self, doubtful: bool) {
        self.early = doubtful && !self.early;
        let due = Instant::now() + if self.early { SOON } else { EVERY };
        self.advance(|namespaces| Step::Rest(namespaces, due));
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let search = now >= self.search;
        if search {
            self.search = now + EVERY;
        }
        self.advance(|mut namespaces| {
            Step::Read(spawn_blocking(move || {
                if search && let Err(error) = namespaces.discover() {
                    tracing::warn!("no new network namespaces are found: /proc: {error}");
                }
                let readings = namespaces.read();
                (namespaces, readings)
            }))
        });
    }

    fn fail(&mut self, error: &JoinError) {
        tracing::error!("resets are no longer compared with the kernel's own counters: {error}");
        self.step = Step::Nothing;
    }

    fn advance(&mut self, next: impl FnOnce(Namespaces) -> Step) {
        self.step = match std::mem::replace(&mut self.step, Step::Nothing) {
            Step::Rest(namespaces, _) | Step::Between(namespaces) => next(namespaces),
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    async fn is_waiting(rounds: &mut Rounds) -> bool {
        tokio::select! {
            biased;
            _ = rounds.next() => false,
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn a_round_goes_on_as_its_caller_does() {
        let mut rounds = Rounds::new(1024);
        let Progress::Read(readings) = rounds.next().await else {
            panic!("a round begins with a reading");
        };
        let inode = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
        let mut all = readings.namespaces.iter();
        let own = all.find(|reading| u64::from(reading.inode) == inode);
        let own = own.expect("this process has a namespace");
        assert!(is_waiting(&mut rounds).await);

        rounds.read_again(BTreeSet::from([own.id]));
        let Progress::ReadAgain(again) = rounds.next().await else {
            panic!("then comes the second reading");
        };
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].id, again[0].inode), (own.id, own.inode));
        assert!(is_waiting(&mut rounds).await);

        rounds.rest(false);
        assert!(is_waiting(&mut rounds).await);
    }

    #[tokio::test]
    async fn no_two_rounds_in_a_row_come_early() {
        let mut rounds = Rounds::new(1);
        let early = [true, true, true, false, true].map(|doubtful| {
            rounds.rest(doubtful);
            rounds.early
        });
        assert_eq!(early, [true, false, true, false, true]);
    }
}
