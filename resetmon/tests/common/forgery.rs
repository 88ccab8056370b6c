//! RSTs in the name of an end of a connection that knows nothing of them; IPv4 only.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, sendto,
    socket_with,
};

use crate::netns::Netns;
use crate::service::PATIENCE;
use crate::wire::{Segment, flag};

/// Longest packet that is read whole.
const LONGEST: usize = 1 << 16;

/// Hears what comes to a namespace.
#[derive(Debug)]
pub(crate) struct Ears(OwnedFd);

impl Ears {
    /// From now on.
    pub(crate) fn new(namespace: &Netns) -> Result<Self> {
        raw(namespace, ipproto::TCP).map(Self)
    }

    /// Waits for the next segment with payload that `is` meant.
    pub(crate) fn hear(&self, is: impl Fn(&Segment) -> bool) -> Result<Segment> {
        let end = Instant::now() + PATIENCE;
        let mut packet = vec![0; LONGEST];
        while Instant::now() < end {
            match recv(&self.0, &mut packet[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let segment = Segment::parse(&packet[..length]);
                    let meant =
                        segment.filter(|segment| !segment.payload.is_empty() && is(segment));
                    if let Some(segment) = meant {
                        return Ok(segment);
                    }
                }
                Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error).context("read a raw socket"),
            }
        }
        bail!("the segment was not seen")
    }
}

/// Resets the connection of the sender of `heard`, as the one to whom it was sent would, from a
/// host at the distance that `ttl` tells.
pub(crate) fn reset(namespace: &Netns, heard: &Segment, ttl: u8) -> Result<()> {
    let rst = Segment {
        from: heard.to,
        to: heard.from,
        flags: flag::RST,
        seq: heard.ack,
        ack: 0,
        window: 0,
        ttl,
        options: Vec::new(),
        payload: Vec::new(),
    };
    let SocketAddr::V4(to) = rst.to else {
        bail!("{} is not IPv4", rst.to);
    };
    // The protocol of packets that have their IP header.
    let sender = raw(namespace, ipproto::RAW)?;
    let to = SocketAddrV4::new(*to.ip(), 0);
    sendto(&sender, &rst.packet(), SendFlags::empty(), &to).context("send a RST")?;
    Ok(())
}

fn raw(namespace: &Netns, protocol: Protocol) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open = || socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(protocol));
    namespace.enter(open)?.context("raw socket")
}
