//! A directory that looks like `/proc`.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::mutate::Bytes;

/// Processes that exist as files only; removed when dropped.
#[derive(Debug)]
pub(crate) struct FakeProc(tempfile::TempDir);

/// The files of one process; `None` for one that cannot be read.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) stat: Option<Vec<u8>>,
    pub(crate) comm: Option<Vec<u8>>,
    pub(crate) cmdline: Option<Vec<u8>>,
    pub(crate) cgroup: Option<Vec<u8>>,
    /// Target of the link, without NUL and not empty.
    pub(crate) exe: Option<Vec<u8>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |content: &Option<Vec<u8>>| content.clone().map(Bytes);
        f.debug_struct("Files")
            .field("stat", &shown(&self.stat))
            .field("comm", &shown(&self.comm))
            .field("cmdline", &shown(&self.cmdline))
            .field("cgroup", &shown(&self.cgroup))
            .field("exe", &shown(&self.exe))
            .finish()
    }
}

impl FakeProc {
    /// Without any process.
    pub(crate) fn new() -> Self {
        Self(directory())
    }

    /// Its path.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Makes the entry of `pid` say this.
    pub(crate) fn set(&self, pid: u32, files: &Files) {
        let dir = self.0.path().join(pid.to_string());
        fs::create_dir_all(&dir).unwrap();
        for (name, content) in [
            ("stat", &files.stat),
            ("comm", &files.comm),
            ("cmdline", &files.cmdline),
            ("cgroup", &files.cgroup),
        ] {
            let path = dir.join(name);
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => drop(fs::remove_file(path)),
            }
        }
        let link = dir.join("exe");
        drop(fs::remove_file(&link));
        if let Some(target) = &files.exe {
            symlink(OsStr::from_bytes(target), link).unwrap();
        }
    }

    /// Makes the process vanish.
    pub(crate) fn remove(&self, pid: u32) {
        fs::remove_dir_all(self.0.path().join(pid.to_string())).unwrap();
    }
}

/// An empty directory, in memory where the system has such a place.
pub(crate) fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    directory.unwrap()
}

/// A line of `stat` of a process that started at this tick.
pub(crate) fn stat(pid: u32, comm: &[u8], ticks: u64) -> Vec<u8> {
    let mut line = format!("{pid} (").into_bytes();
    line.extend_from_slice(comm);
    let rest = format!(") S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {ticks} 9 10 11\n");
    line.extend_from_slice(rest.as_bytes());
    line
}
