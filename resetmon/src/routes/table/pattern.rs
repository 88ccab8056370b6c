//! How a gateway's processes are known.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::reset::Process;

/// Bytes of a task's name that the kernel keeps (`TASK_COMM_LEN` without the NUL).
const COMM_LEN: usize = 15;

/// How a gateway's process is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessPattern {
    /// By the file name of its executable or by its name (`comm`).
    Name(Arc<str>),
    /// By the path of its executable.
    Exe(Arc<str>),
    /// By its main process: that one and its children.
    ///
    /// It tells gateways of one executable apart, so a process that fits here is that gateway's,
    /// whatever else its program fits. Beside it, [`Self::Exe`] keeps a gateway known from its
    /// restart until its new main process is found.
    Tree(u32),
    /// By the uid of its Kubernetes pod, as cgroup paths have it.
    Pod(Arc<str>),
}

impl ProcessPattern {
    /// A pattern from text: a path if it begins with `/`, else a name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.starts_with('/') {
            Self::Exe(Arc::from(text))
        } else {
            Self::Name(Arc::from(text))
        }
    }

    /// True if processes of this executable are meant.
    #[must_use]
    pub fn is_executable(&self, exe: &Path) -> bool {
        match self {
            Self::Exe(path) => exe == Path::new(&**path),
            Self::Name(name) => exe.file_name() == Some(OsStr::new(&**name)),
            Self::Tree(_) | Self::Pod(_) => false,
        }
    }

    /// True if `process` is meant.
    #[must_use]
    pub fn matches(&self, process: &Process) -> bool {
        match (self, process.exe.as_deref()) {
            (Self::Exe(path), exe) => exe == Some(path),
            (Self::Tree(pid), _) => process.pid == *pid || process.parent == Some(*pid),
            (Self::Pod(uid), _) => process
                .container
                .as_ref()
                .is_some_and(|container| container.pod_uid.as_ref() == Some(uid)),
            (Self::Name(name), Some(exe)) => {
                *name == process.name
                    || *name == process.comm
                    || exe.rsplit('/').next() == Some(name)
            }
            // Without the executable there is only comm, which the kernel cuts off.
            (Self::Name(name), None) => {
                *name == process.name
                    || *name == process.comm
                    || process.comm.len() == COMM_LEN && name.starts_with(&*process.comm)
            }
        }
    }

    pub(super) const fn is_tree(&self) -> bool {
        matches!(self, Self::Tree(_))
    }
}

/// The patterns of one gateway.
pub(super) trait Patterns {
    /// One of them is a main process.
    fn has_tree(&self) -> bool;
    /// `process` is the main process of one of them, or its child.
    fn tree_matches(&self, process: &Process) -> bool;
    /// Any of them fits.
    fn any_matches(&self, process: &Process) -> bool;
    /// A process may be meant by both.
    fn overlap(&self, other: &Self) -> bool;
}

impl Patterns for [ProcessPattern] {
    fn has_tree(&self) -> bool {
        self.iter().any(ProcessPattern::is_tree)
    }

    fn tree_matches(&self, process: &Process) -> bool {
        let mut trees = self.iter().filter(|pattern| pattern.is_tree());
        trees.any(|pattern| pattern.matches(process))
    }

    fn any_matches(&self, process: &Process) -> bool {
        self.iter().any(|pattern| pattern.matches(process))
    }

    fn overlap(&self, other: &Self) -> bool {
        if self.is_empty() || other.is_empty() {
            return self.is_empty() && other.is_empty();
        }
        let (tree, other_tree) = (self.has_tree(), other.has_tree());
        // A main process goes before a program's name, so only two of one kind can collide.
        tree == other_tree
            && self.iter().any(|one| {
                let mut others = other.iter();
                one.is_tree() == tree && others.any(|other| same(one, other))
            })
    }
}

fn same(one: &ProcessPattern, other: &ProcessPattern) -> bool {
    match (one, other) {
        (ProcessPattern::Name(name), ProcessPattern::Exe(path))
        | (ProcessPattern::Exe(path), ProcessPattern::Name(name)) => {
            path.rsplit('/').next() == Some(name)
        }
        _ => one == other,
    }
}
