//! Messages between the runner and an actor: JSON over a SEQPACKET socket, each with at most one
//! file descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message, bytes.
const MESSAGE_MAX: usize = 64 * 1024;

/// One end of the connection between runner and actor.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends; both are closed at exec.
    pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .context("socketpair")
    }

    /// One end of [`Channel::pair`].
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Makes [`Channel::receive`] fail after `limit` without a message.
    pub(crate) fn limit(&self, limit: Duration) -> Result<()> {
        sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Recv, Some(limit))
            .context("set the time limit of a channel")
    }

    /// Sends `message`, with a copy of `fd`.
    pub(crate) fn send(&self, message: &impl Serialize, fd: Option<&OwnedFd>) -> Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd.as_fd()]);
        if let Some(fds) = &fds {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        sendmsg(
            &self.0,
            &[IoSlice::new(&text)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
        .context("send to the other end of a channel")?;
        Ok(())
    }

    /// The next message; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Option<OwnedFd>)>> {
        let mut text = vec![0; MESSAGE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            &self.0,
            &mut [IoSliceMut::new(&mut text)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let length = match message {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => bail!("no message within the time limit: {error}"),
        };
        if length == 0 {
            return Ok(None);
        }
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let value = serde_json::from_slice(&text[..length]).context("message of a channel")?;
        Ok(Some((value, fd)))
    }
}
