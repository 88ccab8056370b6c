//! Further packets of one logical reset.
//!
//! One broken connection may make many RSTs: a client that closes with data unread and then
//! gets more segments sends a RST for each. Every packet is counted; those after the first are
//! marked, so that a reader sees one event, and take over the owner where they have none.
//!
//! Pure: time is that of the observations.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::kernel::observation::{Direction, KnownBy, Observation, Task, TcpState};
use crate::reset::ResetId;

/// Within this time of the last one a further reset of the same endpoints is a repeat.
pub const WINDOW: Duration = Duration::from_secs(10);

/// How many connections are remembered at most; beyond, the one first seen is forgotten.
pub const REMEMBERED: usize = 16384;

/// Recent resets by connection.
#[derive(Debug, Default)]
pub struct Repeats {
    seen: HashMap<Key, Seen>,
    /// The keys of `seen`, each once, in the order in which they came in.
    order: VecDeque<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns: u32,
    direction: Direction,
    firewall: bool,
    local: SocketAddr,
    remote: SocketAddr,
}

#[derive(Debug)]
struct Seen {
    /// Of the first.
    id: ResetId,
    cookie: Option<u64>,
    owner: Option<Task>,
    /// Of the latest.
    time: Duration,
}

impl Repeats {
    /// Remembers the reset `id`; if it is a repeat, returns the first one's id and fills in a
    /// missing owner ([`KnownBy::EarlierReset`]).
    ///
    /// A reset that refuses a new SYN is never one: each attempt to connect is an event of its
    /// own, even from the same port. Nor is one of another socket with the same endpoints.
    pub fn mark(&mut self, id: ResetId, observation: &mut Observation) -> Option<ResetId> {
        let key = Key {
            netns: observation.netns,
            direction: observation.direction,
            firewall: observation.firewall.is_some(),
            local: observation.local,
            remote: observation.remote,
        };
        let fresh = Seen {
            id,
            cookie: observation.cookie,
            owner: observation.owner.clone(),
            time: observation.time,
        };
        let Some(seen) = self.seen.get_mut(&key) else {
            self.insert(key, fresh);
            return None;
        };
        let same_socket = match (seen.cookie, observation.cookie) {
            (Some(earlier), Some(now)) => earlier == now,
            _ => true,
        };
        let recent = observation.time.saturating_sub(seen.time) < WINDOW;
        if is_new_attempt(observation) || !same_socket || !recent {
            *seen = fresh;
            return None;
        }
        seen.time = seen.time.max(observation.time);
        seen.cookie = seen.cookie.or(observation.cookie);
        match (&observation.owner, &seen.owner) {
            (None, Some(owner)) => {
                let known_by = Some(KnownBy::EarlierReset);
                observation.owner = Some(Task {
                    known_by,
                    exit: None,
                    ..owner.clone()
                });
            }
            (Some(owner), None) => seen.owner = Some(owner.clone()),
            _ => {}
        }
        Some(seen.id)
    }

    fn insert(&mut self, key: Key, seen: Seen) {
        if self.seen.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(key);
        self.seen.insert(key, seen);
    }
}

/// It refuses a SYN: one that we answered, or ours.
fn is_new_attempt(o: &Observation) -> bool {
    match o.direction {
        Direction::Sent => o
            .trigger
            .is_some_and(|packet| packet.syn() && !packet.ack_flag()),
        Direction::Received => o.state_before.or(o.state) == Some(TcpState::SynSent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture::{no_socket, packet, received, sent, set, task};
    use crate::kernel::observation::Exit;

    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const FIRST: ResetId = ResetId(1);
    const SECOND: ResetId = ResetId(2);

    fn at(mut o: Observation, seconds: u64) -> Observation {
        o.time = Duration::from_secs(1000 + seconds);
        o
    }

    /// Marks both and returns what the second repeats, and the second.
    fn pair(first: Observation, mut second: Observation) -> (Option<ResetId>, Observation) {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.mark(FIRST, &mut { first }), None);
        (repeats.mark(SECOND, &mut second), second)
    }

    #[test]
    fn a_late_packet_repeats_the_close_and_takes_its_owner() {
        let close = set(sent(TcpState::Close), |o| {
            o.owner = Some(task(5, Some(Exit::Status(0))));
        });
        let (repeat_of, late) = pair(at(close, 0), at(no_socket(ACK), 9));
        assert_eq!(repeat_of, Some(FIRST));
        let owner = late.owner.unwrap();
        assert_eq!(
            (owner.pid, owner.known_by),
            (5, Some(KnownBy::EarlierReset))
        );
        assert_eq!(owner.exit, None, "what held then need not hold now");
    }

    #[test]
    fn what_is_no_repeat() {
        let close = || at(sent(TcpState::Close), 0);
        let late = || at(no_socket(ACK), 1);
        let table = [
            ("too late", close(), at(no_socket(ACK), 10)),
            ("other namespace", close(), set(late(), |o| o.netns = 2)),
            (
                "other direction",
                close(),
                at(received(TcpState::Established), 1),
            ),
            (
                "other port",
                close(),
                set(late(), |o| o.remote.set_port(81)),
            ),
            (
                "other local port",
                close(),
                set(late(), |o| o.local.set_port(81)),
            ),
            (
                "other socket",
                close(),
                set(close(), |o| o.cookie = Some(78)),
            ),
            (
                "connect again, refused",
                at(no_socket(SYN), 0),
                at(no_socket(SYN), 1),
            ),
            ("connect after a reset", close(), at(no_socket(SYN), 1)),
            (
                "our connect again",
                at(received(TcpState::SynSent), 0),
                set(at(received(TcpState::SynSent), 1), |o| o.cookie = None),
            ),
        ];
        for (name, first, second) in table {
            let owner = second.owner.clone();
            let (repeat_of, second) = pair(first, second);
            assert_eq!(repeat_of, None, "{name}");
            assert_eq!(second.owner, owner, "{name}");
        }
    }

    #[test]
    fn what_is_one() {
        let table = [
            ("same socket", sent(TcpState::Close), sent(TcpState::Close)),
            ("stray packets", no_socket(ACK), no_socket(ACK)),
            ("stray SYN-ACK", no_socket(ACK), no_socket(SYN | ACK)),
            ("stray after a refused SYN", no_socket(SYN), no_socket(ACK)),
            (
                "received",
                received(TcpState::Established),
                received(TcpState::Established),
            ),
        ];
        for (name, first, second) in table {
            assert_eq!(pair(first, second).0, Some(FIRST), "{name}");
        }
    }

    #[test]
    fn a_row_names_the_first_and_lasts_while_it_goes_on() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.mark(FIRST, &mut at(sent(TcpState::Close), 0)), None);
        for (id, seconds) in [(2, 8), (3, 16), (4, 24)] {
            assert_eq!(
                repeats.mark(ResetId(id), &mut at(no_socket(ACK), seconds)),
                Some(FIRST)
            );
        }
        assert_eq!(repeats.mark(ResetId(5), &mut at(no_socket(ACK), 34)), None);
        assert_eq!(
            repeats.mark(ResetId(6), &mut at(no_socket(ACK), 35)),
            Some(ResetId(5))
        );
    }

    #[test]
    fn owners_are_kept_and_learned() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.mark(FIRST, &mut no_socket(ACK)), None);
        let mut known = set(no_socket(ACK), |o| o.owner = Some(task(7, None)));
        assert_eq!(repeats.mark(SECOND, &mut known), Some(FIRST));
        assert_eq!(
            known.owner,
            Some(task(7, None)),
            "an owner of its own stays"
        );
        let mut third = no_socket(ACK);
        assert_eq!(repeats.mark(ResetId(3), &mut third), Some(FIRST));
        assert_eq!(third.owner.unwrap().pid, 7);
    }

    #[test]
    fn a_new_attempt_starts_a_row_of_its_own() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.mark(FIRST, &mut sent(TcpState::Close)), None);
        assert_eq!(repeats.mark(SECOND, &mut no_socket(SYN)), None);
        let mut stray = set(no_socket(ACK), |o| o.trigger = Some(packet(ACK, 3)));
        assert_eq!(repeats.mark(ResetId(3), &mut stray), Some(SECOND));
        assert_eq!(stray.owner, None, "the refused attempt had no owner");
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        let nth = |n: usize| set(no_socket(ACK), |o| o.netns = u32::try_from(n).unwrap());
        for n in 0..=REMEMBERED {
            assert_eq!(repeats.mark(ResetId(n as u64), &mut nth(n)), None);
        }
        assert_eq!(
            (repeats.seen.len(), repeats.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(
            repeats.mark(SECOND, &mut nth(REMEMBERED)),
            Some(ResetId(REMEMBERED as u64))
        );
        assert_eq!(
            repeats.mark(SECOND, &mut nth(0)),
            None,
            "the oldest was forgotten"
        );
        assert_eq!(
            (repeats.seen.len(), repeats.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
