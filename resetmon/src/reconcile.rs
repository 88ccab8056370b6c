//! Our count of the resets sent beside the kernel's own, per network namespace.
//!
//! Pure: the kernel's counters and ours are handed in. A round is: read the kernel's counters,
//! take in everything that the programs have handed over, read the kernel's counters again. The
//! difference at the moment in between then lies between the two that the readings give, however
//! busy the namespace is.
//!
//! Compared is what happened since the first round that saw a namespace. One that comes later is
//! compared from its beginning if its count and ours agree when it is first seen; otherwise it may
//! be older, and what came before is unverified.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};
use std::mem;

use crate::kernel::counters::namespaces::{NamespaceId, Reading, Readings};
use crate::kernel::counters::{Counter, TcpCounters};

mod identity;
mod range;
mod summary;

pub use identity::{Account, Tracing, account};
use range::{Movement, Range};
pub use summary::{Difference, Summary};

/// Rounds after which a difference can be told.
const SETTLED: u64 = 2;
/// Rounds without a reading of its namespace after which a count of ours is given up.
const PATIENCE: u8 = 2;

/// Both sides, and what is known of their difference.
#[derive(Debug)]
pub struct Reconciler {
    tracing: Tracing,
    /// Our counts, by inode number.
    own: HashMap<u32, Own>,
    unplaced: u64,
    namespaces: BTreeMap<NamespaceId, Compared>,
    /// Of namespaces that are gone.
    gone: Account,
    unverified: u64,
    totals: [Option<u64>; Counter::ALL.len()],
    rounds: u64,
    left_out: usize,
    hidden: usize,
    doubtful: bool,
}

/// Our count of the resets sent in one namespace.
#[derive(Debug, Default)]
struct Own {
    sent: u64,
    rounds_unread: u8,
}

/// A namespace that is being read.
#[derive(Debug)]
struct Compared {
    inode: u32,
    latest: TcpCounters,
    /// The round under way; `None` outside of one, and if there is no reading.
    round: Option<Round>,
    /// Both counts from which on they are compared, `None` before the first round is closed.
    start: Option<Start>,
    /// Our count when the last round was closed.
    verified: u64,
    movement: Movement,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    /// `OutRsts` at its first reading.
    kernel: u64,
    /// Our count in the middle.
    own: u64,
    /// A second reading was asked for.
    again: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Start {
    kernel: u64,
    own: u64,
    abort_failed: u64,
}

impl Reconciler {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(tracing: Tracing) -> Self {
        Self {
            tracing,
            own: HashMap::new(),
            unplaced: 0,
            namespaces: BTreeMap::new(),
            gone: account(0, 0),
            unverified: 0,
            totals: [None; Counter::ALL.len()],
            rounds: 0,
            left_out: 0,
            hidden: 0,
            doubtful: false,
        }
    }

    /// Counts `n` resets sent in the network namespace with the inode number `netns`; 0 if it is
    /// not known.
    pub fn record_sent(&mut self, netns: u32, n: u64) {
        if netns == 0 {
            self.unplaced = self.unplaced.saturating_add(n);
        } else {
            let own = self.own.entry(netns).or_default();
            own.sent = own.sent.saturating_add(n);
        }
    }

    /// Begins a round with a reading of every namespace.
    pub fn open_round(&mut self, readings: &Readings) {
        self.left_out = readings.left_out;
        self.hidden = readings.hidden;
        let there: BTreeSet<_> = readings.namespaces.iter().map(|r| r.id).collect();
        let gone: Vec<_> = self
            .namespaces
            .keys()
            .filter(|id| !there.contains(id))
            .copied()
            .collect();
        for id in gone {
            self.forget(id);
        }
        for reading in &readings.namespaces {
            let round = self.advance(reading).map(|kernel| Round {
                kernel,
                own: 0,
                again: false,
            });
            if let Some(compared) = self.namespaces.get_mut(&reading.id) {
                compared.round = round;
            }
        }
    }

    /// Says that everything which the programs handed over before now has been counted, and tells
    /// which namespaces [`Self::close_round`] needs a second reading of.
    pub fn caught_up(&mut self) -> BTreeSet<NamespaceId> {
        let mut again = BTreeSet::new();
        for (id, compared) in &mut self.namespaces {
            let Some(round) = &mut compared.round else {
                continue;
            };
            round.own = self.own.get(&compared.inode).map_or(0, |own| own.sent);
            // Where the two agree already, a second reading could only say less.
            let seen = Range::at(difference(round.kernel, round.own));
            round.again = compared.movement.is_news(seen);
            if round.again {
                again.insert(*id);
            }
        }
        again
    }

    /// Ends a round with a second reading of the namespaces asked for.
    pub fn close_round(&mut self, again: &[Reading]) {
        let second: HashMap<_, _> = again
            .iter()
            .filter_map(|reading| Some((reading.id, self.advance(reading)?)))
            .collect();
        let is_first = self.rounds == 0;
        self.rounds += 1;
        self.doubtful = false;
        for (id, compared) in &mut self.namespaces {
            let Some(round) = compared.round.take() else {
                continue;
            };
            let kernel = match second.get(id) {
                Some(kernel) => *kernel,
                None if round.again => continue,
                None => round.kernel,
            };
            let seen = Range {
                low: difference(round.kernel, round.own),
                high: difference(kernel, round.own),
            };
            if compared.start.is_none() {
                if !is_first && seen.contains(0) {
                    compared.movement = Movement::since(Range::at(0));
                    compared.start = Some(Start::default());
                    let total = &mut self.totals[Counter::OutRsts as usize];
                    *total = Some(total.unwrap_or(0).saturating_add(round.kernel));
                } else {
                    compared.start = Some(Start {
                        kernel: round.kernel,
                        own: round.own,
                        abort_failed: compared.abort_failed(),
                    });
                    self.unverified = self.unverified.saturating_add(round.own);
                }
            }
            compared.movement.take(seen);
            compared.verified = round.own;
            self.doubtful |= compared.movement.is_news(seen);
        }
        self.give_up_unread();
    }

    /// Whether another round soon would tell more than this one did.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Growth of the kernel's counters over all namespaces, as far as it was seen. It only grows.
    pub fn kernel_totals(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::ALL
            .into_iter()
            .zip(self.totals)
            .filter_map(|(counter, total)| Some((counter, total?)))
    }

    /// Adds what the counters have grown, and returns `OutRsts`.
    fn advance(&mut self, reading: &Reading) -> Option<u64> {
        let counters = reading.counters?;
        let latest = match self.namespaces.entry(reading.id) {
            Entry::Vacant(entry) => entry.insert(Compared::new(reading.inode, counters)).latest,
            Entry::Occupied(mut entry) => mem::replace(&mut entry.get_mut().latest, counters),
        };
        for (total, counter) in self.totals.iter_mut().zip(Counter::ALL) {
            if let Some(value) = counters.get(counter) {
                let growth = latest.get(counter).map_or(0, |l| value.saturating_sub(l));
                *total = Some(total.unwrap_or(0).saturating_add(growth));
            }
        }
        counters.get(Counter::OutRsts)
    }

    /// Keeps the account of a namespace that is gone.
    fn forget(&mut self, id: NamespaceId) {
        let Some(compared) = self.namespaces.remove(&id) else {
            return;
        };
        let account = compared.account();
        self.gone.not_sent = self.gone.not_sent.saturating_add(account.not_sent);
        self.gone.unaccounted = self.gone.unaccounted.saturating_add(account.unaccounted);
        if let Some(own) = self.own.remove(&compared.inode) {
            // The last of it was never compared.
            let rest = own.sent.saturating_sub(compared.verified);
            self.unverified = self.unverified.saturating_add(rest);
        }
    }

    /// Gives up counts whose namespace is never read: it is gone, or beyond the limit.
    fn give_up_unread(&mut self) {
        let read: BTreeSet<u32> = self.namespaces.values().map(|c| c.inode).collect();
        let mut given_up = 0u64;
        self.own.retain(|inode, own| {
            if read.contains(inode) {
                own.rounds_unread = 0;
                return true;
            }
            own.rounds_unread += 1;
            let keep = own.rounds_unread < PATIENCE;
            if !keep {
                given_up = given_up.saturating_add(own.sent);
            }
            keep
        });
        self.unverified = self.unverified.saturating_add(given_up);
    }
}

impl Compared {
    fn new(inode: u32, latest: TcpCounters) -> Self {
        Self {
            inode,
            latest,
            round: None,
            start: None,
            verified: 0,
            movement: Movement::default(),
        }
    }

    fn abort_failed(&self) -> u64 {
        self.latest.get(Counter::AbortFailed).unwrap_or(0)
    }

    fn account(&self) -> Account {
        let before = self.start.map_or(0, |start| start.abort_failed);
        account(
            self.movement.moved(),
            self.abort_failed().saturating_sub(before),
        )
    }
}

/// The kernel's count less ours.
fn difference(kernel: u64, own: u64) -> i64 {
    let [kernel, own] = [kernel, own].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    kernel - own
}

#[cfg(test)]
mod tests;
