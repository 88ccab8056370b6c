//! A gateway up and running in a namespace of its own, for one or many rows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::agent::terminate;
use crate::certificates::Files;
use crate::gateway::{Gateway, Plan, Route};
use crate::netns::Netns;
use crate::owner;
use crate::row::Row;
use crate::scene::wait_for;

/// Port of the first row's listener; of its backend.
const FRONT: u16 = 8001;
const BACK: u16 = 9001;

/// Where a gateway runs, with a route for each of its rows.
pub(crate) struct Bed {
    /// The kind of gateway.
    pub(crate) gateway: &'static dyn Gateway,
    /// The rows, each with its route.
    pub(crate) rows: Vec<(&'static Row, Route)>,
    /// Where all of it runs.
    pub(crate) netns: Netns,
    /// Certificates.
    pub(crate) certificates: Files,
    folder: TempDir,
}

/// The gateway of a bed, ended when dropped.
pub(crate) struct Running {
    gateway: &'static dyn Gateway,
    child: Child,
}

impl Bed {
    /// Prepares one; nothing runs yet.
    pub(crate) fn new(gateway: &'static dyn Gateway, rows: &[&'static Row]) -> Result<Self> {
        // Its own address, so that an event is of one bed whatever its namespace.
        static BEDS: AtomicU8 = AtomicU8::new(1);
        let number = BEDS.fetch_add(1, Ordering::Relaxed);
        ensure!(number < u8::MAX, "there are too many gateways");
        let ip = IpAddr::from(Ipv4Addr::new(127, 0, number, 1));
        let folder = TempDir::new().context("temporary folder")?;
        let rows = rows.iter().zip(0_u16..).map(|(row, number)| {
            let route = Route {
                name: row.name,
                setting: row.setting,
                front: SocketAddr::new(ip, FRONT + number),
                back: SocketAddr::new(ip, BACK + number),
            };
            (*row, route)
        });
        Ok(Self {
            gateway,
            rows: rows.collect(),
            netns: Netns::new()?,
            certificates: Files::make(folder.path())?,
            folder,
        })
    }

    /// What resetmon has to be told of the gateway.
    pub(crate) fn described(&self) -> Option<String> {
        self.with_plan(|plan| self.gateway.described(plan))
    }

    /// Starts the gateway and waits until it serves.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut command = self.with_plan(|plan| self.gateway.command(plan))?;
        let log = self.folder.path().join("gateway.log");
        let output = std::fs::File::create(&log)?;
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = self.netns.run_in(&mut command).spawn();
        let mut running = Running {
            gateway: self.gateway,
            child: child.with_context(|| format!("start {}", self.gateway.name()))?,
        };
        wait_for(self.gateway.name(), || {
            if let Some(status) = running.child.try_wait()? {
                bail!("it ended with {status}: {}", self.said());
            }
            let up = running.is_up() && self.serves()?;
            Ok(up.then_some(()))
        })
        .with_context(|| self.said())?;
        Ok(running)
    }

    /// The last lines that the gateway wrote.
    pub(crate) fn said(&self) -> String {
        let log = self.folder.path().join("gateway.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// A folder for the files of a row.
    pub(crate) fn folder_of(&self, row: &Row) -> Result<PathBuf> {
        let folder = self.folder.path().join(format!("row-{}", row.name));
        std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    fn with_plan<T>(&self, work: impl FnOnce(&Plan<'_>) -> T) -> T {
        let routes: Vec<Route> = self.rows.iter().map(|(_, route)| route.clone()).collect();
        work(&Plan {
            folder: self.folder.path(),
            routes: &routes,
            certificates: &self.certificates,
        })
    }

    /// Whether all listeners are there. None is connected to: what a gateway makes of a connection that
    /// says nothing is no part of a row.
    fn serves(&self) -> Result<bool> {
        let mut fronts = self.rows.iter().map(|(_, route)| route.front);
        fronts.try_fold(true, |all, front| {
            Ok(all && is_listening(&self.netns, front)?)
        })
    }
}

impl Running {
    /// Its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processes that hold connections.
    pub(crate) fn workers(&self) -> Vec<u32> {
        self.gateway.workers(self.pid()).unwrap_or_default()
    }

    /// Makes it reload, and waits until a new worker is there.
    pub(crate) fn reload(&self) -> Result<()> {
        let before = self.workers();
        let signal = self.gateway.reload_signal().context("it cannot reload")?;
        owner::signal(self.pid(), signal)?;
        wait_for("a new worker", || {
            let mut now = self.workers().into_iter();
            Ok(now.any(|pid| !before.contains(&pid)).then_some(()))
        })
    }

    /// Name of its processes.
    pub(crate) fn process(&self) -> &'static str {
        self.gateway.process()
    }

    fn is_up(&self) -> bool {
        self.gateway.workers(self.pid()).is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Workers that a script has stopped go on, to see the end.
        for worker in self.workers() {
            let _ = owner::signal(worker, rustix::process::Signal::CONT);
        }
        let _ = terminate(&mut self.child);
    }
}

/// Whether somebody listens at an IPv4 address.
pub(crate) fn is_listening(namespace: &Netns, at: SocketAddr) -> Result<bool> {
    let table = namespace.enter(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let at = owner::hex(at).context("not an IPv4 address")?;
    let listening = format!(" {at} 00000000:0000 0A ");
    Ok(table.contains(&listening))
}
