//! nginx, and what is built on it (`OpenResty`, Tengine, ingress-nginx): routes from its
//! configuration files.
//!
//! A route is a `location`, called by the `server_name` and the location as written:
//! `shop.example.com/api/`, `shop.example.com ~ \.php$`; the server's name is left out if only one
//! name has upstreams. In `stream` it is `stream:5432`, or the name of a TLS client's `map`.
//! An upstream is called as its `upstream` block, else by host and port as written.
//!
//! Files are read as they are now. That is asked for when nginx has loaded them (new workers), so
//! that an edit without a reload does not count; in the mode without a master nothing shows a
//! reload, and an edit counts at once.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use self::upstream::{Context, Kind, Shared};
use super::directive::{Directive, SyntaxError};
use super::files::Files;
use super::instance::{Instance, option};
use super::naming::{routes, without_only_name};
use super::notes::Notes;
use super::source::{Reading, ReadingFuture, Source, SourceError};

mod http;
mod lexer;
mod listen;
mod parser;
mod stream;
mod upstream;
mod variables;

/// File names of the executables.
const PROGRAMS: [&str; 6] = [
    "nginx",
    "nginx-debug",
    "openresty",
    "tengine",
    "angie",
    "freenginx",
];
/// Options of calls that are about a running nginx, or end at once.
const CALLS: [&str; 8] = ["-t", "-T", "-s", "-v", "-V", "-h", "-?", "-qt"];
/// Where the configuration usually is.
const USUAL: [&str; 5] = [
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/nginx/conf/nginx.conf",
];
/// Port of a name server.
const DNS: u16 = 53;

/// The source for nginx.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nginx;

impl Source for Nginx {
    fn kind(&self) -> &'static str {
        "nginx"
    }

    fn claims(&self, instance: &Instance) -> bool {
        if !PROGRAMS.contains(&instance.program()) {
            return false;
        }
        let (title, arguments) = command_line(&instance.arguments);
        let main = matches!(title, None | Some("master"));
        let kong = arguments.iter().any(|argument| {
            argument.trim_end_matches('/').ends_with("/kong") || argument.contains("nginx-kong")
        });
        main && !kong && !arguments.iter().any(|one| CALLS.contains(&&**one))
    }

    /// A reload is new workers; the earliest of those that are not on their way out tells it, so
    /// that one of several that is started anew after a crash does not.
    fn generation(&self, instance: &Instance) -> Option<u64> {
        command_line(&instance.arguments).0?;
        let lasting = instance.children.iter().filter(|child| {
            let title = &child.cmdline;
            let lasts = [
                "worker process",
                "cache manager process",
                "privileged agent",
            ];
            lasts.iter().any(|name| title.contains(name)) && !title.contains("shutting down")
        });
        Some(
            lasting
                .map(|child| child.start)
                .min()
                .unwrap_or(instance.start),
        )
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(async move { read(instance) })
    }
}

fn read(instance: &Instance) -> Result<Reading, SourceError> {
    let files = instance.files()?;
    let path = configuration(instance, &files)?;
    let text = files.read(&path)?;
    reading(&text, &path, Some(&files)).map_err(|error| SourceError::Invalid(error.to_string()))
}

/// What the configuration `text`, which stands at `path`, says; includes are read from `files`.
///
/// Errors: the text is no nginx configuration.
pub fn reading(text: &str, path: &Path, files: Option<&Files>) -> Result<Reading, SyntaxError> {
    let mut shared = Shared::default();
    let tree = parser::parse(text, path, files, &mut shared.notes)?;
    let mut drafts = Vec::new();
    // `http` first, wherever it stands: its upstreams keep their names.
    for directive in tree.iter().filter(|directive| directive.name == "http") {
        let mut context = Context::new(Kind::Http, directive.inside(), &mut shared);
        let mut found = http::drafts(directive.inside(), &mut context);
        without_only_name(&mut found);
        drafts.append(&mut found);
    }
    for directive in &tree {
        match &*directive.name {
            "stream" => {
                let mut context = Context::new(Kind::Stream, directive.inside(), &mut shared);
                drafts.append(&mut stream::drafts(directive.inside(), &mut context));
            }
            "mail" => shared
                .notes
                .add(&directive.place, "mail: its servers are left out"),
            _ => {}
        }
    }
    let mut name_servers = Vec::new();
    if shared.resolves {
        resolvers(&tree, &mut name_servers, &mut shared.notes);
    }
    let mut listeners = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for listener in drafts.iter().flat_map(|draft| &draft.listeners) {
        if seen.insert(*listener) {
            listeners.push(*listener);
        }
    }
    Ok(Reading {
        name: None,
        listeners,
        routes: routes(drafts),
        upstreams: shared.backends.into_upstreams(),
        name_servers,
        not_understood: shared.notes.into_lines(),
        origin: path.display().to_string(),
    })
}

/// The name servers of every `resolver`, each once.
fn resolvers(block: &[Directive], found: &mut Vec<SocketAddr>, notes: &mut Notes) {
    for directive in block {
        if directive.name == "resolver" {
            for text in directive
                .arguments
                .iter()
                .filter(|text| !text.contains('='))
            {
                match name_server(text) {
                    Some(address) if !found.contains(&address) => found.push(address),
                    Some(_) => {}
                    None => {
                        let what = format!("resolver {text}: a name server by name is not asked");
                        notes.add(&directive.place, what);
                    }
                }
            }
        }
        resolvers(directive.inside(), found, notes);
    }
}

/// `10.0.0.2`, `10.0.0.2:5353`, `[2001:db8::2]`, `[2001:db8::2]:5353`.
fn name_server(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>().ok();
    alone
        .map(|address| SocketAddr::new(address, DNS))
        .or_else(|| text.parse().ok())
}

/// What a process title says it is (`master`, `worker`, …), and the arguments as executed.
///
/// nginx writes `nginx: master process ` before its arguments, which it joins by blanks; `None`
/// without such a title.
fn command_line(arguments: &[String]) -> (Option<&str>, Vec<String>) {
    let title = arguments.first().and_then(|first| first.split_once(": "));
    let Some((_, title)) = title else {
        return (None, arguments.to_vec());
    };
    let (kind, rest) = title.split_once(' ').unwrap_or((title, ""));
    let line = rest.strip_prefix("process").unwrap_or(rest);
    (
        Some(kind),
        line.split_ascii_whitespace().map(str::to_owned).collect(),
    )
}

/// Path of the main configuration file, as the process sees it.
fn configuration(instance: &Instance, files: &Files) -> Result<PathBuf, SourceError> {
    if let Some(path) = &instance.config {
        return Ok(path.clone());
    }
    let (_, arguments) = command_line(&instance.arguments);
    let given = option(&arguments, &["-c"]);
    let prefix = option(&arguments, &["-p"]).map(|prefix| instance.directory.join(prefix));
    if let Some(path) = given.filter(|path| path.starts_with('/')) {
        return Ok(path.into());
    }
    // An executable that cannot be read tells nothing; the usual places are left.
    let compiled = files.read(&instance.exe).map(|text| Compiled::of(&text));
    let compiled = compiled.unwrap_or_default();
    let path = given.or(compiled.path.as_deref());
    if let Some(directory) = prefix.or_else(|| compiled.prefix.as_ref().map(PathBuf::from)) {
        return Ok(directory.join(path.unwrap_or("conf/nginx.conf")));
    }
    if given.is_none() {
        let mut places = path.into_iter().chain(USUAL).map(PathBuf::from);
        if let Some(path) = places.find(|path| files.exists(path)) {
            return Ok(path);
        }
    }
    Err(SourceError::NotFound(format!(
        "nginx, pid {}: neither its command line nor {} says where its configuration is, and it \
         is not in {}; give its path in the configuration of resetmon",
        instance.pid,
        instance.exe.display(),
        USUAL.join(", "),
    )))
}

/// What nginx was compiled with, as its executable says (`nginx -V`).
#[derive(Debug, Default, PartialEq, Eq)]
struct Compiled {
    prefix: Option<String>,
    path: Option<String>,
}

impl Compiled {
    /// From the bytes of the executable.
    fn of(executable: &str) -> Self {
        let value = |option: &str| {
            let (_, after) = executable.split_once(option)?;
            let end = after.find(|c: char| c.is_ascii_whitespace() || "\0'\"".contains(c))?;
            after[..end]
                .starts_with('/')
                .then(|| after[..end].to_owned())
        };
        Self {
            prefix: value(" --prefix="),
            path: value(" --conf-path="),
        }
    }
}

#[cfg(test)]
mod tests;
