//! Caddy's JSON configuration, as `/config/` answers it, to a [`Draft`].
//!
//! <https://caddyserver.com/docs/json/apps/http/>

use std::sync::Arc;

use serde_json::Value;

use super::address;
use crate::routes::address::Listener;
use crate::routes::draft::{Draft, list, members, patterns, port, text, texts};

/// Deepest nesting of routes.
const MAX_DEPTH: usize = 24;
/// Most handlers that are looked at: a named route may invoke others many times over.
const MAX_HANDLERS: usize = 200_000;

/// Longest address with its placeholders filled in, bytes.
const MAX_ADDRESS: usize = 4096;

/// Handlers that answer by themselves.
const ANSWERING: [&str; 5] = [
    "acme_server",
    "error",
    "file_server",
    "metrics",
    "static_response",
];
/// Handlers that send nothing anywhere.
const PASSING: [&str; 16] = [
    "authentication",
    "copy_response",
    "copy_response_headers",
    "encode",
    "headers",
    "intercept",
    "log_append",
    "map",
    "push",
    "rate_limit",
    "request_body",
    "rewrite",
    "templates",
    "tracing",
    "vars",
    "waf",
];

/// What the configuration says of the servers in it.
///
/// `variable` gives Caddy's environment variables.
#[must_use]
pub fn draft(config: &Value, variable: &dyn Fn(&str) -> Option<String>) -> Draft {
    let apps = config.get("apps").unwrap_or(&Value::Null);
    let mut walk = Walk {
        draft: Draft::default(),
        http: apps.get("http").unwrap_or(&Value::Null),
        variable,
        handlers: 0,
    };
    walk.http();
    if let Some(layer4) = apps.get("layer4") {
        for (name, server) in members(layer4, "servers") {
            walk.layer4_server(&format!("apps/layer4/servers/{name}"), server);
        }
    }
    walk.draft
}

struct Walk<'a> {
    draft: Draft,
    http: &'a Value,
    variable: &'a dyn Fn(&str) -> Option<String>,
    handlers: usize,
}

/// What has been matched on the way to a handler.
#[derive(Clone)]
struct Scope<'a> {
    /// In Caddy's own notation, which its admin interface takes, too.
    place: String,
    server: &'a Value,
    listeners: &'a [Listener],
    /// What the server is called where no host is matched: its first address.
    site: &'a str,
    hosts: Vec<&'a str>,
    paths: Vec<String>,
    depth: usize,
}

impl Scope<'_> {
    /// `host/path`, the words of the site's operator.
    fn route(&self) -> String {
        let site = match &self.hosts[..] {
            [] => self.site.to_owned(),
            hosts => patterns(hosts),
        };
        format!("{site}{}", patterns(&self.paths))
    }
}

impl<'a> Walk<'a> {
    fn http(&mut self) {
        let http = self.http;
        let plain_port = port(http, "http_port").unwrap_or(80);
        let tls_port = port(http, "https_port").unwrap_or(443);
        for (name, server) in members(http, "servers") {
            let place = format!("apps/http/servers/{name}");
            let (listeners, site) = self.listeners(&place, server);
            if redirects(server) && listeners.iter().any(|one| one.port == tls_port) {
                // Automatic HTTPS redirects by a server that is in no configuration.
                for listener in listeners.iter().filter(|one| one.port == tls_port) {
                    self.draft.listener(Listener {
                        port: plain_port,
                        ..*listener
                    });
                }
            }
            let scope = Scope {
                place: format!("{place}/routes"),
                server,
                listeners: &listeners,
                site: &site,
                hosts: Vec::new(),
                paths: Vec::new(),
                depth: 0,
            };
            self.routes(list(server, "routes"), &scope);
            if let Some(errors) = server.get("errors") {
                let place = format!("{place}/errors/routes");
                self.routes(list(errors, "routes"), &Scope { place, ..scope });
            }
        }
    }

    /// Where a server listens, and what it is called after that.
    fn listeners(&mut self, place: &str, server: &Value) -> (Vec<Listener>, String) {
        let mut listeners = Vec::new();
        let addresses = texts(server, "listen");
        for text in &addresses {
            let text = self.expanded(text);
            if let Some(found) = self
                .draft
                .keep(&format!("{place}/listen"), address::listeners(&text))
            {
                listeners.extend(found);
            }
        }
        for listener in &listeners {
            self.draft.listener(*listener);
        }
        let site = addresses
            .first()
            .map_or("", |first| first.strip_prefix("tcp/").unwrap_or(first));
        (listeners, site.to_owned())
    }

    fn routes<'s>(&mut self, routes: &'s [Value], outer: &Scope<'s>)
    where
        'a: 's,
    {
        if outer.depth > MAX_DEPTH {
            let what = format!("routes nested deeper than {MAX_DEPTH} are left out");
            self.draft.complain(&outer.place, &what);
            return;
        }
        for (index, route) in routes.iter().enumerate() {
            let mut scope = outer.clone();
            scope.place = format!("{}/{index}", outer.place);
            scope.depth += 1;
            narrow(&mut scope, route);
            for handler in list(route, "handle") {
                self.handlers += 1;
                if self.handlers > MAX_HANDLERS {
                    if self.handlers == MAX_HANDLERS + 1 {
                        let what = format!("handlers after the first {MAX_HANDLERS} are left out");
                        self.draft.complain(&scope.place, &what);
                    }
                    return;
                }
                self.handler(handler, &scope);
            }
        }
    }

    fn handler<'s>(&mut self, handler: &'s Value, scope: &Scope<'s>)
    where
        'a: 's,
    {
        let kind = text(handler, "handler").unwrap_or("");
        match kind {
            "subroute" => {
                self.routes(list(handler, "routes"), scope);
                if let Some(errors) = handler.get("errors") {
                    self.routes(list(errors, "routes"), scope);
                }
            }
            "reverse_proxy" => {
                self.reverse_proxy(handler, scope);
                for response in list(handler, "handle_response") {
                    self.routes(list(response, "routes"), scope);
                }
            }
            "invoke" => {
                let name = text(handler, "name").unwrap_or("");
                let named = |owner: &'s Value| owner.get("named_routes")?.get(name);
                match named(scope.server).or_else(|| named(self.http)) {
                    Some(route) => self.routes(std::slice::from_ref(route), scope),
                    None => self
                        .draft
                        .complain(&scope.place, &format!("there is no named route `{name}`")),
                }
            }
            answering if ANSWERING.contains(&answering) => {
                self.draft.route(&scope.route(), scope.listeners, []);
            }
            passing if PASSING.contains(&passing) => {}
            _ => self.draft.complain(
                &scope.place,
                &format!("handler `{kind}` is unknown; what it connects to is not known"),
            ),
        }
    }

    fn reverse_proxy(&mut self, handler: &Value, scope: &Scope<'_>) {
        let mut upstreams = Vec::new();
        for upstream in list(handler, "upstreams") {
            match (text(upstream, "dial"), text(upstream, "lookup_srv")) {
                (Some(dial), _) => upstreams.extend(self.dial(dial, &scope.place)),
                (None, Some(name)) => {
                    let what = format!("SRV records of {name} are looked up by Caddy itself");
                    self.draft.complain(&scope.place, &what);
                }
                (None, None) => self
                    .draft
                    .complain(&scope.place, "an upstream without dial"),
            }
        }
        if let Some(source) = handler.get("dynamic_upstreams") {
            upstreams.extend(self.dynamic(source, &scope.place));
        }
        self.draft
            .route(&scope.route(), scope.listeners, &upstreams);
    }

    /// The upstream of one address to dial, by which Caddy's own metrics call it.
    fn dial(&mut self, dial: &str, place: &str) -> Option<Arc<str>> {
        let expanded = self.expanded(dial);
        if expanded.contains('{') {
            let what = format!("`{dial}` depends on the request");
            self.draft.complain(place, &what);
            return None;
        }
        let endpoints = self.draft.keep(place, address::endpoints(&expanded))?;
        Some(self.draft.upstream(&expanded, endpoints))
    }

    /// Upstreams that Caddy looks up in DNS.
    fn dynamic(&mut self, source: &Value, place: &str) -> Vec<Arc<str>> {
        let name = text(source, "name").unwrap_or("");
        match text(source, "source") {
            // A and AAAA records are what the name of an endpoint means.
            Some("a") => {
                let dial = format!("{name}:{}", port(source, "port").unwrap_or(80));
                self.dial(&dial, place).into_iter().collect()
            }
            Some("multi") => list(source, "sources")
                .iter()
                .filter(|one| text(one, "source") != Some("multi"))
                .flat_map(|one| self.dynamic(one, place))
                .collect(),
            Some("srv") => {
                let service = text(source, "service").unwrap_or("");
                let proto = text(source, "proto").unwrap_or("");
                let name = match (service, proto) {
                    ("", "") => name.to_owned(),
                    _ => format!("_{service}._{proto}.{name}"),
                };
                let what = format!("SRV records of {name} are looked up by Caddy itself");
                self.draft.complain(place, &what);
                Vec::new()
            }
            other => {
                let other = other.unwrap_or("");
                let what = format!("upstreams come from `{other}`, which is unknown");
                self.draft.complain(place, &what);
                Vec::new()
            }
        }
    }

    /// `text` with the environment's placeholders filled in, where they are known.
    fn expanded(&self, text: &str) -> String {
        let mut rest = text;
        let mut whole = String::new();
        while let Some((before, after)) = rest.split_once("{env.") {
            let value = after
                .split_once('}')
                .and_then(|(name, rest)| Some(((self.variable)(name)?, rest)));
            let Some((value, after)) = value else {
                break;
            };
            if whole.len() + before.len() + value.len() > MAX_ADDRESS {
                break;
            }
            whole.push_str(before);
            whole.push_str(&value);
            rest = after;
        }
        whole.push_str(rest);
        whole
    }

    fn layer4_server(&mut self, place: &str, server: &'a Value) {
        let (listeners, site) = self.listeners(place, server);
        let scope = Scope {
            place: format!("{place}/routes"),
            server,
            listeners: &listeners,
            site: &site,
            hosts: Vec::new(),
            paths: Vec::new(),
            depth: 0,
        };
        self.layer4_routes(list(server, "routes"), &scope);
    }

    /// Routes of the `layer4` app (github.com/mholt/caddy-l4).
    fn layer4_routes<'s>(&mut self, routes: &'s [Value], outer: &Scope<'s>) {
        if outer.depth > MAX_DEPTH {
            let what = format!("routes nested deeper than {MAX_DEPTH} are left out");
            self.draft.complain(&outer.place, &what);
            return;
        }
        for (index, route) in routes.iter().enumerate() {
            let mut scope = outer.clone();
            scope.place = format!("{}/{index}", outer.place);
            scope.depth += 1;
            let names: Vec<&str> = list(route, "match")
                .iter()
                .filter_map(|matcher| matcher.get("tls"))
                .flat_map(|tls| texts(tls, "sni"))
                .collect();
            if !names.is_empty() {
                scope.hosts = names;
            }
            for handler in list(route, "handle") {
                match text(handler, "handler") {
                    Some("proxy") => {
                        let dials = list(handler, "upstreams")
                            .iter()
                            .flat_map(|upstream| texts(upstream, "dial"));
                        let upstreams: Vec<Arc<str>> = dials
                            .filter_map(|dial| self.dial(dial, &scope.place))
                            .collect();
                        self.draft
                            .route(&scope.route(), scope.listeners, &upstreams);
                    }
                    Some("subroute") => self.layer4_routes(list(handler, "routes"), &scope),
                    Some("tls" | "proxy_protocol" | "throttle" | "tee" | "echo" | "close") => {}
                    other => {
                        let other = other.unwrap_or("");
                        let what = format!(
                            "handler `{other}` is unknown; what it connects to is not known"
                        );
                        self.draft.complain(&scope.place, &what);
                    }
                }
            }
        }
    }
}

/// True if the server's names may get certificates by themselves, and redirects with them.
fn redirects(server: &Value) -> bool {
    let automatic = server.get("automatic_https").unwrap_or(&Value::Null);
    let off = |key: &str| automatic.get(key).and_then(Value::as_bool) == Some(true);
    let named = list(server, "routes")
        .iter()
        .flat_map(|route| list(route, "match"))
        .any(|matcher| matcher.get("host").is_some());
    named && !off("disable") && !off("disable_redirects")
}

/// Adds what a route matches to what was matched around it.
fn narrow<'s>(scope: &mut Scope<'s>, route: &'s Value) {
    let matchers = list(route, "match");
    let hosts: Vec<&str> = matchers
        .iter()
        .flat_map(|matcher| texts(matcher, "host"))
        .collect();
    if !hosts.is_empty() {
        scope.hosts = hosts;
    }
    let mut paths: Vec<String> = Vec::new();
    for matcher in matchers {
        paths.extend(texts(matcher, "path").into_iter().map(str::to_owned));
        if let Some(regexp) = matcher.get("path_regexp")
            && let Some(pattern) = text(regexp, "pattern")
        {
            paths.push(format!("~{pattern}"));
        }
    }
    if paths.is_empty() {
        return;
    }
    // `handle_path` takes its prefix off before the inner paths are matched.
    if let [outer] = &scope.paths[..]
        && let Some(prefix) = outer.strip_suffix("/*")
    {
        for path in &mut paths {
            if path.starts_with('/') && !path.starts_with(prefix) {
                path.insert_str(0, prefix);
            }
        }
    }
    scope.paths = paths;
}

#[cfg(test)]
mod tests;
