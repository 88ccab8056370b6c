//! The ring buffer's reading end.

use aya::maps::{MapData, RingBuf};
use gateway_ebpf_common::event::{ProcessRecord, ResetRecord};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many records are taken before the event loop gets its turn.
const BATCH: usize = 1024;

/// How many batches empty a ring buffer of `bytes`, whatever comes in meanwhile.
#[must_use]
pub const fn batches(bytes: u32) -> usize {
    let least = if size_of::<ProcessRecord>() < size_of::<ResetRecord>() {
        size_of::<ProcessRecord>()
    } else {
        size_of::<ResetRecord>()
    };
    bytes as usize / least / BATCH + 1
}

/// Reads records as they come, without polling.
pub struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    /// Registers the ring buffer with the event loop of the current task.
    pub fn new(events: RingBuf<MapData>) -> std::io::Result<Self> {
        // Readable only: a ring buffer is always "writable", which would wake for nothing.
        // SAFETY: the map's descriptor is open and the same for as long as `events` lives.
        let fd = unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }
            .map_err(std::io::Error::from)?;
        Ok(Self { fd })
    }

    /// Waits for records and hands up to a batch of them to `take`, in order.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
        let mut ready = self.fd.readable_mut().await?;
        for _ in 0..BATCH {
            let Some(record) = ready.get_inner_mut().next() else {
                ready.clear_ready();
                break;
            };
            take(&record);
        }
        Ok(())
    }

    /// Takes up to a batch of what is there now, without waiting; false if that was all.
    pub fn drain_batch(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        for _ in 0..BATCH {
            let Some(record) = self.fd.get_mut().next() else {
                return false;
            };
            take(&record);
        }
        true
    }

    /// Takes what is there now, without waiting: the last words at the end of a run.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(record) = self.fd.get_mut().next() {
            take(&record);
        }
    }
}
