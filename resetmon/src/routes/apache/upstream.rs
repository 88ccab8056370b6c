//! What Apache httpd connects to: URLs of `ProxyPass` and its kin, balancers, remote proxies.

use std::collections::HashMap;
use std::sync::Arc;

use crate::routes::address::Endpoint;
use crate::routes::backends::{Backends, with_default_port};
use crate::routes::directive::{Directive, Place};
use crate::routes::notes::Notes;

/// The upstreams found so far, and what is not understood of them.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    pub(super) backends: Backends,
    pub(super) notes: Notes,
    balancers: HashMap<String, Balancer>,
}

/// A `balancer://`.
#[derive(Debug)]
struct Balancer {
    name: Arc<str>,
    place: Place,
    members: usize,
}

/// The `ProxyRemote`s of a server: the requests that go to another proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Remotes(Vec<(String, Endpoint)>);

impl Remotes {
    /// Takes a `ProxyRemote`.
    pub(super) fn add(&mut self, directive: &Directive, notes: &mut Notes) {
        let url = Url::of(directive.argument(1));
        match url.host.parse::<Endpoint>() {
            Ok(endpoint) => {
                let endpoint = with_default_port(endpoint, url.port);
                self.0
                    .push((directive.argument(0).to_ascii_lowercase(), endpoint));
            }
            Err(error) => notes.add(&directive.place, error),
        }
    }

    /// The proxy that requests for `url` go to.
    fn of(&self, url: &str) -> Option<&Endpoint> {
        let url = url.to_ascii_lowercase();
        let fits = |pattern: &str| {
            pattern == "*"
                || url.starts_with(pattern)
                    && (pattern.contains(':') || url[pattern.len()..].starts_with("://"))
        };
        let found = self.0.iter().find(|(pattern, _)| fits(pattern));
        found.map(|(_, endpoint)| endpoint)
    }
}

impl Upstreams {
    /// The upstream that `text`, a URL of `directive`, leads to.
    pub(super) fn target(
        &mut self,
        directive: &Directive,
        text: &str,
        remotes: &Remotes,
    ) -> Option<Arc<str>> {
        let url = Url::of(text);
        if url.scheme == "balancer" {
            return Some(self.balancer(url.host, &directive.place));
        }
        if let Some(what) = url.unclear() {
            self.notes
                .add(&directive.place, format_args!("{directive}: {what}"));
            return url.open().then(|| self.backends.add(url.host));
        }
        self.endpoint(None, directive, text, remotes)
    }

    /// Takes a `BalancerMember`; `section` is the URL of the `<Proxy>` that it stands in.
    pub(super) fn member(
        &mut self,
        section: Option<&str>,
        directive: &Directive,
        remotes: &Remotes,
    ) {
        let (balancer, text) = match section {
            Some(section) => (section, directive.argument(0)),
            None => (directive.argument(0), directive.argument(1)),
        };
        let balancer = Url::of(balancer);
        if balancer.scheme != "balancer" {
            let what = format!("{directive}: not in a balancer");
            self.notes.add(&directive.place, what);
            return;
        }
        let name = self.balancer(balancer.host, &directive.place);
        if let Some(balancer) = self.balancers.get_mut(&name.to_ascii_lowercase()) {
            balancer.members += 1;
        }
        match Url::of(text).unclear() {
            Some(what) => self
                .notes
                .add(&directive.place, format_args!("{directive}: {what}")),
            None => {
                self.endpoint(Some(&name), directive, text, remotes);
            }
        }
    }

    /// Adds the endpoint of a URL to the upstream called `name`, or to one called as itself.
    fn endpoint(
        &mut self,
        name: Option<&str>,
        directive: &Directive,
        text: &str,
        remotes: &Remotes,
    ) -> Option<Arc<str>> {
        let url = Url::of(text);
        let name = name.unwrap_or(url.host);
        if url.host.starts_with("unix:") {
            return Some(self.backends.add(name));
        }
        let endpoint = match remotes.of(text) {
            Some(remote) => Ok(remote.clone()),
            None => url
                .host
                .parse::<Endpoint>()
                .map(|endpoint| with_default_port(endpoint, url.port)),
        };
        match endpoint {
            Ok(endpoint) => {
                self.backends.add_endpoint(name, endpoint);
                Some(self.backends.add(name))
            }
            Err(error) => {
                self.notes
                    .add(&directive.place, format_args!("{directive}: {error}"));
                None
            }
        }
    }

    /// The balancer called `written`, whose name has no case.
    fn balancer(&mut self, written: &str, place: &Place) -> Arc<str> {
        let key = written.to_ascii_lowercase();
        if let Some(known) = self.balancers.get(&key) {
            return Arc::clone(&known.name);
        }
        let name = self.backends.add(written);
        let balancer = Balancer {
            name: Arc::clone(&name),
            place: place.clone(),
            members: 0,
        };
        self.balancers.insert(key, balancer);
        name
    }

    /// Notes the balancers whose members are not in the configuration.
    pub(super) fn finish(&mut self) {
        let mut empty: Vec<_> = self
            .balancers
            .values()
            .filter(|balancer| balancer.members == 0)
            .collect();
        empty.sort_by(|one, other| one.name.cmp(&other.name));
        for balancer in empty {
            let what = format!("balancer {}: no member in the configuration", balancer.name);
            self.notes.add(&balancer.place, what);
        }
    }
}

/// A URL as far as a connection needs it.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    /// In lower case.
    scheme: String,
    /// `host`, `host:port`, `unix:path`, as written.
    host: &'a str,
    /// The port of the scheme.
    port: Option<u16>,
}

impl<'a> Url<'a> {
    fn of(text: &'a str) -> Self {
        // `unix:/path|http://localhost/`
        let (socket, text) = match text.split_once('|') {
            Some((socket, text)) if starts_with_ignoring_case(socket, "unix:") => {
                (Some(socket), text)
            }
            _ => (None, text),
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let port = match &*scheme {
            "http" | "ws" | "h2c" => Some(80),
            "https" | "wss" | "h2" => Some(443),
            "ajp" => Some(8009),
            "fcgi" => Some(8000),
            "scgi" => Some(4000),
            "uwsgi" => Some(3031),
            "ftp" => Some(21),
            _ => None,
        };
        Self {
            host: socket.unwrap_or(host),
            scheme,
            port,
        }
    }

    /// True if a part of the host is known only when a request arrives.
    fn open(&self) -> bool {
        self.host.contains(['$', '%'])
    }

    /// Why the URL says no backend.
    fn unclear(&self) -> Option<&'static str> {
        if self.open() && !self.host.starts_with("unix:") {
            return Some("its host is known only when a request arrives");
        }
        (self.scheme.is_empty() && !self.host.starts_with("unix:")).then_some("not a URL")
    }
}

/// True if `text` begins with `start`, in whatever case.
pub(super) fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, scheme, host, port) in [
            ("http://a.example/x", "http", "a.example", Some(80)),
            (
                "HTTPS://a.example:8443?x",
                "https",
                "a.example:8443",
                Some(443),
            ),
            ("ws://[::1]:81/", "ws", "[::1]:81", Some(80)),
            ("ajp://user:secret@a:8009/", "ajp", "a:8009", Some(8009)),
            ("balancer://Cluster/app", "balancer", "Cluster", None),
            (
                "fcgi://127.0.0.1:9000/srv/$1",
                "fcgi",
                "127.0.0.1:9000",
                Some(8000),
            ),
            (
                "unix:/run/a.sock|http://localhost/x",
                "http",
                "unix:/run/a.sock",
                Some(80),
            ),
            ("a.example", "", "a.example", None),
            ("", "", "", None),
        ] {
            let expected = Url {
                scheme: scheme.to_owned(),
                host,
                port,
            };
            assert_eq!(Url::of(text), expected, "{text}");
        }
    }

    #[test]
    fn remote_proxies() {
        let remote = |pattern: &str| {
            let mut remotes = Remotes::default();
            let endpoint = "10.0.0.1:3128".parse().unwrap();
            remotes.0.push((pattern.to_owned(), endpoint));
            remotes
        };
        for (pattern, url, expected) in [
            ("*", "http://a/", true),
            ("http", "HTTP://a/", true),
            ("http", "https://a/", false),
            ("http://a.example", "http://a.example/x", true),
            ("http://a.example", "http://b.example/x", false),
            ("ftp", "http://a/", false),
        ] {
            assert_eq!(
                remote(pattern).of(url).is_some(),
                expected,
                "{pattern} {url}"
            );
        }
    }
}
