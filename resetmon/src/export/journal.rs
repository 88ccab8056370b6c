//! Events to systemd-journald, in its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): each key of the JSON line is a field.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send as send_datagram, sendmsg, sockopt,
};

use super::background::{Store, Taken};
use crate::event::Event;

mod entry;
#[cfg(test)]
mod tests;

pub use entry::{FAILURE_MESSAGE_ID, RESET_MESSAGE_ID, entry};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// What journald gets to take one entry: while it restarts, or its disk is slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes on their way to journald, as its own library asks for; the kernel may allow fewer.
const SEND_BUFFER: usize = 8 << 20;

/// A connection to journald, made again when journald was.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Journal {
    /// Connects to the journal that listens at `path`, as at [`SOCKET`].
    ///
    /// Errors: nobody listens there, or this process may not write to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            socket: connect(path)?,
        })
    }

    /// Sends one entry; connects again where journald is another one than before.
    fn send(&mut self, entry: &[u8]) -> io::Result<()> {
        match transmit(&self.socket, entry) {
            Ok(()) => Ok(()),
            // It is alive and too slow.
            Err(Errno::AGAIN) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "journald does not take what is sent",
            )),
            Err(_) => {
                self.socket = connect(&self.path)?;
                Ok(transmit(&self.socket, entry)?)
            }
        }
    }
}

impl Store for Journal {
    type Item = Arc<Event>;

    fn take(&mut self, events: &mut dyn Iterator<Item = Self::Item>) -> Taken {
        let mut taken = Taken::default();
        for event in events {
            taken.count(self.send(&entry(&event)));
        }
        taken
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // Less only means that large entries go by a file earlier.
    let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
    Ok(socket)
}

/// Sends an entry, in a sealed file of memory where it is too large for a datagram.
fn transmit(socket: &UnixDatagram, entry: &[u8]) -> Result<(), Errno> {
    match retry(|| send_datagram(socket, entry, SendFlags::NOSIGNAL)) {
        Err(Errno::MSGSIZE | Errno::NOBUFS) => {}
        outcome => return outcome.map(drop),
    }
    let file = sealed(entry)?;
    let files = [file.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Errno::NOBUFS);
    }
    // All of the datagram is the file's descriptor.
    let nothing: [IoSlice<'_>; 0] = [];
    retry(|| sendmsg(socket, &nothing, &mut ancillary, SendFlags::NOSIGNAL)).map(drop)
}

/// A file in memory that nobody can change any more, which journald insists on.
fn sealed(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("resetmon-event", flags)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = retry(|| rustix::io::write(&file, rest))?;
        rest = rest.get(written..).unwrap_or_default();
    }
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}
