//! The latest events, for readers that come, go and come back.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::event::Event;
use crate::export::json::to_event_line;

/// Events that are kept: what a reader may be behind, or have missed while it was away. More than the
/// agent takes from the ring buffer before a reader gets its turn.
pub(super) const KEPT: usize = 4096;
/// Readers at a time. They hold connections that scrapes need too.
pub(super) const READERS: usize = 8;

/// Events for `/events`, shared by all its readers.
#[derive(Debug)]
pub struct Feed {
    latest: Mutex<Latest>,
    /// The number of the next event; whoever waits for it watches this.
    next: watch::Sender<u64>,
    seats: Arc<Semaphore>,
    /// Tells this run of the agent from others.
    run: i64,
    /// Events that readers were too slow for.
    pub(super) lost: Arc<AtomicU64>,
}

/// Numbers are consecutive: the last one kept is `next - 1`.
#[derive(Debug, Default)]
struct Latest {
    items: VecDeque<Arc<Item>>,
    next: u64,
}

/// One event.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) event: Arc<Event>,
    /// Its JSON line, made for the first reader that wants it.
    line: OnceLock<String>,
}

impl Item {
    /// Its type.
    pub(super) fn name(&self) -> &'static str {
        match &*self.event {
            Event::Reset(_) => "reset",
            Event::Failure(_) => "failure",
        }
    }

    /// Its JSON line.
    pub(super) fn line(&self) -> &str {
        self.line.get_or_init(|| to_event_line(&self.event))
    }
}

/// What a reader finds.
#[derive(Debug)]
pub(super) struct Passed {
    /// Events that are no longer kept.
    pub(super) lost: u64,
    /// Those after them.
    pub(super) items: Vec<Arc<Item>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            latest: Mutex::default(),
            next: watch::Sender::new(0),
            seats: Arc::new(Semaphore::new(READERS)),
            run: Timestamp::now().as_microsecond(),
            lost: Arc::default(),
        }
    }
}

impl Feed {
    /// Adds an event, and drops the oldest of too many.
    pub fn put(&self, event: Arc<Event>) {
        let next = {
            let mut latest = self.latest();
            if latest.items.len() >= KEPT {
                latest.items.pop_front();
            }
            let line = OnceLock::new();
            latest.items.push_back(Arc::new(Item { event, line }));
            latest.next += 1;
            latest.next
        };
        self.next.send_replace(next);
    }

    /// A handle to the count of events that readers were too slow for.
    #[must_use]
    pub fn lost_handle(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// A seat for a reader, if one is free.
    pub(super) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    /// Changes with each event.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    /// The name of the place before event `next`.
    pub(super) fn id(&self, next: u64) -> String {
        format!("{:x}-{next}", self.run)
    }

    /// Where a reader goes on that was at `id`: there, if it is of this run; at the oldest event
    /// kept, if it is of another, of which it has seen none; at the next event without it.
    pub(super) fn cursor(&self, id: Option<&str>) -> u64 {
        let latest = self.latest();
        let Some(id) = id else { return latest.next };
        let oldest = latest.next - latest.items.len() as u64;
        let (run, number) = id.split_once('-').unwrap_or_default();
        match (i64::from_str_radix(run, 16), number.parse::<u64>()) {
            (Ok(run), Ok(number)) if run == self.run => number.min(latest.next),
            _ => oldest,
        }
    }

    /// At most `most` events from number `cursor` on, and how many before them are gone.
    pub(super) fn from(&self, cursor: u64, most: usize) -> Passed {
        let latest = self.latest();
        let oldest = latest.next - latest.items.len() as u64;
        let lost = oldest.saturating_sub(cursor);
        let skip = usize::try_from(cursor.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let items = latest.items.iter().skip(skip).take(most);
        Passed {
            lost,
            items: items.cloned().collect(),
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;
    use crate::reset::ResetId;

    fn filled(count: u64) -> Feed {
        let feed = Feed::default();
        for number in 0..count {
            let mut reset = sample::received();
            reset.id = ResetId(number);
            feed.put(Arc::new(Event::Reset(reset)));
        }
        feed
    }

    #[test]
    fn where_a_reader_goes_on() {
        let kept = KEPT as u64;
        let feed = filled(kept + 10);
        let other = Feed {
            run: feed.run + 1,
            ..Feed::default()
        };
        for (id, expected) in [
            (None, kept + 10),
            (Some(feed.id(kept)), kept),
            (Some(feed.id(3)), 3),
            (Some(feed.id(kept + 10)), kept + 10),
            // Never given out.
            (Some(feed.id(u64::MAX)), kept + 10),
            (Some(other.id(kept)), 10),
            (Some(String::new()), 10),
            (Some("-".to_owned()), 10),
            (Some(format!("{:x}--1", feed.run)), 10),
            (Some("zz-1".to_owned()), 10),
            (Some("999999999999999999999-5".to_owned()), 10),
        ] {
            assert_eq!(feed.cursor(id.as_deref()), expected, "{id:?}");
        }
        assert_eq!(filled(0).cursor(Some("")), 0);
    }

    #[test]
    fn what_a_reader_finds() {
        let kept = KEPT as u64;
        let feed = filled(kept + 10);
        for (cursor, most, lost, first, count) in [
            (0, 4, 10, Some(10), 4),
            (10, 4, 0, Some(10), 4),
            (kept, 4, 0, Some(kept), 4),
            (kept + 8, 4, 0, Some(kept + 8), 2),
            (kept + 10, 4, 0, None, 0),
            (u64::MAX, 4, 0, None, 0),
            (10, usize::MAX, 0, Some(10), KEPT),
        ] {
            let passed = feed.from(cursor, most);
            let ids = passed.items.iter().map(|item| match &*item.event {
                Event::Reset(reset) => reset.id.0,
                Event::Failure(_) => panic!("only resets"),
            });
            let ids: Vec<u64> = ids.collect();
            assert_eq!((passed.lost, ids.len()), (lost, count), "{cursor}");
            assert_eq!(ids.first().copied(), first, "{cursor}");
            assert!(ids.is_sorted());
        }
    }

    #[test]
    fn only_so_many_readers() {
        let feed = Feed::default();
        let seats: Vec<_> = (0..READERS).map(|_| feed.seat().unwrap()).collect();
        assert!(feed.seat().is_none());
        drop(seats);
        assert!(feed.seat().is_some());
    }
}
