//! Writing beside the event loop: a thread of its own writes, and a target that is too slow or
//! refuses costs what it was to get, which is counted, never time.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Items between two looks at what became of them.
const BATCH: usize = 4096;

/// Where things are written.
pub trait Store: Send + 'static {
    /// What is written.
    type Item: Send + 'static;

    /// Writes everything that `items` gives.
    fn take(&mut self, items: &mut dyn Iterator<Item = Self::Item>) -> Taken;
}

/// What became of some items.
#[derive(Debug, Default)]
pub struct Taken {
    /// How many were written.
    pub written: u64,
    /// How many were not, or not for certain.
    pub lost: u64,
    /// Why.
    pub error: Option<io::Error>,
}

impl Taken {
    /// Counts what became of one item.
    pub fn count(&mut self, outcome: io::Result<()>) {
        match outcome {
            Ok(()) => self.written += 1,
            Err(error) => {
                self.lost += 1;
                self.error = Some(error);
            }
        }
    }
}

/// What was written in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// How many items were written.
    pub written: u64,
    /// How many were not.
    pub lost: u64,
    /// The latest reason of the target for that.
    pub error: Option<String>,
}

/// Hands items to a [`Store`] on a thread of its own.
#[derive(Debug)]
pub struct Background<T> {
    queue: Option<SyncSender<T>>,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
    given: AtomicU64,
    shared: Arc<Shared>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    /// Nobody reads any more.
    gone: AtomicBool,
    error: Mutex<Option<String>>,
}

impl<T: Send + 'static> Background<T> {
    /// Writes to `store`, which messages call `name`; at most `waiting` items wait.
    ///
    /// Errors: a thread cannot be started.
    pub fn new(name: String, waiting: usize, mut store: impl Store<Item = T>) -> io::Result<Self> {
        let (queue, items) = sync_channel(waiting);
        let (end, ended) = channel();
        let (shared, lost) = (Arc::new(Shared::default()), Arc::new(AtomicU64::new(0)));
        let (writes, loses) = (Arc::clone(&shared), Arc::clone(&lost));
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                write_all(&name, &mut store, &items, &writes, &loses);
                // Nobody may be waiting.
                let _ = end.send(());
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            ended,
            given: AtomicU64::new(0),
            shared,
            lost,
        })
    }

    /// Queues an item; a full queue counts it as lost.
    pub fn put(&self, item: T) {
        let Some(queue) = &self.queue else { return };
        self.given.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(item) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Items lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A handle to the count of lost items.
    #[must_use]
    pub fn lost_handle(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Whether the target is a pipe that nobody reads any more.
    #[must_use]
    pub fn gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// Writes what is queued, for at most `within`; what is then still not written is lost.
    #[must_use]
    pub fn close(mut self, within: Duration) -> Closed {
        drop(self.queue.take());
        let waited = self.ended.recv_timeout(within);
        let thread = self.thread.take();
        let hangs = matches!(waited, Err(RecvTimeoutError::Timeout));
        if !hangs && let Some(thread) = thread {
            // A writer that panicked has written what it counted.
            let _ = thread.join();
        }
        let written = self.shared.written.load(Ordering::Relaxed);
        let lost = self.given.load(Ordering::Relaxed).saturating_sub(written);
        let said = self.shared.error.lock();
        let said = said.unwrap_or_else(PoisonError::into_inner).clone();
        let slow = || hangs.then(|| "it does not take what is written".to_owned());
        let error = if lost > 0 { said.or_else(slow) } else { None };
        Closed {
            written,
            lost,
            error,
        }
    }
}

impl<T> Drop for Background<T> {
    /// Writes what is queued, then ends.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

fn write_all<S: Store>(
    name: &str,
    store: &mut S,
    items: &Receiver<S::Item>,
    shared: &Shared,
    lost: &AtomicU64,
) {
    let mut failing = false;
    while let Ok(first) = items.recv() {
        let mut batch = std::iter::once(first).chain(items.try_iter().take(BATCH));
        let taken = store.take(&mut batch);
        shared.written.fetch_add(taken.written, Ordering::Relaxed);
        lost.fetch_add(taken.lost, Ordering::Relaxed);
        let Some(error) = taken.error else {
            failing = false;
            continue;
        };
        if error.kind() == io::ErrorKind::BrokenPipe {
            shared.gone.store(true, Ordering::Relaxed);
        } else if !failing {
            tracing::warn!("what goes to {name} is lost: {error}");
        }
        let mut said = shared.error.lock().unwrap_or_else(PoisonError::into_inner);
        *said = Some(error.to_string());
        failing = true;
    }
}
