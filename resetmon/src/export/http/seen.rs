//! Whether a file has changed since it was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file as it was when last looked at; different after a change or replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// Device, inode, size, modification and status change in seconds and nanoseconds.
type Stamp = [i128; 5];

impl Seen {
    /// The file at `path`, which may be missing, as it is now.
    pub(super) fn now(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stamp: path.metadata().ok().as_ref().map(stamp),
        }
    }

    /// Whether it is still so.
    pub(super) fn is_unchanged(&self) -> bool {
        *self == Self::now(&self.path)
    }
}

fn stamp(file: &Metadata) -> Stamp {
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    [
        file.dev().into(),
        file.ino().into(),
        file.size().into(),
        nanoseconds(file.mtime(), file.mtime_nsec()),
        nanoseconds(file.ctime(), file.ctime_nsec()),
    ]
}
