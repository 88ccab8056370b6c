//! Resets that a gateway passes on from one leg to the other.
//!
//! A backend resets, and the gateway ends its client's connection; a client resets, and the gateway
//! ends its backend's. The second reset is explained by the first. Nothing in TCP says which two
//! connections of a gateway belong together, so the link is drawn from what both show of their
//! time ([`evidence`]) and only where no other pair fits about as well, unless it is the other half
//! of a second pair that a busy gateway served before or after: a missing link is a pity, a wrong
//! one a lie. One reset that ends several connections (multiplexed legs) is such a case: it
//! cannot be told from a coincidence.
//!
//! Pure: time is that of the observations and of the caller, both since boot. A reset that may have
//! been passed on is held for [`HOLD`], so that records which come late from another CPU still count.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::kernel::observation::{Direction, Observation};
use crate::reset::{Cause, Leg, Propagated, Reset, ResetId};

mod evidence;

use evidence::{ENOUGH, MARGIN, Side, parallel, weigh};

/// How long a reset that may have been passed on is held, at most.
pub const HOLD: Duration = Duration::from_millis(20);
/// How many are held at most; beyond, the oldest pass with what is known by then.
pub const HELD_LIMIT: usize = 4096;
/// How long a gateway may take from a reset to the end of the other leg. Measured: 0.2 ms with
/// nginx and `HAProxy`, tens of milliseconds where it has to wait for a processor.
pub const REACTION: Duration = Duration::from_millis(100);
/// How many resets of either kind are remembered at most.
const REMEMBERED: usize = 4096;
/// Resets in one [`REACTION`] of one process beyond which none is told from the other.
const TOO_MANY: usize = 256;

/// Links resets of the two legs of gateways.
#[derive(Debug, Default)]
pub struct Propagation {
    held: VecDeque<Held>,
    /// Resets that gateways did not make themselves.
    origins: Memory<(Side, Propagated)>,
    /// Ends that gateways made.
    ends: Memory<Side>,
}

#[derive(Debug)]
struct Held {
    reset: Reset,
    end: Side,
}

impl Propagation {
    /// Takes the next reset and adds those that are finished to `out`, linked where they can be.
    pub fn push(&mut self, reset: Reset, out: &mut Vec<Reset>) {
        self.expire(reset.observation.time, out);
        let Some(side) = side(&reset) else {
            out.push(reset);
            return;
        };
        if is_origin(&reset) {
            self.origins.insert(&side, (side.clone(), summary(&reset)));
        } else if is_end(&reset) {
            self.ends.insert(&side, side.clone());
            if self.origins.window(&side, before(&side)).next().is_some() {
                if self.held.len() >= HELD_LIMIT
                    && let Some(oldest) = self.held.pop_front()
                {
                    out.push(self.linked(oldest));
                }
                self.held.push_back(Held { reset, end: side });
                return;
            }
        }
        out.push(reset);
    }

    /// Adds to `out` what has been held long enough at `now` (since boot).
    pub fn expire(&mut self, now: Duration, out: &mut Vec<Reset>) {
        while let Some(due) = self.next_deadline()
            && due <= now
            && let Some(held) = self.held.pop_front()
        {
            out.push(self.linked(held));
        }
    }

    /// When [`Self::expire`] has something to do next, since boot.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let held = self.held.front()?;
        Some(held.reset.observation.time + HOLD)
    }

    /// Adds everything held to `out`, for the end of the agent.
    pub fn finish(&mut self, out: &mut Vec<Reset>) {
        while let Some(held) = self.held.pop_front() {
            out.push(self.linked(held));
        }
    }

    fn linked(&self, held: Held) -> Reset {
        let Held { mut reset, end } = held;
        reset.propagated_from = self.origin_of(&end);
        reset
    }

    /// The reset that `end` was passed on from, if one pair fits and no other does.
    fn origin_of(&self, end: &Side) -> Option<Propagated> {
        let mut origins = Vec::new();
        for (number, (side, propagated)) in self.origins.window(end, before(end)).enumerate() {
            if number >= TOO_MANY {
                return None;
            }
            if let Some(weight) = weigh(side, end) {
                origins.push((weight, side, propagated));
            }
        }
        let most = origins.iter().map(|(weight, ..)| *weight).max()?;
        let likely = |weight: u32| weight >= ENOUGH && weight + MARGIN > most;
        let mut fitting = origins.iter().filter(|(weight, origin, _)| {
            likely(*weight) && self.is_alone(*weight, origin, end, &origins)
        });
        match (fitting.next(), fitting.next()) {
            (Some((_, _, propagated)), None) => Some((*propagated).clone()),
            _ => None,
        }
    }

    /// Nothing else fits `origin` or `end` about as well, but what belongs together itself.
    fn is_alone(
        &self,
        weight: u32,
        origin: &Side,
        end: &Side,
        origins: &[(u32, &Side, &Propagated)],
    ) -> bool {
        let rivals = |rival: u32| weight < rival + MARGIN;
        let pair = (origin, end);
        let mut others = origins.iter().filter(|(_, other, _)| other.id != origin.id);
        let origins_explained = others.all(|(rival, other, _)| {
            let mut ends = self.ends.window(other, after(other)).take(TOO_MANY);
            !rivals(*rival) || ends.any(|own| fits(other, own) && parallel(pair, (other, own)))
        });
        let ends = self.ends.window(origin, after(origin)).enumerate();
        origins_explained
            && ends
                .filter(|(_, other)| other.id != end.id)
                .all(|(number, other)| {
                    let rival = weigh(origin, other).is_some_and(rivals);
                    let mut origins = self.origins.window(other, before(other)).take(TOO_MANY);
                    let explained = |(own, _): &_| fits(own, other) && parallel(pair, (own, other));
                    number < TOO_MANY && (!rival || origins.any(explained))
                })
    }
}

fn fits(origin: &Side, end: &Side) -> bool {
    weigh(origin, end).is_some_and(|weight| weight >= ENOUGH)
}

/// When the origin of `end` was.
fn before(end: &Side) -> (Duration, Duration) {
    (end.at.saturating_sub(REACTION), end.at)
}

/// When the ends of `origin` may be.
fn after(origin: &Side) -> (Duration, Duration) {
    (origin.at, origin.at + REACTION)
}

/// What is known of the reset for a link; `None` if it cannot be part of one.
fn side(reset: &Reset) -> Option<Side> {
    let o = &reset.observation;
    let task = o.owner.as_ref()?;
    if reset.repeat_of.is_some() || reset.packets > 1 || reset.leg() == Leg::None {
        return None;
    }
    let ago = |since: Option<Duration>| since.map(|since| o.time.saturating_sub(since));
    let vitals = o.vitals.as_ref();
    Some(Side {
        id: reset.id,
        process: (task.pid, task.start),
        tid: task.tid,
        leg: reset.leg(),
        at: ended(o),
        established: ago(o.age),
        opened: ago(o.since_opened.or(o.age)),
        last_in: ago(o.since_data_in),
        last_out: ago(o.since_data_out),
        bytes_in: vitals.map(|v| v.bytes_received.saturating_sub(v.unread.into())),
        bytes_out: vitals.map(|v| v.bytes_acked.saturating_add(v.unacked.into())),
        tick: o.tick,
    })
}

/// When the connection ended for its process: at the reset, or when it had closed before.
fn ended(o: &Observation) -> Duration {
    let before = match o.direction {
        Direction::Sent => o.since_fin_sent.unwrap_or_default(),
        Direction::Received => Duration::ZERO,
    };
    o.time.saturating_sub(before)
}

/// The connection broke without the gateway's doing.
fn is_origin(reset: &Reset) -> bool {
    match reset.observation.direction {
        Direction::Received => reset.diagnosis.cause != Cause::ResetAfterClose,
        Direction::Sent => matches!(
            reset.diagnosis.cause,
            Cause::KeepaliveTimeout | Cause::UserTimeout | Cause::SocketDestroyed
        ),
    }
}

/// The gateway ended the connection, of its own accord or because of the other leg.
fn is_end(reset: &Reset) -> bool {
    let o = &reset.observation;
    let own = match (&o.closer, &o.owner) {
        (Some(closer), Some(owner)) => (closer.pid, closer.start) == (owner.pid, owner.start),
        _ => true,
    };
    let cause = matches!(
        reset.diagnosis.cause,
        Cause::ClosedWithUnreadData | Cause::LingerAbort | Cause::DataAfterClose | Cause::Timewait
    );
    o.direction == Direction::Sent && own && cause
}

fn summary(reset: &Reset) -> Propagated {
    Propagated {
        id: reset.id,
        leg: reset.leg(),
        remote: reset.observation.remote,
        peer: reset.peer.clone(),
        route: reset.route.clone(),
        cause: reset.diagnosis.cause,
    }
}

/// Name of a process for the node's uptime.
type ProcessKey = (u32, Duration);

/// Recent sides by process and time; beyond [`REMEMBERED`] the one that came first is forgotten.
#[derive(Debug)]
struct Memory<T> {
    sides: BTreeMap<(ProcessKey, Duration, u64), T>,
    order: VecDeque<(ProcessKey, Duration, u64)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self {
            sides: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T> Memory<T> {
    fn insert(&mut self, side: &Side, value: T) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.sides.remove(&oldest);
        }
        let ResetId(id) = side.id;
        let key = (side.process, side.at, id);
        self.order.push_back(key);
        self.sides.insert(key, value);
    }

    /// Those of the same process from `from` to `to`.
    fn window(&self, side: &Side, (from, to): (Duration, Duration)) -> impl Iterator<Item = &T> {
        let (first, last) = ((side.process, from, 0), (side.process, to, u64::MAX));
        self.sides.range(first..=last).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
