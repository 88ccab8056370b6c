//! One running gateway: its processes, its files as it sees them, its network.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::admin::AdminAddress;
use super::admin::access::Access;
use super::files::{FileError, Files};

/// Field of `/proc/PID/stat`: id of the parent.
const PARENT: usize = 4;
/// Field of `/proc/PID/stat`: start, ticks since boot.
const START: usize = 22;
/// How long a connection may take to be established.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// A process that may be a gateway's main process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Where `/proc` of the initial pid namespace is.
    pub proc_root: PathBuf,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Its start, ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
    /// Path of the executable, in the process's own root.
    pub exe: PathBuf,
    /// The arguments as executed, the program's name first; bytes that are not UTF-8 are replaced.
    /// Programs that rewrite their title (nginx) show that instead.
    pub arguments: Vec<String>,
    /// Environment variables as executed, `NAME=value`; empty where it cannot be read.
    pub environment: Vec<String>,
    /// Its working directory, in its own root.
    pub directory: PathBuf,
    /// Inode of its network namespace; 0 where it cannot be read.
    pub netns: u32,
    /// Its direct children.
    pub children: Vec<Child>,
    /// Path of its configuration, where the operator says so.
    pub config: Option<PathBuf>,
    /// Where its admin interface answers, where the operator says so.
    pub admin: Option<AdminAddress>,
    /// How it is asked, where the operator says so.
    pub access: Access,
}

/// A child of a gateway's main process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Process id.
    pub pid: u32,
    /// Its start, ticks since boot.
    pub start: u64,
    /// Its command line, arguments separated by blanks.
    pub cmdline: String,
}

impl Instance {
    /// The process `pid` of `family` below `proc_root`, and its children.
    ///
    /// Errors: the process is gone, or its entry may not be read (`CAP_SYS_PTRACE`).
    pub fn of(proc_root: &Path, family: &Family, pid: u32) -> std::io::Result<Self> {
        let entry = proc_root.join(pid.to_string());
        let lines = |name: &str| -> std::io::Result<Vec<String>> {
            let bytes = std::fs::read(entry.join(name))?;
            let parts = bytes.split(|byte| *byte == 0);
            let mut lines: Vec<String> = parts
                .map(|part| String::from_utf8_lossy(part).into_owned())
                .collect();
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            Ok(lines)
        };
        let member = family.member(pid).ok_or(std::io::ErrorKind::NotFound)?;
        let namespace = std::fs::metadata(entry.join("ns/net"));
        Ok(Self {
            proc_root: proc_root.to_owned(),
            pid,
            start: member.start,
            exe: without_mark(std::fs::read_link(entry.join("exe"))?),
            arguments: lines("cmdline")?,
            environment: lines("environ").unwrap_or_default(),
            directory: std::fs::read_link(entry.join("cwd"))?,
            netns: namespace
                .ok()
                .and_then(|namespace| u32::try_from(namespace.ino()).ok())
                .unwrap_or(0),
            children: family.children(proc_root, pid),
            config: None,
            admin: None,
            access: Access::default(),
        })
    }

    /// The same with what the operator says of it.
    #[must_use]
    pub fn with(
        self,
        config: Option<PathBuf>,
        admin: Option<AdminAddress>,
        access: Access,
    ) -> Self {
        Self {
            config,
            admin,
            access,
            ..self
        }
    }

    /// True if the process has this process's root directory; false also where that cannot be told.
    #[must_use]
    pub fn shares_root(&self) -> bool {
        let identity = |path: PathBuf| {
            let root = std::fs::metadata(path).ok()?;
            Some((root.dev(), root.ino()))
        };
        let own = identity(self.proc_root.join("self/root"));
        own.is_some() && own == identity(self.entry("root"))
    }

    /// File name of the executable.
    #[must_use]
    pub fn program(&self) -> &str {
        self.exe
            .file_name()
            .and_then(std::ffi::OsStr::to_str)
            .unwrap_or("")
    }

    /// Start of the youngest process of the gateway, ticks since boot.
    #[must_use]
    pub fn newest_start(&self) -> u64 {
        let children = self.children.iter().map(|child| child.start);
        children.max().unwrap_or(0).max(self.start)
    }

    /// Value of an environment variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }

    /// The process's files as it sees them; relative paths begin in its working directory.
    ///
    /// Errors: the process is gone, or its root may not be entered.
    pub fn files(&self) -> Result<Files, FileError> {
        Files::open(&self.entry("root"), &self.directory)
    }

    /// Connects to `address` as the process itself would, from its network namespace.
    ///
    /// Blocks for up to two seconds. Errors: besides those of connecting, `EPERM` where this
    /// process may not enter the namespace (`CAP_SYS_ADMIN`).
    pub fn connect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let connect = move || TcpStream::connect_timeout(&address, CONNECT_LIMIT);
        if self.shares_network()? {
            return connect();
        }
        let namespace = std::fs::File::open(self.entry("ns/net"))?;
        // The thread ends in the other namespace, so that no other work ever runs there.
        let thread = std::thread::Builder::new().name("connect".to_owned());
        let joined = thread
            .spawn(move || {
                use std::os::fd::AsFd as _;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                connect()
            })?
            .join();
        joined.unwrap_or_else(|_| Err(std::io::Error::other("the connecting thread panicked")))
    }

    /// Inode of its network namespace if that is known and another than this process's.
    #[must_use]
    pub fn other_netns(&self) -> Option<u32> {
        let own = std::fs::metadata(self.proc_root.join("self/ns/net"));
        let own = own.is_ok_and(|own| own.ino() == u64::from(self.netns));
        (self.netns != 0 && !own).then_some(self.netns)
    }

    /// True if the process has this process's network namespace.
    ///
    /// Errors: it is gone, or its entry may not be read.
    pub fn shares_network(&self) -> std::io::Result<bool> {
        let own = std::fs::read_link(self.proc_root.join("self/ns/net"))?;
        Ok(own == std::fs::read_link(self.entry("ns/net"))?)
    }

    fn entry(&self, name: &str) -> PathBuf {
        self.proc_root.join(self.pid.to_string()).join(name)
    }
}

/// The processes of a node at one moment, by who started whom.
#[derive(Clone, Debug, Default)]
pub struct Family(Vec<Member>);

/// One process of a [`Family`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: Box<str>,
    /// Its parent.
    pub parent: u32,
    /// Its start, ticks since boot.
    pub start: u64,
}

impl Family {
    /// Every process below `proc_root`; kernel threads, too.
    ///
    /// Errors: `proc_root` cannot be listed.
    pub fn read(proc_root: &Path) -> std::io::Result<Self> {
        let mut members = Vec::new();
        for entry in std::fs::read_dir(proc_root)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process that ends meanwhile is not there.
            let Ok(stat) = std::fs::read(proc_root.join(&name).join("stat")) else {
                continue;
            };
            let stat = String::from_utf8_lossy(&stat);
            let comm = stat
                .split_once('(')
                .and_then(|(_, rest)| rest.rsplit_once(')'));
            if let Some((comm, _)) = comm
                && let Some(parent) = stat_field(&stat, PARENT)
                && let Some(start) = stat_field(&stat, START)
            {
                members.push(Member {
                    pid,
                    comm: comm.into(),
                    parent,
                    start,
                });
            }
        }
        members.sort_unstable_by_key(|member| member.pid);
        Ok(Self(members))
    }

    /// All of them, by number.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// The process `pid`.
    #[must_use]
    pub fn member(&self, pid: u32) -> Option<&Member> {
        let found = self.0.binary_search_by_key(&pid, |member| member.pid);
        found.ok().map(|index| &self.0[index])
    }

    /// The direct children of `pid`, by number.
    fn children(&self, proc_root: &Path, pid: u32) -> Vec<Child> {
        let children = self.0.iter().filter(|member| member.parent == pid);
        let child = |member: &Member| {
            let entry = proc_root.join(member.pid.to_string());
            let bytes = std::fs::read(entry.join("cmdline")).ok()?;
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            Some(Child {
                pid: member.pid,
                start: member.start,
                cmdline: text.trim_end().to_owned(),
            })
        };
        children.filter_map(child).collect()
    }
}

/// The kernel marks the path of an executable that has been removed or replaced.
pub(super) fn without_mark(path: PathBuf) -> PathBuf {
    match path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
    {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

/// Field `number` of `stat`, counted from 1 and beyond the name, which may have blanks and
/// parentheses.
fn stat_field<T: std::str::FromStr>(stat: &str, number: usize) -> Option<T> {
    let (_, after) = stat.rsplit_once(')')?;
    let after = after.split_ascii_whitespace().nth(number.checked_sub(3)?)?;
    after.parse().ok()
}

/// A value of a command-line option: `-c FILE`, `-cFILE`, `--config-path FILE`,
/// `--config-path=FILE`. The last one wins.
///
/// `names` are all spellings of one option, with their dashes.
#[must_use]
pub fn option<'a>(arguments: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut found = None;
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        for name in names {
            let Some(after) = argument.strip_prefix(name) else {
                continue;
            };
            if after.is_empty() {
                found = rest.next().map(String::as_str).or(found);
                break;
            }
            if let Some(value) = after.strip_prefix('=') {
                found = Some(value);
                break;
            }
            // Only one-letter options take their value without a separator.
            if !name.starts_with("--") && name.len() == 2 {
                found = Some(after);
                break;
            }
        }
    }
    found
}

/// `path` below `directory` unless it is absolute.
#[must_use]
pub fn absolute(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_all_their_spellings() {
        for (line, names, expected) in [
            ("nginx -c /a", &["-c"][..], Some("/a")),
            ("nginx -c/a", &["-c"], Some("/a")),
            ("nginx -c /a -c /b", &["-c"], Some("/b")),
            (
                "envoy --config-path /a",
                &["-c", "--config-path"],
                Some("/a"),
            ),
            (
                "envoy --config-path=/a",
                &["-c", "--config-path"],
                Some("/a"),
            ),
            ("envoy -c /a", &["-c", "--config-path"], Some("/a")),
            ("envoy --config-path-x /a", &["--config-path"], None),
            ("envoy --concurrency 1", &["-c", "--config-path"], None),
            ("nginx -c", &["-c"], None),
            ("-c /a", &["-c"], None),
            ("nginx -g x", &["-c"], None),
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(option(&arguments, names), expected, "{line}");
        }
    }

    #[test]
    fn this_process_as_it_is() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let proc_root = Path::new("/proc");
        let family = Family::read(proc_root).unwrap();
        let instance = Instance::of(proc_root, &family, std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(instance.exe, std::env::current_exe().unwrap());
        assert_eq!(instance.directory, std::env::current_dir().unwrap());
        assert_eq!(instance.arguments, std::env::args().collect::<Vec<_>>());
        assert_eq!(
            instance.variable("PATH"),
            std::env::var("PATH").ok().as_deref()
        );
        let found = instance
            .children
            .iter()
            .find(|found| found.pid == child.id());
        assert!(
            found.is_some_and(|found| found.start >= instance.start),
            "{instance:?}"
        );
        assert_eq!(
            Instance::of(proc_root, &family, u32::MAX)
                .unwrap_err()
                .kind(),
            std::io::ErrorKind::NotFound
        );
    }

    #[test]
    fn variables_by_their_whole_name() {
        let instance = Instance {
            environment: ["AB=1", "A=2=3", "B"].map(str::to_owned).to_vec(),
            ..Instance::default()
        };
        assert_eq!(instance.variable("A"), Some("2=3"));
        assert_eq!(instance.variable("AB"), Some("1"));
        assert_eq!(instance.variable("B"), None);
    }

    #[test]
    fn this_process_reaches_its_own_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let instance = Instance {
            proc_root: "/proc".into(),
            pid: std::process::id(),
            ..Instance::default()
        };
        let address = listener.local_addr().unwrap();
        assert_eq!(
            instance.connect(address).unwrap().peer_addr().unwrap(),
            address
        );
        let gone = Instance {
            pid: u32::MAX,
            ..instance
        };
        let error = gone.connect(address).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}
