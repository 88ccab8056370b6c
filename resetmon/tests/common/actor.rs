//! A process that takes part in a scenario, seen from the script.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::channel::Channel;
use crate::netns::Netns;
use command::{Command, DestroyState, Half, Readiness, Reply, Setting};

pub(crate) mod command;
mod destroy;
pub(crate) mod puppet;

/// Longest time for one step: more than an actor itself waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the scenario. Clones name the same process; it is killed with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Actor(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    pid: u32,
    handle: OwnedFd,
    channel: Channel,
    child: RefCell<Option<Child>>,
    sockets: Cell<u32>,
}

/// One socket of an actor.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    actor: Actor,
    name: String,
}

impl Actor {
    /// Starts `program` (this test itself, maybe by another name) in `namespace`.
    pub(crate) fn start(name: &'static str, program: &Path, namespace: &Netns) -> Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let mut command = std::process::Command::new(program);
        command
            .args(["actor", name])
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        let child = namespace
            .run_in(&mut command)
            .spawn()
            .context("start an actor")?;
        let pid = child.id();
        Self::new(name, pid, ours, Some(child))
    }

    fn new(name: &'static str, pid: u32, fd: OwnedFd, child: Option<Child>) -> Result<Self> {
        let channel = Channel::new(fd);
        channel.limit(PATIENCE)?;
        let raw = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("process id")?;
        let handle = pidfd_open(raw, PidfdFlags::empty()).context("pidfd_open of an actor")?;
        let (child, sockets) = (RefCell::new(child), Cell::new(0));
        Ok(Self(Rc::new(Inner {
            name,
            pid,
            handle,
            channel,
            child,
            sockets,
        })))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Starts a step that may block.
    pub(crate) fn start_step(&self, command: &Command) -> Result<()> {
        self.0.channel.send(command, None)
    }

    /// Waits for the step started, and answers even if it failed.
    pub(crate) fn outcome(&self) -> Result<(Reply, Option<OwnedFd>)> {
        let answer = self
            .0
            .channel
            .receive()
            .with_context(|| format!("{} answers", self.0.name))?;
        answer.with_context(|| format!("{} has ended", self.0.name))
    }

    /// Does one step, which must succeed.
    pub(crate) fn act(&self, command: &Command) -> Result<Reply> {
        self.act_with(command, None).map(|(reply, _)| reply)
    }

    fn act_with(
        &self,
        command: &Command,
        fd: Option<&OwnedFd>,
    ) -> Result<(Reply, Option<OwnedFd>)> {
        self.0.channel.send(command, fd)?;
        match self.outcome()? {
            (Reply::Failed(errno), _) => {
                let error = std::io::Error::from_raw_os_error(errno);
                bail!("{}: {command:?}: {error}", self.0.name)
            }
            outcome => Ok(outcome),
        }
    }

    /// Does one step, which must fail with `errno`.
    pub(crate) fn fails(&self, command: &Command, errno: Errno) -> Result<()> {
        self.start_step(command)?;
        self.failed(errno).with_context(|| format!("{command:?}"))
    }

    /// Waits for the step started, which must fail with `errno`.
    pub(crate) fn failed(&self, errno: Errno) -> Result<()> {
        match self.outcome()?.0 {
            Reply::Failed(seen) if seen == errno.raw_os_error() => Ok(()),
            other => bail!("{}: {other:?} where {errno} was due", self.0.name),
        }
    }

    /// A socket for addresses like `like`.
    pub(crate) fn socket(&self, like: SocketAddr) -> Result<Socket> {
        self.open(like, false)
    }

    /// A socket, of Multipath TCP if `mptcp`.
    pub(crate) fn open(&self, like: SocketAddr, mptcp: bool) -> Result<Socket> {
        let socket = self.fresh();
        self.act(&Command::Socket {
            name: socket.name.clone(),
            like,
            mptcp,
        })?;
        Ok(socket)
    }

    fn fresh(&self) -> Socket {
        let number = self.0.sockets.replace(self.0.sockets.get() + 1);
        // The process id keeps a forked child's sockets apart from the inherited ones.
        Socket {
            actor: self.clone(),
            name: format!("{}-{number}", self.0.pid),
        }
    }

    /// `fork()`: the child has copies of all sockets.
    pub(crate) fn fork(&self, name: &'static str) -> Result<Self> {
        match self.act_with(&Command::Fork, None)? {
            (Reply::Pid(pid), Some(channel)) => Self::new(name, pid, channel, None),
            other => bail!("fork answered {other:?}"),
        }
    }

    /// The same socket as inherited by this forked child.
    pub(crate) fn inherited(&self, socket: &Socket) -> Socket {
        Socket {
            actor: self.clone(),
            name: socket.name.clone(),
        }
    }

    /// Takes a socket over from another process (`SCM_RIGHTS`); both have it then.
    pub(crate) fn take(&self, socket: &Socket) -> Result<Socket> {
        let (_, fd) = socket.actor.act_with(
            &Command::Give {
                name: socket.name.clone(),
            },
            None,
        )?;
        let taken = self.fresh();
        self.act_with(
            &Command::Take {
                name: taken.name.clone(),
            },
            fd.as_ref(),
        )?;
        Ok(taken)
    }

    /// Destroys the socket with these endpoints, as an administrator does.
    pub(crate) fn destroy(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        state: DestroyState,
    ) -> Result<()> {
        self.act(&Command::Destroy {
            local,
            remote,
            state,
        })
        .map(drop)
    }

    /// kill -9, and waits until the process has closed everything.
    pub(crate) fn kill(&self) -> Result<()> {
        pidfd_send_signal(&self.0.handle, Signal::KILL).context("kill an actor")?;
        self.ended()
    }

    /// Calls `exit()` there, and waits until the process has closed everything.
    pub(crate) fn exit(&self, status: i32) -> Result<()> {
        self.start_step(&Command::Exit { status })?;
        self.ended()
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(&self) -> Result<()> {
        let mut polled = [PollFd::new(&self.0.handle, PollFlags::IN)];
        if poll(&mut polled, Some(&Timespec::try_from(PATIENCE)?))? == 0 {
            bail!("{} does not end", self.0.name);
        }
        if let Some(mut child) = self.0.child.borrow_mut().take() {
            child.wait().context("reap an actor")?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // ESRCH: it has ended already.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        let mut polled = [PollFd::new(&self.handle, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).ok();
        let _ = poll(&mut polled, patience.as_ref());
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

impl Socket {
    fn step(&self, command: &Command) -> Result<Reply> {
        self.actor.act(command)
    }

    fn address(&self, command: &Command) -> Result<SocketAddr> {
        match self.step(command)? {
            Reply::Address(address) => Ok(plain(address)),
            other => bail!("{command:?} answered {other:?}"),
        }
    }

    /// Several steps of its process without waiting in between.
    pub(crate) fn steps(&self, commands: Vec<Command>) -> Result<()> {
        self.step(&Command::Sequence(commands)).map(drop)
    }

    /// Its name in the actor, for commands built by hand.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Local address, never v4-mapped.
    pub(crate) fn local(&self) -> Result<SocketAddr> {
        self.address(&Command::Local { name: self.name() })
    }

    /// `bind()` and `listen()`. Answers the address, never v4-mapped.
    pub(crate) fn listen(&self, at: SocketAddr, backlog: i32) -> Result<SocketAddr> {
        self.bind(at)?;
        self.address(&Command::Listen {
            name: self.name(),
            backlog,
        })
    }

    /// `bind()`. Answers the address, never v4-mapped.
    pub(crate) fn bind(&self, at: SocketAddr) -> Result<SocketAddr> {
        self.address(&Command::Bind {
            name: self.name(),
            to: at,
        })
    }

    /// `connect()`. Answers the local address, never v4-mapped.
    pub(crate) fn connect(&self, to: SocketAddr) -> Result<SocketAddr> {
        self.address(&Command::Connect {
            name: self.name(),
            to,
        })
    }

    /// Sends the SYN. Answers the local address, never v4-mapped.
    pub(crate) fn start_connect(&self, to: SocketAddr) -> Result<SocketAddr> {
        self.address(&Command::StartConnect {
            name: self.name(),
            to,
        })
    }

    /// `accept()`, by `actor` (which has the listener too). Answers the connection and its peer.
    pub(crate) fn accept(&self) -> Result<(Self, SocketAddr)> {
        let connection = self.actor.fresh();
        let command = Command::Accept {
            listener: self.name(),
            name: connection.name(),
        };
        let peer = self.address(&command)?;
        Ok((connection, peer))
    }

    /// Waits for input, then reads at most `length` bytes.
    pub(crate) fn read(&self, length: usize) -> Result<Vec<u8>> {
        self.wait(Readiness::Input)?;
        match self.step(&Command::Read {
            name: self.name(),
            length,
        })? {
            Reply::Bytes(bytes) => Ok(bytes),
            other => bail!("read answered {other:?}"),
        }
    }

    /// Reads, which must fail with `errno`.
    pub(crate) fn read_fails(&self, errno: Errno) -> Result<()> {
        self.actor.fails(
            &Command::Read {
                name: self.name(),
                length: 1,
            },
            errno,
        )
    }

    /// Writes all of it.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.step(&Command::Write {
            name: self.name(),
            bytes: bytes.to_vec(),
        })
        .map(drop)
    }

    /// Waits for an event.
    pub(crate) fn wait(&self, what: Readiness) -> Result<()> {
        self.step(&Command::Await {
            name: self.name(),
            what,
        })
        .map(drop)
    }

    /// Waits until the peer has acknowledged our FIN: `FIN_WAIT2`.
    pub(crate) fn wait_for_fin_wait2(&self) -> Result<()> {
        const FIN_WAIT2: u8 = 5;
        self.step(&Command::AwaitState {
            name: self.name(),
            state: FIN_WAIT2,
        })
        .map(drop)
    }

    /// `close()`.
    pub(crate) fn close(&self) -> Result<()> {
        self.step(&Command::Close { name: self.name() }).map(drop)
    }

    /// `shutdown(SHUT_WR)`.
    pub(crate) fn finish(&self) -> Result<()> {
        self.step(&Command::Shutdown {
            name: self.name(),
            how: Half::Write,
        })
        .map(drop)
    }

    /// `shutdown(SHUT_RDWR)`.
    pub(crate) fn shut(&self) -> Result<()> {
        self.step(&Command::Shutdown {
            name: self.name(),
            how: Half::Both,
        })
        .map(drop)
    }

    /// `connect(AF_UNSPEC)`.
    pub(crate) fn disconnect(&self) -> Result<()> {
        self.step(&Command::Disconnect { name: self.name() })
            .map(drop)
    }

    /// Sets an option.
    pub(crate) fn set(&self, option: Setting) -> Result<()> {
        self.step(&Command::Set {
            name: self.name(),
            option,
        })
        .map(drop)
    }
}

/// The address without the v4-mapped form.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
