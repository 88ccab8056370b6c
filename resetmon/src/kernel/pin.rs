//! Pins of programs and maps in bpffs: what lets resets be caught while no agent runs.
//!
//! Under the pin directory there is one directory a set, named by its [`Key`]; in it `maps/`,
//! `programs/` and `links/`. Maps are pinned before any link, so that a set with a link has all its maps, whenever
//! the agent that made it was killed. An agent holds a lock on the pin directory itself: the kernel
//! lets go of it however the agent ends.

use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{BtfTracePoint, Program};
use rustix::fs::{Access, access, statfs};
use thiserror::Error;

/// Where `run` pins unless told otherwise.
pub const DEFAULT_DIR: &str = "/sys/fs/bpf/resetmon";

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// How often the directory may vanish under our hands.
const ATTEMPTS: u32 = 10;
/// Changes when agents of one object no longer understand each other's maps.
const FORMAT: &str = "1";

/// Why nothing can be pinned, or taken away.
#[derive(Debug, Error)]
pub enum PinError {
    /// The file system is another one.
    #[error("{} is not on a bpffs; mount one: mount -t bpf bpf /sys/fs/bpf", .0.display())]
    NotBpffs(PathBuf),
    /// An agent works with the pins.
    #[error(
        "another resetmon holds {}; stop it first, or choose another directory with --pin-dir",
        .0.display()
    )]
    Busy(PathBuf),
    /// The file system refuses.
    #[error("{} cannot be {doing}: {source}; it must be writable for this user", path.display())]
    Refused {
        /// What was to be done, as a participle.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refuses the pin itself.
    #[error("{} cannot be pinned: {reason}", path.display())]
    Pin {
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        reason: String,
    },
}

fn refused(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PinError {
    let path = path.to_owned();
    move |source| PinError::Refused {
        doing,
        path,
        source,
    }
}

/// Tells sets apart: equal if and only if programs, maps and all that is built into them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// Of an object and the text of everything that is handed to its programs at load.
    #[must_use]
    pub fn new(object: &[u8], options: &str) -> Self {
        // FNV-1a: kept apart are builds of one project, not the works of an adversary.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for part in [FORMAT.as_bytes(), object, options.as_bytes()] {
            for byte in part.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(hash)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The pin directory, held against other agents for as long as this value lives.
#[derive(Debug)]
pub struct PinDir {
    root: PathBuf,
    _lock: File,
}

impl PinDir {
    /// Whether the directory could be used, without making it.
    pub fn check(root: &Path) -> Result<(), PinError> {
        let there = check_bpffs(root)?;
        access(there, Access::WRITE_OK).map_err(|error| refused("written", there)(error.into()))
    }

    /// Makes the directory if need be, and takes the lock.
    pub fn open(root: &Path) -> Result<Self, PinError> {
        check_bpffs(root)?;
        for _ in 0..ATTEMPTS {
            make_dir(root)?;
            match Self::lock(root) {
                Ok(Some(dir)) => return Ok(dir),
                // Removed in between by `resetmon detach`.
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Err(PinError::Busy(root.to_owned()))
    }

    /// As [`PinDir::open`]; `None` if there is no such directory.
    pub fn open_existing(root: &Path) -> Result<Option<Self>, PinError> {
        if !root.try_exists().map_err(refused("looked up", root))? {
            return Ok(None);
        }
        check_bpffs(root)?;
        Self::lock(root)
    }

    /// `None` if the directory is not, or no longer, there.
    fn lock(root: &Path) -> Result<Option<Self>, PinError> {
        let lock = match File::open(root) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused("opened", root)(error)),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PinError::Busy(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(refused("locked", root)(error)),
        }
        let locked = lock.metadata().map_err(refused("looked up", root))?;
        let still_there = fs::metadata(root)
            .is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino()));
        Ok(still_there.then(|| Self {
            root: root.to_owned(),
            _lock: lock,
        }))
    }

    /// Where the set of `key` is, or would be.
    #[must_use]
    pub fn set(&self, key: Key) -> PinSet {
        PinSet::at(self.root.join(key.to_string()))
    }

    /// Every set there is.
    pub fn sets(&self) -> Result<Vec<PinSet>, PinError> {
        let names = list(&self.root)?;
        Ok(names
            .iter()
            .map(|name| PinSet::at(self.root.join(name)))
            .collect())
    }

    /// Removes every set but the one to `keep`; returns what was removed.
    pub fn remove_others(&self, keep: Option<&PinSet>) -> Result<Removed, PinError> {
        let mut removed = Removed::default();
        for set in self.sets()? {
            if keep.is_none_or(|keep| keep.dir != set.dir) {
                removed.add(set.remove()?);
            }
        }
        Ok(removed)
    }

    /// Removes everything, the directory too unless something is mounted on it, as in a pod.
    pub fn remove(self) -> Result<(Removed, Directory), PinError> {
        let removed = self.remove_others(None)?;
        let directory = match fs::remove_dir(&self.root) {
            Ok(()) => Directory::Removed,
            Err(error) if error.kind() == ErrorKind::ResourceBusy => Directory::MountPoint,
            Err(error) => return Err(refused("removed", &self.root)(error)),
        };
        Ok((removed, directory))
    }
}

/// What became of the pin directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// It is gone.
    Removed,
    /// It is empty, and stays because it is a mount point.
    MountPoint,
}

/// What was unpinned; programs are detached by it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names of the probes.
    pub probes: Vec<String>,
    /// Number of maps.
    pub maps: usize,
}

impl Removed {
    fn add(&mut self, other: Self) {
        self.probes.extend(other.probes);
        self.maps += other.maps;
    }

    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} probes ({}) and {} maps",
            self.probes.len(),
            self.probes.join(", "),
            self.maps
        )
    }
}

/// The pins of one set of programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSet {
    dir: PathBuf,
    maps: PathBuf,
    programs: PathBuf,
    links: PathBuf,
}

impl PinSet {
    fn at(dir: PathBuf) -> Self {
        Self {
            maps: dir.join("maps"),
            programs: dir.join("programs"),
            links: dir.join("links"),
            dir,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Makes its directories.
    pub fn create(&self) -> Result<(), PinError> {
        make_dir(&self.maps)?;
        make_dir(&self.programs)?;
        make_dir(&self.links)
    }

    /// The maps that are pinned: name and path. Empty if there is no such set.
    pub fn maps(&self) -> Result<Vec<(String, PathBuf)>, PinError> {
        let names = list(&self.maps)?;
        Ok(names
            .into_iter()
            .map(|name| {
                let path = self.maps.join(&name);
                (name, path)
            })
            .collect())
    }

    /// Where the map of that name is pinned, or would be.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps.join(name)
    }

    /// Pins a program that is loaded and its link.
    pub fn keep(&self, probe: &str, program: &mut Program, link: FdLink) -> Result<Kept, String> {
        let path = self.programs.join(probe);
        // What an agent left that was killed between the two.
        let _ = fs::remove_file(&path);
        program.pin(&path).map_err(|error| error.to_string())?;
        let link = link
            .pin(self.links.join(probe))
            .map_err(|error| error.to_string())?;
        Ok(Kept {
            program: BtfTracePoint::from_pin(&path).ok(),
            _link: link,
        })
    }

    /// Whether a probe's link is pinned.
    #[must_use]
    pub fn has_link(&self, probe: &str) -> bool {
        self.links.join(probe).exists()
    }

    /// The pinned program of a probe that is attached; `None` if there is none.
    #[must_use]
    pub fn kept(&self, probe: &str) -> Option<Kept> {
        Some(Kept {
            _link: PinnedLink::from_pin(self.links.join(probe)).ok()?,
            program: BtfTracePoint::from_pin(self.programs.join(probe)).ok(),
        })
    }

    /// Removes the links, which detaches the programs, then the maps and the directories.
    pub fn remove(&self) -> Result<Removed, PinError> {
        let probes = unlink_all(&self.links)?;
        unlink_all(&self.programs)?;
        let maps = unlink_all(&self.maps)?.len();
        if self.dir.is_dir() {
            fs::remove_dir(&self.dir).map_err(refused("removed", &self.dir))?;
        }
        Ok(Removed { probes, maps })
    }
}

/// A program that stays attached, with or without us.
#[derive(Debug)]
pub struct Kept {
    /// Of whatever kind: aya's types differ in how they are loaded only.
    program: Option<BtfTracePoint>,
    _link: PinnedLink,
}

impl Kept {
    /// The program's descriptor.
    #[must_use]
    pub fn program(&self) -> Option<BorrowedFd<'_>> {
        Some(self.program.as_ref()?.fd().ok()?.as_fd())
    }
}

/// Names in a directory, sorted; none if it is not there.
fn list(dir: &Path) -> Result<Vec<String>, PinError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refused("read", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(refused("read", dir))?;
        // Ours are ASCII; another's name cannot be one of ours.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Empties a directory and removes it; returns the names that were in it.
fn unlink_all(dir: &Path) -> Result<Vec<String>, PinError> {
    let names = list(dir)?;
    for name in &names {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(refused("removed", &path))?;
    }
    match fs::remove_dir(dir) {
        Ok(()) => Ok(names),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(names),
        Err(error) => Err(refused("removed", dir)(error)),
    }
}

fn make_dir(dir: &Path) -> Result<(), PinError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(refused("made", dir))
}

/// The nearest directory that exists, which must be on a bpffs.
fn check_bpffs(path: &Path) -> Result<&Path, PinError> {
    let there = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let found = statfs(there).map_err(|error| refused("looked up", there)(error.into()))?;
    if u64::try_from(found.f_type) == Ok(BPF_FS_MAGIC) {
        Ok(there)
    } else {
        Err(PinError::NotBpffs(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_with_anything_that_is_built_in() {
        let key = Key::new(b"object", "options");
        assert_eq!(key, Key::new(b"object", "options"));
        for (object, options) in [
            (&b"objecu"[..], "options"),
            (b"object", "optionz"),
            (b"object", ""),
            // A boundary moved.
            (b"objecto", "ptions"),
            (b"", "objectoptions"),
        ] {
            assert_ne!(key, Key::new(object, options), "{object:?} {options}");
        }
        assert_eq!(key.to_string().len(), 16);
    }

    #[test]
    fn only_a_bpffs_will_do() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in [dir.path().to_owned(), dir.path().join("not/there")] {
            let error = PinDir::open(&path).expect_err("no bpffs");
            assert!(matches!(&error, PinError::NotBpffs(_)), "{error}");
            assert!(error.to_string().contains("mount -t bpf"), "{error}");
            assert!(!dir.path().join("not").exists());
        }
    }

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = PinDir::lock(dir.path()).expect("free").expect("there");
        assert!(matches!(PinDir::lock(dir.path()), Err(PinError::Busy(_))));
        drop(first);
        let again = PinDir::lock(dir.path())
            .expect("free again")
            .expect("there");
        let (removed, directory) = again.remove().expect("empty");
        assert!(removed.is_empty() && directory == Directory::Removed);
        assert!(PinDir::lock(dir.path()).expect("no error").is_none());
    }

    #[test]
    fn other_sets_are_removed_and_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let pins = PinDir::lock(dir.path()).expect("free").expect("there");
        let kept = pins.set(Key(1));
        for set in [&kept, &pins.set(Key(2))] {
            set.create().expect("made");
            let pins = [set.map("EVENTS"), set.map("TALLY")];
            for path in pins
                .into_iter()
                .chain([set.links.join("accept"), set.programs.join("accept")])
            {
                fs::write(path, "").expect("a stand-in for a pin");
            }
        }
        let removed = pins.remove_others(Some(&kept)).expect("removed");
        assert_eq!(removed.to_string(), "1 probes (accept) and 2 maps");
        assert_eq!(pins.sets().expect("listed"), [kept]);
        let (removed, _) = pins.remove().expect("removed");
        assert!(!removed.is_empty());
        assert!(!dir.path().exists());
    }
}
