//! The two ends of one connection, where both are on this node: one event, seen twice.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::bundles::Bundles;
use super::problem::Joined;
use super::series::SECOND;
use crate::diagnosis::sample::Sample;
use crate::kernel::observation::Direction;

/// How far apart the two ends may be, microseconds.
const WINDOW: i64 = SECOND / 2;
/// Events held at most.
const LIMIT: usize = 4096;
/// How late events may come, microseconds; what is older was recorded at another time.
const LATE: i64 = 10 * SECOND;

/// Joins the ends. Events come in the order of their time, but for the few by which an agent's
/// exporters lag behind each other, and for those that were too many to be reported one by one.
#[derive(Debug, Default)]
pub struct Pairs {
    bundles: Bundles,
    held: VecDeque<Joined>,
    /// The latest time of any event.
    now: i64,
    /// Number of the first one held.
    offset: u64,
    /// Numbers of those held, by how the other end would name them.
    waiting: HashMap<Name, u64>,
    joined: u64,
}

/// How an event tells the other end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// By the ends: local, remote.
    Ends(SocketAddr, SocketAddr),
    /// By the event of the other end, as the agent knew it.
    Event(u64),
    /// By its own event, which the other end may name.
    Own(u64),
}

/// By what the other end of `sample` would be found.
fn expected(sample: &Sample) -> impl Iterator<Item = Name> + use<> {
    // A connection to itself has one end.
    let ends = (sample.local != sample.remote).then_some(Name::Ends(sample.remote, sample.local));
    let own = Name::Own(sample.id);
    ends.into_iter()
        .chain(sample.twin.map(Name::Event))
        .chain([own])
}

/// By what `sample` finds its other end.
fn sought(sample: &Sample) -> impl Iterator<Item = Name> + use<> {
    let twin = sample.twin.map(Name::Own);
    twin.into_iter().chain([
        Name::Event(sample.id),
        Name::Ends(sample.local, sample.remote),
    ])
}

impl Pairs {
    /// Takes an event and hands over what has been held long enough.
    pub fn push(&mut self, sample: Sample, out: &mut Vec<Joined>) {
        self.expire(sample.time, out);
        let late = self.now.saturating_sub(sample.time) > WINDOW;
        if late || sample.packets > 1 {
            self.bundles.push(sample, self.now, out);
            return;
        }
        for name in sought(&sample) {
            if let Some(number) = self.waiting.get(&name).copied()
                && let Some(other) = self.held_mut(number)
                && !other.both
                && fits(&other.sample, &sample)
            {
                let first = other.sample.clone();
                *other = join(first.clone(), sample);
                self.forget(&first, number);
                self.joined = self.joined.saturating_add(1);
                return;
            }
        }
        let number = self.offset.saturating_add(self.held.len() as u64);
        for name in expected(&sample) {
            self.waiting.insert(name, number);
        }
        self.held.push_back(Joined {
            sample,
            by: None,
            both: false,
        });
        if self.held.len() > LIMIT {
            self.pop(out);
        }
    }

    /// Hands over everything held.
    pub fn finish(&mut self, out: &mut Vec<Joined>) {
        while !self.held.is_empty() {
            self.pop(out);
        }
        self.bundles.finish(out);
    }

    /// How many were joined.
    #[must_use]
    pub fn joined(&self) -> u64 {
        self.joined.saturating_add(self.bundles.joined())
    }

    fn held_mut(&mut self, number: u64) -> Option<&mut Joined> {
        let index = usize::try_from(number.checked_sub(self.offset)?).ok()?;
        self.held.get_mut(index)
    }

    fn expire(&mut self, time: i64, out: &mut Vec<Joined>) {
        if time > self.now || self.now.saturating_sub(time) > LATE {
            self.now = time;
        }
        while let Some(first) = self.held.front()
            && first.sample.time.abs_diff(self.now) > WINDOW.unsigned_abs()
        {
            self.pop(out);
        }
        self.bundles.expire(self.now, out);
    }

    fn pop(&mut self, out: &mut Vec<Joined>) {
        let Some(joined) = self.held.pop_front() else {
            return;
        };
        let number = self.offset;
        self.offset = self.offset.saturating_add(1);
        self.forget(&joined.sample, number);
        if joined.both {
            out.push(joined);
        } else {
            self.bundles.single(joined, out);
        }
    }

    /// Nobody else may find `sample`, which was held as `number`.
    fn forget(&mut self, sample: &Sample, number: u64) {
        for name in expected(sample) {
            if self.waiting.get(&name) == Some(&number) {
                self.waiting.remove(&name);
            }
        }
    }
}

/// The one sent what the other received, or an end without a RST noticed it.
fn fits(a: &Sample, b: &Sample) -> bool {
    let close = a.time.abs_diff(b.time) <= WINDOW.unsigned_abs();
    let opposite = match (a.direction, b.direction) {
        (Some(a), Some(b)) => a != b,
        _ => true,
    };
    close && opposite
}

/// What was received or noticed, explained by what was sent; as the end sees it that is a gateway's
/// and knows the route.
pub(super) fn join(a: Sample, b: Sample) -> Joined {
    let sent = |sample: &Sample| sample.direction == Some(Direction::Sent);
    let (noticed, other) = if sent(&a) { (b, a) } else { (a, b) };
    if noticed.place.is_none() && other.place.is_some() {
        return Joined {
            sample: other,
            by: None,
            both: true,
        };
    }
    let by = sent(&other).then(|| Box::new(other));
    Joined {
        sample: noticed,
        by,
        both: true,
    }
}

#[cfg(test)]
mod tests;
