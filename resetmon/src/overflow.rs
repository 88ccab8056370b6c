//! The resets that did not come by the ring buffer: aggregates, and bare numbers.
//!
//! Together with the ring buffer they make the counts complete.

use std::sync::Arc;
use std::time::Duration;

use aya::maps::{Array, MapData, MapError};
use gateway_ebpf_common::tally::Tally;

use crate::event::Event;
use crate::kernel::aggregate::Aggregates;
use crate::kernel::tally::{Tallies, Totals, total};
use crate::pipeline::Pipeline;
use crate::ticks::Ticks;

/// How often to look: the longest that a count is behind.
const EVERY: Duration = Duration::from_secs(1);

/// When to look; needs a running event loop.
///
/// Errors: no descriptor is left.
pub fn ticks() -> std::io::Result<Ticks> {
    Ticks::every(EVERY)
}

/// Collects what the ring buffer did not carry.
pub struct Overflow {
    aggregates: Aggregates,
    tallies: Arc<Tallies>,
    /// Where the programs are pinned, it outlives the agent as the tallies do.
    delivered: Array<MapData, [u64; 4]>,
    bare: Bare,
}

/// What alone is known of resets and failures that were merely counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent by the kernel's TCP.
    Sent,
    /// Received.
    Received,
    /// Sent by its packet filter.
    Rejected,
    /// No reset, but a connection that failed without one.
    Failed,
}

impl Kind {
    /// The word used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// Resets that were merely counted; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bare {
    sent: u64,
    received: u64,
    rejected: u64,
    failed: u64,
}

impl Bare {
    /// A received reset that was taken back later is none.
    fn of(totals: &Totals) -> Self {
        Self {
            sent: total(totals, Tally::SentLost),
            received: total(totals, Tally::ReceivedLost)
                .saturating_sub(total(totals, Tally::Retracted)),
            rejected: total(totals, Tally::RejectedLost),
            failed: total(totals, Tally::FailureLost),
        }
    }

    /// What came since `earlier`; never negative, because taking back comes after counting.
    fn since(self, earlier: Self) -> [(Kind, u64); 4] {
        [
            (Kind::Sent, self.sent.saturating_sub(earlier.sent)),
            (
                Kind::Received,
                self.received.saturating_sub(earlier.received),
            ),
            (
                Kind::Rejected,
                self.rejected.saturating_sub(earlier.rejected),
            ),
            (Kind::Failed, self.failed.saturating_sub(earlier.failed)),
        ]
    }

    fn max(self, other: Self) -> Self {
        Self {
            sent: self.sent.max(other.sent),
            received: self.received.max(other.received),
            rejected: self.rejected.max(other.rejected),
            failed: self.failed.max(other.failed),
        }
    }
}

impl Overflow {
    /// Over the maps of one object; goes on where an earlier agent left off.
    pub fn new(
        aggregates: Aggregates,
        tallies: Arc<Tallies>,
        delivered: Array<MapData, [u64; 4]>,
    ) -> Result<Self, MapError> {
        let [sent, received, rejected, failed] = delivered.get(&0, 0)?;
        Ok(Self {
            aggregates,
            tallies,
            delivered,
            bare: Bare {
                sent,
                received,
                rejected,
                failed,
            },
        })
    }

    /// Hands over what has come since the last time: aggregates as events with their number to
    /// `out`, bare numbers to `bare`.
    pub fn collect(
        &mut self,
        pipeline: &mut Pipeline,
        mut out: impl FnMut(Event),
        mut bare: impl FnMut(Kind, u64),
    ) -> Result<(), MapError> {
        self.aggregates
            .drain(|aggregate| pipeline.feed_aggregate(aggregate, &mut out))?;
        let now = Bare::of(&self.tallies.read()?);
        for (kind, packets) in now.since(self.bare) {
            if packets > 0 {
                bare(kind, packets);
            }
        }
        let counted = self.bare.max(now);
        if counted != self.bare {
            // After counting: an agent that is killed in between leaves a count to be made again
            // by the next one, not one that nobody made.
            let totals = [
                counted.sent,
                counted.received,
                counted.rejected,
                counted.failed,
            ];
            self.delivered.set(0, totals, 0)?;
            self.bare = counted;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(sent: u64, received: u64, retracted: u64, rejected: u64, failed: u64) -> Totals {
        Tally::ALL.map(|tally| {
            let total = match tally {
                Tally::SentLost => sent,
                Tally::ReceivedLost => received,
                Tally::Retracted => retracted,
                Tally::RejectedLost => rejected,
                Tally::FailureLost => failed,
                _ => 1000,
            };
            (tally, total)
        })
    }

    #[test]
    fn bare_numbers_only_grow() {
        let mut seen = Bare::default();
        let mut counted = [0; 4];
        for (totals, sum) in [
            (totals(0, 0, 0, 0, 0), [0, 0, 0, 0]),
            (totals(3, 2, 0, 0, 7), [3, 2, 0, 7]),
            (totals(3, 2, 1, 5, 7), [3, 2, 5, 7]),
            (totals(4, 3, 1, 5, 8), [4, 2, 5, 8]),
            (totals(4, 5, 1, 6, 9), [4, 4, 6, 9]),
        ] {
            let now = Bare::of(&totals);
            for (index, (_, packets)) in now.since(seen).into_iter().enumerate() {
                counted[index] += packets;
            }
            seen = seen.max(now);
            assert_eq!(counted, sum);
        }
    }
}
