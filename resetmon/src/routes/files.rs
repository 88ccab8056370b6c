//! A process's files as it sees them: below its own root, links and all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

/// Largest file that is read, bytes.
const MAX_FILE: u64 = 16 << 20;
/// Most files that one pattern may name.
const MAX_MATCHES: usize = 10_000;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("{}: {reason}{}", .path.display(), remedy(*.reason))]
    Read {
        /// As the process sees it.
        path: PathBuf,
        /// Why.
        reason: Errno,
    },
    /// It is larger than any configuration.
    #[error("{}: larger than {} MiB; is this the right file?", .0.display(), MAX_FILE >> 20)]
    TooLarge(PathBuf),
    /// A pattern that is none.
    #[error("{pattern}: not a pattern of file names: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// Why.
        reason: String,
    },
}

/// One state of a file: device, inode, size, and the last change of content and of the file itself.
pub type Stamp = (u64, u64, u64, [i64; 2], [i64; 2]);

fn remedy(reason: Errno) -> &'static str {
    match reason {
        Errno::ACCESS | Errno::PERM => {
            "; run resetmon as root or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
        }
        _ => "",
    }
}

/// The files below one root directory.
///
/// A link that leads to an absolute path leads below that root too, as it does for the process
/// (`openat2(2)`, `RESOLVE_IN_ROOT`).
#[derive(Debug)]
pub struct Files {
    root: OwnedFd,
    directory: PathBuf,
}

impl Files {
    /// The files below `root` for a process whose working directory, below that root, is `directory`.
    pub fn open(root: &Path, directory: &Path) -> Result<Self, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(root, flags, Mode::empty()).map_err(|reason| FileError::Read {
            path: root.to_owned(),
            reason,
        })?;
        Ok(Self {
            root: opened,
            directory: directory.to_owned(),
        })
    }

    /// The whole file at `path`; bytes that are not UTF-8 are replaced.
    pub fn read(&self, path: &Path) -> Result<String, FileError> {
        let failed = |reason| FileError::Read {
            path: path.to_owned(),
            reason,
        };
        // A pipe in place of a file would never end.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.at(path, flags).map_err(failed)?);
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(FileError::TooLarge(path.to_owned()));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// True if there is something at `path`.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.at(path, OFlags::PATH | OFlags::CLOEXEC).is_ok()
    }

    /// What tells one state of the file at `path` from the next; `None` if there is none.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<Stamp> {
        let file = self.at(path, OFlags::PATH | OFlags::CLOEXEC).ok()?;
        let file = File::from(file).metadata().ok()?;
        Some((
            file.dev(),
            file.ino(),
            file.size(),
            [file.mtime(), file.mtime_nsec()],
            [file.ctime(), file.ctime_nsec()],
        ))
    }

    /// Names in the directory at `path`, sorted, without `.` and `..`.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>, FileError> {
        let failed = |reason| FileError::Read {
            path: path.to_owned(),
            reason,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = self.at(path, flags).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The paths that a pattern of the shell's kind (`*`, `?`, `[a-z]`, none of which crosses `/`
    /// or matches a leading dot) names, sorted as glob(3) does. A path without such signs names
    /// itself, whether it exists or not.
    ///
    /// Directories that cannot be read name nothing.
    pub fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, FileError> {
        if !has_signs(pattern) {
            return Ok(vec![self.directory.join(pattern)]);
        }
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut found = vec![PathBuf::from("/")];
        for component in self.directory.join(pattern).components() {
            let part = match component {
                Component::Normal(part) => part,
                Component::ParentDir => OsStr::new(".."),
                _ => continue,
            };
            let text = part.to_string_lossy();
            if !has_signs(&text) {
                for path in &mut found {
                    path.push(part);
                }
                continue;
            }
            let part = glob::Pattern::new(&text).map_err(|error| FileError::Pattern {
                pattern: pattern.to_owned(),
                reason: error.to_string(),
            })?;
            let mut next = Vec::new();
            for path in found {
                let names = self.list(&path).unwrap_or_default();
                let fitting = names
                    .into_iter()
                    .filter(|name| part.matches_with(&name.to_string_lossy(), options));
                next.extend(fitting.map(|name| path.join(name)));
            }
            next.truncate(MAX_MATCHES);
            found = next;
        }
        found.retain(|path| self.exists(path));
        Ok(found)
    }

    /// A path by which this process reaches the socket at `path`, as long as `self` and the second
    /// value live.
    pub fn socket(&self, path: &Path) -> Result<(PathBuf, OwnedFd), FileError> {
        let handle = self
            .at(path, OFlags::PATH | OFlags::CLOEXEC)
            .map_err(|reason| FileError::Read {
                path: path.to_owned(),
                reason,
            })?;
        let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
        Ok((PathBuf::from(link), handle))
    }

    fn at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = self.directory.join(path);
        openat2(
            self.root.as_fd(),
            path.as_path(),
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
    }
}

fn has_signs(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/gw/conf.d")).unwrap();
        fs::write(root.path().join("etc/gw/main.conf"), "main").unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            fs::write(root.path().join("etc/gw/conf.d").join(name), name).unwrap();
        }
        symlink("/etc/gw/main.conf", root.path().join("etc/link")).unwrap();
        symlink("../../../../etc/passwd", root.path().join("etc/out")).unwrap();
        let files = Files::open(root.path(), Path::new("/etc/gw")).unwrap();
        (root, files)
    }

    #[test]
    fn links_stay_below_the_root() {
        let (_root, files) = tree();
        assert_eq!(files.read(Path::new("/etc/link")).unwrap(), "main");
        assert_eq!(files.read(Path::new("main.conf")).unwrap(), "main");
        let error = files.read(Path::new("/etc/out")).unwrap_err().to_string();
        assert_eq!(error, "/etc/out: No such file or directory (os error 2)");
    }

    #[test]
    fn patterns() {
        let (_root, files) = tree();
        for (pattern, expected) in [
            (
                "conf.d/*.conf",
                &["/etc/gw/conf.d/a.conf", "/etc/gw/conf.d/b.conf"][..],
            ),
            ("/etc/*/conf.d/?.txt", &["/etc/gw/conf.d/c.txt"]),
            (
                "conf.d/[ab].conf",
                &["/etc/gw/conf.d/a.conf", "/etc/gw/conf.d/b.conf"],
            ),
            ("nowhere/*.conf", &[]),
            ("*/nothing", &[]),
            ("missing.conf", &["/etc/gw/missing.conf"]),
        ] {
            let found = files.glob(pattern).unwrap();
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{pattern}");
        }
        assert!(files.glob("conf.d/[a").is_err());
    }
}
