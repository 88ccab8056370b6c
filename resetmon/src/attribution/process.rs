//! Processes, remembered past their exit.
//!
//! A reset often outlives its process: the kernel resets what a killed one left open. So the first
//! sight of a process is enough to read its `/proc` entry, and the entry is kept. A process is
//! known by its id and its start together, so a reused id never takes the blame for another.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::container::{container_of, memory_folder};
use super::names::Names;
use crate::kernel::observation::{Sighting, Task};
use crate::reset::{Container, Process};
use crate::routes::kubernetes::names::PodNames;
use crate::text::{printable, printable_bytes};

mod entry;

use entry::{Entry, Unreadable};

/// How many processes are remembered unless the caller says otherwise.
pub const CAPACITY: usize = 8192;

/// Characters of a name that are kept (`NAME_MAX`).
const MAX_NAME: usize = 255;
/// Characters of an executable's path that are kept (`PATH_MAX`).
const MAX_EXE: usize = 4096;
/// Characters of a command line that are kept.
const MAX_CMDLINE: usize = 1024;

/// The processes seen lately.
///
/// Least recently used ones are forgotten first. Where that hits a living process, its entry is
/// read anew when it is asked for, so nothing is lost by it.
#[derive(Debug)]
pub struct Processes {
    proc_root: PathBuf,
    capacity: usize,
    known: HashMap<Key, Known>,
    names: Names,
    /// Counts look-ups: the time of [`Known::used`].
    now: u64,
}

/// Names a process for the node's uptime: id, and start since boot.
type Key = (u32, Duration);

#[derive(Debug)]
struct Known {
    process: Arc<Process>,
    /// Name of the main thread in the last record, as the kernel has it.
    recorded_comm: Arc<str>,
    /// The same in `/proc`, which may be ahead of the record; `None` if it could not be read.
    proc_comm: Option<String>,
    /// Folder of the cgroup that limits its memory.
    memory_folder: Option<Arc<str>>,
    /// `/proc` may yet answer.
    retry: bool,
    used: u64,
}

impl Processes {
    /// An empty memory of at most `capacity` processes (at least one) that reads from `proc_root`,
    /// `/proc` of the initial pid namespace.
    #[must_use]
    pub fn new(proc_root: PathBuf, capacity: usize) -> Self {
        Self {
            proc_root,
            capacity: capacity.max(1),
            known: HashMap::new(),
            names: Names::default(),
            now: 0,
        }
    }

    /// Takes over what the Kubernetes API or the container runtime calls pods and containers.
    pub fn learn_names(&mut self, pods: &PodNames) {
        self.names.learn(pods);
    }

    /// The uid of the pod that process `pid` runs in now; `None` outside pods.
    #[must_use]
    pub fn pod_uid(&self, pid: u32) -> Option<Arc<str>> {
        let path = self.proc_root.join(pid.to_string()).join("cgroup");
        let text = std::fs::read_to_string(path).ok()?;
        container_of(&text).container?.pod_uid
    }

    /// Told when a container of a pod has no name yet.
    #[must_use]
    pub fn names_wanted(&self) -> Arc<Notify> {
        self.names.wanted()
    }

    /// Reads a process seen for the first time, while it lives. What `/proc` no longer has is taken
    /// from the sighting.
    pub fn observe(&mut self, sighting: &Sighting) {
        let process = self.get(&sighting.task);
        let key = (sighting.task.pid, sighting.task.start);
        if let Some(process) = completed(&process, sighting)
            && let Some(known) = self.known.get_mut(&key)
        {
            known.process = Arc::new(process);
        }
    }

    /// The process of `task`, from memory or else from `/proc`; if that no longer has it, or has
    /// another process by that id, what the kernel's record says.
    ///
    /// A name that differs from the one remembered shows that the process has run another
    /// program since: it is read again.
    pub fn get(&mut self, task: &Task) -> Arc<Process> {
        self.now += 1;
        let key = (task.pid, task.start);
        if let Some(known) = self.known.get_mut(&key) {
            known.used = self.now;
            if known.has_comm(&task.comm) && !known.retry {
                known.complete(&self.names);
                return Arc::clone(&known.process);
            }
        }
        self.read(task)
    }

    /// The process of `task`, read again; what `/proc` no longer has is kept from memory.
    pub fn refresh(&mut self, task: &Task) -> Arc<Process> {
        self.now += 1;
        self.read(task)
    }

    /// Folder of the cgroup that limits the memory of `task`, below the mount of cgroups, as far as
    /// its process is remembered.
    #[must_use]
    pub fn memory_folder(&self, task: &Task) -> Option<Arc<str>> {
        let known = self.known.get(&(task.pid, task.start))?;
        known.memory_folder.clone()
    }

    /// Where entries are read from.
    #[must_use]
    pub fn proc_root(&self) -> &Path {
        &self.proc_root
    }

    fn read(&mut self, task: &Task) -> Arc<Process> {
        let key = (task.pid, task.start);
        let earlier = self.known.remove(&key);
        let entry = Entry::read(&self.proc_root, task.pid, task.start);
        let retry = matches!(entry, Err(Unreadable::Perhaps));
        let cgroup = entry.as_ref().ok().and_then(|entry| entry.cgroup.as_ref());
        let memory_folder = match (cgroup, &earlier) {
            (Some(text), _) => memory_folder(text).map(Arc::from),
            (None, earlier) => earlier
                .as_ref()
                .and_then(|known| known.memory_folder.clone()),
        };
        let (process, proc_comm) = match (entry, earlier) {
            (Ok(entry), earlier) => {
                let process = from_entry(task, &entry, earlier.as_ref());
                (Arc::new(process), Some(entry.comm().into_owned()))
            }
            (Err(_), Some(earlier)) if earlier.has_comm(&task.comm) => {
                (earlier.process, earlier.proc_comm)
            }
            (Err(_), earlier) => (Arc::new(from_record(task, earlier.as_ref())), None),
        };
        let mut known = Known {
            process,
            recorded_comm: Arc::clone(&task.comm),
            proc_comm,
            memory_folder,
            retry,
            used: self.now,
        };
        known.complete(&self.names);
        let process = Arc::clone(&known.process);
        self.known.insert(key, known);
        self.forget_oldest();
        process
    }

    /// Past the capacity, an eighth goes at once, so that a storm of short processes costs little
    /// for each.
    fn forget_oldest(&mut self) {
        if self.known.len() <= self.capacity {
            return;
        }
        let excess = self.known.len() - self.capacity + self.capacity / 8;
        let mut used: Vec<u64> = self.known.values().map(|known| known.used).collect();
        let (_, oldest_kept, _) = used.select_nth_unstable(excess);
        let oldest_kept = *oldest_kept;
        self.known.retain(|_, known| known.used >= oldest_kept);
    }
}

impl Known {
    /// Names the container, as far as that is possible by now.
    fn complete(&mut self, names: &Names) {
        let container = self.process.container.as_ref();
        if let Some(container) = container.and_then(|container| names.complete(container)) {
            self.process = Arc::new(Process {
                container: Some(container),
                ..Process::clone(&self.process)
            });
        }
    }

    /// True if the process is known to have run by this name: as recorded, or as `/proc` had it.
    fn has_comm(&self, comm: &str) -> bool {
        *self.recorded_comm == *comm || self.proc_comm.as_deref() == Some(comm)
    }
}

/// The process as `/proc` shows it. What a zombie no longer has is taken from memory, if it ran by
/// the same name.
fn from_entry(task: &Task, entry: &Entry, earlier: Option<&Known>) -> Process {
    let comm = entry.comm();
    let same = earlier.filter(|earlier| earlier.has_comm(&comm));
    let same = same.map(|earlier| &*earlier.process);
    let exe =
        printed(entry.exe.as_deref(), MAX_EXE).or_else(|| same.and_then(|same| same.exe.clone()));
    let cmdline = printed(entry.cmdline.as_deref(), MAX_CMDLINE)
        .or_else(|| same.and_then(|same| same.cmdline.clone()));
    let (container, unit) = match &entry.cgroup {
        Some(text) => {
            let facts = container_of(text);
            (facts.container, facts.unit)
        }
        None => home(earlier),
    };
    let comm: Arc<str> = Arc::from(printable_bytes(comm.as_bytes(), MAX_NAME));
    let name = exe.as_deref().and_then(file_name);
    Process {
        pid: task.pid,
        parent: entry.parent,
        name: name.map_or_else(|| Arc::clone(&comm), Arc::from),
        comm,
        exe,
        cmdline,
        container,
        unit,
    }
}

/// The process as the kernel's record shows it. What it ran before is not what it runs now, but its
/// container a process keeps.
fn from_record(task: &Task, earlier: Option<&Known>) -> Process {
    let comm: Arc<str> = Arc::from(printable(&task.comm));
    let (container, unit) = home(earlier);
    Process {
        pid: task.pid,
        parent: earlier.and_then(|earlier| earlier.process.parent),
        name: Arc::clone(&comm),
        comm,
        exe: None,
        cmdline: None,
        container,
        unit,
    }
}

/// The process with what the sighting adds; `None` if that is nothing.
fn completed(process: &Process, sighting: &Sighting) -> Option<Process> {
    let name = process
        .exe
        .is_none()
        .then(|| printable_bytes(&sighting.exe_name, MAX_NAME))
        .filter(|name| !name.is_empty() && *name != *process.name);
    let cmdline = process
        .cmdline
        .is_none()
        .then(|| entry::joined(sighting.arguments.clone()))
        .flatten();
    if name.is_none() && cmdline.is_none() {
        return None;
    }
    Some(Process {
        name: name.map_or_else(|| Arc::clone(&process.name), Arc::from),
        cmdline: printed(cmdline.as_deref(), MAX_CMDLINE).or_else(|| process.cmdline.clone()),
        ..process.clone()
    })
}

/// Container and unit as remembered.
fn home(earlier: Option<&Known>) -> (Option<Container>, Option<Arc<str>>) {
    earlier.map_or((None, None), |earlier| {
        (
            earlier.process.container.clone(),
            earlier.process.unit.clone(),
        )
    })
}

fn printed(bytes: Option<&[u8]>, most: usize) -> Option<Arc<str>> {
    bytes.map(|bytes| Arc::from(printable_bytes(bytes, most)))
}

/// The name that an executable is known by; `None` for one that exists in memory only, whose path
/// is made up (`/memfd:runc_cloned:/proc/self/exe`).
fn file_name(exe: &str) -> Option<String> {
    if exe.starts_with("/memfd:") {
        return None;
    }
    let name = exe.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(printable_bytes(name.as_bytes(), MAX_NAME))
}

#[cfg(test)]
mod tests;
