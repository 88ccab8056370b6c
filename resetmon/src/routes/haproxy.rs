//! Routes of `HAProxy`: its configuration files, and its runtime socket for what changes meanwhile.
//!
//! A route is a rule `use_backend` (`FRONTEND/CONDITION`) or what is left over (`FRONTEND`), an
//! upstream a backend. A `listen` is a frontend and a backend of one name.
//!
//! Files are read once for each generation of workers: an edit that was not reloaded is not in
//! force. One that came before the first reading shows where the runtime socket knows better.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use self::address::{Address, Host, Ports};
use self::model::Config;
use self::reading::Maps;
use self::runtime::Live;
use self::words::Variables;
use super::admin::AdminAddress;
use super::files::{FileError, Files};
use super::instance::Instance;
use super::source::{Reading, ReadingFuture, Source, SourceError};

mod address;
mod command_line;
mod condition;
mod config;
mod model;
mod reading;
mod runtime;
mod words;

/// Most files of one configuration.
const MOST_FILES: usize = 4096;
/// Most text of one configuration, bytes.
const MOST_TEXT: usize = 64 << 20;
/// How long one answer of the runtime socket may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer of the runtime socket, bytes.
const MOST_ANSWER: u64 = 64 << 20;
/// Most processes whose configuration is kept.
const MOST_KEPT: usize = 64;

/// The source for `HAProxy`, community and enterprise.
#[derive(Debug, Default)]
pub struct Haproxy {
    /// By process id and start.
    kept: Mutex<HashMap<(u32, u64), Arc<InForce>>>,
}

/// A configuration in force.
#[derive(Debug)]
struct InForce {
    /// Start of the newest worker, which read it.
    worker: u64,
    config: Config,
    maps: Maps,
    origin: String,
}

impl Source for Haproxy {
    fn kind(&self) -> &'static str {
        "haproxy"
    }

    fn claims(&self, instance: &Instance) -> bool {
        let checks = |argument: &String| matches!(argument.as_str(), "-c" | "-v" | "-vv");
        matches!(instance.program(), "haproxy" | "hapee-lb")
            && !instance.arguments.iter().skip(1).any(checks)
    }

    fn generation(&self, instance: &Instance) -> Option<u64> {
        let known = self.known(instance)?;
        // Servers change at run time.
        let asked = instance.admin.is_some() || !known.config.sockets.is_empty();
        (!asked).then_some(known.worker)
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(async move {
            let in_force = match self.known(instance) {
                Some(known) => known,
                None => self.keep(instance, load(instance)?),
            };
            let files = root(instance)?;
            let chosen: Vec<Address> = instance.admin.iter().map(runtime_socket).collect();
            let sockets = match &chosen[..] {
                [] => &in_force.config.sockets[..],
                chosen => chosen,
            };
            let (live, remark) = match ask_any(instance, &files, sockets).await {
                Ok(live) => (Some(live), None),
                Err(remark) => (None, Some(remark)),
            };
            let mut reading = reading::reading(&in_force.config, &in_force.maps, live.as_ref());
            reading.origin.clone_from(&in_force.origin);
            reading.not_understood.extend(remark);
            Ok(reading)
        })
    }
}

impl Haproxy {
    /// The configuration in force, if it was read before.
    fn known(&self, instance: &Instance) -> Option<Arc<InForce>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&(instance.pid, instance.start))?;
        (known.worker == instance.newest_start()).then(|| Arc::clone(known))
    }

    fn keep(&self, instance: &Instance, in_force: InForce) -> Arc<InForce> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        let in_force = Arc::new(in_force);
        kept.insert((instance.pid, instance.start), Arc::clone(&in_force));
        in_force
    }
}

/// Reads text as one file called `name`, without a runtime socket: for configurations from elsewhere.
#[must_use]
pub fn read_text(name: &str, text: &str) -> Reading {
    let files = [(name.to_owned(), text.to_owned())];
    let config = config::read(&files, Variables::default());
    reading::reading(&config, &Maps::new(), None)
}

/// Reads the answers `stat` and `state` of a runtime socket beside the configuration `text`.
///
/// Errors: what they are instead.
pub fn read_runtime(text: &str, stat: &str, state: &str) -> Result<Reading, SourceError> {
    let files = [("haproxy.cfg".to_owned(), text.to_owned())];
    let config = config::read(&files, Variables::default());
    let live = runtime::read(stat, state).map_err(SourceError::Invalid)?;
    Ok(reading::reading(&config, &Maps::new(), Some(&live)))
}

/// The files as the process saw them when it read its configuration, before `chroot`.
fn root(instance: &Instance) -> Result<Files, FileError> {
    let entry = |pid: &str, name: &str| instance.proc_root.join(pid).join(name);
    let pid = instance.pid.to_string();
    let confined = std::fs::read_link(entry(&pid, "root")).is_ok_and(|root| root != Path::new("/"));
    let namespace = |pid: &str| std::fs::read_link(entry(pid, "ns/mnt")).ok();
    let directory = command_line::read(&instance.arguments).directory;
    let directory = directory.as_deref().unwrap_or(&instance.directory);
    let own = namespace(&pid).filter(|_| confined);
    // Whoever has the same mounts has the root from before, if it may be looked at.
    let whole = ["1", "self"]
        .into_iter()
        .find(|other| own.is_some() && namespace(other) == own);
    Files::open(&entry(whole.unwrap_or(&pid), "root"), directory)
}

/// The runtime socket that the operator names. It speaks no HTTP, so TLS has no meaning there.
fn runtime_socket(admin: &AdminAddress) -> Address {
    match admin {
        AdminAddress::Unix(path) => Address::Unix(path.display().to_string()),
        AdminAddress::Tcp(at) | AdminAddress::Https(at) => Address::Tcp {
            host: match at.ip() {
                any if any.is_unspecified() => Host::Any(any),
                ip => Host::Ip(ip),
            },
            ports: Ports::Range(at.port(), at.port()),
        },
    }
}

/// Reads the files that the command line names, or that of the operator, and the maps that they
/// name.
fn load(instance: &Instance) -> Result<InForce, SourceError> {
    let mut command = command_line::read(&instance.arguments);
    if let Some(path) = &instance.config {
        command.paths = vec![path.display().to_string()];
    }
    let paths = &command.paths;
    if paths.is_empty() {
        let what = format!(
            "HAProxy with process id {} names no configuration on its command line (-f)",
            instance.pid
        );
        return Err(SourceError::NotFound(what));
    }
    let files = root(instance)?;
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut length = 0;
    for path in paths {
        for name in expand(&files, path)? {
            let text = files.read(Path::new(&name))?;
            length += text.len();
            if length > MOST_TEXT || texts.len() >= MOST_FILES {
                return Err(SourceError::Invalid(format!(
                    "{path}: more than {MOST_FILES} files or {} MiB of configuration",
                    MOST_TEXT >> 20
                )));
            }
            texts.push((name, text));
        }
    }
    let mut variables = Variables::new(instance.environment.iter().map(String::as_str));
    let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    variables.set("HAPROXY_CFGFILES", &names.join(";"));
    if command.master_worker {
        variables.set("HAPROXY_MWORKER", "1");
    }
    if let Some(peer) = &command.local_peer {
        variables.set("HAPROXY_LOCALPEER", peer);
    }
    let config = config::read(&texts, variables);
    let maps = reading::maps(&config)
        .into_iter()
        .take(MOST_FILES)
        .map(|path| {
            let text = files.read(Path::new(&path)).ok();
            (path, text)
        })
        .collect();
    Ok(InForce {
        worker: instance.newest_start(),
        config,
        maps,
        origin: paths.join(" "),
    })
}

/// The files that `path` stands for: itself, or those of a directory.
fn expand(files: &Files, path: &str) -> Result<Vec<String>, FileError> {
    let names = match files.list(Path::new(path)) {
        Ok(names) => names,
        Err(FileError::Read {
            reason: Errno::NOTDIR,
            ..
        }) => return Ok(vec![path.to_owned()]),
        Err(error) => return Err(error),
    };
    let is_meant = |name: &str| {
        let end = Path::new(name).extension();
        end.is_some_and(|end| end == "cfg") && !name.starts_with('.')
    };
    let names = names.iter().filter_map(|name| name.to_str());
    let paths = names
        .filter(|name| is_meant(name))
        .map(|name| Path::new(path).join(name));
    let only_files = |path: &PathBuf| files.list(path).is_err();
    Ok(paths
        .filter(only_files)
        .map(|path| path.to_string_lossy().into_owned())
        .collect())
}

/// Asks the runtime sockets one after the other until one answers.
///
/// Errors: why none did, and the remedy.
async fn ask_any(instance: &Instance, files: &Files, sockets: &[Address]) -> Result<Live, String> {
    let mut reasons = Vec::new();
    for socket in sockets {
        let answers = async {
            let proxies = ask(instance, files, socket, runtime::PROXIES).await?;
            let servers = ask(instance, files, socket, runtime::SERVERS).await?;
            runtime::read(&proxies, &servers)
        };
        match answers.await {
            Ok(live) => return Ok(live),
            Err(reason) => reasons.push(reason),
        }
    }
    let reason = if reasons.is_empty() {
        "global has no `stats socket`".to_owned()
    } else {
        reasons.join("; ")
    };
    Err(format!(
        "runtime: {reason}; servers are as in the file, changes at run time are not seen: let `stats socket \
         /run/haproxy/admin.sock mode 600 level operator` be in global, and run resetmon as root"
    ))
}

/// The answer to one command.
async fn ask(
    instance: &Instance,
    files: &Files,
    socket: &Address,
    command: &str,
) -> Result<String, String> {
    let asked = async {
        match socket {
            Address::Unix(path) => {
                let failed = |reason: &dyn std::fmt::Display| format!("{path}: {reason}");
                let (link, _handle) = files
                    .socket(Path::new(path))
                    .map_err(|error| error.to_string())?;
                let stream = UnixStream::connect(link)
                    .await
                    .map_err(|error| failed(&error))?;
                exchange(stream, command)
                    .await
                    .map_err(|error| failed(&error))
            }
            Address::Tcp {
                host,
                ports: Ports::Range(port, _),
            } => {
                let ip = match host {
                    Host::Ip(ip) => *ip,
                    Host::Any(std::net::IpAddr::V4(_)) => std::net::Ipv4Addr::LOCALHOST.into(),
                    Host::Any(std::net::IpAddr::V6(_)) => std::net::Ipv6Addr::LOCALHOST.into(),
                    Host::Name(name) => return Err(format!("the address of {name} is not known")),
                };
                let address = std::net::SocketAddr::new(ip, *port);
                let failed = |error: std::io::Error| format!("{address}: {error}");
                let stream = instance.connect(address).map_err(failed)?;
                stream.set_nonblocking(true).map_err(failed)?;
                let stream = TcpStream::from_std(stream).map_err(failed)?;
                exchange(stream, command).await.map_err(failed)
            }
            _ => Err("its socket is neither a path nor an address".to_owned()),
        }
    };
    match tokio::time::timeout(ANSWER_LIMIT, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer to `{command}` within {ANSWER_LIMIT:?}")),
    }
}

/// Sends one command and reads until the other side closes, as it does after one.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &str,
) -> std::io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(MOST_ANSWER).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
