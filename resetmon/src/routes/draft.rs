//! A reading while it is put together from a gateway's data: every name once, complaints bounded.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde_json::Value;

use super::address::{AddressError, Endpoint, Listener};
use super::backends::Backends;
use super::notes::Notes;
use super::source::Reading;
use super::table::Route;

/// Most endpoints, and most listeners and upstreams of routes, of one gateway.
const MAX_PARTS: usize = 200_000;
/// Most patterns (hosts, paths) that a route's name spells out.
const MAX_PATTERNS: usize = 3;

/// A [`Reading`] in the making. What is added twice is there once.
#[derive(Debug, Default)]
pub struct Draft {
    reading: Reading,
    routes: HashMap<Arc<str>, usize>,
    backends: Backends,
    route_parts: HashSet<(usize, RoutePart)>,
    listeners: HashSet<Listener>,
    notes: Notes,
}

/// What a route has several of.
#[derive(Debug, PartialEq, Eq, Hash)]
enum RoutePart {
    Upstream(Arc<str>),
    Listener(Listener),
}

impl Draft {
    /// Notes what was not understood, and its place.
    pub fn complain(&mut self, place: &str, what: &str) {
        self.notes.add(place, what);
    }

    /// The value of `result`, or its error noted.
    pub fn keep<T, E: std::fmt::Display>(
        &mut self,
        place: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.complain(place, &error.to_string()))
            .ok()
    }

    /// A place where the gateway accepts clients.
    pub fn listener(&mut self, listener: Listener) {
        if self.listeners.insert(listener) {
            self.reading.listeners.push(listener);
        }
    }

    /// A route; one of the same name gets these listeners (none: any) and upstreams besides.
    pub fn route<'a>(
        &mut self,
        name: &str,
        listeners: &[Listener],
        upstreams: impl IntoIterator<Item = &'a Arc<str>>,
    ) {
        let routes = &mut self.reading.routes;
        let known = self.routes.get(name).copied();
        let new = known.is_none();
        let index = known.unwrap_or_else(|| {
            let name: Arc<str> = Arc::from(name);
            self.routes.insert(Arc::clone(&name), routes.len());
            routes.push(Route {
                name,
                listeners: Vec::new(),
                upstreams: Vec::new(),
            });
            routes.len() - 1
        });
        let route = &mut routes[index];
        for upstream in upstreams {
            if self.route_parts.len() >= MAX_PARTS {
                return self.overflow(name);
            }
            let part = RoutePart::Upstream(Arc::clone(upstream));
            if self.route_parts.insert((index, part)) {
                route.upstreams.push(Arc::clone(upstream));
            }
        }
        if listeners.is_empty() {
            route.listeners.clear();
        } else if new || !route.listeners.is_empty() {
            for listener in listeners {
                if self.route_parts.len() >= MAX_PARTS {
                    // Part of its listeners would be wrong, any of them is merely less.
                    route.listeners.clear();
                    return self.overflow(name);
                }
                if self
                    .route_parts
                    .insert((index, RoutePart::Listener(*listener)))
                {
                    route.listeners.push(*listener);
                }
            }
        }
    }

    /// An upstream and its name; one of the same name gets these endpoints besides.
    pub fn upstream(
        &mut self,
        name: &str,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Arc<str> {
        let name = self.backends.add(name);
        for endpoint in endpoints {
            if self.backends.endpoints() >= MAX_PARTS {
                self.overflow(&name);
                break;
            }
            self.backends.add_endpoint(&name, endpoint);
        }
        name
    }

    fn overflow(&mut self, name: &str) {
        let what = format!("left out in part: more than {MAX_PARTS} parts in this gateway");
        self.complain(name, &what);
    }

    /// True if there is an upstream `name`.
    #[must_use]
    pub fn has_upstream(&self, name: &str) -> bool {
        self.backends.contains(name)
    }

    /// A name server that the gateway asks instead of those of its `resolv.conf`.
    pub fn name_server(&mut self, server: std::net::SocketAddr) {
        if !self.reading.name_servers.contains(&server) {
            self.reading.name_servers.push(server);
        }
    }

    /// The reading, made from `origin`.
    #[must_use]
    pub fn finish(mut self, origin: impl Into<String>) -> Reading {
        self.reading.upstreams = self.backends.into_upstreams();
        self.reading.not_understood = self.notes.into_lines();
        self.reading.origin = origin.into();
        self.reading
    }
}

/// The endpoints of `host`, a name or an address without brackets, at `port`.
///
/// No host and the unspecified address mean this host, as connect(2) and every resolver take them.
pub fn endpoints(host: &str, port: u16) -> Result<Vec<Endpoint>, AddressError> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let both = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    let addresses = match host.parse::<IpAddr>() {
        _ if host.is_empty() => both.to_vec(),
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => both[..1].to_vec(),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => both[1..].to_vec(),
        Ok(address) => vec![address],
        Err(_) if host.contains(':') => return one(format!("[{host}]:{port}")),
        Err(_) => return one(format!("{host}:{port}")),
    };
    addresses
        .into_iter()
        .map(|address| std::net::SocketAddr::new(address, port).to_string().parse())
        .collect()
}

fn one(text: String) -> Result<Vec<Endpoint>, AddressError> {
    // A slash would make a prefix of what is meant as a host.
    if text.contains('/') {
        let reason = "a host name has no slash".to_owned();
        return Err(AddressError::Endpoint { text, reason });
    }
    text.parse().map(|endpoint| vec![endpoint])
}

/// Host and port of `text`: `host:port`, `[address]:port`, or without a port, then `None`.
#[must_use]
pub fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // An IPv6 address alone.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// The endpoints of a URL: `http://host:port/path`. A port that is missing is the scheme's.
pub fn url_endpoints(url: &str) -> Result<Vec<Endpoint>, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| format!("`{url}` is no URL: no scheme"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = split_port(authority);
    if host.is_empty() {
        return Err(format!("`{url}` names no host"));
    }
    let port = match (port, scheme) {
        (Some(digits), _) => digits
            .parse()
            .map_err(|_| format!("`{url}`: the port must be 1 to 65535"))?,
        (None, "https" | "wss" | "grpcs" | "tls") => 443,
        (None, _) => 80,
    };
    endpoints(host, port).map_err(|error| error.to_string())
}

/// Hosts or paths in a route's name: the first few, and how many more.
#[must_use]
pub fn patterns<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(MAX_PATTERNS).map(AsRef::as_ref).collect();
    let text = shown.join(",");
    match all.len().checked_sub(MAX_PATTERNS) {
        Some(more @ 1..) => format!("{text},+{more}"),
        _ => text,
    }
}

/// A text member of a JSON object; an empty one is none.
#[must_use]
pub fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// A list member of a JSON object; empty if there is none.
#[must_use]
pub fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of a list member, or the text that stands in its place.
#[must_use]
pub fn texts<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    match object.get(key) {
        Some(Value::String(one)) if !one.is_empty() => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The members of an object member, in the order of their names.
pub fn members<'a>(
    object: &'a Value,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    object
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// A port member: a number or digits.
#[must_use]
pub fn port(object: &Value, key: &str) -> Option<u16> {
    let port = match object.get(key)? {
        Value::String(digits) => digits.parse().ok()?,
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    (port != 0).then_some(port)
}

/// The JSON of an admin answer.
pub fn json(bytes: &[u8], place: &str) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("{place} gave no JSON: {error}"))
}

/// A reading in the lines of a test: listeners, routes, upstreams, what was not understood.
#[cfg(test)]
pub(crate) fn shown(reading: &Reading) -> String {
    fn joined<T: ToString>(values: &[T], separator: &str) -> String {
        let texts: Vec<String> = values.iter().map(T::to_string).collect();
        texts.join(separator)
    }
    let mut lines: Vec<String> = Vec::new();
    for listener in &reading.listeners {
        lines.push(format!("listen {listener}"));
    }
    for route in &reading.routes {
        let at = if route.listeners.is_empty() {
            ""
        } else {
            " at "
        };
        let line = format!(
            "route {}{at}{}: {}",
            route.name,
            joined(&route.listeners, " "),
            joined(&route.upstreams, ", ")
        );
        lines.push(line);
    }
    for upstream in &reading.upstreams {
        let endpoints = joined(&upstream.endpoints, " ");
        lines.push(format!("upstream {}: {endpoints}", upstream.name));
    }
    for server in &reading.name_servers {
        lines.push(format!("name server {server}"));
    }
    for line in &reading.not_understood {
        lines.push(format!("? {line}"));
    }
    let trimmed = lines.iter().flat_map(|line| [line.trim_end(), "\n"]);
    trimmed.collect()
}

#[cfg(test)]
mod tests;
