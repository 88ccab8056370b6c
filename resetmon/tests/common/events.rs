//! Events as they are reported, shared between the thread that reads and the scenario that waits.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::netns::Netns;

/// What a source has reported so far; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<(Mutex<Vec<Value>>, Condvar)>);

impl Events {
    /// Adds an event.
    pub(crate) fn push(&self, event: Value) {
        self.change(|events| events.push(event));
    }

    /// Changes what was reported.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let (events, changed) = &*self.0;
        change(&mut events.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Events of one network namespace, in the order reported.
    pub(crate) fn of(&self, netns: &Netns) -> Vec<Value> {
        let events = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_netns(&events, netns)
    }

    /// Events of all namespaces, in the order reported.
    pub(crate) fn all(&self) -> Vec<Value> {
        let events = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.clone()
    }

    /// Waits until there is any event, at most `limit`.
    pub(crate) fn wait_for_any(&self, limit: Duration) {
        let (events, changed) = &*self.0;
        let guard = events.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, limit, |events| events.is_empty());
        drop(waited);
    }

    /// How many events of all namespaces `is` holds of.
    pub(crate) fn count(&self, is: impl Fn(&Value) -> bool) -> u64 {
        let events = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().map(|event| u64::from(is(event))).sum()
    }

    /// Waits until `enough` holds of one namespace's events, at most `limit`; returns them.
    pub(crate) fn wait(
        &self,
        netns: &Netns,
        limit: Duration,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let end = Instant::now() + limit;
        let (events, changed) = &*self.0;
        let mut guard = events.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found = in_netns(&guard, netns);
            let left = end.saturating_duration_since(Instant::now());
            if enough(&found) || left.is_zero() {
                return found;
            }
            guard = changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn in_netns(events: &[Value], netns: &Netns) -> Vec<Value> {
    let of_it = events.iter().filter(|event| netns.has(event));
    of_it.cloned().collect()
}

/// Whether an event is a reset sent by the kernel's TCP: one that `OutRsts` counts.
pub(crate) fn is_sent(event: &Value) -> bool {
    event["direction"] == "sent" && event["sender"] != "firewall"
}
