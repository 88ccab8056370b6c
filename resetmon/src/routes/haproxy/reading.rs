//! From the configuration, and what runs now, to routes and upstreams.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::address::Host;
use super::model::{Config, DISPATCH, Proxy, Rule, Server};
use super::runtime::{Live, LiveServer};
use crate::routes::address::{Endpoint, Listener};
use crate::routes::naming::UniqueNames;
use crate::routes::notes::Notes;
use crate::routes::source::Reading;
use crate::routes::table::{Route, Upstream};

/// Longest condition that names a route, characters.
const LONGEST_CONDITION: usize = 80;
/// Most routes.
const MOST_ROUTES: usize = 10_000;
/// Most mentions of a listener or upstream in all routes together.
const MOST_MENTIONS: usize = 1 << 20;

/// Texts of map files by path; none where a file cannot be read.
pub(super) type Maps = HashMap<String, Option<String>>;

/// Map files that choose a backend.
pub(super) fn maps(config: &Config) -> Vec<String> {
    let rules = config.proxies.iter().flat_map(|proxy| &proxy.rules);
    rules
        .filter_map(|rule| Dynamic::of(&rule.backend)?.map)
        .map(|map| map.path.to_owned())
        .collect()
}

/// The reading, without its origin.
pub(super) fn reading(config: &Config, maps: &Maps, live: Option<&Live>) -> Reading {
    let mut notes = config.notes.clone();
    let mut routes = Routes::default();
    let mut listeners: Vec<Listener> = Vec::new();
    let mut listening = HashSet::new();
    for proxy in config.proxies.iter().filter(|proxy| proxy.front) {
        if live.is_some_and(|live| !live.frontends.contains(&proxy.name)) {
            notes.add(
                &proxy.name,
                "is in the configuration but does not run: reload HAProxy",
            );
            continue;
        }
        let new = proxy
            .listeners
            .iter()
            .filter(|listener| listening.insert(**listener));
        listeners.extend(new);
        routes.of(proxy, config, maps, &mut notes);
    }
    let upstreams = upstreams(config, live, &mut notes);
    Reading {
        name: None,
        listeners,
        routes: routes.list,
        upstreams,
        name_servers: name_servers(config),
        not_understood: notes.into_lines(),
        origin: String::new(),
    }
}

/// Routes with unique names.
#[derive(Default)]
struct Routes {
    list: Vec<Route>,
    names: UniqueNames,
    mentions: usize,
}

impl Routes {
    fn of(&mut self, proxy: &Proxy, config: &Config, maps: &Maps, notes: &mut Notes) {
        for rule in &proxy.rules {
            if self.list.len() >= MOST_ROUTES || self.mentions >= MOST_MENTIONS {
                notes.add(&rule.place, "too many routes: this one is left out");
                continue;
            }
            let backends = match Dynamic::of(&rule.backend) {
                None => vec![rule.backend.clone()],
                Some(dynamic) => dynamic.backends(rule, config, maps, notes),
            };
            let condition = condition_name(rule);
            self.add(format!("{}/{condition}", proxy.name), proxy, backends);
        }
        let default = proxy.default_backend.clone();
        let own = || (proxy.back && !proxy.servers.is_empty()).then(|| proxy.name.clone());
        if let Some(backend) = default.or_else(own) {
            self.add(proxy.name.clone(), proxy, vec![backend]);
        }
    }

    fn add(&mut self, name: String, proxy: &Proxy, backends: Vec<String>) {
        let name = self.names.of(name);
        self.mentions += proxy.listeners.len() + backends.len();
        self.list.push(Route {
            name: Arc::from(name),
            listeners: proxy.listeners.clone(),
            upstreams: backends.into_iter().map(Arc::from).collect(),
        });
    }
}

/// A rule by its condition as written, or by its backend where that says more.
fn condition_name(rule: &Rule) -> String {
    let text = match rule.condition.split_first() {
        Some((first, rest)) if first == "if" => rest.join(" "),
        _ => rule.condition.join(" "),
    };
    if text.is_empty() || text.chars().count() > LONGEST_CONDITION {
        rule.backend.clone()
    } else {
        text
    }
}

/// A backend's name that is known only for each request.
struct Dynamic<'a> {
    /// What every such name begins with.
    before: &'a str,
    /// What every such name ends with.
    after: &'a str,
    map: Option<Map<'a>>,
}

/// A map that gives the whole expression's value.
struct Map<'a> {
    path: &'a str,
    default: Option<&'a str>,
}

impl<'a> Dynamic<'a> {
    /// `None` if `text` is a plain name.
    fn of(text: &'a str) -> Option<Self> {
        let (before, rest) = text.split_once("%[")?;
        let (expression, after) = rest.rsplit_once(']')?;
        let single = !expression.contains("%[");
        Some(Self {
            before,
            after,
            map: Map::last_of(expression).filter(|_| single),
        })
    }

    /// The backends that it may give: the map's, else all that are called so.
    fn backends(
        &self,
        rule: &Rule,
        config: &Config,
        maps: &Maps,
        notes: &mut Notes,
    ) -> Vec<String> {
        let known = config.proxies.iter().filter(|proxy| proxy.back);
        let fitting = known.map(|proxy| &proxy.name).filter(|name| {
            let inside = name.strip_prefix(self.before);
            inside.is_some_and(|inside| inside.ends_with(self.after))
        });
        let text = self.map.as_ref().and_then(|map| {
            let found = maps.get(map.path).and_then(Option::as_deref);
            found.map(|text| (map, text))
        });
        let Some((map, text)) = text else {
            let how = match &self.map {
                Some(map) => format!("the map {} cannot be read", map.path),
                None => "it is chosen for each request".to_owned(),
            };
            let what = format!(
                "the backend of `use_backend {}` is not known: {how}; any that fits counts",
                rule.backend
            );
            notes.add(&rule.place, what);
            return fitting.cloned().collect();
        };
        let what = format!(
            "the backend is chosen by the map {}, read as it is in its file",
            map.path
        );
        notes.add(&rule.place, what);
        let values = text.lines().filter_map(|line| {
            let (key, value) = line.trim_start().split_once([' ', '\t'])?;
            (!key.starts_with('#')).then(|| value.trim())
        });
        let names: HashSet<String> = values
            .chain(map.default)
            .map(|value| format!("{}{value}{}", self.before, self.after))
            .collect();
        fitting
            .filter(|name| names.contains(*name))
            .cloned()
            .collect()
    }
}

impl<'a> Map<'a> {
    /// The map that ends `expression`, as `req.hdr(host),lower,map_dom(/etc/a.map,default)`.
    fn last_of(expression: &'a str) -> Option<Self> {
        let (head, inside) = expression.trim_end().strip_suffix(')')?.rsplit_once('(')?;
        let kind = head.rsplit([',', ' ']).next()?;
        if !kind.starts_with("map") || inside.contains(')') {
            return None;
        }
        let (path, default) = match inside.split_once(',') {
            Some((path, default)) => (path, Some(default.trim())),
            None => (inside, None),
        };
        Some(Self {
            path: path.trim(),
            default,
        })
    }
}

/// Every backend, by the servers that it has now.
fn upstreams(config: &Config, live: Option<&Live>, notes: &mut Notes) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    let mut known = HashSet::new();
    for proxy in config.proxies.iter().filter(|proxy| proxy.back) {
        if proxy.front && proxy.servers.is_empty() {
            continue;
        }
        if !known.insert(proxy.name.as_str()) {
            notes.add(
                &proxy.name,
                "is the name of several backends, of which the first counts",
            );
            continue;
        }
        if live.is_some_and(|live| !live.backends.contains(&proxy.name)) {
            notes.add(
                &proxy.name,
                "is in the configuration but does not run: reload HAProxy",
            );
            continue;
        }
        let running = live.map(|live| live.servers.get(&proxy.name).map_or(&[][..], |found| found));
        upstreams.push(Upstream {
            name: Arc::from(proxy.name.as_str()),
            endpoints: endpoints(proxy, running, notes),
        });
    }
    for (name, servers) in live.into_iter().flat_map(|live| &live.servers) {
        if known.contains(name.as_str()) {
            continue;
        }
        notes.add(name, "runs but is not in the configuration: reload HAProxy");
        upstreams.push(Upstream {
            name: Arc::from(name.as_str()),
            endpoints: endpoints(&Proxy::default(), Some(servers), notes),
        });
    }
    upstreams
}

/// The endpoints of a backend: names as configured, addresses as they are now where that is known.
fn endpoints(proxy: &Proxy, running: Option<&[LiveServer]>, notes: &mut Notes) -> Vec<Endpoint> {
    let mut found = Endpoints::default();
    let by_name: Option<BTreeMap<&str, &LiveServer>> = running.map(|servers| {
        servers
            .iter()
            .map(|server| (server.name.as_str(), server))
            .collect()
    });
    for server in &proxy.servers {
        // What `dispatch` says is no server for the runtime socket.
        let live = by_name.as_ref().filter(|_| server.name != DISPATCH);
        let runs = live.map(|live| runs(server, live));
        match (&server.host, runs) {
            (Host::Ip(ip), None) => found.address(*ip, server.port),
            // Taken away, or maybe given another address, at run time.
            (_, Some(false)) | (Host::Ip(_), Some(true)) => {}
            (Host::Any(_), _) => {
                notes.add(&server.place, "connects to where the client wanted to go");
            }
            // A name of the service, not of a host.
            (Host::Name(name), None) if name.starts_with('_') => {
                let what = format!(
                    "the SRV record {name} is known only to HAProxy; let its runtime socket be read (stats socket)"
                );
                notes.add(&server.place, what);
            }
            (Host::Name(name), Some(_)) if name.starts_with('_') => {}
            (Host::Name(name), _) => found.host(name, server.port, &server.place, notes),
        }
    }
    for server in running.unwrap_or_default() {
        if let Some(ip) = server.address {
            found.address(ip, server.port);
        }
        if let Some(name) = &server.host {
            found.host(name, server.port, &proxy.name, notes);
        }
    }
    found.endpoints
}

/// Whether a configured server, or one of a template, still runs.
fn runs(server: &Server, live: &BTreeMap<&str, &LiveServer>) -> bool {
    match server.range {
        None => live.contains_key(server.name.as_str()),
        Some((first, last)) => live
            .range(server.name.as_str()..)
            .map_while(|(name, _)| name.strip_prefix(server.name.as_str()))
            .filter_map(|number| number.parse::<u32>().ok())
            .any(|number| (first..=last).contains(&number)),
    }
}

/// Endpoints, each once, in order.
#[derive(Default)]
struct Endpoints {
    endpoints: Vec<Endpoint>,
    seen: HashSet<Endpoint>,
}

impl Endpoints {
    fn address(&mut self, ip: IpAddr, port: Option<u16>) {
        self.add(Endpoint::Network {
            network: IpNet::from(ip),
            port,
        });
    }

    fn host(&mut self, name: &str, port: Option<u16>, place: &str, notes: &mut Notes) {
        let text = match port {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        match text.parse() {
            Ok(endpoint) => self.add(endpoint),
            Err(error) => notes.add(place, error),
        }
    }

    fn add(&mut self, endpoint: Endpoint) {
        if self.seen.insert(endpoint.clone()) {
            self.endpoints.push(endpoint);
        }
    }
}

/// The name servers of the sections that servers name.
fn name_servers(config: &Config) -> Vec<SocketAddr> {
    let servers = config.proxies.iter().flat_map(|proxy| &proxy.servers);
    let sections = servers.filter_map(|server| server.resolvers.as_ref());
    let mut seen = HashSet::new();
    sections
        .filter(|section| seen.insert(section.as_str()))
        .filter_map(|section| config.resolvers.get(section))
        .flatten()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
