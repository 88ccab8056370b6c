//! What a scenario's script works with: a namespace, actors, a remote host, and names for them.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::actor::{Actor, Socket, plain};
use crate::agent::Agent;
use crate::compare::Names;
use crate::events::Events;
use crate::judge::REPORTED;
use crate::netns::Netns;
use crate::remote::{Network, Remote};

/// Which addresses, and sockets of which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// IPv4 by IPv6 sockets.
    Mapped,
}

impl Family {
    /// The word in the runner's lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::Mapped => "mapped",
        }
    }

    /// One of two addresses.
    fn choose(self, v4: Ipv4Addr, v6: Ipv6Addr) -> IpAddr {
        match self {
            Self::V4 | Self::Mapped => v4.into(),
            Self::V6 => v6.into(),
        }
    }

    /// An address as the family's sockets want it.
    pub(crate) fn form(self, address: SocketAddr) -> SocketAddr {
        match (self, address.ip()) {
            (Self::Mapped, IpAddr::V4(ip)) => (ip.to_ipv6_mapped(), address.port()).into(),
            _ => address,
        }
    }
}

/// A scenario under way.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Its network namespace.
    pub(crate) netns: Netns,
    /// Its addresses.
    pub(crate) family: Family,
    events: Events,
    /// A folder that lives as long as the scenario.
    pub(crate) folder: TempDir,
    names: RefCell<Names>,
    late: RefCell<Option<Agent>>,
}

/// A connection on the loopback between two processes.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Process `server`.
    pub(crate) server: Actor,
    /// The server's end.
    pub(crate) accepted: Socket,
    /// The client's end.
    pub(crate) connected: Socket,
}

/// A connection between a process and the remote host.
#[derive(Debug)]
pub(crate) struct Call<'network> {
    /// Process `client` or `server`.
    pub(crate) actor: Actor,
    /// Its socket.
    pub(crate) socket: Socket,
    /// The other end.
    pub(crate) remote: Remote<'network>,
}

impl Scene {
    /// A fresh one, of which `events` will be reported.
    pub(crate) fn new(family: Family, events: &Events) -> Result<Self> {
        let (names, late) = (RefCell::default(), RefCell::default());
        Ok(Self {
            netns: Netns::new()?,
            family,
            events: events.clone(),
            folder: TempDir::new().context("temporary folder")?,
            names,
            late,
        })
    }

    /// The names given so far, the agent that the script started, and what must live on.
    pub(crate) fn finish(self) -> (Netns, Names, Option<Agent>, TempDir) {
        let (names, late) = (self.names.into_inner(), self.late.into_inner());
        (self.netns, names, late, self.folder)
    }

    /// Starts another agent: only what it reports counts.
    pub(crate) fn start_agent(&self) -> Result<()> {
        *self.late.borrow_mut() = Some(Agent::start()?);
        // It may not have come to /proc for what the kernel's iterators showed it.
        self.names.borrow_mut().program = None;
        Ok(())
    }

    /// Waits until `count` events were reported.
    pub(crate) fn reported(&self, count: usize) -> Result<()> {
        let limit = REPORTED;
        let events = self
            .events
            .wait(&self.netns, limit, |all| all.len() >= count);
        if events.len() < count {
            bail!(
                "{} of {count} events were reported within {limit:?}",
                events.len()
            );
        }
        Ok(())
    }

    /// Names an endpoint for the table.
    pub(crate) fn name(&self, name: &'static str, address: SocketAddr) {
        self.names
            .borrow_mut()
            .endpoints
            .insert(name, plain(address));
    }

    /// Gives a text for `{name}` in the table's values.
    pub(crate) fn text(&self, name: &'static str, text: impl Into<String>) {
        self.names.borrow_mut().texts.insert(name, text.into());
    }

    /// Names a process for the table.
    pub(crate) fn name_process(&self, name: &'static str, pid: u32) {
        self.names.borrow_mut().processes.insert(name, pid);
    }

    /// Starts process `name`.
    pub(crate) fn actor(&self, name: &'static str) -> Result<Actor> {
        let program = std::env::current_exe().context("path of this test")?;
        let file = program.file_name().context("name of this test")?;
        self.names.borrow_mut().program = Some(file.to_string_lossy().into_owned());
        self.actor_from(name, &program)
    }

    /// Starts process `name` from a copy of this test.
    pub(crate) fn actor_from(&self, name: &'static str, program: &Path) -> Result<Actor> {
        let actor = Actor::start(name, program, &self.netns)?;
        self.name_process(name, actor.pid());
        Ok(actor)
    }

    /// Forks process `name` off `parent`.
    pub(crate) fn fork(&self, parent: &Actor, name: &'static str) -> Result<Actor> {
        let child = parent.fork(name)?;
        self.name_process(name, child.pid());
        Ok(child)
    }

    /// A loopback address in the form that the family's sockets want.
    pub(crate) fn loopback(&self, port: u16) -> SocketAddr {
        let ip = self.family.choose(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        self.family.form((ip, port).into())
    }

    /// A listener of `actor`, its address named `name`.
    pub(crate) fn listen(
        &self,
        actor: &Actor,
        name: &'static str,
        at: SocketAddr,
        backlog: i32,
    ) -> Result<(Socket, SocketAddr)> {
        let listener = actor.socket(at)?;
        let address = listener.listen(at, backlog)?;
        self.name(name, address);
        Ok((listener, self.family.form(address)))
    }

    /// A connection of `actor` to `to`, its address named `name`.
    pub(crate) fn connect(
        &self,
        actor: &Actor,
        name: &'static str,
        to: SocketAddr,
    ) -> Result<Socket> {
        let socket = actor.socket(to)?;
        let address = socket.connect(to)?;
        self.name(name, address);
        Ok(socket)
    }

    /// Processes `server` and `client`, connected on the loopback.
    pub(crate) fn pair(&self) -> Result<Pair> {
        let (server, client) = (self.actor("server")?, self.actor("client")?);
        let (listener, to) = self.listen(&server, "server", self.loopback(0), 8)?;
        let connected = self.connect(&client, "client", to)?;
        let (accepted, _) = listener.accept()?;
        Ok(Pair {
            server,
            accepted,
            connected,
        })
    }

    /// Like [`Scene::pair`], after a request that was read and an answer that was read.
    pub(crate) fn pair_after_exchange(&self) -> Result<Pair> {
        let pair = self.pair()?;
        pair.connected.write(b"request")?;
        pair.accepted.read(64)?;
        pair.accepted.write(b"answer")?;
        pair.connected.read(64)?;
        Ok(pair)
    }

    /// A network with a remote host.
    pub(crate) fn network(&self) -> Result<Network> {
        let of = |host: u8| {
            self.family.choose(
                Ipv4Addr::new(192, 0, 2, host),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()),
            )
        };
        Network::new(&self.netns, of(1), of(2))
    }

    /// An address of the remote host in the form that the family's sockets want; its name is
    /// `remote`.
    pub(crate) fn remote(&self, network: &Network, port: u16) -> SocketAddr {
        let address = (network.remote, port).into();
        self.name("remote", address);
        self.family.form(address)
    }

    /// Process `client`, connected to the remote host.
    pub(crate) fn outgoing<'n>(&self, network: &'n Network) -> Result<Call<'n>> {
        let actor = self.actor("client")?;
        let to = self.remote(network, 443);
        let socket = actor.socket(to)?;
        let from = socket.start_connect(to)?;
        self.name("client", from);
        let remote = network.answer()?;
        Ok(Call {
            actor,
            socket,
            remote,
        })
    }

    /// Process `server`, connected to from the remote host; its listener is closed.
    pub(crate) fn incoming<'n>(&self, network: &'n Network) -> Result<Call<'n>> {
        let actor = self.actor("server")?;
        let at = self.family.form((network.local, 0).into());
        let (listener, at) = self.listen(&actor, "server", at, 8)?;
        self.remote(network, 40_001);
        let remote = network.connect(40_001, plain(at))?;
        let (socket, _) = listener.accept()?;
        listener.close()?;
        Ok(Call {
            actor,
            socket,
            remote,
        })
    }
}
