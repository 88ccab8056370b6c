//! What a fault's script works with: the row's route, processes and names for them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::actor::{Actor, Socket};
use crate::bed::Running;
use crate::certificates::Files;
use crate::gateway::Route;
use crate::netns::Netns;
use crate::owner;

/// How long a script waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A row under way. Its processes live until it was judged.
pub(crate) struct Scene<'bed> {
    /// Where all of it runs.
    pub(crate) netns: &'bed Netns,
    /// The row's route.
    pub(crate) route: &'bed Route,
    /// The gateway.
    pub(crate) gateway: &'bed Running,
    /// Certificates.
    pub(crate) certificates: &'bed Files,
    /// A folder for the script's files; removed at the end.
    pub(crate) folder: &'bed Path,
    people: RefCell<People>,
    programs: RefCell<Vec<Child>>,
}

/// Processes of a row, each by the name that its script gave it.
#[derive(Debug, Default)]
pub(crate) struct People {
    actors: HashMap<&'static str, Actor>,
    /// Process ids by name, with what `/proc` called the executable.
    pub(crate) pids: HashMap<&'static str, (u32, String)>,
    /// Processes of the gateway that held a connection of the row.
    pub(crate) holders: Vec<u32>,
}

impl<'bed> Scene<'bed> {
    /// A fresh one.
    pub(crate) fn new(
        netns: &'bed Netns,
        route: &'bed Route,
        gateway: &'bed Running,
        certificates: &'bed Files,
        folder: &'bed Path,
    ) -> Self {
        Self {
            netns,
            route,
            gateway,
            certificates,
            folder,
            people: RefCell::default(),
            programs: RefCell::default(),
        }
    }

    /// Process `name`, which does as it is told; started when first asked for.
    pub(crate) fn actor(&self, name: &'static str) -> Result<Actor> {
        if let Some(actor) = self.people.borrow().actors.get(name) {
            return Ok(actor.clone());
        }
        let program = std::env::current_exe().context("path of this test")?;
        let actor = Actor::start(name, &program, self.netns)?;
        self.name(name, actor.pid())?;
        let mut people = self.people.borrow_mut();
        people.actors.insert(name, actor.clone());
        Ok(actor)
    }

    /// Process `client`.
    pub(crate) fn client(&self) -> Result<Actor> {
        self.actor("client")
    }

    /// Process `backend`.
    pub(crate) fn backend(&self) -> Result<Actor> {
        self.actor("backend")
    }

    /// A listener of process `backend` at the route's backend.
    pub(crate) fn listen(&self) -> Result<Socket> {
        let listener = self.backend()?.socket(self.route.back)?;
        listener.listen(self.route.back, 64)?;
        Ok(listener)
    }

    /// A connection of process `client` to the gateway, and its local address.
    pub(crate) fn connect(&self) -> Result<(Socket, SocketAddr)> {
        let socket = self.client()?.socket(self.route.front)?;
        let from = socket.connect(self.route.front)?;
        Ok((socket, from))
    }

    /// The backend's end of the next connection of the gateway, once it has sent something; the process
    /// of the gateway that holds it is remembered as [`Self::held_by`] does.
    pub(crate) fn accept(&self, listener: &Socket) -> Result<Socket> {
        listener.wait(crate::actor::command::Readiness::Input)?;
        let (socket, from) = listener.accept()?;
        socket.wait(crate::actor::command::Readiness::Input)?;
        let workers = self.gateway.workers();
        let holder = owner::holder(self.netns, &workers, from, self.route.back)?;
        self.held_by(holder);
        Ok(socket)
    }

    /// Says which process of the gateway holds a connection of the row.
    pub(crate) fn held_by(&self, pid: u32) {
        self.people.borrow_mut().holders.push(pid);
    }

    /// Names a process for the table.
    pub(crate) fn name(&self, name: &'static str, pid: u32) -> Result<()> {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe"))
            .with_context(|| format!("the executable of {name}"))?;
        let exe = exe.file_name().context("name of an executable")?;
        let exe = exe.to_string_lossy().into_owned();
        self.people.borrow_mut().pids.insert(name, (pid, exe));
        Ok(())
    }

    /// Starts a program as process `name`, with nothing to read and its output in the file `name` of the
    /// folder; it is killed when the row was judged.
    pub(crate) fn start(&self, name: &'static str, command: &mut Command) -> Result<u32> {
        let output = std::fs::File::create(self.folder.join(name))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = self.netns.run_in(command).spawn();
        let child = child.with_context(|| format!("start {}", command.get_program().display()))?;
        let pid = child.id();
        self.programs.borrow_mut().push(child);
        self.name(name, pid)?;
        Ok(pid)
    }

    /// Waits for the end of program `pid` of [`Self::start`]; answers what it wrote.
    pub(crate) fn output(&self, name: &'static str, pid: u32) -> Result<String> {
        let mut programs = self.programs.borrow_mut();
        let child = programs.iter_mut().find(|child| child.id() == pid);
        let child = child.context("no such program")?;
        wait_for(name, || Ok(child.try_wait()?.map(drop)))?;
        std::fs::read_to_string(self.folder.join(name)).with_context(|| name.to_owned())
    }

    /// The names given.
    pub(crate) fn people(&self) -> std::cell::Ref<'_, People> {
        self.people.borrow()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        for child in &mut *self.programs.borrow_mut() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Repeats `look` until it finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
