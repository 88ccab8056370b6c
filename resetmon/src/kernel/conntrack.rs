//! Connection tracking of the kernel (netfilter conntrack): what a connection's addresses were
//! translated to on its way.
//!
//! One entry is asked for by the addresses of its first packet, by ctnetlink
//! (`IPCTNL_MSG_CT_GET`). The kernel answers within the call that asks, from its hash table and
//! without a lock that others hold for long; nothing is ever dumped.
//!
//! An entry outlives a reset by `net.netfilter.nf_conntrack_tcp_timeout_close`, 10 s. But a
//! connection whose first answer was the reset (`refused`) has its entry removed before the reset
//! is delivered.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

pub mod message;

use message::Answer;

/// There once the kernel tracks connections, in the namespace of whoever looks.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// Much more than an entry takes.
const MAX_ANSWER: usize = 8192;
/// Answers to earlier questions that are passed over.
const MAX_STALE: usize = 16;

/// The addresses of packets of one direction, without IPv4 mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Where they come from.
    pub source: SocketAddr,
    /// Where they go.
    pub destination: SocketAddr,
}

impl Tuple {
    /// From `source` to `destination`, as packets have them.
    #[must_use]
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source: canonical(source),
            destination: canonical(destination),
        }
    }
}

/// `address` as packets have it: no IPv4 mapped into IPv6, no flow and no scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Why conntrack cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConntrackError {
    /// This kernel tracks no connections, so that it translates none either.
    #[error("this kernel tracks no connections (conntrack), so that none is translated")]
    Absent,
    /// The privilege is missing, there or here.
    #[error("conntrack entries are shown with CAP_NET_ADMIN only")]
    Denied,
    /// Anything else.
    #[error("conntrack cannot be asked: {0}")]
    Failed(String),
}

impl ConntrackError {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::Denied,
            // No netlink family, and no conntrack behind it.
            Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL => {
                Self::Absent
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The connections that one network namespace tracks.
///
/// It holds the namespace, as each socket does.
#[derive(Debug)]
pub struct Conntrack {
    socket: OwnedFd,
    sequence: u32,
}

impl Conntrack {
    /// Those of the calling thread's network namespace.
    ///
    /// Errors: the kernel has no conntrack, whose modules asking would load.
    pub fn open() -> Result<Self, ConntrackError> {
        if !Path::new(COUNT).exists() {
            return Err(ConntrackError::Absent);
        }
        let failed = ConntrackError::of;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(NETFILTER),
        )
        .map_err(failed)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0)).map_err(failed)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The addresses by which packets leave that come as `tuple`; the same if none is translated,
    /// `None` if no such connection is tracked.
    ///
    /// Errors: the kernel does not answer, or not the calling thread (`CAP_NET_ADMIN`).
    pub fn leaving(&mut self, tuple: Tuple) -> Result<Option<Tuple>, ConntrackError> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = message::request(tuple, self.sequence);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, &request, SendFlags::empty(), &kernel).map_err(ConntrackError::of)?;
        let mut buffer = [0; MAX_ANSWER];
        for _ in 0..MAX_STALE {
            // The answer is there already: it was made within the call above.
            let (length, _) =
                recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT).map_err(ConntrackError::of)?;
            match message::answer(&buffer[..length], tuple, self.sequence) {
                Ok(Answer::Leaving(leaving)) => return Ok(Some(leaving)),
                Ok(Answer::Unknown) => return Ok(None),
                Ok(Answer::Refused(errno)) => return Err(ConntrackError::of(errno)),
                Ok(Answer::Other) => {}
                Err(reason) => return Err(ConntrackError::Failed(reason)),
            }
        }
        Err(ConntrackError::Failed(
            "no answer among many others".to_owned(),
        ))
    }
}

/// Whether the calling thread's network namespace can be asked.
///
/// Errors: why not.
pub fn check() -> Result<(), ConntrackError> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let tuple = Tuple::new(nowhere, nowhere);
    Conntrack::open()?.leaving(tuple).map(|_| ())
}

#[cfg(test)]
mod tests;
