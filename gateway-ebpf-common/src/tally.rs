//! Keys and values of the counters that the programs keep in maps.
//!
//! A reset that cannot go to the ring buffer in full is added to an [`Aggregate`]; one that cannot
//! go there either, to a [`Tally`]. Either way it is counted.

use crate::event::ResetRecord;

/// What could not be delivered in full; the index into the `TALLY` per-CPU array.
///
/// Each is a count that only grows. The agent sums them over all CPUs.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tally {
    /// A sent reset that went neither to the ring buffer nor to an aggregate.
    SentLost = 0,
    /// A received reset that went neither to the ring buffer nor to an aggregate.
    ReceivedLost = 1,
    /// A first sight of a process that did not fit into the ring buffer.
    ProcessLost = 2,
    /// A socket for which the kernel gave no storage: its owner is not known.
    StorageFailed = 3,
    /// A socket in `TIME_WAIT` whose owner could not be kept.
    TimeWaitFailed = 4,
    /// A reset of a socket that is not TCP's, or whose members could not be read.
    Unreadable = 5,
    /// A sent reset that could not tell the agent to take back a received one: that one is
    /// counted though it was data after close.
    RetractLost = 6,
    /// A sent reset that took back a received one counted in [`Tally::ReceivedLost`].
    Retracted = 7,
    /// A reset put into an aggregate because the ring buffer was full.
    AggregatedFull = 8,
    /// A reset put into an aggregate because its source made too many.
    AggregatedStorm = 9,
    /// A packet filter's reset that went neither to the ring buffer nor to an aggregate.
    RejectedLost = 10,
    /// An end of a process that could not be kept.
    ExitFailed = 11,
    /// A failure without a RST that went neither to the ring buffer nor to an aggregate.
    FailureLost = 12,
}

impl Tally {
    /// Every tally, in the order of its index.
    pub const ALL: [Self; 13] = [
        Self::SentLost,
        Self::ReceivedLost,
        Self::ProcessLost,
        Self::StorageFailed,
        Self::TimeWaitFailed,
        Self::Unreadable,
        Self::RetractLost,
        Self::Retracted,
        Self::AggregatedFull,
        Self::AggregatedStorm,
        Self::RejectedLost,
        Self::ExitFailed,
        Self::FailureLost,
    ];

    /// Whether something was lost: detail, or an owner. [`Tally::Retracted`] only corrects.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        !matches!(self, Self::Retracted)
    }

    /// The value of the metric label `where`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SentLost => "total_sent",
            Self::ReceivedLost => "total_received",
            Self::ProcessLost => "process",
            Self::StorageFailed => "socket_storage",
            Self::TimeWaitFailed => "time_wait",
            Self::Unreadable => "unreadable",
            Self::RetractLost => "retract",
            Self::Retracted => "retracted",
            Self::AggregatedFull => "aggregated_full",
            Self::AggregatedStorm => "aggregated_storm",
            Self::RejectedLost => "total_rejected",
            Self::ExitFailed => "exit",
            Self::FailureLost => "total_failed",
        }
    }
}

/// How many entries the `TALLY` array has.
pub const TALLIES: usize = Tally::ALL.len();

/// What tells one aggregate from another: what the metrics are labelled with, and what the cause
/// depends on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AggregateKey {
    /// Start of the owner, ns since boot.
    pub owner_start_ns: u64,
    /// Remote address.
    pub remote_addr: [u32; 4],
    /// Local address, where the local end is a server.
    pub local_addr: [u32; 4],
    /// Owner.
    pub owner_pid: u32,
    /// Closer.
    pub closer_pid: u32,
    /// Network namespace.
    pub netns: u32,
    /// Kernel reason.
    pub reason: u32,
    /// `event::flag` bits.
    pub flags: u32,
    /// Bits of [`aspect`].
    pub aspects: u32,
    /// Local port, where the local end is a server.
    pub local_port: u16,
    /// Remote port, where the local end is a client.
    pub remote_port: u16,
    /// `event::direction`.
    pub direction: u8,
    /// `event::role`.
    pub role: u8,
    /// State before the reset.
    pub state_before: u8,
    /// `event::shape`.
    pub shape: u8,
    /// TCP flags of the packet answered.
    pub trigger_flags: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// `event::failure`.
    pub failure: u8,
    /// Errno of a failure.
    pub error: u8,
    /// Zero.
    pub pad: [u8; 4],
}

const _: () = assert!(size_of::<AggregateKey>() == 80);

/// Bits of [`AggregateKey::aspects`]: what the cause looks at, reduced to yes and no.
pub mod aspect {
    /// Payload was not read.
    pub const UNREAD: u32 = 1 << 0;
    /// Payload was not acknowledged.
    pub const UNACKED: u32 = 1 << 1;
    /// Payload was received.
    pub const RECEIVED: u32 = 1 << 2;
    /// Payload was sent.
    pub const SENT: u32 = 1 << 3;
    /// `SO_LINGER` is 0.
    pub const LINGER_ZERO: u32 = 1 << 4;
    /// `TCP_LINGER2` is negative.
    pub const LINGER2_ABORT: u32 = 1 << 5;
    /// Keep-alive or zero-window probes were not answered.
    pub const PROBES: u32 = 1 << 6;
    /// The closer was exiting.
    pub const EXITING: u32 = 1 << 7;
    /// Data last moved over 250 ticks ago.
    pub const SILENT: u32 = 1 << 8;
    /// The peer's FIN was received.
    pub const FIN_RECEIVED: u32 = 1 << 9;
    /// Payload was sent in many segments.
    pub const MANY_SEGMENTS: u32 = 1 << 10;
    /// Data last moved out over 250 ticks ago.
    pub const WAITED: u32 = 1 << 11;
}

/// Resets of one kind that were not reported one by one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// How many.
    pub count: u64,
    /// The first of them in full.
    pub first: ResetRecord,
}

const _: () = assert!(size_of::<Aggregate>() == 352);

/// How many aggregates there may be between two drains.
pub const AGGREGATES: usize = 4096;
/// Entries of each spare map of aggregates.
pub const SPARES: usize = 512;

#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no padding (size asserted above).
unsafe impl aya::Pod for AggregateKey {}
#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no padding (size asserted above and at the record).
unsafe impl aya::Pod for Aggregate {}
