//! Events that were reported together because they were too many: they come late, and tell the ends
//! of the first one only.
//!
//! Where both ends are on this node, both are reported so. Which connection is which cannot be told,
//! but how many there were between one client and one service can: what one end sent is what the
//! other received, as far as the numbers go.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::pairs::join;
use super::problem::{Joined, Side};
use super::series::SECOND;
use crate::diagnosis::sample::Sample;
use crate::kernel::observation::Direction;

/// How far apart the first ones of the two ends may be, microseconds: events of a second are reported
/// together.
const WINDOW: u64 = 3 * SECOND.unsigned_abs();
/// Reports held, and kinds of single events remembered, at most.
const LIMIT: usize = 4096;

/// Joins them by number.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    held: HashMap<End, Vec<Held>>,
    number: usize,
    /// Single events whose other end was not seen: of late, and before.
    single: [HashMap<End, Single>; 2],
    /// When the last generation of these began.
    since: i64,
    joined: u64,
}

/// What connections between one client and one service look like from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct End {
    client: IpAddr,
    service: SocketAddr,
    side: Side,
    sent: bool,
    /// Where the address alone does not tell one service from another.
    netns: Option<u32>,
}

/// What remains of a report.
#[derive(Debug)]
struct Held {
    sample: Sample,
    /// When it came.
    came: i64,
    /// An event of the other end, if there was one.
    other: Option<Sample>,
}

#[derive(Debug)]
struct Single {
    events: u64,
    first: Sample,
}

impl End {
    /// `None` without a RST.
    fn of(sample: &Sample) -> Option<Self> {
        let sent = sample.direction? == Direction::Sent;
        let side = Side::of(sample);
        let (client, service) = match side {
            Side::Client => (sample.local.ip(), sample.remote),
            Side::Server => (sample.remote.ip(), sample.local),
        };
        Some(Self {
            client,
            service,
            side,
            sent,
            netns: service.ip().is_loopback().then_some(sample.netns),
        })
    }

    fn other(self) -> Self {
        let side = match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        Self {
            side,
            sent: !self.sent,
            ..self
        }
    }
}

impl Bundles {
    /// Takes a report of several events, or a late one, at `now`, microseconds since 1970.
    pub(super) fn push(&mut self, mut sample: Sample, now: i64, out: &mut Vec<Joined>) {
        let Some(end) = End::of(&sample) else {
            out.push(alone(sample));
            return;
        };
        let mut other = None;
        // Other ends that came one by one are counted already.
        for single in &mut self.single {
            if let Some(single) = single.get_mut(&end.other())
                && sample.packets > 0
            {
                let events = single.events.min(sample.packets);
                single.events -= events;
                sample.packets -= events;
                self.joined = self.joined.saturating_add(events);
                other.get_or_insert_with(|| single.first.clone());
            }
        }
        while sample.packets > 0
            && let Some(opposite) = self.take(end.other(), &sample)
        {
            let part = Sample {
                packets: opposite.packets,
                ..sample.clone()
            };
            sample.packets -= part.packets;
            self.joined = self.joined.saturating_add(part.packets);
            other = Some(opposite.clone());
            out.push(join(part, opposite));
        }
        if sample.packets == 0 {
            return;
        }
        if self.number >= LIMIT {
            self.finish(out);
        }
        self.number += 1;
        self.held.entry(end).or_default().push(Held {
            sample,
            came: now,
            other,
        });
    }

    /// Takes an event whose other end was not seen by itself.
    pub(super) fn single(&mut self, joined: Joined, out: &mut Vec<Joined>) {
        let sample = joined.sample;
        let Some(end) = End::of(&sample) else {
            out.push(Joined { sample, ..joined });
            return;
        };
        if let Some(other) = self.take(end.other(), &sample) {
            self.joined = self.joined.saturating_add(1);
            out.push(join(sample, other));
            return;
        }
        let [recent, _] = &mut self.single;
        if let Some(single) = recent.get_mut(&end) {
            single.events += 1;
        } else if recent.len() < LIMIT {
            let first = sample.clone();
            recent.insert(end, Single { events: 1, first });
        }
        out.push(Joined { sample, ..joined });
    }

    /// Hands over what has been held long enough at `now`.
    pub(super) fn expire(&mut self, now: i64, out: &mut Vec<Joined>) {
        if now.abs_diff(self.since) <= WINDOW {
            return;
        }
        let [recent, before] = &mut self.single;
        std::mem::swap(recent, before);
        recent.clear();
        self.since = now;
        self.release(|held| now.abs_diff(held.came) > WINDOW, out);
    }

    /// Hands over everything held.
    pub(super) fn finish(&mut self, out: &mut Vec<Joined>) {
        self.release(|_| true, out);
    }

    /// How many were joined.
    pub(super) fn joined(&self) -> u64 {
        self.joined
    }

    /// What `end` has reported of the time of `other`, as many at most; the oldest report first.
    fn take(&mut self, end: End, other: &Sample) -> Option<Sample> {
        if self.number == 0 {
            return None;
        }
        let held = self.held.get_mut(&end)?;
        let fits = |held: &Held| held.sample.time.abs_diff(other.time) <= WINDOW;
        let index = held.iter().position(fits)?;
        let rest = &mut held[index];
        let mut taken = rest.sample.clone();
        taken.packets = taken.packets.min(other.packets);
        rest.sample.packets -= taken.packets;
        if rest.sample.packets > 0 {
            rest.other.get_or_insert_with(|| other.clone());
            return Some(taken);
        }
        held.remove(index);
        self.number -= 1;
        if held.is_empty() {
            self.held.remove(&end);
        }
        Some(taken)
    }

    fn release(&mut self, is_due: impl Fn(&Held) -> bool, out: &mut Vec<Joined>) {
        let mut due = Vec::new();
        self.held.retain(|_, held| {
            due.extend(held.extract_if(.., |held| is_due(held)));
            !held.is_empty()
        });
        self.number -= due.len();
        // The same events give the same report.
        due.sort_unstable_by_key(|held| (held.sample.time, held.sample.id));
        out.extend(due.into_iter().map(|held| match held.other {
            // More than the other end has seen, but of the same kind.
            Some(other) => {
                let other = Sample {
                    packets: held.sample.packets,
                    ..other
                };
                join(held.sample, other)
            }
            None => alone(held.sample),
        }));
    }
}

fn alone(sample: Sample) -> Joined {
    Joined {
        sample,
        by: None,
        both: false,
    }
}

#[cfg(test)]
mod tests;
