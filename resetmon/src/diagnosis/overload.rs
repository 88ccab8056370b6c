//! Overload at the moment of a reset, as evidence beside its cause.
//!
//! A full accept queue, a process out of descriptors, a cgroup at its memory limit or a kernel out
//! of TCP memory explain resets of which the socket itself shows only the last step. None of it decides
//! a cause: what holds at the same moment need not be why.
//!
//! Pure: what there is to read is told by [`wanted`], what was read is told in words by [`facts`].

use std::time::Duration;

use crate::kernel::observation::{Direction, Observation, Role};
use crate::reset::Cause;
use crate::text::counted;

/// Share of its limit, percent, from which on a process counts as short of descriptors.
const NEARLY_ALL: u64 = 95;

/// What may explain a reset.
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The accept queues of its network namespace.
    pub queues: bool,
    /// The open files of its owner.
    pub descriptors: bool,
    /// The memory of its owner's cgroup.
    pub cgroup: bool,
    /// Orphans and memory of the kernel's TCP.
    pub tcp: bool,
}

/// What was found at the moment of a reset; `None` where it could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    /// Handshakes dropped because an accept queue was full (`ListenOverflows`), and since when.
    pub overflows: Option<(u64, Duration)>,
    /// Connections that the kernel gave up for want of memory (`TCPAbortOnMemory`), and since when.
    pub aborted_on_memory: Option<(u64, Duration)>,
    /// Open files of the owner and its limit (`RLIMIT_NOFILE`).
    pub descriptors: Option<(u64, u64)>,
    /// The cgroup of the owner.
    pub cgroup: Option<CgroupMemory>,
    /// The kernel's TCP.
    pub tcp: Option<TcpMemory>,
}

/// Memory events of a cgroup since it was made (`memory.events`, or `memory.failcnt` and
/// `memory.oom_control` of version 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupMemory {
    /// Times that it was at its limit.
    pub at_limit: u64,
    /// Processes killed in it for want of memory.
    pub oom_kills: u64,
}

/// What TCP uses and may use (`/proc/net/sockstat`, `tcp_mem`, `tcp_max_orphans`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpMemory {
    /// Pages in use, and the limit.
    pub pages: (u64, u64),
    /// Connections without an owner, and the limit.
    pub orphans: (u64, u64),
}

/// What to read for a reset of this cause.
#[must_use]
pub fn wanted(o: &Observation, cause: Cause) -> Wanted {
    let sent = o.direction == Direction::Sent;
    let server = o.role == Some(Role::Server);
    let same_host = o.remote.ip().is_loopback() || o.remote.ip() == o.local.ip();
    match cause {
        Cause::ListenOverflow | Cause::ListenerClosed => Wanted {
            queues: true,
            descriptors: true,
            ..Wanted::default()
        },
        Cause::ClientCanceled => Wanted {
            queues: server,
            descriptors: true,
            ..Wanted::default()
        },
        Cause::ClosedWithUnreadData | Cause::LingerAbort if sent => Wanted {
            descriptors: true,
            ..Wanted::default()
        },
        // The counters are those of the other end too.
        Cause::Refused | Cause::AbortedDuringSetup | Cause::AbortedBeforeResponse => Wanted {
            queues: same_host || server,
            ..Wanted::default()
        },
        Cause::ProcessKilled | Cause::ProcessExit => Wanted {
            cgroup: true,
            ..Wanted::default()
        },
        Cause::MemoryPressure => Wanted {
            cgroup: true,
            tcp: true,
            queues: true,
            ..Wanted::default()
        },
        _ => Wanted::default(),
    }
}

/// What of it is worth telling.
#[must_use]
pub fn facts(overload: &Overload) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some((count @ 1.., since)) = overload.overflows {
        facts.push(format!(
            "in this network namespace accept queues were full for {} within {}",
            counted(count, "handshake"),
            within(since)
        ));
    }
    if let Some((count @ 1.., since)) = overload.aborted_on_memory {
        facts.push(format!(
            "in this network namespace the kernel gave up {} for want of memory within {}",
            counted(count, "connection"),
            within(since)
        ));
    }
    if let Some((open, limit)) = overload.descriptors
        && open.saturating_mul(100) >= limit.saturating_mul(NEARLY_ALL)
    {
        facts.push(format!(
            "its process has {open} of {limit} descriptors open: beyond, accept() and connect() \
             fail with EMFILE"
        ));
    }
    if let Some(cgroup) = overload
        .cgroup
        .filter(|cgroup| *cgroup != CgroupMemory::default())
    {
        facts.push(format!(
            "the cgroup of its process was at its memory limit {} so far and had {} killed for it",
            counted(cgroup.at_limit, "time"),
            counted(cgroup.oom_kills, "process")
        ));
    }
    if let Some(TcpMemory { pages, orphans }) = overload.tcp {
        facts.push(format!(
            "TCP uses {} of {} pages (tcp_mem), and {} of {} orphans (tcp_max_orphans)",
            pages.0, pages.1, orphans.0, orphans.1
        ));
    }
    facts
}

fn within(since: Duration) -> String {
    format!("{} s", since.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fixture::{received, sent, set};
    use crate::kernel::observation::TcpState;

    #[test]
    fn nothing_is_read_for_what_it_cannot_explain() {
        let nothing = Wanted::default();
        let of_server = set(received(TcpState::Established), |o| {
            o.role = Some(Role::Server);
        });
        let local = set(received(TcpState::SynSent), |o| {
            o.remote = "127.0.0.1:80".parse().unwrap();
        });
        let own = sent(TcpState::Close);
        for cause in [
            Cause::ResetAfterClose,
            Cause::NoListener,
            Cause::IdleTimeout,
        ] {
            assert_eq!(wanted(&own, cause), nothing, "{cause}");
        }
        assert!(wanted(&local, Cause::Refused).queues);
        let remote = received(TcpState::SynSent);
        assert_eq!(wanted(&remote, Cause::Refused), nothing);
        assert!(wanted(&of_server, Cause::AbortedDuringSetup).queues);
        assert!(wanted(&of_server, Cause::ClientCanceled).queues);
        assert!(wanted(&own, Cause::LingerAbort).descriptors);
        assert!(wanted(&own, Cause::ListenOverflow).descriptors);
        assert!(wanted(&own, Cause::ProcessKilled).cgroup);
        assert!(wanted(&own, Cause::MemoryPressure).tcp);
    }

    #[test]
    fn what_is_told_and_what_is_not() {
        let second = Duration::from_secs(1);
        let told = |overload: Overload| facts(&overload).join("; ");
        let with_descriptors = |open, limit| Overload {
            descriptors: Some((open, limit)),
            ..Overload::default()
        };
        let quiet = Overload {
            overflows: Some((0, second)),
            aborted_on_memory: Some((0, second)),
            descriptors: Some((972, 1024)),
            cgroup: Some(CgroupMemory::default()),
            tcp: None,
        };
        assert_eq!(told(quiet), "");
        assert_eq!(told(Overload::default()), "");
        assert!(told(with_descriptors(973, 1024)).contains("973 of 1024"));
        assert!(told(with_descriptors(u64::MAX, u64::MAX)).contains("EMFILE"));
        let all = told(Overload {
            overflows: Some((3, second * 7)),
            aborted_on_memory: Some((2, Duration::from_millis(10))),
            descriptors: None,
            cgroup: Some(CgroupMemory {
                at_limit: 12,
                oom_kills: 1,
            }),
            tcp: Some(TcpMemory {
                pages: (9, 10),
                orphans: (7, 8),
            }),
        });
        for part in [
            "full for 3 handshakes within 7 s",
            "gave up 2 connections for want of memory within 1 s",
            "limit 12 times so far and had 1 process killed",
            "9 of 10 pages",
            "7 of 8 orphans",
        ] {
            assert!(all.contains(part), "{part:?} is not in {all:?}");
        }
    }
}
