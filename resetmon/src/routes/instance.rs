//! One running gateway: its processes, its files as it sees them, its network.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::files::{FileError, Files};

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

    /// True if the process has this process's network namespace.
    fn shares_network(&self) -> std::io::Result<bool> {
        let own = std::fs::read_link(self.proc_root.join("self/ns/net"))?;
        Ok(own == std::fs::read_link(self.entry("ns/net"))?)
    }

    fn entry(&self, name: &str) -> PathBuf {
        self.proc_root.join(self.pid.to_string()).join(name)
    }
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
