//! Whose a connection is, by /proc alone.

use std::collections::HashSet;
use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::netns::Netns;

/// The one of `pids` that holds the IPv4 connection between `local` and `remote` in `namespace`.
pub(crate) fn holder<'a>(
    namespace: &Netns,
    pids: impl IntoIterator<Item = &'a u32>,
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<u32> {
    let table = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let ends = (hex(local), hex(remote));
    let inode = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| {
            let end = |at: usize| fields.get(at).map(|end| (*end).to_owned());
            (end(1), end(2)) == ends
        })
        .and_then(|fields| fields.get(9).map(|inode| format!("socket:[{inode}]")))
        .with_context(|| format!("{local} to {remote} is not in /proc/net/tcp"))?;
    let holds = |pid: &&u32| {
        let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        fds.flatten().any(|fd| {
            std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy() == inode)
        })
    };
    let mut pids = pids.into_iter();
    pids.find(holds)
        .copied()
        .with_context(|| format!("nobody asked about holds {local} to {remote}"))
}

/// The child processes of `pid`'s main thread.
pub(crate) fn children(pid: u32) -> HashSet<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Whether a signal has stopped `pid`.
pub(crate) fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) -> Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.context("process id")?, signal).context("send a signal")
}

/// `0100007F:1F90`, as in /proc/net/tcp.
pub(crate) fn hex(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(v4) => {
            let ip = u32::from_ne_bytes(v4.ip().octets());
            Some(format!("{ip:08X}:{:04X}", v4.port()))
        }
        SocketAddr::V6(_) => None,
    }
}
