//! Received resets that this node's own packet filter had made.
//!
//! A reject rule in `input` (on the loopback), `forward` or `output` may hit a connection of a
//! process on this node: the RST then arrives here like a peer's. It is put down to the filter only
//! if it is provably the same packet: endpoints, sequence number, and right after.
//!
//! Pure: time is that of the observations.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::kernel::observation::{Direction, Hook, Observation};

/// How long after a filter sent its RST that arrives at most: a task that is at work on the socket
/// may delay it.
pub const WINDOW: Duration = Duration::from_millis(200);

/// How many are remembered at most; beyond, the oldest is forgotten.
pub const REMEMBERED: usize = 1024;

/// Recent resets of the packet filter.
#[derive(Debug, Default)]
pub struct Rejects {
    recent: VecDeque<Reject>,
}

#[derive(Debug)]
struct Reject {
    time: Duration,
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    hook: Hook,
}

impl Rejects {
    /// Remembers a sent one, and marks a received one that it recognises
    /// ([`Observation::firewall`]).
    ///
    /// Network namespaces may differ: a rule in the host's stops what a container sends.
    pub fn mark(&mut self, o: &mut Observation) {
        let due = |reject: &Reject| reject.time + WINDOW < o.time;
        while self.recent.front().is_some_and(due) {
            self.recent.pop_front();
        }
        match (o.direction, o.firewall) {
            (Direction::Sent, Some(hook)) => self.remember(o, hook),
            (Direction::Received, None) => o.firewall = self.take(o),
            _ => {}
        }
    }

    fn remember(&mut self, o: &Observation, hook: Hook) {
        let Some(packet) = o.trigger else {
            return;
        };
        let (from, to) = match hook {
            Hook::Input | Hook::Forward => (o.local, o.remote),
            Hook::Output => (o.remote, o.local),
        };
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Reject {
            time: o.time,
            from,
            to,
            // `nf_reject_ip_tcphdr_put`
            seq: if packet.ack_flag() { packet.ack } else { 0 },
            hook,
        });
    }

    fn take(&mut self, o: &Observation) -> Option<Hook> {
        let offset = o.packet.map_or(0, |packet| packet.seq_offset);
        let seq = o.vitals.as_ref()?.rcv_nxt.wrapping_add_signed(offset);
        let index = self.recent.iter().rposition(|reject| {
            reject.from == o.remote
                && reject.to == o.local
                && reject.seq == seq
                && reject.time <= o.time
        })?;
        self.recent.remove(index).map(|reject| reject.hook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture::{ms, packet, received, sent, set};
    use crate::kernel::observation::{RstPacket, TcpState};

    const SYN: u8 = 2;
    const ACK: u8 = 16;

    /// The filter answers our client's packet, in this hook.
    fn reject(hook: Hook, flags: u8, ack: u32) -> Observation {
        set(sent(TcpState::Established), |o| {
            o.firewall = Some(hook);
            o.trigger = Some(packet(flags, 0));
            o.trigger.as_mut().unwrap().ack = ack;
            if hook != Hook::Output {
                std::mem::swap(&mut o.local, &mut o.remote);
            }
        })
    }

    fn twin(rcv_nxt: u32) -> Observation {
        set(received(TcpState::Established), |o| {
            o.time += ms(1);
            o.vitals.as_mut().unwrap().rcv_nxt = rcv_nxt;
        })
    }

    fn recognised(mut sent: Observation, mut received: Observation) -> Option<Hook> {
        let mut rejects = Rejects::default();
        rejects.mark(&mut sent);
        rejects.mark(&mut received);
        received.firewall
    }

    #[test]
    fn the_very_packet_is_recognised() {
        for hook in [Hook::Input, Hook::Forward, Hook::Output] {
            assert_eq!(recognised(reject(hook, ACK, 7), twin(7)), Some(hook));
        }
        // The RST that answers a SYN has number 0, and a client that has heard nothing expects that.
        assert_eq!(
            recognised(reject(Hook::Input, SYN, 0), twin(0)),
            Some(Hook::Input)
        );
        let inexact = set(twin(5), |o| {
            o.packet = Some(RstPacket {
                ttl: 64,
                ip_id: 0,
                seq_offset: 2,
                flags: 4,
            });
        });
        assert_eq!(
            recognised(reject(Hook::Output, ACK, 7), inexact),
            Some(Hook::Output)
        );
        let elsewhere = set(twin(7), |o| o.netns = 99);
        assert_eq!(
            recognised(reject(Hook::Forward, ACK, 7), elsewhere),
            Some(Hook::Forward)
        );
    }

    #[test]
    fn near_misses_are_not() {
        let sent = || reject(Hook::Input, ACK, 7);
        let table = [
            ("another number", twin(8)),
            ("another port", set(twin(7), |o| o.local.set_port(1))),
            ("another peer", set(twin(7), |o| o.remote.set_port(1))),
            ("much later", set(twin(7), |o| o.time += WINDOW)),
            ("before", set(twin(7), |o| o.time -= ms(2))),
            ("number not known", set(twin(7), |o| o.vitals = None)),
        ];
        for (name, o) in table {
            assert_eq!(recognised(sent(), o), None, "{name}");
        }
        let ordinary = set(sent(), |o| o.firewall = None);
        assert_eq!(recognised(ordinary, twin(7)), None);
        let unreadable = set(sent(), |o| o.trigger = None);
        assert_eq!(recognised(unreadable, twin(7)), None);
    }

    #[test]
    fn one_reset_explains_one() {
        let mut rejects = Rejects::default();
        rejects.mark(&mut reject(Hook::Input, ACK, 7));
        let (mut first, mut second) = (twin(7), twin(7));
        rejects.mark(&mut first);
        rejects.mark(&mut second);
        assert_eq!((first.firewall, second.firewall), (Some(Hook::Input), None));
    }

    #[test]
    fn memory_is_bounded() {
        let mut rejects = Rejects::default();
        for _ in 0..=REMEMBERED {
            rejects.mark(&mut reject(Hook::Input, ACK, 7));
        }
        assert_eq!(rejects.recent.len(), REMEMBERED);
        rejects.mark(&mut set(twin(9), |o| o.time += WINDOW));
        assert_eq!(rejects.recent.len(), 0);
    }
}
