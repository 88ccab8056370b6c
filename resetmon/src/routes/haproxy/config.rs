//! The configuration: sections and those of their lines that say where traffic goes.

use std::net::{IpAddr, SocketAddr};

use super::address::{self, Address, Host, Ports};
use super::condition;
use super::model::{Config, DISPATCH, Proxy, Rule, Server};
use super::words::{self, Variables};
use crate::routes::address::Listener;

/// Most listeners of all proxies together; a range of ports is one listener a port.
const MOST_LISTENERS: usize = 4096;
/// Port of a name server.
const DNS: u16 = 53;

/// What a section hands on to those after it.
#[derive(Clone, Debug, Default)]
struct Defaults {
    name: String,
    default_backend: Option<String>,
    disabled: bool,
    resolvers: Option<String>,
}

/// Where a line stands.
#[derive(Clone, Debug)]
enum Section {
    Global,
    Defaults,
    Proxy,
    Resolvers(String),
    /// One that says nothing of routes.
    Other,
}

/// Reads `files`, each with the name that `HAProxy` has it by, in order.
pub(super) fn read(files: &[(String, String)], variables: Variables) -> Config {
    let mut reader = Reader {
        config: Config::default(),
        variables,
        section: Section::Other,
        defaults: Vec::new(),
        default_resolvers: None,
        listeners: 0,
        branches: Vec::new(),
    };
    for (name, text) in files {
        reader.section = Section::Other;
        reader.branches.clear();
        for (number, line) in text.lines().enumerate() {
            reader.line(line, name, number + 1);
        }
    }
    reader.config.proxies.retain(|proxy| !proxy.disabled);
    reader.config
}

/// A `.if`: whether its lines count now, and whether one of its branches did already.
#[derive(Clone, Copy, Debug)]
struct Branch {
    counts: bool,
    done: bool,
}

struct Reader {
    config: Config,
    variables: Variables,
    section: Section,
    defaults: Vec<Defaults>,
    /// `default-server … resolvers` of the present proxy.
    default_resolvers: Option<String>,
    listeners: usize,
    branches: Vec<Branch>,
}

impl Reader {
    fn line(&mut self, text: &str, file: &str, number: usize) {
        let place = format!("{file}:{number}");
        self.variables.set(".FILE", file);
        self.variables.set(".LINE", &number.to_string());
        let line = match words::cut(text, &self.variables) {
            Ok(line) => line,
            Err(reason) => {
                self.config.notes.add(place, reason);
                return;
            }
        };
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        let Some((&keyword, rest)) = words.split_first() else {
            return;
        };
        if keyword.starts_with('.') {
            self.directive(keyword, rest, &place);
            return;
        }
        if self.branches.iter().any(|branch| !branch.counts) {
            return;
        }
        if MATTERS.contains(&keyword) {
            for name in &line.unset {
                let what = format!("the variable {name} is not set in the process's environment");
                self.config.notes.add(&place, what);
            }
        }
        if self.begin(keyword, rest, &place) {
            return;
        }
        match &self.section {
            Section::Global => self.global(keyword, rest, &place),
            Section::Defaults => self.default(keyword, rest),
            Section::Proxy => self.proxy(keyword, rest, &place),
            Section::Resolvers(name) => {
                let name = name.clone();
                self.resolvers(&name, keyword, rest, &place);
            }
            Section::Other => {}
        }
    }

    /// `.if` and its kin; the others are messages.
    fn directive(&mut self, keyword: &str, rest: &[&str], place: &str) {
        let mut holds = || {
            let text = rest.join(" ");
            let value = condition::holds(&text, &self.variables);
            if value.is_none() {
                let what =
                    format!("whether `{text}` holds is not known: its lines are read as if it did");
                self.config.notes.add(place, what);
            }
            value.unwrap_or(true)
        };
        match keyword {
            ".if" => {
                let counts = holds();
                self.branches.push(Branch {
                    counts,
                    done: counts,
                });
            }
            ".elif" | ".else" => {
                let holds = keyword == ".else" || holds();
                if let Some(branch) = self.branches.last_mut() {
                    branch.counts = holds && !branch.done;
                    branch.done |= branch.counts;
                }
            }
            ".endif" => {
                self.branches.pop();
            }
            _ => {}
        }
    }

    /// True if the line begins a section.
    fn begin(&mut self, keyword: &str, rest: &[&str], place: &str) -> bool {
        let name = rest.first().copied().unwrap_or("");
        self.section = match keyword {
            "global" => Section::Global,
            "defaults" => {
                // Without `from` the section begins afresh.
                let from = self.inherited(
                    if name == "from" {
                        rest
                    } else {
                        rest.get(1..).unwrap_or(&[])
                    },
                    false,
                    place,
                );
                let name = if name == "from" { "" } else { name };
                self.defaults.push(Defaults {
                    name: name.to_owned(),
                    ..from
                });
                Section::Defaults
            }
            "frontend" | "backend" | "listen" => {
                let after = rest.get(1..).unwrap_or(&[]);
                let from = self.inherited(after, true, place);
                let front = keyword != "backend";
                self.config.proxies.push(Proxy {
                    name: name.to_owned(),
                    front,
                    back: keyword != "frontend",
                    default_backend: from.default_backend.filter(|_| front),
                    disabled: from.disabled,
                    ..Proxy::default()
                });
                self.default_resolvers = from.resolvers;
                // Old files have the address on the same line.
                if front && after.first().is_some_and(|next| *next != "from") {
                    self.bind(after, place);
                }
                Section::Proxy
            }
            "resolvers" => Section::Resolvers(name.to_owned()),
            "userlist" | "peers" | "cache" | "mailers" | "program" | "http-errors" | "ring"
            | "log-forward" | "log-profile" | "fcgi-app" | "crt-store" | "acme" | "traces"
            | "healthcheck" => Section::Other,
            _ => return false,
        };
        self.variables
            .set(".SECTION", if name.is_empty() { keyword } else { name });
        true
    }

    /// The defaults that `from NAME` names, else the latest ones if `latest`.
    fn inherited(&mut self, words: &[&str], latest: bool, place: &str) -> Defaults {
        let named = words.iter().position(|word| *word == "from");
        let Some(name) = named.and_then(|index| words.get(index + 1)) else {
            let last = self.defaults.last().filter(|_| latest);
            return last.cloned().unwrap_or_default();
        };
        let found = self.defaults.iter().rev().find(|known| known.name == *name);
        if found.is_none() {
            self.config
                .notes
                .add(place, format!("there are no defaults {name}"));
        }
        found.cloned().unwrap_or_default()
    }

    fn global(&mut self, keyword: &str, rest: &[&str], place: &str) {
        match (keyword, rest) {
            ("stats", ["socket", text, ..]) => match address::read(text) {
                Ok(address) => self.config.sockets.push(address),
                Err(reason) => self.config.notes.add(place, reason),
            },
            ("setenv", [name, value, ..]) => self.variables.set(name, value),
            ("presetenv", [name, value, ..]) => self.variables.preset(name, value),
            ("unsetenv", names) => names.iter().for_each(|name| self.variables.unset(name)),
            ("resetenv", names) => {
                let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
                self.variables.reset(&names);
            }
            ("localpeer", [name, ..]) => self.variables.set("HAPROXY_LOCALPEER", name),
            _ => {}
        }
    }

    fn default(&mut self, keyword: &str, rest: &[&str]) {
        let Some(defaults) = self.defaults.last_mut() else {
            return;
        };
        match (keyword, rest) {
            ("default_backend", [name, ..]) => defaults.default_backend = Some((*name).to_owned()),
            ("disabled", _) => defaults.disabled = true,
            ("enabled", _) => defaults.disabled = false,
            ("default-server", _) => {
                if let Some(name) = value(rest, "resolvers") {
                    defaults.resolvers = Some(name.to_owned());
                }
            }
            _ => {}
        }
    }

    fn proxy(&mut self, keyword: &str, rest: &[&str], place: &str) {
        let Some(proxy) = self.config.proxies.last_mut() else {
            return;
        };
        match (keyword, rest) {
            ("bind", _) if proxy.front => self.bind(rest, place),
            ("use_backend", [backend, condition @ ..]) if proxy.front => proxy.rules.push(Rule {
                backend: (*backend).to_owned(),
                condition: condition.iter().map(|word| (*word).to_owned()).collect(),
                place: place.to_owned(),
            }),
            ("default_backend", [backend, ..]) if proxy.front => {
                proxy.default_backend = Some((*backend).to_owned());
            }
            ("disabled", _) => proxy.disabled = true,
            ("enabled", _) => proxy.disabled = false,
            ("default-server", _) => {
                if let Some(name) = value(rest, "resolvers") {
                    self.default_resolvers = Some(name.to_owned());
                }
            }
            ("server", [name, address, parameters @ ..]) if proxy.back => {
                self.server(name, None, address, parameters, place);
            }
            ("server-template", [prefix, numbers, address, parameters @ ..]) if proxy.back => {
                let (first, last) = numbers.split_once('-').unwrap_or(("1", numbers));
                match (first.parse(), last.parse()) {
                    (Ok(first), Ok(last)) => {
                        self.server(prefix, Some((first, last)), address, parameters, place);
                    }
                    _ => self
                        .config
                        .notes
                        .add(place, format!("`{numbers}` is no range of numbers")),
                }
            }
            ("dispatch", [address, ..]) if proxy.back => {
                self.server(DISPATCH, None, address, &[], place);
            }
            ("option", ["transparent" | "http_proxy", ..]) | ("transparent", _) => {
                let what = "connects to where the client wanted to go, which is known only then";
                self.config.notes.add(place, what);
            }
            ("http-request" | "tcp-request", words) => {
                let sets = |word: &&str| matches!(*word, "set-dst" | "set-dst-port");
                if let Some(action) = words.iter().find(|word| sets(word)) {
                    let what = format!("{action} chooses where to connect to at run time");
                    self.config.notes.add(place, what);
                }
            }
            _ => {}
        }
    }

    fn bind(&mut self, words: &[&str], place: &str) {
        let Some((addresses, parameters)) = words.split_first() else {
            return;
        };
        let Some(proxy) = self.config.proxies.last_mut() else {
            return;
        };
        let notes = &mut self.config.notes;
        if let Some(name) = value(parameters, "namespace") {
            let what =
                format!("listens in the network namespace {name}, as if in the process's own");
            notes.add(place, what);
        }
        for text in addresses.split(',') {
            let (host, ports) = match address::read(text.trim()) {
                Ok(Address::Tcp { host, ports }) => (host, ports),
                Ok(Address::Inherited) => {
                    notes.add(place, format!("where `{text}` listens is not known"));
                    continue;
                }
                Ok(Address::Unix(_) | Address::Other) => continue,
                Err(reason) => {
                    notes.add(place, reason);
                    continue;
                }
            };
            let address = match host {
                Host::Any(IpAddr::V6(_)) if parameters.contains(&"v4v6") => None,
                Host::Ip(ip) | Host::Any(ip) => Some(ip),
                Host::Name(name) => {
                    let what = format!(
                        "the address of {name} when it started is not known; write it as an address"
                    );
                    notes.add(place, what);
                    continue;
                }
            };
            let Ports::Range(first, last) = ports else {
                notes.add(place, format!("`{text}` has no port"));
                continue;
            };
            for port in first..=last {
                if self.listeners == MOST_LISTENERS {
                    notes.add(place, format!("more than {MOST_LISTENERS} listeners"));
                    break;
                }
                let listener = Listener { address, port };
                if !proxy.listeners.contains(&listener) {
                    self.listeners += 1;
                    proxy.listeners.push(listener);
                }
            }
        }
    }

    fn server(
        &mut self,
        name: &str,
        range: Option<(u32, u32)>,
        address: &str,
        parameters: &[&str],
        place: &str,
    ) {
        let Some(proxy) = self.config.proxies.last_mut() else {
            return;
        };
        let (host, ports) = match address::read(address) {
            Ok(Address::Tcp { host, ports }) => (host, ports),
            Ok(Address::Inherited) => {
                let what = format!("where `{address}` leads is not known");
                self.config.notes.add(place, what);
                return;
            }
            Ok(Address::Unix(_) | Address::Other) => return,
            Err(reason) => {
                self.config.notes.add(place, reason);
                return;
            }
        };
        let resolvers = value(parameters, "resolvers").map(str::to_owned);
        proxy.servers.push(Server {
            name: name.to_owned(),
            range,
            host,
            port: match ports {
                Ports::Range(first, last) if first == last => Some(first),
                _ => None,
            },
            resolvers: resolvers.or_else(|| self.default_resolvers.clone()),
            place: place.to_owned(),
        });
    }

    fn resolvers(&mut self, section: &str, keyword: &str, rest: &[&str], place: &str) {
        let ("nameserver", [_, text, ..]) = (keyword, rest) else {
            return;
        };
        // Its prefixes say how to ask, not whom.
        let bare = text.rsplit_once('@').map_or(*text, |(_, bare)| bare);
        match address::read(bare) {
            Ok(Address::Tcp {
                host: Host::Ip(ip),
                ports,
            }) => {
                let port = match ports {
                    Ports::Range(first, _) => first,
                    _ => DNS,
                };
                let known = self.config.resolvers.entry(section.to_owned()).or_default();
                known.push(SocketAddr::new(ip, port));
            }
            _ => self
                .config
                .notes
                .add(place, format!("`{text}` is no name server's address")),
        }
    }
}

/// Keywords whose variables matter here.
const MATTERS: [&str; 10] = [
    "bind",
    "server",
    "server-template",
    "dispatch",
    "use_backend",
    "default_backend",
    "nameserver",
    "frontend",
    "backend",
    "listen",
];

/// The word after `name`.
fn value<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let index = words.iter().position(|word| *word == name)?;
    words.get(index + 1).copied()
}
