//! What holds around a reset at its moment: read from /proc and from cgroups, sparingly.
//!
//! A reset must not cost more than it tells: nothing is read for causes that it cannot explain
//! ([`crate::diagnosis::overload::wanted`]), everything is kept for [`FRESH`], and beyond [`READS`]
//! a second nothing is read at all. In a storm resets so go without this evidence; none waits for it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::attribution::container::memory_folder;
use crate::diagnosis::overload::{CgroupMemory, Overload, TcpMemory, wanted};
use crate::kernel::counters::namespaces::Readings;
use crate::kernel::counters::{Counter, TcpCounters};
use crate::kernel::observation::{Direction, Observation, TcpState};
use crate::reset::{Cause, Reset, Sender};

mod text;

/// How long what was read counts as of the same moment.
pub const FRESH: Duration = Duration::from_secs(1);
/// How far back the growth of a counter is told.
const RECENT: Duration = Duration::from_secs(20);
/// Files, or groups of them, that are read in a second at most.
pub const READS: u32 = 16;
/// Tables of sockets that are read in a second at most: the kernel walks all of its own for one.
const TABLES: u32 = 8;
/// Bytes of a table of sockets that are read at most.
const TABLE_BYTES: u64 = 2 << 20;
/// Bytes of other files that are read at most.
const FILE_BYTES: u64 = 64 << 10;
/// How much is kept of a kind at most.
const KEPT: usize = 1024;

/// Reads what may explain a reset.
#[derive(Debug)]
pub struct Surroundings {
    proc: PathBuf,
    cgroups: PathBuf,
    /// By inode number of the network namespace.
    counters: HashMap<u32, Samples>,
    descriptors: Cache<u32, (u64, u64)>,
    cgroup: Cache<u32, CgroupMemory>,
    tcp: Cache<(), TcpMemory>,
    /// Where addresses of this node are: the process that showed it, and its namespace.
    homes: HashMap<IpAddr, (u32, u32)>,
    second: u64,
    reads: u32,
    tables: u32,
}

type Cache<K, V> = HashMap<K, (Duration, Option<V>)>;

/// Counters of one namespace: the latest, and some earlier ones to tell their growth from.
#[derive(Clone, Copy, Debug)]
struct Samples {
    earlier: (Duration, TcpCounters),
    latest: (Duration, TcpCounters),
}

impl Surroundings {
    /// For the process file system at `proc` and the cgroups mounted at `cgroups`.
    #[must_use]
    pub fn new(proc: PathBuf, cgroups: PathBuf) -> Self {
        Self {
            proc,
            cgroups,
            counters: HashMap::new(),
            descriptors: HashMap::new(),
            cgroup: HashMap::new(),
            tcp: HashMap::new(),
            homes: HashMap::new(),
            second: 0,
            reads: 0,
            tables: 0,
        }
    }

    /// Takes over the counters of every namespace, read at `now` (since boot).
    pub fn learn(&mut self, readings: &Readings, now: Duration) {
        for reading in &readings.namespaces {
            if let Some(counters) = reading.counters {
                self.take(reading.inode, counters, now);
            }
        }
    }

    /// What may explain a reset of this cause, at `now`; nothing of one that was long ago.
    ///
    /// `cgroup` is the folder of its owner's cgroup below the mount ([`memory_folder`]) as it is
    /// remembered; a process that ends may have one no more.
    pub fn overload(
        &mut self,
        o: &Observation,
        cause: Cause,
        cgroup: Option<&str>,
        now: Duration,
    ) -> Overload {
        self.remember_home(o);
        let wanted = wanted(o, cause);
        let mut found = Overload::default();
        if now.saturating_sub(o.time) > FRESH {
            return found;
        }
        let pid = o.owner.as_ref().or(o.closer.as_ref()).map(|task| task.pid);
        if wanted.queues {
            let growth = self.growth(o.netns, pid, now);
            found.overflows = growth(Counter::ListenOverflows);
            found.aborted_on_memory = growth(Counter::AbortOnMemory);
        }
        if wanted.descriptors
            && let Some(pid) = pid
        {
            let process = self.process(pid);
            let read = || descriptors(&process);
            found.descriptors = self
                .budget(now)
                .cached(|this| &mut this.descriptors, pid, read);
        }
        if wanted.cgroup
            && let Some(pid) = pid
        {
            let (process, root) = (self.process(pid), self.cgroups.clone());
            let read = || {
                let now = text_of(&process.join("cgroup"), FILE_BYTES);
                let now = now.as_deref().and_then(memory_folder);
                memory(&root.join(now.as_deref().or(cgroup)?))
            };
            found.cgroup = self.budget(now).cached(|this| &mut this.cgroup, pid, read);
        }
        if wanted.tcp {
            let proc = self.proc.clone();
            let read = || tcp_memory(&proc);
            found.tcp = self.budget(now).cached(|this| &mut this.tcp, (), read);
        }
        found
    }

    /// State of the other end's socket after a received reset that nobody here was seen to send: if
    /// it lives on this node and did not send it, for whoever sends a RST ends its own socket.
    ///
    /// `None` where it is not known to be on this node, also by a translated address.
    pub fn other_end(&mut self, reset: &Reset, now: Duration) -> Option<TcpState> {
        let o = &reset.observation;
        let is_candidate = o.direction == Direction::Received
            && reset.twin.is_none()
            && reset.repeat_of.is_none()
            && reset.packets == 1
            && reset.diagnosis.sender == Sender::Peer
            && !o.flags.mptcp
            && now.saturating_sub(o.time) <= FRESH;
        if !is_candidate {
            return None;
        }
        let near = o.remote.ip().is_loopback() || o.remote.ip() == o.local.ip();
        let (pid, netns) = if near {
            (o.owner.as_ref()?.pid, o.netns)
        } else {
            *self.homes.get(&o.remote.ip())?
        };
        let process = self.process(pid);
        self.budget(now);
        if self.tables >= TABLES || !is_in(&process, netns) {
            return None;
        }
        self.tables += 1;
        let state = connection(&process, o.remote, o.local)?;
        // What is at its end may have sent it with its last breath.
        let lives = !matches!(
            state,
            TcpState::TimeWait | TcpState::Close | TcpState::NewSynRecv
        );
        lives.then_some(state)
    }

    fn remember_home(&mut self, o: &Observation) {
        let Some(owner) = &o.owner else { return };
        if o.local.ip().is_loopback() {
            return;
        }
        if self.homes.len() >= KEPT {
            self.homes.clear();
        }
        self.homes.insert(o.local.ip(), (owner.pid, o.netns));
    }

    fn process(&self, pid: u32) -> PathBuf {
        self.proc.join(pid.to_string())
    }

    /// Begins another second's budget where it is time.
    fn budget(&mut self, now: Duration) -> Budget<'_> {
        if self.second != now.as_secs() {
            (self.second, self.reads, self.tables) = (now.as_secs(), 0, 0);
        }
        Budget { this: self, now }
    }

    fn take(&mut self, netns: u32, counters: TcpCounters, now: Duration) {
        if self.counters.len() >= KEPT && !self.counters.contains_key(&netns) {
            self.counters.clear();
        }
        let latest = (now, counters);
        let samples = self.counters.entry(netns).or_insert(Samples {
            earlier: latest,
            latest,
        });
        if now.saturating_sub(samples.earlier.0) > RECENT / 2 {
            samples.earlier = samples.latest;
        }
        samples.latest = latest;
    }

    /// How much counters of a namespace have grown lately.
    fn growth(
        &mut self,
        netns: u32,
        pid: Option<u32>,
        now: Duration,
    ) -> impl Fn(Counter) -> Option<(u64, Duration)> + use<> {
        let known = self.counters.get(&netns);
        let stale = known.is_none_or(|known| now.saturating_sub(known.latest.0) > FRESH);
        if stale && let Some(pid) = pid {
            let process = self.process(pid);
            self.budget(now);
            if self.reads < READS && is_in(&process, netns) {
                self.reads += 1;
                if let Some(netstat) = text_of(&process.join("net/netstat"), FILE_BYTES) {
                    self.take(netns, TcpCounters::parse("", &netstat), now);
                }
            }
        }
        let samples = self.counters.get(&netns).copied();
        move |counter| {
            let Samples { earlier, latest } = samples?;
            let since = now.saturating_sub(earlier.0);
            let growth = latest
                .1
                .get(counter)?
                .saturating_sub(earlier.1.get(counter)?);
            (since <= RECENT).then_some((growth, since))
        }
    }
}

/// Access to what costs a read.
struct Budget<'a> {
    this: &'a mut Surroundings,
    now: Duration,
}

impl Budget<'_> {
    fn cached<K: Eq + std::hash::Hash, V: Copy>(
        self,
        cache: impl Fn(&mut Surroundings) -> &mut Cache<K, V>,
        key: K,
        read: impl FnOnce() -> Option<V>,
    ) -> Option<V> {
        let Self { this, now } = self;
        if let Some((time, value)) = cache(this).get(&key)
            && now.saturating_sub(*time) <= FRESH
        {
            return *value;
        }
        if this.reads >= READS {
            return None;
        }
        this.reads += 1;
        let value = read();
        let cache = cache(this);
        if cache.len() >= KEPT {
            cache.clear();
        }
        cache.insert(key, (now, value));
        value
    }
}

/// Open files and their limit.
fn descriptors(process: &Path) -> Option<(u64, u64)> {
    let limit = text::descriptor_limit(&text_of(&process.join("limits"), FILE_BYTES)?)?;
    let folder = process.join("fd");
    // Since Linux 6.2 the size of the folder is their number.
    let open = match fs::metadata(&folder).ok()?.len() {
        0 => fs::read_dir(&folder)
            .ok()?
            .take(usize::try_from(limit).ok()?.min(1 << 16))
            .count() as u64,
        size => size,
    };
    Some((open, limit))
}

fn memory(folder: &Path) -> Option<CgroupMemory> {
    let of = |name: &str| text_of(&folder.join(name), FILE_BYTES);
    if let Some(events) = of("memory.events") {
        return text::memory_events(&events);
    }
    Some(CgroupMemory {
        at_limit: of("memory.failcnt")?.trim().parse().ok()?,
        oom_kills: text::number(&of("memory.oom_control")?, "oom_kill")?,
    })
}

fn tcp_memory(proc: &Path) -> Option<TcpMemory> {
    let sysctl = |name: &str| text_of(&proc.join("sys/net/ipv4").join(name), FILE_BYTES);
    let (orphans, pages) = text::sockstat(&text_of(&proc.join("net/sockstat"), FILE_BYTES)?)?;
    let limit = sysctl("tcp_mem")?
        .split_ascii_whitespace()
        .nth(2)?
        .parse()
        .ok()?;
    let most = sysctl("tcp_max_orphans")?.trim().parse().ok()?;
    Some(TcpMemory {
        pages: (pages, limit),
        orphans: (orphans, most),
    })
}

/// State of the connection from `local` to `remote` in the namespace of `process`.
fn connection(process: &Path, local: SocketAddr, remote: SocketAddr) -> Option<TcpState> {
    let table = |name: &str| text_of(&process.join("net").join(name), TABLE_BYTES);
    let mapped = |endpoint: SocketAddr| match endpoint {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => endpoint,
    };
    let own = local
        .is_ipv4()
        .then(|| text::state_of(&table("tcp")?, local, remote));
    own.flatten()
        .or_else(|| text::state_of(&table("tcp6")?, mapped(local), mapped(remote)))
}

/// Whether the process is in the network namespace with this inode number.
fn is_in(process: &Path, netns: u32) -> bool {
    let link = fs::read_link(process.join("ns/net"));
    link.is_ok_and(|link| link.to_str() == Some(&*format!("net:[{netns}]")))
}

fn text_of(path: &Path, most: u64) -> Option<String> {
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)
        .ok()?
        .take(most)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
