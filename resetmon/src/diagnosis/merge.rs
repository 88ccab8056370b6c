//! Received resets that were none.
//!
//! `tcp:tcp_receive_reset` also fires when data arrives after close, without any RST
//! (`tcp_rcv_state_process`); the reset that the stack then *sends* for the same socket follows
//! within microseconds. So what may be such a case is held for a moment, and dropped if its
//! retraction comes.
//!
//! Pure: time is that of the observations and of the caller, both since boot.

use std::collections::VecDeque;
use std::time::Duration;

use crate::kernel::observation::Observation;

/// How long a provisional reset is held: far beyond the microseconds in which its retraction
/// follows, far below what a reader notices.
pub const HOLD: Duration = Duration::from_millis(20);

/// How many are held at most; beyond, the oldest pass unconfirmed rather than be lost.
pub const HELD_LIMIT: usize = 4096;

/// Holds provisional resets until they are confirmed or retracted.
#[derive(Debug, Default)]
pub struct Merge {
    /// In order of arrival, which is that of the ring buffer.
    held: VecDeque<Observation>,
}

impl Merge {
    /// Takes the next observation and returns those that stand, held ones first.
    #[must_use]
    pub fn push(&mut self, observation: Observation) -> Vec<Observation> {
        if observation.retracts
            && let Some(index) = self
                .held
                .iter()
                .rposition(|held| same_socket(held, &observation))
        {
            self.held.remove(index);
        }
        let mut out = self.expire(observation.time);
        if observation.provisional {
            if self.held.len() >= HELD_LIMIT {
                out.extend(self.held.pop_front());
            }
            self.held.push_back(observation);
        } else {
            out.push(observation);
        }
        out
    }

    /// Returns what has been held long enough at `now` (since boot).
    #[must_use]
    pub fn expire(&mut self, now: Duration) -> Vec<Observation> {
        let due = self
            .held
            .iter()
            .take_while(|held| held.time + HOLD <= now)
            .count();
        self.held.drain(..due).collect()
    }

    /// When [`Self::expire`] has something to do next, since boot.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.held.front().map(|held| held.time + HOLD)
    }

    /// Returns everything held, for the end of the agent.
    #[must_use]
    pub fn finish(&mut self) -> Vec<Observation> {
        self.held.drain(..).collect()
    }
}

/// By cookie where both have one, else by endpoints.
fn same_socket(held: &Observation, sent: &Observation) -> bool {
    match (held.cookie, sent.cookie) {
        (Some(held), Some(sent)) => held == sent,
        _ => held.netns == sent.netns && held.local == sent.local && held.remote == sent.remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture;
    use crate::kernel::observation::TcpState;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn provisional(cookie: u64, millis: u64) -> Observation {
        Observation {
            cookie: Some(cookie),
            provisional: true,
            time: at(millis),
            ..fixture::received(TcpState::FinWait2)
        }
    }

    fn retraction(cookie: u64, millis: u64) -> Observation {
        Observation {
            cookie: Some(cookie),
            retracts: true,
            time: at(millis),
            ..fixture::sent(TcpState::Close)
        }
    }

    #[test]
    fn a_retraction_drops_its_own() {
        let mut merge = Merge::default();
        assert!(merge.push(provisional(1, 0)).is_empty());
        assert!(merge.push(provisional(2, 0)).is_empty());
        assert_eq!(merge.push(retraction(1, 1)), [retraction(1, 1)]);
        assert_eq!(merge.finish(), [provisional(2, 0)]);
    }

    #[test]
    fn others_are_left_alone() {
        let other_end = Observation {
            local: "10.9.9.9:1".parse().unwrap(),
            ..Observation {
                cookie: None,
                ..provisional(0, 0)
            }
        };
        let other_netns = Observation {
            netns: 9,
            cookie: None,
            ..provisional(0, 0)
        };
        let table = [
            ("cookie differs", provisional(1, 0), retraction(2, 1)),
            (
                "does not retract",
                provisional(1, 0),
                Observation {
                    retracts: false,
                    ..retraction(1, 1)
                },
            ),
            (
                "endpoints differ",
                other_end,
                Observation {
                    cookie: None,
                    ..retraction(0, 1)
                },
            ),
            (
                "namespace differs",
                other_netns,
                Observation {
                    cookie: None,
                    ..retraction(0, 1)
                },
            ),
        ];
        for (name, held, sent) in table {
            let mut merge = Merge::default();
            assert!(merge.push(held.clone()).is_empty(), "{name}");
            assert_eq!(merge.push(sent.clone()), [sent], "{name}");
            assert_eq!(merge.finish(), [held], "{name}");
        }
    }

    #[test]
    fn without_a_cookie_the_endpoints_count() {
        let mut merge = Merge::default();
        let held = Observation {
            cookie: None,
            ..provisional(0, 0)
        };
        assert!(merge.push(held).is_empty());
        assert_eq!(merge.push(retraction(5, 1)).len(), 1);
        assert!(merge.finish().is_empty());
    }

    #[test]
    fn what_is_not_provisional_passes_at_once() {
        let mut merge = Merge::default();
        let plain = fixture::received(TcpState::Established);
        assert!(merge.push(provisional(1, 0)).is_empty());
        let passing = Observation {
            time: at(1),
            ..plain
        };
        assert_eq!(merge.push(passing.clone()), [passing]);
        assert_eq!(merge.next_deadline(), Some(HOLD));
    }

    #[test]
    fn the_held_pass_in_order_when_their_time_is_over() {
        let mut merge = Merge::default();
        assert_eq!(merge.next_deadline(), None);
        for (cookie, time) in [(1, 0), (2, 5), (3, 15)] {
            assert!(merge.push(provisional(cookie, time)).is_empty());
        }
        assert!(merge.expire(at(19)).is_empty());
        assert_eq!(merge.expire(at(25)), [provisional(1, 0), provisional(2, 5)]);
        assert_eq!(merge.next_deadline(), Some(at(35)));
        // A later observation shows that time has passed, and comes after.
        let later = retraction(9, 40);
        assert_eq!(merge.push(later.clone()), [provisional(3, 15), later]);
        assert_eq!(merge.next_deadline(), None);
    }

    #[test]
    fn a_late_retraction_still_counts_if_nothing_released_its_target() {
        let mut merge = Merge::default();
        assert!(merge.push(provisional(1, 0)).is_empty());
        assert_eq!(merge.push(retraction(1, 100)), [retraction(1, 100)]);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let mut merge = Merge::default();
        let many = HELD_LIMIT as u64 + 10;
        let mut passed = 0;
        for cookie in 0..many {
            passed += merge.push(provisional(cookie, 0)).len();
        }
        assert_eq!(passed, 10);
        assert_eq!(merge.finish().len(), HELD_LIMIT);
    }
}
