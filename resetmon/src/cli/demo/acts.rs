//! What the demonstration does to its own connections.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::kernel::observation::Direction;
use crate::reset::Cause;

/// Longest time for what takes microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n";
/// Promises more than it holds.
const HALF_AN_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One kind of reset.
pub(super) struct Act {
    /// What was done, in a sentence.
    pub(super) did: &'static str,
    /// What resetmon has to say of it, on every kernel that it supports. Where the kernel tells of
    /// more, more is shown.
    pub(super) expected: &'static [(Direction, Cause)],
    /// Does it.
    pub(super) play: fn() -> io::Result<Ends>,
}

/// The ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Where it leads.
    pub(super) server: SocketAddr,
    /// Where it comes from.
    pub(super) client: SocketAddr,
}

/// All of them, in order.
pub(super) const ACTS: &[Act] = &[
    Act {
        did: "A client connected to a port where nobody listens.",
        expected: &[(Direction::Received, Cause::Refused)],
        play: refused,
    },
    Act {
        did: "A server closed a connection without having read the request.",
        expected: &[
            (Direction::Sent, Cause::ClosedWithUnreadData),
            (Direction::Received, Cause::AbortedBeforeResponse),
        ],
        play: unread,
    },
    Act {
        did: "A server aborted a connection (SO_LINGER of 0) in the middle of its answer.",
        expected: &[
            (Direction::Sent, Cause::LingerAbort),
            (Direction::Received, Cause::AbortedMidResponse),
        ],
        play: aborted,
    },
    Act {
        did: "A server answered and closed the connection; the client then sent another request \
              on it.",
        expected: &[
            (Direction::Sent, Cause::DataAfterClose),
            (Direction::Received, Cause::KeepaliveRace),
        ],
        play: closed,
    },
];

/// A socket with a port of its own on the loopback, neither connected nor listening.
fn bound() -> io::Result<TcpStream> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let socket = TcpStream::from(socket);
    // It limits connect(), too, which without an answer takes minutes.
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Connects within [`PATIENCE`].
fn connect(socket: &TcpStream, to: SocketAddr) -> Result<(), Errno> {
    rustix::net::connect(socket, &to).map_err(|error| match error {
        // As a time-out of SO_SNDTIMEO is told.
        Errno::INPROGRESS => Errno::TIMEDOUT,
        other => other,
    })
}

/// A connection on the loopback.
struct Pair {
    server: TcpStream,
    client: TcpStream,
    ends: Ends,
}

impl Pair {
    fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = bound()?;
        let ends = Ends {
            server: listener.local_addr()?,
            client: client.local_addr()?,
        };
        connect(&client, ends.server)?;
        // Somebody else may have found the port: whoever is not our client is let go.
        let server = loop {
            let (server, from) = listener.accept()?;
            if from == ends.client {
                break server;
            }
        };
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        Ok(Self {
            server,
            client,
            ends,
        })
    }

    /// The client asks, and the server reads it.
    fn ask(&mut self) -> io::Result<()> {
        self.client.write_all(REQUEST)?;
        self.server.read_exact(&mut [0; REQUEST.len()])
    }
}

fn refused() -> io::Result<Ends> {
    let (nobody, client) = (bound()?, bound()?);
    let ends = Ends {
        server: nobody.local_addr()?,
        client: client.local_addr()?,
    };
    match connect(&client, ends.server) {
        Err(Errno::CONNREFUSED) => Ok(ends),
        Err(error) => Err(error.into()),
        Ok(()) => Err(io::Error::other(
            "the connection was accepted, though nobody listens",
        )),
    }
}

fn unread() -> io::Result<Ends> {
    let mut pair = Pair::new()?;
    pair.client.write_all(REQUEST)?;
    // It has come, and stays where it is.
    pair.server.peek(&mut [0])?;
    drop(pair.server);
    broken(&pair.client)?;
    Ok(pair.ends)
}

fn aborted() -> io::Result<Ends> {
    let mut pair = Pair::new()?;
    pair.ask()?;
    pair.server.write_all(HALF_AN_ANSWER)?;
    pair.client.read_exact(&mut [0; HALF_AN_ANSWER.len()])?;
    sockopt::set_socket_linger(&pair.server, Some(Duration::ZERO))?;
    drop(pair.server);
    broken(&pair.client)?;
    Ok(pair.ends)
}

fn closed() -> io::Result<Ends> {
    let mut pair = Pair::new()?;
    pair.ask()?;
    pair.server.write_all(ANSWER)?;
    drop(pair.server);
    pair.client.read_to_end(&mut Vec::new())?;
    pair.client.write_all(REQUEST)?;
    broken(&pair.client)?;
    Ok(pair.ends)
}

/// Waits for the reset to arrive.
fn broken(socket: &TcpStream) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if socket.take_error()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        "the reset did not arrive",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_ends_in_a_reset_on_the_loopback() {
        for act in ACTS {
            let ends = (act.play)().unwrap_or_else(|error| panic!("{}: {error}", act.did));
            assert!(ends.server.ip().is_loopback() && ends.client.ip().is_loopback());
            assert_ne!(ends.server, ends.client, "{}", act.did);
        }
    }
}
