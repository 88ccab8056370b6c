//! Which network namespaces are asked for a connection, and how.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Question;
use crate::kernel::conntrack::{Conntrack, ConntrackError, Tuple};

/// A namespace that is asked again and again.
#[derive(Debug, Default)]
struct Place {
    /// Its inode; 0 if it is not known or cannot be entered.
    inode: u32,
    conntrack: Option<Conntrack>,
}

/// Asks the namespaces that a connection may pass.
///
/// First its own; packets that leave it, as those of a pod do, are then seen by the host's: that
/// of this process, and that of the first process of the machine if it is another.
#[derive(Debug)]
pub(super) struct Lookup {
    proc_root: PathBuf,
    may_enter: bool,
    own: Place,
    host: Place,
}

impl Lookup {
    /// For the calling thread, which must stay in its network namespace.
    pub(super) fn new(proc_root: PathBuf, may_enter: bool) -> Self {
        let place = |process: &str| Place {
            inode: inode_of(&proc_root.join(process).join("ns/net")),
            conntrack: None,
        };
        let (own, mut host) = (place("thread-self"), place("1"));
        if host.inode == own.inode || !may_enter {
            host.inode = 0;
        }
        Self {
            proc_root,
            may_enter,
            own,
            host,
        }
    }

    /// Where the connection leads, from the first translation to the last.
    ///
    /// Errors: why a namespace could not be asked, if none of the others translates.
    pub(super) fn destinations(
        &mut self,
        question: &Question,
    ) -> Result<Vec<SocketAddr>, ConntrackError> {
        let mut found = Vec::new();
        let mut tuple = question.tuple;
        let mut trouble = None;
        for step in [Step::Connection, Step::Own, Step::Host] {
            // What goes to the loopback leaves no namespace.
            if step != Step::Connection && tuple.destination.ip().is_loopback() {
                break;
            }
            match self.ask(step, question, tuple) {
                Ok(Some(leaving)) => {
                    if leaving.destination != tuple.destination {
                        found.push(leaving.destination);
                    }
                    tuple = leaving;
                }
                // Where nothing is tracked, nothing is translated.
                Ok(None) | Err(ConntrackError::Absent) => {}
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn ask(
        &mut self,
        step: Step,
        question: &Question,
        tuple: Tuple,
    ) -> Result<Option<Tuple>, ConntrackError> {
        match step {
            Step::Connection if question.netns == self.own.inode => self.own.ask(tuple, None),
            Step::Connection if question.netns == self.host.inode => self.ask_host(tuple),
            Step::Connection if !self.may_enter => Ok(None),
            Step::Connection => {
                let path = self.proc_root.join(question.pid.to_string()).join("ns/net");
                // A process that is gone cannot show the way any more.
                let Ok(namespace) = File::open(path) else {
                    return Ok(None);
                };
                if inode(&namespace) != question.netns {
                    return Ok(None);
                }
                within(&namespace, || Conntrack::open()?.leaving(tuple))
            }
            Step::Own if question.netns == self.own.inode => Ok(None),
            Step::Own => self.own.ask(tuple, None),
            Step::Host if self.host.inode == 0 || question.netns == self.host.inode => Ok(None),
            Step::Host => self.ask_host(tuple),
        }
    }

    fn ask_host(&mut self, tuple: Tuple) -> Result<Option<Tuple>, ConntrackError> {
        let path = self.proc_root.join("1/ns/net");
        self.host.ask(tuple, Some(&path))
    }
}

/// The namespaces on the way of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connection,
    Own,
    Host,
}

impl Place {
    /// Asks the namespace, which is the one at `path`, or the thread's own.
    fn ask(&mut self, tuple: Tuple, path: Option<&Path>) -> Result<Option<Tuple>, ConntrackError> {
        let conntrack = match &mut self.conntrack {
            Some(conntrack) => conntrack,
            none => none.insert(match path {
                None => Conntrack::open()?,
                Some(path) => {
                    let failed =
                        |error| ConntrackError::Failed(format!("{}: {error}", path.display()));
                    within(&File::open(path).map_err(failed)?, Conntrack::open)?
                }
            }),
        };
        conntrack.leaving(tuple)
    }
}

/// Runs `work` in a network namespace, on a thread that ends there, so that no other work ever runs
/// in it.
fn within<T: Send>(
    namespace: &File,
    work: impl FnOnce() -> Result<T, ConntrackError> + Send,
) -> Result<T, ConntrackError> {
    let entered = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).map_err(
            |errno| {
                ConntrackError::Failed(format!(
                    "a network namespace cannot be entered (CAP_SYS_ADMIN): {errno}"
                ))
            },
        )?;
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("nat-netns".to_owned());
        let thread = thread
            .spawn_scoped(scope, entered)
            .map_err(|error| ConntrackError::Failed(error.to_string()))?;
        let joined = thread.join();
        joined.unwrap_or_else(|_| Err(ConntrackError::Failed("its thread panicked".to_owned())))
    })
}

fn inode(file: &File) -> u32 {
    let metadata = file.metadata().ok();
    metadata
        .and_then(|metadata| u32::try_from(metadata.ino()).ok())
        .unwrap_or(0)
}

fn inode_of(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).ok();
    metadata
        .and_then(|metadata| u32::try_from(metadata.ino()).ok())
        .unwrap_or(0)
}
