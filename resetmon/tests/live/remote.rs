//! A remote host made by hand: whatever the kernel sends to it comes out of a TUN device, and
//! what it says is put in there, so that every segment of a fault is the script's choice.

use std::fs::OpenOptions;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::AddressFamily;

use crate::netns::{self, Netns};
use crate::wire::{Segment, flag};

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
/// How long a script waits for a segment.
const PATIENCE: Duration = Duration::from_secs(60);
/// TTL of what the remote host sends.
const TTL: u8 = 64;
/// Name of the device in its namespace.
const DEVICE: &str = "tun0";

/// `struct in6_ifreq` of `linux/ipv6.h`.
#[repr(C)]
struct In6Ifreq {
    address: libc::in6_addr,
    prefix: u32,
    interface: i32,
}

/// The network on the other side of a TUN device.
#[derive(Debug)]
pub(crate) struct Network {
    device: OwnedFd,
    /// The kernel's address.
    pub(crate) local: IpAddr,
    /// The remote host's address.
    pub(crate) remote: IpAddr,
}

impl Network {
    /// A point-to-point network from `local` to `remote` in `namespace`.
    pub(crate) fn new(namespace: &Netns, local: IpAddr, remote: IpAddr) -> Result<Self> {
        let device = namespace.enter(|| -> Result<OwnedFd> {
            let device: OwnedFd = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")
                .context("/dev/net/tun")?
                .into();
            let mut request = netns::request(DEVICE);
            request.ifr_ifru.ifru_flags =
                i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).context("flags of a TUN device")?;
            netns::ioctl(&device, TUNSETIFF, &mut request).context("make a TUN device")?;
            match local {
                IpAddr::V4(ip) => set_ipv4(ip.octets())?,
                IpAddr::V6(_) => (),
            }
            netns::set_up(DEVICE)?;
            if let IpAddr::V6(ip) = local {
                set_ipv6(ip.octets())?;
                usable((ip, 0).into())?;
            }
            Ok(device)
        })??;
        Ok(Self {
            device,
            local,
            remote,
        })
    }

    /// A third host of the network, which does not exist.
    pub(crate) fn neighbour(&self) -> IpAddr {
        const HOST: u8 = 99;
        match self.remote {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                [a, b, c, HOST].into()
            }
            IpAddr::V6(ip) => {
                let mut octets = ip.octets();
                octets[15] = HOST;
                octets.into()
            }
        }
    }

    /// Puts a segment on the wire towards the kernel.
    pub(crate) fn put(&self, segment: &Segment) -> Result<()> {
        rustix::io::write(&self.device, &segment.packet()).context("write to the TUN device")?;
        Ok(())
    }

    /// The next TCP segment that the kernel sends.
    pub(crate) fn take(&self) -> Result<Segment> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut packet = [0; 2048];
            match rustix::io::read(&self.device, &mut packet) {
                Ok(length) => {
                    if let Some(segment) = Segment::parse(&packet[..length]) {
                        return Ok(segment);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        bail!("the kernel sent no segment within {PATIENCE:?}");
                    }
                    let left = Timespec::try_from(left)?;
                    poll(
                        &mut [PollFd::from_borrowed_fd(self.device.as_fd(), PollFlags::IN)],
                        Some(&left),
                    )?;
                }
                Err(error) => return Err(error).context("read from the TUN device"),
            }
        }
    }

    /// A remote endpoint that opens a connection to `to` as far as the SYN-ACK: half-open.
    pub(crate) fn begin(&self, port: u16, to: SocketAddr) -> Result<Remote<'_>> {
        let mut remote = self.endpoint(port, to);
        remote.send(flag::SYN, b"")?;
        let answer = remote.expect(flag::SYN | flag::ACK)?;
        remote.heard = answer.seq.wrapping_add(1);
        Ok(remote)
    }

    /// A remote endpoint with an open connection to `to`.
    pub(crate) fn connect(&self, port: u16, to: SocketAddr) -> Result<Remote<'_>> {
        let mut remote = self.begin(port, to)?;
        remote.send(flag::ACK, b"")?;
        Ok(remote)
    }

    /// The remote endpoint to which the kernel sends a SYN now; not yet answered.
    pub(crate) fn called(&self) -> Result<Remote<'_>> {
        let syn = self.take()?;
        if syn.flags != flag::SYN {
            bail!("waited for a SYN, saw {syn:?}");
        }
        let mut remote = self.endpoint(syn.to.port(), syn.from);
        remote.heard = syn.seq.wrapping_add(1);
        Ok(remote)
    }

    /// The remote endpoint to which the kernel connects now, with the connection open.
    pub(crate) fn answer(&self) -> Result<Remote<'_>> {
        let mut remote = self.called()?;
        remote.send(flag::SYN | flag::ACK, b"")?;
        remote.expect(flag::ACK)?;
        Ok(remote)
    }

    /// A remote endpoint that has said nothing yet.
    pub(crate) fn endpoint(&self, port: u16, to: SocketAddr) -> Remote<'_> {
        Remote {
            network: self,
            at: (self.remote, port).into(),
            peer: to,
            said: 1_000_000,
            heard: 0,
            window: 65_000,
        }
    }
}

/// One end of a TCP connection on the remote host.
#[derive(Debug)]
pub(crate) struct Remote<'network> {
    network: &'network Network,
    /// Its address.
    pub(crate) at: SocketAddr,
    /// The kernel's end.
    pub(crate) peer: SocketAddr,
    /// Next sequence number to send.
    pub(crate) said: u32,
    /// Next sequence number expected from the kernel.
    pub(crate) heard: u32,
    /// Receive window to announce.
    pub(crate) window: u16,
}

impl Remote<'_> {
    /// A segment at this point of the connection, to change and [`Remote::put`].
    pub(crate) fn segment(&self, flags: u8, payload: &[u8]) -> Segment {
        Segment {
            from: self.at,
            to: self.peer,
            flags,
            seq: self.said,
            ack: if flags & flag::ACK == 0 {
                0
            } else {
                self.heard
            },
            window: self.window,
            ttl: TTL,
            options: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    /// Sends the next segment of the connection.
    pub(crate) fn send(&mut self, flags: u8, payload: &[u8]) -> Result<()> {
        let segment = self.segment(flags, payload);
        self.said = self.said.wrapping_add(segment.length());
        self.put(&segment)
    }

    /// Sends a segment that the connection does not count.
    pub(crate) fn put(&self, segment: &Segment) -> Result<()> {
        self.network.put(segment)
    }

    /// The kernel's next segment with exactly these flags (PSH aside), for this endpoint.
    pub(crate) fn expect(&mut self, flags: u8) -> Result<Segment> {
        loop {
            let segment = self.network.take()?;
            if segment.from == self.peer
                && segment.to == self.at
                && segment.flags & !flag::PSH == flags
            {
                let end = segment.seq.wrapping_add(segment.length());
                if flags & flag::RST == 0 {
                    self.heard = end;
                }
                return Ok(segment);
            }
        }
    }

    /// The kernel's next segment with payload or FIN, acknowledged if `acknowledge`.
    pub(crate) fn hear(&mut self, flags: u8, acknowledge: bool) -> Result<Segment> {
        let segment = self.expect(flags)?;
        if acknowledge {
            self.send(flag::ACK, b"")?;
        }
        Ok(segment)
    }
}

fn set_ipv4(local: [u8; 4]) -> Result<()> {
    let socket = netns::control(AddressFamily::INET)?;
    for (number, octets) in [
        (libc::SIOCSIFADDR, local),
        (libc::SIOCSIFNETMASK, [255, 255, 255, 0]),
    ] {
        let mut request = netns::request(DEVICE);
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET.try_into()?,
            sin_port: 0,
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes(octets),
            },
            sin_zero: [0; 8],
        };
        // SAFETY: sockaddr_in and sockaddr have the same size and only integers.
        request.ifr_ifru.ifru_addr =
            unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address) };
        netns::ioctl(&socket, number, &mut request).context("set an IPv4 address")?;
    }
    Ok(())
}

/// Waits until sockets can be bound to an address: IPv6 addresses are tentative at first, and a
/// worker of the kernel ends that even where no neighbour could object.
fn usable(address: SocketAddr) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match std::net::UdpSocket::bind(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error).context("use an address"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn set_ipv6(local: [u8; 16]) -> Result<()> {
    let socket = netns::control(AddressFamily::INET6)?;
    let mut index = netns::request(DEVICE);
    netns::ioctl(&socket, libc::SIOCGIFINDEX, &mut index).context("index of the TUN device")?;
    let mut request = In6Ifreq {
        address: libc::in6_addr { s6_addr: local },
        prefix: 64,
        // SAFETY: SIOCGIFINDEX has filled this member.
        interface: unsafe { index.ifr_ifru.ifru_ifindex },
    };
    netns::ioctl(&socket, libc::SIOCSIFADDR, &mut request).context("set an IPv6 address")
}
