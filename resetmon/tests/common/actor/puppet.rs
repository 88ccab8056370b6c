//! The actor's side: a process that does what it is told, one step after the other.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

use super::command::{Command, Half, Readiness, Reply, Setting};
use super::destroy;
use crate::channel::Channel;

/// How long an actor waits for an event.
const PATIENCE: Duration = Duration::from_secs(50);

/// Serves commands on standard input until the runner is gone.
pub(crate) fn serve() -> Result<()> {
    // SAFETY: the runner made descriptor 0 a socket for this purpose; nothing else uses it.
    let fd = unsafe { OwnedFd::from_raw_fd(0) };
    let mut puppet = Puppet {
        channel: Channel::new(fd),
        sockets: HashMap::new(),
    };
    puppet.serve()
}

struct Puppet {
    channel: Channel,
    sockets: HashMap<String, OwnedFd>,
}

/// A reply, with the descriptor that goes with it.
type Outcome = Result<(Reply, Option<OwnedFd>), Errno>;

impl Puppet {
    fn serve(&mut self) -> Result<()> {
        while let Some((command, fd)) = self.channel.receive()? {
            let (reply, fd) = match self.act(command, fd) {
                Ok(outcome) => outcome,
                Err(errno) => (Reply::Failed(errno.raw_os_error()), None),
            };
            self.channel.send(&reply, fd.as_ref()).context("answer")?;
        }
        // Sockets are left to the kernel, as at any process exit.
        Ok(())
    }

    fn socket(&self, name: &str) -> Result<&OwnedFd, Errno> {
        self.sockets.get(name).ok_or(Errno::BADF)
    }

    fn local(&self, name: &str) -> Outcome {
        let address = net::getsockname(self.socket(name)?)?;
        let address = SocketAddr::try_from(address).map_err(|_| Errno::AFNOSUPPORT)?;
        Ok((Reply::Address(address), None))
    }

    fn act(&mut self, command: Command, fd: Option<OwnedFd>) -> Outcome {
        match command {
            Command::Socket { name, like, mptcp } => {
                self.sockets.insert(name, open(like, mptcp)?);
            }
            Command::Bind { name, to } => {
                sockopt::set_socket_reuseaddr(self.socket(&name)?, true)?;
                net::bind(self.socket(&name)?, &to)?;
                return self.local(&name);
            }
            Command::Local { name } => return self.local(&name),
            Command::Listen { name, backlog } => {
                net::listen(self.socket(&name)?, backlog)?;
                return self.local(&name);
            }
            Command::Connect { name, to } => {
                net::connect(self.socket(&name)?, &to)?;
                return self.local(&name);
            }
            Command::StartConnect { name, to } => {
                let socket = self.socket(&name)?;
                rustix::io::ioctl_fionbio(socket, true)?;
                let started = net::connect(socket, &to);
                rustix::io::ioctl_fionbio(socket, false)?;
                match started {
                    Ok(()) | Err(Errno::INPROGRESS) => return self.local(&name),
                    Err(errno) => return Err(errno),
                }
            }
            Command::Accept { listener, name } => {
                let (socket, peer) =
                    net::acceptfrom_with(self.socket(&listener)?, SocketFlags::CLOEXEC)?;
                self.sockets.insert(name, socket);
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                return Ok((Reply::Address(peer.ok_or(Errno::AFNOSUPPORT)?), None));
            }
            Command::Read { name, length } => {
                let mut bytes = vec![0; length];
                let length = rustix::io::read(self.socket(&name)?, &mut bytes)?;
                bytes.truncate(length);
                return Ok((Reply::Bytes(bytes), None));
            }
            Command::Write { name, bytes } => write_all(self.socket(&name)?, &bytes)?,
            Command::Await { name, what } => wait(self.socket(&name)?, what)?,
            Command::AwaitState { name, state } => reach(self.socket(&name)?, state)?,
            Command::Close { name } => drop(self.sockets.remove(&name).ok_or(Errno::BADF)?),
            Command::Shutdown { name, how } => {
                let how = match how {
                    Half::Write => Shutdown::Write,
                    Half::Both => Shutdown::Both,
                };
                net::shutdown(self.socket(&name)?, how)?;
            }
            Command::Disconnect { name } => net::connect_unspec(self.socket(&name)?)?,
            Command::Set { name, option } => set(self.socket(&name)?, option)?,
            Command::Give { name } => {
                let copy = rustix::io::dup(self.socket(&name)?)?;
                return Ok((Reply::Done, Some(copy)));
            }
            Command::Take { name } => {
                self.sockets.insert(name, fd.ok_or(Errno::BADF)?);
            }
            Command::Fork => return self.fork(),
            Command::Rename { name } => {
                let name = CString::new(name).map_err(|_| Errno::INVAL)?;
                rustix::thread::set_name(&name)?;
            }
            Command::InThread { thread, command } => return self.in_thread(thread, *command),
            Command::Destroy {
                local,
                remote,
                state,
            } => destroy::destroy(local, remote, state)?,
            Command::Sequence(commands) => {
                let mut last = (Reply::Done, None);
                for command in commands {
                    last = self.act(command, None)?;
                }
                return Ok(last);
            }
            Command::Strand { name } => self.strand(&name)?,
            Command::TakeMemory => return take_memory(),
            Command::Raise { signal } => {
                // SAFETY: no memory is involved.
                if unsafe { libc::raise(signal) } != 0 {
                    return Err(Errno::INVAL);
                }
            }
            Command::Exit { status } => std::process::exit(status),
        }
        Ok((Reply::Done, None))
    }

    fn fork(&mut self) -> Outcome {
        let (ours, theirs) = Channel::pair().map_err(|_| Errno::MFILE)?;
        // SAFETY: this process has one thread, so the child may go on as if nothing happened.
        let pid = unsafe { libc::fork() };
        match u32::try_from(pid) {
            Err(_) => Err(Errno::AGAIN),
            Ok(0) => {
                drop(ours);
                self.channel = Channel::new(theirs);
                let served = self.serve();
                std::process::exit(i32::from(served.is_err()));
            }
            Ok(pid) => Ok((Reply::Pid(pid), Some(ours))),
        }
    }

    fn strand(&mut self, name: &str) -> Result<(), Errno> {
        let stranded = self.sockets.remove(name).ok_or(Errno::BADF)?;
        let (near, far) = net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = net::SendAncillaryBuffer::new(&mut space);
        let both = [far.as_fd(), stranded.as_fd()];
        if !control.push(net::SendAncillaryMessage::ScmRights(&both)) {
            return Err(Errno::NOMEM);
        }
        net::sendmsg(
            &near,
            &[IoSlice::new(b"x")],
            &mut control,
            net::SendFlags::empty(),
        )?;
        self.sockets.insert("near".to_owned(), near);
        self.sockets.insert("far".to_owned(), far);
        Ok(())
    }

    fn in_thread(&mut self, thread: String, command: Command) -> Outcome {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name(thread)
                .spawn_scoped(scope, || self.act(command, None))
                .map_err(|_| Errno::AGAIN)?
                .join()
                .map_err(|_| Errno::CANCELED)?
        })
    }
}

/// More than any cgroup of a test allows, so that this does not return there.
fn take_memory() -> Outcome {
    const MIB: usize = 1 << 20;
    let mut taken = Vec::new();
    for _ in 0..512 {
        taken.push(vec![1_u8; MIB]);
    }
    std::hint::black_box(&taken);
    Err(Errno::OVERFLOW)
}

fn open(like: SocketAddr, mptcp: bool) -> Result<OwnedFd, Errno> {
    let family = if like.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let protocol = if mptcp {
        net::ipproto::MPTCP
    } else {
        net::ipproto::TCP
    };
    net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        Some(protocol),
    )
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = net::send(socket, bytes, net::SendFlags::NOSIGNAL)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

fn wait(socket: &OwnedFd, what: Readiness) -> Result<(), Errno> {
    let flags = match what {
        Readiness::Input => PollFlags::IN,
        Readiness::PeerClosed => PollFlags::RDHUP,
        Readiness::Broken => PollFlags::empty(),
        Readiness::Connected => PollFlags::OUT,
    };
    let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), flags)];
    let patience = Timespec::try_from(PATIENCE).map_err(|_| Errno::INVAL)?;
    match poll(&mut polled, Some(&patience))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

/// Waits for a state that the peer brings about, for which there is nothing to poll.
fn reach(socket: &OwnedFd, state: u8) -> Result<(), Errno> {
    let end = Instant::now() + PATIENCE;
    loop {
        // `tcpi_state` is the first byte of TCP_INFO, and the kernel copies as much as is asked.
        let (mut now, mut length) = (0_u8, 1);
        // SAFETY: the buffer is one byte, as the length says; both live until the call returns.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut now).cast(),
                &raw mut length,
            )
        };
        if outcome < 0 {
            return Err(last_error());
        }
        if now == state {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Errno::TIMEDOUT);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn set(socket: &OwnedFd, option: Setting) -> Result<(), Errno> {
    const SECOND: Duration = Duration::from_secs(1);
    match option {
        Setting::Linger(seconds) => {
            sockopt::set_socket_linger(socket, Some(Duration::from_secs(seconds.into())))
        }
        Setting::Linger2(seconds) => {
            // SAFETY: the value is an int of the size given, and lives until the call returns.
            let outcome = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::IPPROTO_TCP,
                    libc::TCP_LINGER2,
                    (&raw const seconds).cast(),
                    size_of_val(&seconds).try_into().map_err(|_| Errno::INVAL)?,
                )
            };
            if outcome == 0 {
                Ok(())
            } else {
                Err(last_error())
            }
        }
        Setting::Keepalive => {
            sockopt::set_tcp_keepidle(socket, SECOND)?;
            sockopt::set_tcp_keepintvl(socket, SECOND)?;
            sockopt::set_tcp_keepcnt(socket, 1)?;
            sockopt::set_socket_keepalive(socket, true)
        }
        Setting::UserTimeout(limit) => sockopt::set_tcp_user_timeout(socket, limit),
    }
}
