//! Peers that go on after a RST in their name.
//!
//! A stack that has sent a RST sends nothing new on that connection. If data arrives that lies beyond
//! the RST, the peer knows nothing of it: another host made it. That is seen only after the RST was
//! reported, so it is said of the reset that answers the data.
//!
//! Pure: time is that of the observations.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::kernel::observation::{Direction, Observation, Shape};

/// How long after the RST the peer's data counts: beyond, the endpoints may be in use again.
pub const WINDOW: Duration = Duration::from_secs(1);

/// How far beyond the RST the data may lie, bytes: a number of another connection of the same
/// endpoints seldom comes so close.
pub const REACH: u32 = 1 << 20;

/// How many are remembered at most; beyond, the oldest is forgotten.
pub const REMEMBERED: usize = 4096;

/// Recent resets received.
#[derive(Debug, Default)]
pub struct Outlived {
    seen: HashMap<Key, Received>,
    /// What came in, oldest first; each is that of `seen`, or was replaced or forgotten there.
    order: VecDeque<(Duration, Key)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns: u32,
    local: SocketAddr,
    remote: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    time: Duration,
    seq: u32,
}

impl Outlived {
    /// Remembers a received reset, and marks the answer to data that came after one
    /// (`SocketFlags::peer_went_on`).
    pub fn mark(&mut self, o: &mut Observation) {
        while self
            .order
            .front()
            .is_some_and(|(time, _)| *time + WINDOW < o.time)
        {
            self.forget_oldest();
        }
        let key = Key {
            netns: o.netns,
            local: o.local,
            remote: o.remote,
        };
        match (o.direction, o.shape) {
            (Direction::Received, _) => self.remember(key, o),
            (Direction::Sent, Shape::NoSocket) if o.firewall.is_none() => {
                o.flags.peer_went_on = self.is_outlived(key, o);
            }
            // The endpoints have a socket again.
            (Direction::Sent, _) => drop(self.seen.remove(&key)),
        }
    }

    fn remember(&mut self, key: Key, o: &Observation) {
        let Some(vitals) = o.vitals.as_ref().filter(|_| o.age.is_some()) else {
            return;
        };
        // Without the packet the kernel's own test vouches for its number: it is the one expected.
        let offset = o.packet.map_or(0, |packet| packet.seq_offset);
        if self.order.len() >= REMEMBERED {
            self.forget_oldest();
        }
        self.order.push_back((o.time, key));
        let seq = vitals.rcv_nxt.wrapping_add_signed(offset);
        self.seen.insert(key, Received { time: o.time, seq });
    }

    fn forget_oldest(&mut self) {
        if let Some((time, key)) = self.order.pop_front()
            && self.seen.get(&key).is_some_and(|seen| seen.time == time)
        {
            self.seen.remove(&key);
        }
    }

    fn is_outlived(&self, key: Key, o: &Observation) -> bool {
        match (self.seen.get(&key), o.trigger) {
            (Some(rst), Some(packet)) if packet.len > 0 && !packet.syn() => {
                packet.seq.wrapping_sub(rst.seq) < REACH
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture::{ms, no_socket, packet, received, sent, set};
    use crate::kernel::observation::{Hook, RstPacket, TcpState};

    const ACK: u8 = 16;

    fn rst(rcv_nxt: u32) -> Observation {
        set(received(TcpState::Established), |o| {
            o.vitals.as_mut().unwrap().rcv_nxt = rcv_nxt;
        })
    }

    fn data(seq: u32) -> Observation {
        set(no_socket(ACK), |o| {
            o.time += ms(1);
            o.trigger = Some(packet(ACK, 5));
            o.trigger.as_mut().unwrap().seq = seq;
        })
    }

    fn went_on(events: Vec<Observation>) -> bool {
        let mut outlived = Outlived::default();
        let marked = events.into_iter().map(|mut o| {
            outlived.mark(&mut o);
            o.flags.peer_went_on
        });
        marked.last().unwrap_or_default()
    }

    #[test]
    fn data_beyond_the_reset_shows_it() {
        assert!(went_on(vec![rst(7), data(7)]));
        assert!(went_on(vec![rst(u32::MAX), data(100)]), "numbers wrap");
        let inexact = set(rst(7), |o| {
            o.packet = Some(RstPacket {
                ttl: 64,
                ip_id: 0,
                seq_offset: 50,
                flags: 4,
            });
        });
        assert!(went_on(vec![inexact.clone(), data(57)]));
        assert!(!went_on(vec![inexact, data(56)]));
    }

    #[test]
    fn near_misses_do_not() {
        let table = [
            ("retransmitted", vec![rst(7), data(6)]),
            ("far away", vec![rst(7), data(7 + REACH)]),
            ("late", vec![rst(7), set(data(7), |o| o.time += WINDOW)]),
            (
                "another peer",
                vec![rst(7), set(data(7), |o| o.remote.set_port(1))],
            ),
            (
                "another namespace",
                vec![rst(7), set(data(7), |o| o.netns = 9)],
            ),
            (
                "no data",
                vec![rst(7), set(data(7), |o| o.trigger = Some(packet(ACK, 0)))],
            ),
            (
                "a SYN with data",
                vec![
                    rst(7),
                    set(data(7), |o| o.trigger.as_mut().unwrap().flags = 2),
                ],
            ),
            (
                "a packet filter's",
                vec![rst(7), set(data(7), |o| o.firewall = Some(Hook::Input))],
            ),
            (
                "a connection in between",
                vec![rst(7), sent(TcpState::Close), data(7)],
            ),
            (
                "never established",
                vec![set(rst(7), |o| o.age = None), data(7)],
            ),
            ("nothing before", vec![data(7)]),
        ];
        for (name, events) in table {
            assert!(!went_on(events), "{name}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut outlived = Outlived::default();
        for _ in 0..=REMEMBERED {
            outlived.mark(&mut rst(7));
        }
        assert_eq!(outlived.order.len(), REMEMBERED);
        outlived.mark(&mut set(data(7), |o| o.time += WINDOW + ms(1)));
        assert_eq!((outlived.order.len(), outlived.seen.len()), (0, 0));
    }
}
