//! The network namespaces of this node, and their counters.
//!
//! A namespace is found by a process that lives in it and from then on read through `O_PATH`
//! descriptors of its two files. Those outlive the process as long as the namespace does (a mount
//! or a socket may hold it), and tell when it is gone, so that another one with the same inode
//! number is not taken for it. They do not hold the namespace: an open file would, and with it
//! interfaces that the end of the namespace should free.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::TcpCounters;

/// Descriptors that a namespace takes.
const FILES: u64 = 2;
/// Descriptors that the rest of the agent may need.
const RESERVED: u64 = 512;
/// Much more than the kernel writes.
const MAX_FILE: u64 = 256 << 10;

/// Name of a namespace within one run of the agent; inode numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId(pub u64);

/// One namespace and its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which namespace.
    pub id: NamespaceId,
    /// Its inode number, as in the programs' records.
    pub inode: u32,
    /// `None` if they could not be read this time, although the namespace is there.
    pub counters: Option<TcpCounters>,
}

/// All namespaces that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Each once; one that is missing here is gone.
    pub namespaces: Vec<Reading>,
    /// Namespaces beyond the limit, which are not read.
    pub left_out: usize,
    /// Processes whose namespace this agent may not know.
    pub hidden: usize,
}

/// The known namespaces.
#[derive(Debug)]
pub struct Namespaces {
    proc: PathBuf,
    limit: usize,
    next_id: u64,
    known: BTreeMap<u32, Handle>,
    left_out: usize,
    hidden: usize,
}

#[derive(Debug)]
struct Handle {
    id: NamespaceId,
    snmp: OwnedFd,
    netstat: OwnedFd,
}

impl Namespaces {
    /// For the process file system at `proc`; at most `limit` namespaces, or fewer where the limit
    /// of open files does not allow as many.
    #[must_use]
    pub fn new(proc: PathBuf, limit: usize) -> Self {
        Self {
            proc,
            limit: affordable(limit),
            next_id: 0,
            known: BTreeMap::new(),
            left_out: 0,
            hidden: 0,
        }
    }

    /// Looks for namespaces not yet known, by one pass over the processes.
    ///
    /// Errors: /proc cannot be listed.
    pub fn discover(&mut self) -> io::Result<()> {
        let mut beyond = BTreeSet::new();
        self.hidden = 0;
        for entry in fs::read_dir(&self.proc)? {
            let Ok(entry) = entry else { continue };
            let name = entry.file_name();
            if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            let process = entry.path();
            let inode = match inode_of(&process) {
                Ok(Some(inode)) => inode,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.hidden += 1;
                    continue;
                }
                // The process is gone, or has no namespace any more.
                Ok(None) | Err(_) => continue,
            };
            if self.known.contains_key(&inode) {
                continue;
            }
            if self.known.len() >= self.limit {
                beyond.insert(inode);
                continue;
            }
            let id = NamespaceId(self.next_id);
            match Handle::open(id, &process, inode) {
                Ok(Some(handle)) => {
                    self.next_id += 1;
                    self.known.insert(inode, handle);
                }
                // The process has changed or is gone: another one may do.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!("counters of network namespace {inode}: {error}");
                    beyond.insert(inode);
                }
            }
        }
        beyond.retain(|inode| !self.known.contains_key(inode));
        self.left_out = beyond.len();
        Ok(())
    }

    /// Reads every known namespace and forgets those that are gone.
    pub fn read(&mut self) -> Readings {
        let mut namespaces = Vec::with_capacity(self.known.len());
        self.known.retain(|inode, handle| {
            let reading = handle.read(*inode);
            namespaces.extend(reading);
            reading.is_some()
        });
        Readings {
            namespaces,
            left_out: self.left_out,
            hidden: self.hidden,
        }
    }

    /// Reads some of the known namespaces once more; those that are gone by now are missing.
    #[must_use]
    pub fn read_again(&self, ids: &BTreeSet<NamespaceId>) -> Vec<Reading> {
        self.known
            .iter()
            .filter(|(_, handle)| ids.contains(&handle.id))
            .filter_map(|(inode, handle)| handle.read(*inode))
            .collect()
    }
}

impl Handle {
    /// `None` if the process is gone or no longer in the namespace.
    fn open(id: NamespaceId, process: &Path, inode: u32) -> io::Result<Option<Self>> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(libc::O_PATH);
            match options.open(process.join("net").join(name)) {
                Ok(file) => Ok(Some(OwnedFd::from(file))),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let (Some(snmp), Some(netstat)) = (open("snmp")?, open("netstat")?) else {
            return Ok(None);
        };
        // The process may have gone to another namespace, or its id to another process.
        let same = inode_of(process).is_ok_and(|now| now == Some(inode));
        Ok(same.then_some(Self { id, snmp, netstat }))
    }

    /// `None` if the namespace is gone.
    fn read(&self, inode: u32) -> Option<Reading> {
        let texts = text(&self.snmp).and_then(|snmp| Ok((snmp, text(&self.netstat)?)));
        let counters = match texts {
            Ok((snmp, netstat)) => Some(TcpCounters::parse(&snmp, &netstat)),
            Err(error) if is_gone(&error) => return None,
            Err(error) => {
                tracing::debug!("counters of network namespace {inode}: {error}");
                None
            }
        };
        Some(Reading {
            id: self.id,
            inode,
            counters,
        })
    }
}

/// Opens what an `O_PATH` descriptor stands for, and reads it.
fn text(fd: &OwnedFd) -> io::Result<String> {
    let file = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let mut bytes = Vec::with_capacity(8192);
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The process, or the namespace behind a descriptor, is gone (`get_proc_net`, `use_pde`).
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ESRCH | libc::ENXIO)
    )
}

/// The inode number of a process's network namespace; `None` if the link is none of one.
fn inode_of(process: &Path) -> io::Result<Option<u32>> {
    let link = fs::read_link(process.join("ns/net"))?;
    Ok(link
        .to_str()
        .and_then(|link| link.strip_prefix("net:[")?.strip_suffix(']'))
        .and_then(|inode| inode.parse().ok()))
}

/// How many namespaces the limit of open files allows, which is raised as far as it may be.
fn affordable(limit: usize) -> usize {
    let wanted = u64::try_from(limit)
        .unwrap_or(u64::MAX)
        .saturating_mul(FILES)
        .saturating_add(RESERVED);
    let mut files = getrlimit(Resource::Nofile);
    if files.current.is_some_and(|current| current < wanted) {
        files.current = Some(files.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        if let Err(error) = setrlimit(Resource::Nofile, files) {
            tracing::debug!("the limit of open files stays as it is: {error}");
            files = getrlimit(Resource::Nofile);
        }
    }
    let Some(current) = files.current else {
        return limit;
    };
    // With few to be had, the rest of the agent keeps half of them.
    let free = current.saturating_sub(RESERVED).max(current / 2);
    usize::try_from(free / FILES).map_or(limit, |most| most.min(limit))
}

#[cfg(test)]
mod tests;
