//! Both ends of one reset on this node: pods, sidecars, the loopback.
//!
//! What one socket receives another one sent, and where that one is on this node too, its process
//! and its cause are known and need not be inferred. The two are joined only if they are
//! provably the same packet: mirrored endpoints, the sequence number, the same moment. Where an
//! address was translated in between, the endpoints do not mirror and nothing is joined. What the
//! received reset is called then, [`verdict`] says.
//!
//! A stack traces what it sends in answer to a packet before it transmits, and what it sends of its own accord
//! after: then the received reset comes first, and is held for [`HOLD`]. Resets that come while
//! one is held wait behind it, so that their order stays what it was.
//!
//! Pure: time is that of the observations and of the caller, both since boot.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::kernel::observation::{Direction, Observation, Role, Shape};
use crate::reset::{Cause, Reset, Twin};

mod verdict;

/// How long a received reset waits for the record of its sender, at most.
pub const HOLD: Duration = Duration::from_millis(20);
/// How many wait at most; beyond, the oldest pass with what is known by then.
pub const HELD_LIMIT: usize = 4096;
/// How far apart the two are at most: a task that is at work on a socket may delay what it receives.
pub const WINDOW: Duration = Duration::from_secs(1);
/// How many sent ones are remembered at most; beyond, the oldest is forgotten.
pub const REMEMBERED: usize = 4096;
/// Of the same endpoints, as many: further packets of one reset, and other namespaces.
const OF_ONE: usize = 8;

/// Joins received resets with the sent ones of this node.
#[derive(Debug, Default)]
pub struct Twins {
    /// In order of arrival. The first one waits for its twin, the others for that or for theirs.
    queue: VecDeque<Queued>,
    /// Number of the first in the queue, counted from the beginning.
    first: u64,
    /// Numbers of those that wait for a twin.
    waiting: HashMap<Ends, Vec<u64>>,
    sent: HashMap<Ends, Vec<Sent>>,
    /// What came into `sent`, oldest first; it may have been taken from there.
    order: VecDeque<(Duration, Ends)>,
}

#[derive(Debug)]
struct Queued {
    reset: Reset,
    /// Until when it waits for its twin, if it does.
    until: Option<Duration>,
}

/// Endpoints as the receiver has them: local, remote.
type Ends = (SocketAddr, SocketAddr);

/// A sent reset, as far as its receiver wants to know it.
#[derive(Clone, Debug)]
struct Sent {
    time: Duration,
    netns: u32,
    /// Sequence number of the RST.
    seq: u32,
    role: Option<Role>,
    twin: Twin,
}

impl Twins {
    /// Takes the next reset and adds those that are finished to `out`, joined where they can be.
    pub fn push(&mut self, mut reset: Reset, out: &mut Vec<Reset>) {
        let now = reset.observation.time;
        self.forget(now);
        self.expire(now, out);
        let mut until = None;
        if is_single(&reset) {
            match reset.observation.direction {
                Direction::Sent => self.take_sent(&reset),
                Direction::Received => match self.sender_of(&reset) {
                    Some(sent) => verdict::join(&mut reset, sent),
                    None => until = Some(now + HOLD),
                },
            }
        }
        self.enqueue(reset, until, out);
    }

    /// Adds to `out` what has waited long enough at `now` (since boot).
    pub fn expire(&mut self, now: Duration, out: &mut Vec<Reset>) {
        while let Some(until) = self.queue.front().and_then(|front| front.until)
            // A time that is yet to come is no time to wait for.
            && (until <= now || until > now + WINDOW)
        {
            self.give_up_first();
            self.release(out);
        }
    }

    /// When [`Self::expire`] has something to do next, since boot.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.queue.front()?.until
    }

    /// Since when the first in the queue waits: whatever came after it has not been handed over yet,
    /// and steps behind this one must not take that time for past.
    #[must_use]
    pub fn waits_since(&self) -> Option<Duration> {
        let front = self.queue.front()?;
        Some(front.reset.observation.time)
    }

    /// Adds everything that waits to `out`, for the end of the agent.
    pub fn finish(&mut self, out: &mut Vec<Reset>) {
        self.waiting.clear();
        self.first += self.queue.len() as u64;
        out.extend(self.queue.drain(..).map(|queued| queued.reset));
    }

    fn enqueue(&mut self, reset: Reset, until: Option<Duration>, out: &mut Vec<Reset>) {
        if until.is_none() && self.queue.is_empty() {
            out.push(reset);
            return;
        }
        if self.queue.len() >= HELD_LIMIT {
            self.give_up_first();
            self.release(out);
        }
        if until.is_some() {
            let number = self.first + self.queue.len() as u64;
            let ends = ends(&reset.observation);
            self.waiting.entry(ends).or_default().push(number);
        }
        self.queue.push_back(Queued { reset, until });
        self.release(out);
    }

    /// Hands over what waits for nothing any more.
    fn release(&mut self, out: &mut Vec<Reset>) {
        while self
            .queue
            .front()
            .is_some_and(|front| front.until.is_none())
            && let Some(queued) = self.queue.pop_front()
        {
            self.first += 1;
            out.push(queued.reset);
        }
    }

    fn give_up_first(&mut self) {
        if let Some(front) = self.queue.front_mut() {
            front.until = None;
            let ends = ends(&front.reset.observation);
            remove(&mut self.waiting, &ends, |number| *number == self.first);
        }
    }

    /// Joins a sent reset with the received one that waits for it, or remembers it.
    fn take_sent(&mut self, reset: &Reset) {
        let Some(sent) = Sent::of(reset) else {
            return;
        };
        let (local, remote) = ends(&reset.observation);
        let ends = (remote, local);
        if let Some(number) = self.receiver_of(&ends, &sent) {
            remove(&mut self.waiting, &ends, |waiting| *waiting == number);
            if let Some(queued) = self.queued(number) {
                queued.until = None;
                verdict::join(&mut queued.reset, sent);
            }
            return;
        }
        if self.order.len() >= REMEMBERED {
            self.forget_oldest();
        }
        let row = self.sent.entry(ends).or_default();
        // A further packet of the same reset tells less than the first.
        if row.len() < OF_ONE && !row.iter().any(|other| other.is_same_packet(&sent)) {
            self.order.push_back((sent.time, ends));
            row.push(sent);
        }
    }

    /// Number of the reset that waits for `sent`: of the same namespace, else the only one.
    fn receiver_of(&mut self, ends: &Ends, sent: &Sent) -> Option<u64> {
        let numbers = self.waiting.get(ends)?.clone();
        let fitting = numbers.into_iter().filter_map(|number| {
            let o = &self.queue.get(self.index(number)?)?.reset.observation;
            sent.reached(o).then_some((number, o.netns))
        });
        chosen(fitting, sent.netns)
    }

    fn queued(&mut self, number: u64) -> Option<&mut Queued> {
        let index = self.index(number)?;
        self.queue.get_mut(index)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Takes the sent reset that arrives here from memory: of the same namespace, else the only one.
    fn sender_of(&mut self, reset: &Reset) -> Option<Sent> {
        let o = &reset.observation;
        let ends = ends(o);
        let row = self.sent.get_mut(&ends)?;
        let fitting = row.iter().enumerate().filter(|(_, sent)| sent.reached(o));
        let found = chosen(fitting.map(|(at, sent)| (at, sent.netns)), o.netns);
        let sent = found.map(|at| row.remove(at));
        if row.is_empty() {
            self.sent.remove(&ends);
        }
        sent
    }

    /// Forgets what is too old at `now`.
    fn forget(&mut self, now: Duration) {
        let old = |(time, _): &(Duration, Ends)| *time + WINDOW < now;
        while self.order.front().is_some_and(old) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((time, ends)) = self.order.pop_front() {
            remove(&mut self.sent, &ends, |sent| sent.time == time);
        }
    }
}

impl Sent {
    /// `None` where the number of its packet is not known.
    fn of(reset: &Reset) -> Option<Self> {
        let o = &reset.observation;
        Some(Self {
            time: o.time,
            netns: o.netns,
            seq: number_sent(o)?,
            role: o.role,
            twin: Twin {
                id: reset.id,
                netns: o.netns,
                owner: reset.owner.clone().or_else(|| reset.closer.clone()),
                cause: reset.diagnosis.cause,
                fact: reset.diagnosis.evidence.deciding().map(str::to_owned),
                is_settled: reset.diagnosis.cause == Cause::LingerAbort
                    && reset.failure().is_none(),
            },
        })
    }

    fn is_same_packet(&self, other: &Self) -> bool {
        (self.netns, self.seq) == (other.netns, other.seq)
    }

    /// Whether it is the packet that `o` received; the endpoints are known to mirror.
    fn reached(&self, o: &Observation) -> bool {
        let loopback = o.local.ip().is_loopback() || o.remote.ip().is_loopback();
        (self.netns == o.netns || !loopback)
            && self.time.abs_diff(o.time) <= WINDOW
            && is_number_received(o, self.seq)
    }
}

/// Neither a further packet nor one of many; the packet filter's are known as such already.
fn is_single(reset: &Reset) -> bool {
    reset.packets == 1
        && reset.repeat_of.is_none_or(|_| is_sent(reset))
        && reset.observation.firewall.is_none()
}

fn is_sent(reset: &Reset) -> bool {
    reset.observation.direction == Direction::Sent
}

fn ends(o: &Observation) -> Ends {
    (o.local, o.remote)
}

/// The one of namespace `netns`; else the only one there is.
fn chosen<T>(fitting: impl Iterator<Item = (T, u32)>, netns: u32) -> Option<T> {
    let mut elsewhere = None;
    let mut several = false;
    for (found, place) in fitting {
        if place == netns {
            return Some(found);
        }
        several |= elsewhere.is_some();
        elsewhere = Some(found);
    }
    elsewhere.filter(|_| !several)
}

/// Sequence number of a RST sent: that of its own side (`tcp_send_active_reset`), or what the packet
/// that it answers acknowledges, 0 if nothing (`tcp_v4_send_reset`).
fn number_sent(o: &Observation) -> Option<u32> {
    match (o.trigger, &o.vitals) {
        (Some(packet), _) if packet.ack_flag() => Some(packet.ack),
        (Some(_), _) => Some(0),
        (None, Some(vitals)) if o.shape == Shape::Full => Some(vitals.snd_nxt),
        (None, _) => None,
    }
}

/// Whether a RST of this number was received. Where the packet was not seen, its number is the one
/// expected, or that of the peer's FIN (RFC 5961, 3.2; `tcp_reset_check`).
fn is_number_received(o: &Observation, seq: u32) -> bool {
    let Some(vitals) = &o.vitals else {
        return false;
    };
    match o.packet {
        Some(packet) => seq == vitals.rcv_nxt.wrapping_add_signed(packet.seq_offset),
        None => seq == vitals.rcv_nxt || o.fin_received && seq == vitals.rcv_nxt.wrapping_sub(1),
    }
}

/// Removes the first of a row that `is_it`, and the row with its last one.
fn remove<T>(rows: &mut HashMap<Ends, Vec<T>>, ends: &Ends, is_it: impl Fn(&T) -> bool) {
    if let Some(row) = rows.get_mut(ends) {
        if let Some(at) = row.iter().position(is_it) {
            row.remove(at);
        }
        if row.is_empty() {
            rows.remove(ends);
        }
    }
}

#[cfg(test)]
mod tests;
