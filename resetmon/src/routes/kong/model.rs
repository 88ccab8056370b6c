//! Kong's services, routes, upstreams and targets to a [`Draft`].
//!
//! <https://developer.konghq.com/gateway/entities/>

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::settings::Settings;
use crate::routes::address::{Endpoint, Listener};
use crate::routes::draft::{Draft, endpoints, list, patterns, port, split_port, text, texts};

/// Port of a target that names none.
const TARGET_PORT: u16 = 8000;

/// Plugins that choose the backend themselves.
const CHOOSING: [&str; 9] = [
    "ai-proxy",
    "ai-proxy-advanced",
    "aws-lambda",
    "azure-functions",
    "canary",
    "forward-proxy",
    "kafka-upstream",
    "route-by-header",
    "upstream-by-lua",
];

/// The objects of all workspaces.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    workspaces: Vec<Workspace>,
    /// Place and reason of what is missing.
    pub complaints: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
struct Workspace {
    /// Empty for the default one.
    name: String,
    services: Vec<Value>,
    routes: Vec<Value>,
    /// Each with its `targets`.
    upstreams: Vec<Value>,
    plugins: Vec<Value>,
}

impl Entities {
    /// Adds a workspace; upstreams have their targets in `targets`.
    pub fn add(
        &mut self,
        name: &str,
        services: Vec<Value>,
        routes: Vec<Value>,
        upstreams: Vec<Value>,
        plugins: Vec<Value>,
    ) {
        self.workspaces.push(Workspace {
            name: name.to_owned(),
            services,
            routes,
            upstreams,
            plugins,
        });
    }

    /// Adds the objects of a declarative file, in which routes and plugins may stand inside
    /// services and routes, and refer to each other by name.
    ///
    /// <https://developer.konghq.com/gateway/db-less-mode/>
    pub fn add_declarative(&mut self, file: &Value) {
        let mut all = Workspace {
            services: list(file, "services").to_vec(),
            routes: list(file, "routes").to_vec(),
            upstreams: list(file, "upstreams").to_vec(),
            plugins: list(file, "plugins").to_vec(),
            ..Workspace::default()
        };
        for (index, service) in all.services.iter_mut().enumerate() {
            let id = identity(service, "service", index);
            all.plugins
                .extend(inner(service, "plugins", "service", &id));
            all.routes.extend(inner(service, "routes", "service", &id));
        }
        for (index, route) in all.routes.iter_mut().enumerate() {
            let id = identity(route, "route", index);
            all.plugins.extend(inner(route, "plugins", "route", &id));
        }
        let mut stray: HashMap<&str, Vec<Value>> = HashMap::new();
        for target in list(file, "targets") {
            if let Some(upstream) = reference(target, "upstream") {
                stray.entry(upstream).or_default().push(target.clone());
            }
        }
        for upstream in &mut all.upstreams {
            let keys = ["id", "name"].map(|key| text(upstream, key).unwrap_or("").to_owned());
            let own: Vec<Value> = keys
                .iter()
                .filter_map(|key| stray.remove(key.as_str()))
                .flatten()
                .collect();
            if let Value::Object(members) = upstream
                && let Value::Array(targets) = members
                    .entry("targets")
                    .or_insert_with(|| Value::Array(Vec::new()))
            {
                targets.extend(own);
            }
        }
        self.workspaces.push(all);
    }

    /// What the objects say together.
    #[must_use]
    pub fn draft(&self, settings: &Settings) -> Draft {
        let mut draft = Draft::default();
        for (place, what) in &self.complaints {
            draft.complain(place, what);
        }
        for server in settings.name_servers() {
            draft.name_server(server);
        }
        let mut listeners = |(found, unknown): (Vec<Listener>, Vec<String>)| {
            for listener in &found {
                draft.listener(*listener);
            }
            for what in unknown {
                draft.complain(&settings.origin, &what);
            }
            found
        };
        let proxy = listeners(settings.proxy_listeners());
        let stream = listeners(settings.stream_listeners());
        for workspace in &self.workspaces {
            workspace.add_to(&mut draft, &proxy, &stream);
        }
        draft
    }
}

impl Workspace {
    /// A name in the label: with its workspace, except in the default one.
    fn label(&self, name: &str) -> String {
        match &*self.name {
            "" => name.to_owned(),
            workspace => format!("{workspace}/{name}"),
        }
    }

    fn add_to(&self, draft: &mut Draft, proxy: &[Listener], stream: &[Listener]) {
        let mut upstreams: HashMap<&str, Vec<Endpoint>> = HashMap::new();
        for upstream in &self.upstreams {
            let name = text(upstream, "name").unwrap_or("");
            let place = format!("upstream {}", self.label(name));
            let found = upstreams.entry(name).or_default();
            for target in list(upstream, "targets") {
                let endpoints = draft.keep(&place, target_endpoints(target));
                found.extend(endpoints.into_iter().flatten());
            }
        }
        let mut services: HashMap<&str, Arc<str>> = HashMap::new();
        for service in &self.services {
            let Some(name) = self.service(draft, service, &upstreams) else {
                continue;
            };
            for key in ["id", "name"] {
                if let Some(key) = text(service, key) {
                    services.insert(key, Arc::clone(&name));
                }
            }
        }
        for route in &self.routes {
            let name = self.label(&route_name(route));
            let upstream = reference(route, "service").and_then(|of| {
                if !services.contains_key(of) {
                    let what = format!("there is no enabled service `{of}`");
                    draft.complain(&format!("route {name}"), &what);
                }
                services.get(of)
            });
            let listeners = listeners_of(route, proxy, stream);
            draft.route(&name, &listeners, upstream);
        }
        for plugin in &self.plugins {
            let kind = text(plugin, "name").unwrap_or("");
            let on = plugin.get("enabled") != Some(&Value::Bool(false));
            if on && CHOOSING.contains(&kind) {
                let place = match (reference(plugin, "route"), reference(plugin, "service")) {
                    (Some(route), _) => format!("route {}", self.named(&self.routes, route)),
                    (None, Some(service)) => {
                        format!("service {}", self.named(&self.services, service))
                    }
                    (None, None) => "all routes".to_owned(),
                };
                let what = format!("plugin {kind} chooses the backend by itself");
                draft.complain(&place, &what);
            }
        }
    }

    /// The name of the object that `of` refers to.
    fn named(&self, objects: &[Value], of: &str) -> String {
        let found = objects.iter().find(|object| text(object, "id") == Some(of));
        let name = found.and_then(|object| text(object, "name"));
        self.label(name.unwrap_or(of))
    }

    /// The upstream that a service is: the targets of Kong's upstream of that name, else its host.
    fn service(
        &self,
        draft: &mut Draft,
        service: &Value,
        upstreams: &HashMap<&str, Vec<Endpoint>>,
    ) -> Option<Arc<str>> {
        if service.get("enabled") == Some(&Value::Bool(false)) {
            return None;
        }
        let target = service_target(service);
        let (host, port) = match target {
            Ok(target) => target,
            Err(what) => {
                let name = text(service, "name").unwrap_or("");
                draft.complain(&format!("service {name}"), &what);
                return None;
            }
        };
        let name = match text(service, "name") {
            Some(name) => self.label(name),
            None => self.label(&format!("{host}:{port}")),
        };
        if let Some(targets) = upstreams.get(&*host) {
            return Some(draft.upstream(&name, targets.iter().cloned()));
        }
        let found = draft.keep(&format!("service {name}"), endpoints(&host, port));
        Some(draft.upstream(&name, found.unwrap_or_default()))
    }
}

/// Host and port of a service, of which `url` is the short form.
fn service_target(service: &Value) -> Result<(String, u16), String> {
    let url = text(service, "url");
    let (scheme, authority) = match url.map(|url| url.split_once("://")) {
        Some(None) => return Err("its url has no scheme".to_owned()),
        Some(Some((scheme, rest))) => {
            let authority = rest.split('/').next().unwrap_or("");
            (scheme, authority)
        }
        None => (
            text(service, "protocol").unwrap_or("http"),
            text(service, "host").ok_or("it names no host")?,
        ),
    };
    let default = if matches!(scheme, "https" | "grpcs" | "tls" | "wss") {
        443
    } else {
        80
    };
    if url.is_none() {
        return Ok((
            authority.to_owned(),
            port(service, "port").unwrap_or(default),
        ));
    }
    let (host, port) = split_port(authority);
    let port = match port {
        Some(digits) => digits.parse().map_err(|_| "its url has no port")?,
        None => default,
    };
    Ok((host.to_owned(), port))
}

/// The endpoints of a target, of which weight 0 takes no more.
fn target_endpoints(target: &Value) -> Result<Vec<Endpoint>, String> {
    if target.get("weight").and_then(Value::as_u64) == Some(0) {
        return Ok(Vec::new());
    }
    let written = text(target, "target").ok_or("a target without an address")?;
    let (host, port) = split_port(written);
    let port = match port {
        Some(digits) => digits
            .parse()
            .map_err(|_| format!("target `{written}`: the port must be 1 to 65535"))?,
        None => TARGET_PORT,
    };
    endpoints(host, port).map_err(|error| error.to_string())
}

/// Kong's name of a route, else hosts and paths, else its id.
fn route_name(route: &Value) -> String {
    if let Some(name) = text(route, "name") {
        return name.to_owned();
    }
    let names = [texts(route, "hosts"), texts(route, "snis")].concat();
    let matched = format!("{}{}", patterns(&names), patterns(&texts(route, "paths")));
    match &*matched {
        "" => text(route, "expression")
            .or_else(|| text(route, "id"))
            .unwrap_or("/")
            .to_owned(),
        _ => matched,
    }
}

/// Where a route's clients come in, by its protocols and destinations.
fn listeners_of(route: &Value, proxy: &[Listener], stream: &[Listener]) -> Vec<Listener> {
    let protocols = texts(route, "protocols");
    let streams = protocols
        .iter()
        .any(|protocol| matches!(*protocol, "tcp" | "tls" | "tls_passthrough"));
    if !streams {
        return proxy.to_vec();
    }
    let ports: Vec<u16> = list(route, "destinations")
        .iter()
        .filter_map(|destination| port(destination, "port"))
        .collect();
    let fits = |listener: &&Listener| ports.is_empty() || ports.contains(&listener.port);
    stream.iter().filter(fits).copied().collect()
}

/// What another object is referred to by: its id or name, alone or in an object.
fn reference<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    let of = object.get(key)?;
    of.as_str()
        .or_else(|| text(of, "id"))
        .or_else(|| text(of, "name"))
}

/// The id or name of an object of a file, which gets one if it has none.
fn identity(object: &mut Value, kind: &str, index: usize) -> String {
    if let Some(known) = text(object, "id").or_else(|| text(object, "name")) {
        return known.to_owned();
    }
    let id = format!("{kind} {index}");
    if let Value::Object(members) = object {
        members.insert("id".to_owned(), json!(id));
    }
    id
}

/// The objects that stand inside `object`, each with a reference to it.
fn inner(object: &mut Value, key: &str, owner: &str, id: &str) -> Vec<Value> {
    let taken = object
        .as_object_mut()
        .and_then(|members| members.remove(key));
    let Some(Value::Array(mut found)) = taken else {
        return Vec::new();
    };
    for one in &mut found {
        if let Value::Object(members) = one {
            let reference = Map::from_iter([("id".to_owned(), json!(id))]);
            members.insert(owner.to_owned(), Value::Object(reference));
        }
    }
    found
}

#[cfg(test)]
mod tests;
