//! What went over the wire of a namespace, as another witness than resetmon: SYN, FIN and RST.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::row::{End, Expected, Kind};
use crate::wire::{Segment, flag};

/// A packet socket of a namespace.
pub(crate) struct Tap(OwnedFd);

/// One segment, as its receiver's side of the loopback got it.
pub(crate) struct Seen(Segment);

/// Loads and tests of a packet filter that lets SYN, FIN and RST of TCP over IPv4 pass.
const FILTER: [libc::sock_filter; 7] = [
    instruction(0x30, 0, 0, 9),
    instruction(0x15, 0, 4, 6),
    instruction(0xb1, 0, 0, 0),
    instruction(0x50, 0, 0, 13),
    instruction(0x45, 0, 1, 7),
    instruction(0x06, 0, 0, u32::MAX),
    instruction(0x06, 0, 0, 0),
];

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

impl Tap {
    /// From now on, all of it.
    pub(crate) fn new(namespace: &Netns) -> Result<Self> {
        let socket = namespace.enter(|| {
            let protocol = i32::from(u16::to_be(0x0800));
            let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: no memory is involved.
            let fd = unsafe { libc::socket(libc::AF_PACKET, kind, protocol) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor was just opened and is nobody else's.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })?;
        let socket = socket.context("open a packet socket")?;
        let mut filter = FILTER;
        let program = libc::sock_fprog {
            len: filter.len().try_into()?,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the program and the instructions that it points to live until the call returns.
        let outcome = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of_val(&program).try_into()?,
            )
        };
        if outcome < 0 {
            return Err(io::Error::last_os_error()).context("filter a packet socket");
        }
        Ok(Self(socket))
    }

    /// What came since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            let mut packet = [0_u8; 2048];
            // SAFETY: zero is a value of plain integers.
            let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut size = libc::socklen_t::try_from(size_of_val(&from)).unwrap_or_default();
            // SAFETY: buffer and address are as long as is said, and live until the call returns.
            let length = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    packet.as_mut_ptr().cast(),
                    packet.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut size,
                )
            };
            let Ok(length) = usize::try_from(length) else {
                return all;
            };
            // The loopback shows each twice.
            if from.sll_pkttype == libc::PACKET_HOST {
                all.extend(packet.get(..length).and_then(Segment::parse).map(Seen));
            }
        }
    }
}

impl Seen {
    /// Whether it is of a row.
    pub(crate) fn is_of(&self, (front, back): (SocketAddr, SocketAddr)) -> bool {
        let Self(segment) = self;
        [segment.from, segment.to]
            .iter()
            .any(|end| *end == front || *end == back)
    }

    /// Who sent it, if it is a reset.
    fn reset_from(&self, (front, back): (SocketAddr, SocketAddr)) -> Option<End> {
        let Self(segment) = self;
        (segment.flags & flag::RST != 0).then_some(if segment.from == front {
            End::Downstream
        } else if segment.to == front {
            End::Client
        } else if segment.from == back {
            End::Backend
        } else {
            End::Upstream
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(segment) = self;
        let names = [
            (flag::SYN, 'S'),
            (flag::FIN, 'F'),
            (flag::RST, 'R'),
            (flag::PSH, 'P'),
            (flag::ACK, 'A'),
        ];
        let flags: String = names
            .iter()
            .filter(|(bit, _)| segment.flags & bit != 0)
            .map(|(_, name)| name)
            .collect();
        let length = segment.payload.len();
        write!(f, "{} > {} {flags} {length}", segment.from, segment.to)
    }
}

/// Where a row's table is not what the wire shows: then the table is wrong, not resetmon.
pub(crate) fn contradictions(
    expect: &[Expected],
    seen: &[Seen],
    ends: (SocketAddr, SocketAddr),
) -> Vec<String> {
    let on_wire = |end: End| seen.iter().any(|one| one.reset_from(ends) == Some(end));
    let mut wrong = Vec::new();
    for one in expect.iter().filter(|one| !one.optional) {
        let sender = match one.kind {
            Kind::Sent => one.at,
            Kind::Received => one.at.other(),
            Kind::Failed => continue,
        };
        if !on_wire(sender) {
            wrong.push(format!("the table: {sender:?} sent no RST"));
        }
    }
    for sender in [End::Client, End::Downstream, End::Upstream, End::Backend] {
        let due = expect.iter().any(|one| match one.kind {
            Kind::Sent => one.at == sender,
            Kind::Received => one.at.other() == sender,
            Kind::Failed => false,
        });
        if on_wire(sender) && !due {
            wrong.push(format!("the table: {sender:?} sent a RST"));
        }
    }
    wrong
}
