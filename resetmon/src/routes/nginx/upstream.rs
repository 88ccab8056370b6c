//! What nginx connects to: `upstream` blocks and the argument of `proxy_pass` and its kin.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::variables::{MAX_LENGTH, Scope, Variables, names};
use crate::routes::address::Endpoint;
use crate::routes::backends::{Backends, with_default_port};
use crate::routes::directive::Directive;
use crate::routes::notes::Notes;

/// Most pairs of a route and an upstream.
const MAX_LINKS: usize = 200_000;
/// Port of a `server` without one, in `http`.
const HTTP_PORT: u16 = 80;
/// Where ingress-nginx writes the name of the Kubernetes backend that its Lua code balances over.
const INGRESS_NAME: &str = "$proxy_upstream_name";

/// `http` or `stream`: upstreams and variables are known in their own one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Stream,
}

/// What all contexts add to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) backends: Backends,
    pub(super) notes: Notes,
    /// Whether nginx resolves names while it runs, by its own `resolver`.
    pub(super) resolves: bool,
    links: usize,
}

/// One context: its upstreams and variables.
#[derive(Debug)]
pub(super) struct Context<'a, 's> {
    pub(super) kind: Kind,
    pub(super) variables: Variables<'a>,
    pub(super) shared: &'s mut Shared,
    groups: HashMap<String, Group>,
}

/// An `upstream` block.
#[derive(Debug)]
struct Group {
    name: Arc<str>,
    /// Whether Lua chooses the endpoints.
    balanced_by_lua: bool,
}

impl<'a, 's> Context<'a, 's> {
    pub(super) fn new(kind: Kind, block: &'a [Directive], shared: &'s mut Shared) -> Self {
        let mut context = Self {
            kind,
            variables: Variables::of(block),
            shared,
            groups: HashMap::new(),
        };
        for directive in block {
            if directive.name == "upstream" {
                context.group(directive);
            }
        }
        context
    }

    /// Takes an `upstream` block.
    fn group(&mut self, upstream: &Directive) {
        let written = upstream.argument(0);
        let mut name = written.to_owned();
        // The same name in `http` is another upstream.
        if self.kind == Kind::Stream && self.shared.backends.contains(&name) {
            name = format!("stream:{name}");
        }
        let balanced_by_lua = upstream
            .inside()
            .iter()
            .any(|directive| directive.name.starts_with("balancer_by_lua"));
        let mut known = 0;
        for directive in upstream.inside() {
            match &*directive.name {
                "server" => known += usize::from(self.server(&name, directive, balanced_by_lua)),
                "state" => {
                    let what = format!("upstream {written}: its servers are in {directive}");
                    self.shared.notes.add(&directive.place, what);
                    known += 1;
                }
                _ => {}
            }
        }
        if balanced_by_lua {
            let what = format!(
                "upstream {written}: Lua chooses its endpoints; in Kubernetes they are those of \
                 the Services"
            );
            self.shared.notes.add(&upstream.place, what);
        } else if known == 0 {
            let what = format!("upstream {written}: no `server` that is known");
            self.shared.notes.add(&upstream.place, what);
        }
        let group = Group {
            name: self.shared.backends.add(&name),
            balanced_by_lua,
        };
        self.groups.insert(written.to_ascii_lowercase(), group);
    }

    /// Takes a `server` of an upstream. True if it is understood.
    fn server(&mut self, upstream: &str, server: &Directive, balanced_by_lua: bool) -> bool {
        let text = server.argument(0);
        let parameters = server.arguments.get(1..).unwrap_or_default();
        if text.starts_with("unix:") {
            return true;
        }
        if parameters.iter().any(|one| one.starts_with("service=")) {
            let what = format!("{server}: SRV records are not followed");
            self.shared.notes.add(&server.place, what);
            return false;
        }
        let default = (self.kind == Kind::Http).then_some(HTTP_PORT);
        match text.parse::<Endpoint>() {
            // A stand-in where the real ones are chosen elsewhere.
            Ok(endpoint) if balanced_by_lua && stands_in(&endpoint) => true,
            Ok(endpoint) => {
                if matches!(endpoint, Endpoint::Host { .. })
                    && parameters.iter().any(|one| one == "resolve")
                {
                    self.shared.resolves = true;
                }
                let endpoint = with_default_port(endpoint, default);
                self.shared.backends.add_endpoint(upstream, endpoint);
                true
            }
            Err(error) => {
                self.shared.notes.add(&server.place, error);
                false
            }
        }
    }

    /// The upstreams that a `proxy_pass` or one of its kin may lead to.
    pub(super) fn pass(&mut self, pass: &Directive, scope: Scope<'a, '_>) -> Vec<Arc<str>> {
        let written = pass.argument(0);
        if written.len() > MAX_LENGTH {
            let what = format!("{}: an argument of more than {MAX_LENGTH} bytes", pass.name);
            self.shared.notes.add(&pass.place, what);
            return Vec::new();
        }
        let values = if written.contains('$') {
            self.variables.expand(written, scope)
        } else {
            vec![written.to_owned()]
        };
        let mut found = BTreeSet::new();
        for value in &values {
            if self.shared.links >= MAX_LINKS {
                let what = format!("{pass}: more than {MAX_LINKS} pairs of routes and upstreams");
                self.shared.notes.add(&pass.place, what);
                break;
            }
            if let Some(name) = self.target(pass, value, scope)
                && found.insert(name)
            {
                self.shared.links += 1;
            }
        }
        found.into_iter().collect()
    }

    /// The upstream for one value of the argument of `pass`.
    fn target(&mut self, pass: &Directive, text: &str, scope: Scope<'a, '_>) -> Option<Arc<str>> {
        let Address { host, port } = Address::of(text);
        if let Some(group) = self.groups.get(&host.to_ascii_lowercase()) {
            let name = Arc::clone(&group.name);
            if group.balanced_by_lua {
                return Some(self.ingress_backend(scope).unwrap_or(name));
            }
            return Some(name);
        }
        if host.is_empty() {
            let what = format!("{pass}: it is empty here, so something else sets it");
            self.shared.notes.add(&pass.place, what);
            return None;
        }
        if host.starts_with("unix:") {
            return Some(self.shared.backends.add(host));
        }
        if host.contains('$') {
            let unknown: Vec<_> = names(host).map(|name| format!("${name}")).collect();
            let (unknown, verb) = match &unknown[..] {
                [one] => (one.clone(), "is"),
                several => (several.join(", "), "are"),
            };
            let what = if text == pass.argument(0) {
                format!("{pass}: {unknown} {verb} known only when a request arrives")
            } else {
                format!("{pass}: as {text}: {unknown} {verb} known only when a request arrives")
            };
            self.shared.notes.add(&pass.place, what);
            return Some(self.shared.backends.add(host));
        }
        match host.parse::<Endpoint>() {
            Ok(endpoint) => {
                if matches!(endpoint, Endpoint::Host { .. }) && pass.argument(0).contains('$') {
                    self.shared.resolves = true;
                }
                let endpoint = with_default_port(endpoint, port);
                self.shared.backends.add_endpoint(host, endpoint);
                Some(self.shared.backends.add(host))
            }
            Err(error) => {
                self.shared
                    .notes
                    .add(&pass.place, format!("{pass}: {error}"));
                None
            }
        }
    }

    /// What ingress-nginx calls the backend of a location, if it is constant.
    fn ingress_backend(&mut self, scope: Scope<'a, '_>) -> Option<Arc<str>> {
        let values = self.variables.expand(INGRESS_NAME, scope);
        match &values[..] {
            [name] if !name.is_empty() && name != "-" && !name.contains('$') => {
                Some(self.shared.backends.add(name))
            }
            _ => None,
        }
    }
}

/// Where a `proxy_pass` leads: without scheme and URI.
#[derive(Debug, PartialEq, Eq)]
struct Address<'a> {
    /// `host`, `host:port` or `unix:path`, as written.
    host: &'a str,
    /// The port of the scheme.
    port: Option<u16>,
}

impl<'a> Address<'a> {
    fn of(text: &'a str) -> Self {
        let named = text.split_once("://").filter(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let (scheme, rest) = named.unwrap_or(("", text));
        let port = match &*scheme.to_ascii_lowercase() {
            "http" | "grpc" => Some(80),
            "https" | "grpcs" => Some(443),
            _ => None,
        };
        let host = if let Some(path) = rest.strip_prefix("unix:") {
            let end = path.find(':').unwrap_or(path.len());
            &rest[.."unix:".len() + end]
        } else {
            &rest[..rest.find(['/', '?']).unwrap_or_else(|| host_end(rest))]
        };
        Self { host, port }
    }
}

/// Where a host ends that a URI follows without its `/`, because that is in a variable: one that
/// always begins with it, or what a location's expression has captured, behind the port.
fn host_end(text: &str) -> usize {
    let uris = ["request_uri", "uri", "document_uri", "is_args"];
    let ends = |at: usize| {
        let (before, after) = text.split_at(at);
        let port = before.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let name = names(after).next().unwrap_or_default();
        uris.contains(&name) || port && name.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut variables = text.match_indices('$').map(|(at, _)| at);
    variables.find(|at| ends(*at)).unwrap_or(text.len())
}

/// True for an address of "this network", which nothing can connect to (RFC 1122 §3.2.1.3).
fn stands_in(endpoint: &Endpoint) -> bool {
    let nowhere = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8);
    matches!(endpoint, Endpoint::Network { network: IpNet::V4(network), .. }
        if nowhere.contains(&network.addr()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, host, port) in [
            ("http://backend", "backend", Some(80)),
            ("http://backend/", "backend", Some(80)),
            ("HTTPS://a.example:8443/x?y=z", "a.example:8443", Some(443)),
            ("http://a.example?y=/z", "a.example", Some(80)),
            ("http://[::1]:81/x", "[::1]:81", Some(80)),
            ("grpcs://a.example", "a.example", Some(443)),
            ("grpc://a.example", "a.example", Some(80)),
            ("a.example:9000", "a.example:9000", None),
            ("uwsgi://a.example:9000", "a.example:9000", None),
            ("unix:/run/php.sock", "unix:/run/php.sock", None),
            ("http://unix:/run/a.sock:/x/", "unix:/run/a.sock", Some(80)),
            ("http://a:80$request_uri", "a:80", Some(80)),
            ("http://$h:80$1", "$h:80", Some(80)),
            ("http://a${uri}", "a", Some(80)),
            ("http://a$1", "a$1", Some(80)),
            ("http://a:8$p", "a:8$p", Some(80)),
            ("http://a:$1", "a:$1", Some(80)),
            ("$a://b", "$a:", None),
            ("", "", None),
            ("http://", "", Some(80)),
        ] {
            assert_eq!(Address::of(text), Address { host, port }, "{text}");
        }
    }
}
