//! Traefik's entry points, routers and services to a [`Draft`].
//!
//! Objects are those of the API's lists:
//! <https://doc.traefik.io/traefik/reference/install-configuration/api-dashboard/>

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::routes::address::{Endpoint, Listener};
use crate::routes::draft::{self, Draft, endpoints, list, members, split_port, text, texts};

/// The lists of the API, UDP left out.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// `/api/entrypoints`.
    pub entry_points: Vec<Value>,
    /// `/api/http/routers`.
    pub http_routers: Vec<Value>,
    /// `/api/http/services`.
    pub http_services: Vec<Value>,
    /// `/api/tcp/routers`.
    pub tcp_routers: Vec<Value>,
    /// `/api/tcp/services`.
    pub tcp_services: Vec<Value>,
    /// Place and reason of what is missing.
    pub complaints: Vec<(String, String)>,
}

impl Lists {
    /// Adds the objects of a file of the file provider.
    pub fn add_file(&mut self, file: &Value) {
        let null = Value::Null;
        for (protocol, routers, services) in [
            ("http", &mut self.http_routers, &mut self.http_services),
            ("tcp", &mut self.tcp_routers, &mut self.tcp_services),
        ] {
            let part = file.get(protocol).unwrap_or(&null);
            for (key, list) in [("routers", routers), ("services", services)] {
                let named = members(part, key).map(|(name, object)| {
                    let mut object = object.clone();
                    if let Value::Object(members) = &mut object {
                        members.insert("name".to_owned(), json!(format!("{name}@file")));
                        members.insert("provider".to_owned(), json!("file"));
                    }
                    object
                });
                list.extend(named);
            }
        }
    }

    /// What the lists say together.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let mut draft = Draft::default();
        for (place, what) in &self.complaints {
            draft.complain(place, what);
        }
        let points = self.entry_points(&mut draft);
        for (protocol, routers, services) in [
            ("http", &self.http_routers, &self.http_services),
            ("tcp", &self.tcp_routers, &self.tcp_services),
        ] {
            let mut resolver = Services::new(&mut draft, protocol, services);
            let parts: Vec<(&Value, Vec<Arc<str>>)> = routers
                .iter()
                .map(|router| (router, resolver.of_router(router)))
                .collect();
            for (router, upstreams) in parts {
                add_router(&mut draft, protocol, router, &points, &upstreams);
            }
        }
        draft
    }

    /// By name in lower case: Traefik takes the names of its files so, too.
    fn entry_points(&self, draft: &mut Draft) -> HashMap<String, Vec<Listener>> {
        let mut points = HashMap::new();
        for point in &self.entry_points {
            let name = text(point, "name").unwrap_or("");
            let address = text(point, "address").unwrap_or("");
            let place = format!("entry point {name}");
            let listeners = match draft.keep(&place, listener(address)) {
                Some(listener) => Vec::from_iter(listener),
                None => Vec::new(),
            };
            for listener in &listeners {
                draft.listener(*listener);
            }
            points.insert(name.to_lowercase(), listeners);
        }
        points
    }
}

fn add_router(
    draft: &mut Draft,
    protocol: &str,
    router: &Value,
    points: &HashMap<String, Vec<Listener>>,
    upstreams: &[Arc<str>],
) {
    let Some(name) = text(router, "name") else {
        draft.complain(&format!("{protocol} routers"), "a router without a name");
        return;
    };
    if text(router, "status") == Some("disabled") {
        let place = format!("{protocol} router {name}");
        let reasons = texts(router, "error").join("; ");
        draft.complain(&place, &format!("disabled by Traefik: {reasons}"));
        return;
    }
    let mut listeners = Vec::new();
    for point in texts(router, "entryPoints") {
        if let Some(found) = points.get(&point.to_lowercase()) {
            listeners.extend(found);
        } else {
            let place = format!("{protocol} router {name}");
            draft.complain(&place, &format!("there is no entry point `{point}`"));
        }
    }
    draft.route(name, &listeners, upstreams);
}

/// The services of one protocol.
struct Services<'a> {
    draft: &'a mut Draft,
    protocol: &'a str,
    by_name: HashMap<&'a str, &'a Value>,
}

impl<'a> Services<'a> {
    fn new(draft: &'a mut Draft, protocol: &'a str, services: &'a [Value]) -> Self {
        let by_name: HashMap<&str, &Value> = services
            .iter()
            .filter_map(|service| Some((text(service, "name")?, service)))
            .collect();
        let mut services_of = Self {
            draft,
            protocol,
            by_name,
        };
        for service in services {
            services_of.add(service);
        }
        services_of
    }

    /// Adds a service that has servers of its own.
    fn add(&mut self, service: &Value) {
        let Some((name, balancer)) = text(service, "name").zip(balancer(service)) else {
            return;
        };
        let place = format!("{} service {name}", self.protocol);
        let mut found = Vec::new();
        for server in list(balancer, "servers") {
            let parsed = match (text(server, "url"), text(server, "address")) {
                (Some(url), _) => draft::url_endpoints(url),
                (None, Some(address)) => server_endpoints(address),
                (None, None) => Err("a server without url or address".to_owned()),
            };
            found.extend(self.draft.keep(&place, parsed).into_iter().flatten());
        }
        self.draft.upstream(name, found);
    }

    /// The upstreams that a router's service leads to.
    fn of_router(&mut self, router: &'a Value) -> Vec<Arc<str>> {
        let Some(service) = text(router, "service") else {
            return Vec::new();
        };
        let provider = text(router, "provider").unwrap_or("");
        let first = qualified(service, provider);
        let mut seen = HashSet::new();
        let mut open = vec![first];
        let mut upstreams = Vec::new();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(service) = self.by_name.get(&*name).copied() else {
                // The API and the like are services inside Traefik.
                if !name.ends_with("@internal") {
                    let place = format!(
                        "{} router {}",
                        self.protocol,
                        text(router, "name").unwrap_or("")
                    );
                    self.draft
                        .complain(&place, &format!("there is no service `{name}`"));
                }
                continue;
            };
            if balancer(service).is_some() {
                upstreams.push(self.draft.upstream(&name, []));
                continue;
            }
            let provider = name.rsplit_once('@').map_or("", |(_, provider)| provider);
            let parts = parts(service);
            if parts.is_empty() && !name.ends_with("@internal") {
                let place = format!("{} service {name}", self.protocol);
                self.draft.complain(&place, "its kind is unknown");
            }
            open.extend(parts.into_iter().map(|part| qualified(part, provider)));
        }
        upstreams.sort_unstable();
        upstreams
    }
}

/// The servers' balancer; TCP's is spelled in lower case by old versions' API.
fn balancer(service: &Value) -> Option<&Value> {
    service
        .get("loadBalancer")
        .or_else(|| service.get("loadbalancer"))
}

/// The services that a service is made of.
fn parts(service: &Value) -> Vec<&str> {
    let mut parts = Vec::new();
    for kind in ["weighted", "highestRandomWeight"] {
        if let Some(weighted) = service.get(kind) {
            parts.extend(names(weighted, "services"));
        }
    }
    if let Some(mirroring) = service.get("mirroring") {
        parts.extend(text(mirroring, "service"));
        parts.extend(names(mirroring, "mirrors"));
    }
    if let Some(failover) = service.get("failover") {
        parts.extend(text(failover, "service"));
        parts.extend(text(failover, "fallback"));
    }
    parts
}

fn names<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    list(object, key)
        .iter()
        .filter_map(|part| text(part, "name"))
}

/// A service's name with its provider.
fn qualified(name: &str, provider: &str) -> String {
    if name.contains('@') || provider.is_empty() {
        name.to_owned()
    } else {
        format!("{name}@{provider}")
    }
}

/// Where an entry point listens: `[host]:port[/tcp|/udp]`; nothing for UDP.
fn listener(address: &str) -> Result<Option<Listener>, String> {
    let (address, protocol) = address.split_once('/').unwrap_or((address, "tcp"));
    if protocol.eq_ignore_ascii_case("udp") {
        return Ok(None);
    }
    let parsed = address.parse().map_err(|error| format!("{error}"))?;
    Ok(Some(parsed))
}

fn server_endpoints(address: &str) -> Result<Vec<Endpoint>, String> {
    let (host, port) = split_port(address);
    let port = port
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("`{address}` has no port"))?;
    endpoints(host, port).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
