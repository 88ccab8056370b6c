//! One row of the table: a fault, and what must be reported of it.

use anyhow::Result;

use crate::expected::Expected;
use crate::scene::{Family, Scene};

/// A fault and what must be reported of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: &'static str,
    /// With which addresses it runs.
    pub(crate) families: &'static [Family],
    /// What it needs of the kernel and the machine.
    pub(crate) needs: &'static [Need],
    /// Makes the fault.
    pub(crate) run: fn(&Scene) -> Result<()>,
    /// What must be reported, in any order, and nothing else.
    pub(crate) expect: &'static [Expected],
}

impl Scenario {
    /// On which kernels it has to run, for lists: ` since 6.10`, ` fallback` for none of those
    /// that allow everything, or nothing for all.
    pub(crate) fn extent(&self) -> String {
        let fallback = [Need::AcceptUnseen, Need::RejectUnseen];
        if fallback.iter().any(|need| self.needs.contains(need)) {
            return " fallback".to_owned();
        }
        let first = self.needs.iter().filter_map(|need| need.since()).max();
        first.map_or_else(String::new, |(major, minor)| {
            format!(" since {major}.{minor}")
        })
    }
}

/// A test of the whole, with programs of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// Its name.
    pub(crate) name: &'static str,
    /// Programs that it needs.
    pub(crate) programs: &'static [&'static str],
    /// Whether it asks nothing of the kernel but much of the machine: an emulated one is too slow.
    pub(crate) natively: bool,
    /// Runs it; an error says what was wrong.
    pub(crate) run: fn() -> Result<()>,
}

/// IPv4 and IPv6.
pub(crate) const BOTH: &[Family] = &[Family::V4, Family::V6];
/// IPv4, IPv6, and IPv4 by IPv6 sockets.
pub(crate) const ALL: &[Family] = &[Family::V4, Family::V6, Family::Mapped];
/// Only IPv4, where the family makes no difference.
pub(crate) const ONE: &[Family] = &[Family::V4];

/// What not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Multipath TCP, switched on.
    Mptcp,
    /// nft.
    Nft,
    /// /dev/net/tun.
    Tun,
    /// An agent that the scenario starts itself.
    OwnAgent,
    /// The program sees `accept()`.
    AcceptSeen,
    /// The program does not see `accept()`.
    AcceptUnseen,
    /// Resets without a socket and in `TIME_WAIT` can be seen.
    Socketless,
    /// The program sees the packets of handshakes and of resets received.
    PacketSeen,
    /// The program sees what a packet filter rejects.
    RejectSeen,
    /// The program does not see what a packet filter rejects.
    RejectUnseen,
    /// A memory controller of cgroups.
    MemoryCgroup,
}

impl Need {
    /// The first kernel that has it, where that is newer than the oldest one supported.
    fn since(self) -> Option<(u32, u32)> {
        match self {
            Self::Socketless
            | Self::Mptcp
            | Self::Nft
            | Self::Tun
            | Self::OwnAgent
            | Self::AcceptSeen
            | Self::AcceptUnseen
            | Self::PacketSeen
            | Self::RejectSeen
            | Self::RejectUnseen
            | Self::MemoryCgroup => None,
        }
    }
}
