//! What the kernel's `OutRsts` counts beside the resets that are traced.

use serde::Serialize;

/// Which of the RST packets that the TCP stack sends are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracing {
    /// Every one: `tcp:tcp_send_reset` of Linux 6.10 and newer.
    Complete,
    /// All but those that answer a packet for which there is no socket, or one in `TIME_WAIT`:
    /// the same tracepoint before Linux 6.10.
    FullSockets,
}

impl Tracing {
    /// By whether the tracepoint has the argument `reason`, which came with the change.
    #[must_use]
    pub const fn of(has_reason: bool) -> Self {
        if has_reason {
            Self::Complete
        } else {
            Self::FullSockets
        }
    }

    /// What a difference that is left may come from on such a kernel.
    #[must_use]
    pub const fn remark(self, unaccounted: i64) -> Option<&'static str> {
        match (self, unaccounted) {
            (_, 0) => None,
            (Self::FullSockets, 1..) => Some(
                "this kernel does not trace resets for packets that meet no socket or one in TIME_WAIT",
            ),
            (Self::Complete, 1..) => Some("resets that the programs did not see"),
            (_, _) => Some("answers over IPv6 for which there was no route"),
        }
    }
}

/// A difference between the kernel's count and ours, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Counted by the kernel and not sent, as it had no memory for the packet: not traced either.
    pub not_sent: u64,
    /// What is left. Negative: we counted more than the kernel.
    pub unaccounted: i64,
}

/// Takes `difference` (growth of `OutRsts` less our count) apart.
///
/// `abort_failed` is the growth of `TCPAbortFailed`. It counts active resets whose packet could
/// not be allocated, which are in `OutRsts` and not traced, and those that the IP layer refused,
/// which are both; so it explains at most as many, on every kernel.
#[must_use]
pub fn account(difference: i64, abort_failed: u64) -> Account {
    let not_sent = u64::try_from(difference).map_or(0, |missing| missing.min(abort_failed));
    Account {
        not_sent,
        unaccounted: difference.saturating_sub_unsigned(not_sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        for (difference, abort_failed, not_sent, unaccounted) in [
            (0, 0, 0, 0),
            (5, 0, 0, 5),
            (5, 3, 3, 2),
            (5, 5, 5, 0),
            // The IP layer refused some: traced and counted alike.
            (5, 9, 5, 0),
            (0, 9, 0, 0),
            (-2, 0, 0, -2),
            (-2, 9, 0, -2),
            (i64::MAX, u64::MAX, i64::MAX.unsigned_abs(), 0),
            (i64::MIN, u64::MAX, 0, i64::MIN),
        ] {
            assert_eq!(
                account(difference, abort_failed),
                Account {
                    not_sent,
                    unaccounted
                },
                "{difference} {abort_failed}"
            );
        }
    }

    #[test]
    fn what_a_kernel_traces() {
        assert_eq!(Tracing::of(true), Tracing::Complete);
        assert_eq!(Tracing::of(false), Tracing::FullSockets);
    }

    #[test]
    fn remarks() {
        use Tracing::{Complete, FullSockets};
        for (tracing, unaccounted, words) in [
            (Complete, 0, None),
            (FullSockets, 0, None),
            (Complete, 1, Some("did not see")),
            (FullSockets, 1, Some("no socket or one in TIME_WAIT")),
            (Complete, -1, Some("IPv6")),
            (FullSockets, -1, Some("IPv6")),
        ] {
            let remark = tracing.remark(unaccounted);
            assert_eq!(remark.is_some(), words.is_some(), "{tracing:?}");
            assert!(
                remark.unwrap_or_default().contains(words.unwrap_or("")),
                "{tracing:?} {unaccounted}: {remark:?}"
            );
        }
    }
}
