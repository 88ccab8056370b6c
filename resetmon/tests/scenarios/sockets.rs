//! The TCP sockets of a namespace, by /proc alone.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};

use crate::netns::Netns;

/// States by the numbers of `include/net/tcp_states.h`.
pub(crate) mod state {
    /// `ESTABLISHED`.
    pub(crate) const ESTABLISHED: u8 = 1;
    /// `CLOSE_WAIT`.
    pub(crate) const CLOSE_WAIT: u8 = 8;
    /// `LISTEN`.
    pub(crate) const LISTEN: u8 = 10;
}

/// One IPv4 socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpSocket {
    /// Its end.
    pub(crate) local: SocketAddr,
    /// The other end.
    pub(crate) remote: SocketAddr,
    /// One of [`state`].
    pub(crate) state: u8,
    /// Bytes that its process has not read yet.
    pub(crate) unread: u32,
}

/// Those of `namespace`.
pub(crate) fn all(namespace: &Netns) -> Result<Vec<TcpSocket>> {
    let table = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let rows = table.lines().skip(1);
    rows.map(|row| parse(row).with_context(|| format!("a row of /proc/net/tcp: {row}")))
        .collect()
}

/// Whether somebody listens at `at`.
pub(crate) fn listens(namespace: &Netns, at: SocketAddr) -> Result<bool> {
    let sockets = all(namespace)?;
    Ok(sockets
        .iter()
        .any(|socket| socket.state == state::LISTEN && socket.local == at))
}

/// Whether an open connection that `is` meant has something to read.
pub(crate) fn has_unread(namespace: &Netns, is: impl Fn(&TcpSocket) -> bool) -> Result<bool> {
    let sockets = all(namespace)?;
    let open = |socket: &&TcpSocket| matches!(socket.state, state::ESTABLISHED | state::CLOSE_WAIT);
    Ok(sockets
        .iter()
        .filter(open)
        .any(|socket| socket.unread > 0 && is(socket)))
}

/// `sl local_address rem_address st tx_queue:rx_queue …`
fn parse(row: &str) -> Option<TcpSocket> {
    let mut fields = row.split_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let unread = u32::from_str_radix(fields.next()?.split_once(':')?.1, 16).ok()?;
    Some(TcpSocket {
        local,
        remote,
        state,
        unread,
    })
}

/// `0100007F:1F90`, the address as the processor has it.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((Ipv4Addr::from(ip), port).into())
}
