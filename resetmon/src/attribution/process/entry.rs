//! One process's entry in `/proc`.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`, fixed by Linux's ABI).
const USER_HZ: u128 = 100;
/// Ticks by which the two sources of a start may differ: each cuts off on its own.
const TOLERANCE: u128 = 2;
/// Bytes read of a small file.
const SMALL: u64 = 4096;
/// Bytes read of the list of cgroups.
const CGROUPS: u64 = 64 << 10;

/// What `/proc/PID` says, in bytes as read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    comm: Vec<u8>,
    /// Id of the parent.
    pub(super) parent: Option<u32>,
    /// Path of the executable, also where it has been replaced or removed since.
    pub(super) exe: Option<Vec<u8>>,
    /// Command line, arguments separated by blanks.
    pub(super) cmdline: Option<Vec<u8>>,
    /// Text of `cgroup`.
    pub(super) cgroup: Option<String>,
}

/// Why there is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The process is gone, its id is another's, or `/proc` hides it (hidepid): asking again is no use.
    Gone,
    /// Something else failed, as when no file descriptor was free.
    Perhaps,
}

impl From<Errno> for Unreadable {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM => Self::Gone,
            _ => Self::Perhaps,
        }
    }
}

impl Entry {
    /// The entry of process `pid`, if that started at `start` since boot.
    ///
    /// Everything is read through one directory handle. It stays bound to the process it was
    /// opened for, so an id that is reused meanwhile yields an error, never a mixture.
    ///
    /// In a time namespace of its own the agent sees other starts and accepts no entry.
    pub(super) fn read(root: &Path, pid: u32, start: Duration) -> Result<Self, Unreadable> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(root.join(pid.to_string()), flags, Mode::empty())?;
        let line = read_file(&dir, "stat", SMALL)?;
        let ticks: u128 = stat_field(&line, 22).ok_or(Unreadable::Gone)?;
        if ticks.abs_diff(start.as_nanos() * USER_HZ / 1_000_000_000) > TOLERANCE {
            return Err(Unreadable::Gone);
        }
        let mut comm = read_file(&dir, "comm", SMALL)?;
        if comm.last() == Some(&b'\n') {
            comm.pop();
        }
        // Each of these may be missing alone: exe needs ptrace rights, a zombie has neither.
        Ok(Self {
            comm,
            parent: stat_field(&line, 4),
            exe: readlinkat(&dir, "exe", Vec::new())
                .ok()
                .map(|path| without_mark(path.into_bytes())),
            cmdline: read_file(&dir, "cmdline", SMALL).ok().and_then(joined),
            cgroup: read_file(&dir, "cgroup", CGROUPS)
                .ok()
                .map(|text| String::from_utf8_lossy(&text).into_owned()),
        })
    }

    /// Name of the main thread; bytes that are not UTF-8 are replaced.
    pub(super) fn comm(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.comm)
    }
}

/// Bytes of an entry that are read at once.
const ONE_READ: usize = 8192;

fn read_file(dir: &OwnedFd, name: &str, most: u64) -> Result<Vec<u8>, Unreadable> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Room from the start makes it one read: a process may end between two, and what it executes
    // would be cut.
    let mut bytes = Vec::with_capacity(ONE_READ);
    match File::from(file).take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Errno::from_io_error(&error).map_or(Unreadable::Perhaps, Into::into)),
    }
}

/// Field `number` of `stat`, counted from 1 and beyond the name: that is the second one and may
/// itself have blanks and parentheses.
fn stat_field<T: FromStr>(stat: &[u8], number: usize) -> Option<T> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let after = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let after = after.split_ascii_whitespace().nth(number.checked_sub(3)?)?;
    after.parse().ok()
}

/// The kernel marks the path of an executable that has been removed or replaced.
fn without_mark(mut path: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b" (deleted)";
    if path.ends_with(MARK) {
        path.truncate(path.len() - MARK.len());
    }
    path
}

/// Arguments, each ended by NUL, separated by blanks instead; `None` without any.
pub(super) fn joined(mut cmdline: Vec<u8>) -> Option<Vec<u8>> {
    let used = cmdline.iter().rposition(|byte| *byte != 0)? + 1;
    cmdline.truncate(used);
    for byte in &mut cmdline {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    Some(cmdline)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of `stat` with this name and field 22.
    fn stat(comm: &str, start: &str) -> Vec<u8> {
        let before = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0";
        format!("7 ({comm}) {before} {start} 9 10 11\n").into_bytes()
    }

    #[test]
    fn starts() {
        for (stat, expected) in [
            (stat("nginx", "4711"), Some(4711)),
            (stat("a b) S 1 (c", "4711"), Some(4711)),
            (stat(") 1 2 3", "4711"), Some(4711)),
            (stat("\n\t)", "0"), Some(0)),
            (stat("nginx", "-1"), None),
            (stat("nginx", "x"), None),
            (b"7 (nginx) S 1 2".to_vec(), None),
            (b"7 nginx".to_vec(), None),
            (b"7 (n) \xff".to_vec(), None),
            (Vec::new(), None),
        ] {
            let text = String::from_utf8_lossy(&stat).into_owned();
            assert_eq!(stat_field::<u128>(&stat, 22), expected, "{text}");
        }
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert!(stat_field::<u128>(&own, 22).is_some_and(|ticks| ticks > 0));
        assert_eq!(
            stat_field(&own, 4),
            Some(std::os::unix::process::parent_id())
        );
    }

    #[test]
    fn command_lines() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"\0", None),
            (b"\0\0\0", None),
            (b"nginx\0", Some(&b"nginx"[..])),
            (b"nginx: worker\0\0\0", Some(b"nginx: worker")),
            (b"a\0b c\0\0d\0", Some(b"a b c  d")),
            (b"cut off", Some(b"cut off")),
            (b"\0a", Some(b" a")),
        ] {
            assert_eq!(joined(bytes.to_vec()).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn marks() {
        for (path, expected) in [
            ("/usr/sbin/nginx", "/usr/sbin/nginx"),
            ("/usr/sbin/nginx (deleted)", "/usr/sbin/nginx"),
            ("/a (deleted)b", "/a (deleted)b"),
            (" (deleted)", ""),
            ("", ""),
        ] {
            assert_eq!(without_mark(path.into()), expected.as_bytes());
        }
    }
}
