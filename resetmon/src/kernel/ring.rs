//! The ring buffer's reading end.
//!
//! To wake a reader costs the interrupted program several times what all else of a reset costs. So
//! the programs wake only a reader that says that it sleeps: for the first record after a pause. As
//! long as records come, the reader looks every [`EVERY`].

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use aya::maps::{Array, MapData, MapError, RingBuf};
use gateway_ebpf_common::event::{ProcessRecord, ResetRecord};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// How many records are taken before the event loop gets its turn.
const BATCH: usize = 1024;
/// Between two looks while records come: the longest time that one waits.
const EVERY: Duration = Duration::from_millis(10);

/// How many batches empty a ring buffer of `bytes`, whatever comes in meanwhile.
const fn batches(bytes: u32) -> usize {
    let least = if size_of::<ProcessRecord>() < size_of::<ResetRecord>() {
        size_of::<ProcessRecord>()
    } else {
        size_of::<ResetRecord>()
    };
    bytes as usize / least / BATCH + 1
}

/// Reads records as they come.
pub struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
    sleeping: Array<MapData, u32>,
    pace: Pace,
    /// Empty it, whatever comes in meanwhile.
    batches: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// A look at once.
    Now,
    /// There is more: a look as soon as other tasks had their turn.
    Turn,
    /// A look at that time.
    At(Instant),
    /// Nothing was there: ask to be woken, and look once more.
    Ask,
    /// Wait to be woken.
    Sleep,
}

impl Pace {
    /// What comes after a look that found `taken` records.
    fn after(self, taken: usize, now: Instant) -> Self {
        match (taken, self) {
            (0, Self::Ask) => Self::Sleep,
            // Whoever woke us has taken back that we sleep.
            (0, _) => Self::Ask,
            (BATCH.., _) => Self::Turn,
            _ => Self::At(now + EVERY),
        }
    }
}

impl Ring {
    /// Over the maps `EVENTS`, of so many `bytes`, and `SLEEPING` of the object; registers with the
    /// event loop of the current task.
    pub fn new(
        events: RingBuf<MapData>,
        bytes: u32,
        sleeping: Array<MapData, u32>,
    ) -> std::io::Result<Self> {
        // Readable only: a ring buffer is always "writable", which would wake for nothing.
        // SAFETY: the map's descriptor is open and the same for as long as `events` lives.
        let fd = unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }
            .map_err(std::io::Error::from)?;
        Ok(Self {
            fd,
            sleeping,
            pace: Pace::Now,
            batches: batches(bytes),
        })
    }

    /// Waits for records and hands up to a batch of them to `take`, in order. Between two full
    /// batches other tasks get their turn.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
        if self.pace == Pace::Sleep {
            // Should a wake-up ever be lost, what else goes on in the agent makes up for it.
            self.pace = Pace::Now;
        }
        loop {
            match self.pace {
                Pace::Now => {}
                Pace::Turn => {
                    self.pace = Pace::Now;
                    tokio::task::yield_now().await;
                }
                Pace::At(time) => tokio::time::sleep_until(time).await,
                Pace::Ask => self.ask().map_err(std::io::Error::other)?,
                Pace::Sleep => self.fd.readable_mut().await?.clear_ready(),
            }
            let taken = self.batch(&mut take);
            if taken > 0 {
                return Ok(());
            }
            self.pace = self.pace.after(0, Instant::now());
        }
    }

    /// Makes the programs wake us for the next record.
    fn ask(&mut self) -> Result<(), MapError> {
        self.sleeping.set(0, 1, 0)?;
        // The look that follows must not come first: see `wake` in the programs.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Takes up to a batch of what is there; how many that were.
    fn batch(&mut self, mut take: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Some(record) = self.fd.get_mut().next()
        {
            take(&record);
            taken += 1;
        }
        if taken > 0 {
            self.pace = self.pace.after(taken, Instant::now());
        }
        taken
    }

    /// Takes what is there now; other tasks get their turn between two batches.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn catch_up(&mut self, mut take: impl FnMut(&[u8])) {
        for _ in 0..self.batches {
            if self.batch(&mut take) < BATCH {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes what is there now, without waiting: the last words at the end of a run.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        while self.batch(&mut take) == BATCH {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_comes() {
        let now = Instant::now();
        let soon = Pace::At(now + EVERY);
        for (pace, taken, next) in [
            (Pace::Now, 0, Pace::Ask),
            (soon, 0, Pace::Ask),
            // Whoever has asked looks once more before it sleeps.
            (Pace::Ask, 0, Pace::Sleep),
            (Pace::Sleep, 0, Pace::Ask),
            (Pace::Now, 1, soon),
            (soon, BATCH - 1, soon),
            (Pace::Ask, 1, soon),
            (Pace::Sleep, 1, soon),
            // There may be more.
            (soon, BATCH, Pace::Turn),
            (Pace::Sleep, BATCH, Pace::Turn),
        ] {
            assert_eq!(pace.after(taken, now), next, "{pace:?} {taken}");
        }
    }
}
