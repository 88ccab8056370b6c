//! Keys of the counters that the programs keep in per-CPU maps.

/// What could not be delivered in full; the index into the `TALLY` per-CPU array.
///
/// Each is a count that only grows. The agent sums them over all CPUs.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tally {
    /// A sent reset whose record did not fit into the ring buffer.
    SentLost = 0,
    /// A received reset whose record did not fit into the ring buffer.
    ReceivedLost = 1,
    /// A first sight of a process that did not fit into the ring buffer.
    ProcessLost = 2,
    /// A socket for which the kernel gave no storage: its owner is not known.
    StorageFailed = 3,
    /// A socket in `TIME_WAIT` whose owner could not be kept.
    TimeWaitFailed = 4,
    /// A reset of a socket that is not TCP's, or whose members could not be read.
    Unreadable = 5,
}

impl Tally {
    /// Every tally, in the order of its index.
    pub const ALL: [Self; 6] = [
        Self::SentLost,
        Self::ReceivedLost,
        Self::ProcessLost,
        Self::StorageFailed,
        Self::TimeWaitFailed,
        Self::Unreadable,
    ];

    /// The value of the metric label `where`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SentLost => "ring_sent",
            Self::ReceivedLost => "ring_received",
            Self::ProcessLost => "ring_process",
            Self::StorageFailed => "socket_storage",
            Self::TimeWaitFailed => "time_wait",
            Self::Unreadable => "unreadable",
        }
    }
}

/// How many entries the `TALLY` array has.
pub const TALLIES: usize = Tally::ALL.len();
