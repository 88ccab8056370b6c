//! When which name is looked up next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::HostKey;
use super::resolver::Resolver;

/// Shortest time between two look-ups of one name, whatever its TTL.
pub(super) const LEAST: Duration = Duration::from_secs(5);
/// Longest.
pub(super) const MOST: Duration = Duration::from_secs(300);
/// Between two look-ups of what no name server gives a TTL: cheap, and asked in vain if at all.
const WITHOUT_TTL: Duration = Duration::from_secs(30);
/// What is due so soon is looked up with what is due already.
const TOGETHER: Duration = Duration::from_secs(1);
/// Most names that are followed.
pub(super) const MAX_NAMES: usize = 10_000;

/// The names that are followed.
#[derive(Debug, Default)]
pub(super) struct Schedule(HashMap<HostKey, Entry>);

#[derive(Debug)]
struct Entry {
    /// `None`: it is being looked up.
    due: Option<Instant>,
    failures: u32,
}

/// Names of one resolver that are due; of the agent's own where there is none.
pub(super) type Batch = (Option<Arc<Resolver>>, Vec<Arc<str>>);

impl Schedule {
    /// Follows these names and no others; new ones are due at once.
    pub(super) fn want(&mut self, wanted: &[HostKey], now: Instant) {
        let wanted = &wanted[..wanted.len().min(MAX_NAMES)];
        let mut before = std::mem::take(&mut self.0);
        for key in wanted {
            let entry = before.remove(key).unwrap_or(Entry {
                due: Some(now),
                failures: 0,
            });
            self.0.insert(key.clone(), entry);
        }
    }

    /// Takes what is due, at most one batch a resolver; those of `busy` resolvers have to wait.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        busy: impl Fn(Option<&Arc<Resolver>>) -> bool,
        most: usize,
    ) -> Vec<Batch> {
        let mut batches: HashMap<Option<Arc<Resolver>>, Vec<Arc<str>>> = HashMap::new();
        for (key, entry) in &self.0 {
            let due = entry.due.is_some_and(|due| due <= now);
            let room = batches.len() < most || batches.contains_key(&key.resolver);
            if due && room && !busy(key.resolver.as_ref()) {
                batches.entry(key.resolver.clone()).or_default();
            }
        }
        for (key, entry) in &mut self.0 {
            if entry.due.is_some_and(|due| due <= now + TOGETHER)
                && let Some(names) = batches.get_mut(&key.resolver)
            {
                entry.due = None;
                names.push(Arc::clone(&key.name));
            }
        }
        batches.into_iter().collect()
    }

    /// Notes that `key` has been looked up: its TTL if it was found.
    pub(super) fn done(
        &mut self,
        key: &HostKey,
        found: Result<Option<Duration>, ()>,
        now: Instant,
    ) {
        let Some(entry) = self.0.get_mut(key) else {
            return;
        };
        entry.failures = match found {
            Ok(_) => 0,
            Err(()) => entry.failures.saturating_add(1),
        };
        let pause = match found {
            Ok(ttl) => ttl.unwrap_or(WITHOUT_TTL),
            Err(()) => LEAST.saturating_mul(2_u32.saturating_pow(entry.failures - 1)),
        };
        entry.due = Some(now + pause.clamp(LEAST, MOST));
    }

    /// Notes the end of the look-ups of `resolver`: what got no answer has failed.
    pub(super) fn end(&mut self, resolver: Option<&Arc<Resolver>>, now: Instant) {
        let open: Vec<HostKey> = self
            .0
            .iter()
            .filter(|(key, entry)| entry.due.is_none() && key.resolver.as_ref() == resolver)
            .map(|(key, _)| key.clone())
            .collect();
        for key in open {
            self.done(&key, Err(()), now);
        }
    }

    /// When something of a resolver that is not `busy` is due.
    pub(super) fn next_due(
        &self,
        busy: impl Fn(Option<&Arc<Resolver>>) -> bool,
    ) -> Option<Instant> {
        let free = self
            .0
            .iter()
            .filter(|(key, _)| !busy(key.resolver.as_ref()));
        free.filter_map(|(_, entry)| entry.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::resolve::hosts_file::HostsFile;
    use crate::routes::resolve::name_switch::NameSwitch;
    use crate::routes::resolve::resolv_conf::ResolvConf;

    fn resolver(netns: u32) -> Arc<Resolver> {
        Arc::new(Resolver::new(
            Some(netns),
            ResolvConf::default(),
            HostsFile::default(),
            NameSwitch::default(),
            Vec::new(),
        ))
    }

    fn key(netns: u32, name: &str) -> HostKey {
        HostKey {
            resolver: Some(resolver(netns)),
            name: name.into(),
        }
    }

    /// `netns: names` of each batch, sorted.
    fn shown(batches: Vec<Batch>) -> Vec<String> {
        let mut shown: Vec<String> = batches
            .into_iter()
            .map(|(resolver, mut names)| {
                names.sort();
                let netns = resolver.and_then(|resolver| resolver.netns).unwrap_or(0);
                format!("{netns}: {}", names.join(" "))
            })
            .collect();
        shown.sort();
        shown
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ttl_and_failures_within_bounds() {
        let (a, start) = (key(1, "a"), Instant::now());
        let mut schedule = Schedule::default();
        schedule.want(std::slice::from_ref(&a), start);
        let mut now = start;
        for (found, expected) in [
            (Ok(Some(seconds(0))), 5),
            (Ok(Some(seconds(60))), 60),
            (Ok(Some(seconds(86_400))), 300),
            (Ok(Some(Duration::MAX)), 300),
            (Ok(None), 30),
            (Err(()), 5),
            (Err(()), 10),
            (Err(()), 20),
            (Ok(Some(seconds(7))), 7),
            (Err(()), 5),
        ] {
            assert_eq!(shown(schedule.take_due(now, |_| false, 9)), ["1: a"]);
            // Under way, it is not due again.
            assert_eq!(schedule.next_due(|_| false), None);
            schedule.done(&a, found, now);
            let due = schedule.next_due(|_| false).unwrap();
            assert_eq!(due, now + seconds(expected), "{found:?}");
            now = due;
        }
        for _ in 0..100 {
            schedule.done(&a, Err(()), now);
        }
        assert_eq!(schedule.next_due(|_| false), Some(now + MOST));
    }

    #[test]
    fn one_batch_a_resolver_with_what_is_due_soon() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&[key(1, "a"), key(1, "b"), key(1, "c"), key(2, "a")], start);
        let is = |number: u32| move |one: Option<&Arc<Resolver>>| one == Some(&resolver(number));
        assert_eq!(shown(schedule.take_due(start, is(1), 9)), ["2: a"]);
        assert_eq!(shown(schedule.take_due(start, |_| false, 0)), [""; 0]);
        assert_eq!(shown(schedule.take_due(start, |_| false, 9)), ["1: a b c"]);
        for (name, ttl) in [("a", 10_000), ("b", 10_900), ("c", 12_000)] {
            let ttl = Duration::from_millis(ttl);
            schedule.done(&key(1, name), Ok(Some(ttl)), start);
        }
        let due = schedule.next_due(|_| false).unwrap();
        assert_eq!(due, start + seconds(10));
        assert_eq!(schedule.next_due(is(1)), None);
        assert_eq!(shown(schedule.take_due(due, |_| false, 9)), ["1: a b"]);
    }

    #[test]
    fn what_is_known_keeps_its_time_what_has_no_answer_has_failed() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&[key(1, "a"), key(1, "b")], start);
        let _ = schedule.take_due(start, |_| false, 9);
        schedule.done(&key(1, "a"), Ok(Some(seconds(60))), start);
        schedule.end(Some(&resolver(1)), start);
        assert_eq!(schedule.next_due(|_| false), Some(start + LEAST));
        // A reload asks only for what is new.
        schedule.want(&[key(1, "a"), key(1, "c")], start);
        assert_eq!(shown(schedule.take_due(start, |_| false, 9)), ["1: c"]);
        assert_eq!(schedule.next_due(|_| false), Some(start + seconds(60)));
        // An answer to what nobody follows any more.
        schedule.done(&key(1, "b"), Ok(None), start);
        assert_eq!(schedule.next_due(|_| false), Some(start + seconds(60)));
    }
}
