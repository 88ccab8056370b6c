//! Apache httpd's servers: the main one and the virtual hosts, and where they pass requests.

use std::net::IpAddr;
use std::sync::Arc;

use super::upstream::{Remotes, Upstreams, starts_with_ignoring_case};
use crate::routes::address::Listener;
use crate::routes::directive::Directive;
use crate::routes::naming::Draft;
use crate::routes::notes::Notes;

/// Directives that connect to something, which they do not say here.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "jkmount",
        "the workers of mod_jk are in a file of their own",
    ),
    (
        "jkmountfile",
        "the workers of mod_jk are in a file of their own",
    ),
    (
        "proxyremotematch",
        "an expression for a remote proxy is not followed",
    ),
    ("proxyexpressenable", "the hosts are in a DBM file"),
    ("weblogicpoolname", "the pool of WebLogic is not known"),
];

/// Where the server listens: every `Listen`.
pub(super) fn listeners(tree: &[Directive], notes: &mut Notes) -> Vec<Listener> {
    let mut found = Vec::new();
    for listen in tree.iter().filter(|directive| directive.name == "listen") {
        let text = listen.argument(0);
        // A port alone is every address of both families.
        let all = if text.contains(':') {
            text.to_owned()
        } else {
            format!(":{text}")
        };
        match all.parse::<Listener>() {
            Ok(listener) if !found.contains(&listener) => found.push(listener),
            Ok(_) => {}
            Err(error) => notes.add(&listen.place, error),
        }
    }
    found
}

/// The routes of the main server and of every virtual host, in order.
///
/// Those of the main server hold for any listener: virtual hosts inherit them.
pub(super) fn drafts(
    tree: &[Directive],
    listeners: &[Listener],
    upstreams: &mut Upstreams,
) -> Vec<Draft> {
    let (hosts, main): (Vec<_>, Vec<_>) = tree.iter().partition(|one| one.name == "virtualhost");
    let mut remotes = Remotes::default();
    add_remotes(main.iter().copied(), &mut remotes, upstreams);
    let mut drafts = Vec::new();
    let mut site = Site {
        server: server_name(main.iter().copied()),
        listeners: Vec::new(),
        remotes: remotes.clone(),
        upstreams,
        drafts: &mut drafts,
    };
    site.walk(main.iter().copied(), "");
    if hosts.is_empty() {
        site.answers_itself();
    } else {
        // It names itself for redirects; requests are told apart by the virtual hosts.
        site.drafts.iter_mut().for_each(|draft| draft.server = None);
    }
    for host in hosts {
        let mut remotes = remotes.clone();
        add_remotes(host.inside().iter(), &mut remotes, upstreams);
        let mut found = Vec::new();
        let mut site = Site {
            server: server_name(host.inside().iter()),
            listeners: of_host(host, listeners),
            remotes,
            upstreams,
            drafts: &mut found,
        };
        site.walk(host.inside().iter(), "");
        site.answers_itself();
        drafts.append(&mut found);
    }
    drafts
}

/// A server while its sections are walked.
struct Site<'s> {
    server: Option<Arc<str>>,
    listeners: Vec<Listener>,
    remotes: Remotes,
    upstreams: &'s mut Upstreams,
    drafts: &'s mut Vec<Draft>,
}

impl Site<'_> {
    /// Walks the directives of a section; `section` is what it is called, empty for the server.
    fn walk<'d>(&mut self, block: impl Iterator<Item = &'d Directive>, section: &str) {
        for directive in block {
            let first = directive.argument(0);
            match &*directive.name {
                "proxypass" | "proxypassmatch" => self.proxy_pass(directive, section),
                "rewriterule" if passes(directive.argument(2)) => {
                    let path = inner(section, "~", first);
                    self.pass(path, directive, directive.argument(1));
                }
                "sethandler" if starts_with_ignoring_case(first, "proxy:") => {
                    let path = if section.is_empty() { "/" } else { section };
                    self.pass(path.to_owned(), directive, &first["proxy:".len()..]);
                }
                "balancermember" => self.upstreams.member(None, directive, &self.remotes),
                "proxy" => {
                    let members = directive.inside().iter();
                    for member in members.filter(|one| one.name == "balancermember") {
                        self.upstreams.member(Some(first), member, &self.remotes);
                    }
                }
                "proxyrequests" if first.eq_ignore_ascii_case("on") => {
                    let what = "ProxyRequests on: a forward proxy connects to whatever it is asked";
                    self.upstreams.notes.add(&directive.place, what);
                }
                name => {
                    if let Some((_, what)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
                        let what = format!("{directive}: {what}");
                        self.upstreams.notes.add(&directive.place, what);
                    }
                    if directive.block.is_some() {
                        let section = section_name(directive, section);
                        self.walk(directive.inside().iter(), &section);
                    }
                }
            }
        }
    }

    /// `ProxyPass path url`, in a section `ProxyPass url`; `!` for the URL: not passed on.
    fn proxy_pass(&mut self, directive: &Directive, section: &str) {
        let first = directive.argument(0);
        let (path, url) = if section.is_empty() {
            let path = match &*directive.name {
                "proxypassmatch" => format!("~ {first}"),
                _ => first.to_owned(),
            };
            (path, directive.argument(1))
        } else {
            (section.to_owned(), first)
        };
        if url == "!" {
            self.add(path, None);
        } else {
            self.pass(path, directive, url);
        }
    }

    fn pass(&mut self, path: String, directive: &Directive, url: &str) {
        let target = self.upstreams.target(directive, url, &self.remotes);
        self.add(path, target);
    }

    /// Adds a route, or to the one that was added last: rules for one path stand together.
    fn add(&mut self, path: String, upstream: Option<Arc<str>>) {
        match self.drafts.last_mut() {
            Some(last) if last.path == path => {
                if let Some(upstream) = upstream.filter(|name| !last.upstreams.contains(name)) {
                    last.upstreams.push(upstream);
                }
            }
            _ => self.drafts.push(Draft {
                server: self.server.clone(),
                path,
                listeners: self.listeners.clone(),
                upstreams: upstream.into_iter().collect(),
            }),
        }
    }

    /// A server that passes nothing on answers by itself.
    fn answers_itself(&mut self) {
        if self.drafts.is_empty() {
            self.add("/".to_owned(), None);
        }
    }
}

fn add_remotes<'d>(
    block: impl Iterator<Item = &'d Directive>,
    remotes: &mut Remotes,
    upstreams: &mut Upstreams,
) {
    for directive in block.filter(|directive| directive.name == "proxyremote") {
        remotes.add(directive, &mut upstreams.notes);
    }
}

/// The `ServerName` without scheme and port.
fn server_name<'d>(mut block: impl Iterator<Item = &'d Directive>) -> Option<Arc<str>> {
    let name = block
        .find(|directive| directive.name == "servername")?
        .argument(0);
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    let name = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    (!name.is_empty()).then(|| name.into())
}

/// The listeners that lead to a virtual host.
fn of_host(host: &Directive, listeners: &[Listener]) -> Vec<Listener> {
    let mut found = Vec::new();
    for text in &host.arguments {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().ok()),
            _ => (&**text, None),
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let address = bare.unwrap_or(name).parse::<IpAddr>().ok();
        let leads = |listener: &&Listener| {
            let unspecified = listener.address.is_none_or(|own| own.is_unspecified());
            let fits = address.is_none_or(|address| {
                unspecified || listener.address == Some(address.to_canonical())
            });
            fits && port.is_none_or(|port| port == listener.port)
        };
        for listener in listeners.iter().filter(leads) {
            if !found.contains(listener) {
                found.push(*listener);
            }
        }
    }
    found
}

/// True if the flags of a `RewriteRule` pass the request on: `[P]`, `[proxy]`.
fn passes(flags: &str) -> bool {
    let flags = flags.trim_start_matches('[').trim_end_matches(']');
    flags
        .split(',')
        .map(str::trim)
        .any(|flag| flag.eq_ignore_ascii_case("p") || flag.eq_ignore_ascii_case("proxy"))
}

/// What an operator calls a section: `/app`, `~ \.php$`, inside another one `/app ~ \.php$`.
fn section_name(section: &Directive, outer: &str) -> String {
    let first = section.argument(0);
    match &*section.name {
        "locationmatch" | "directorymatch" | "filesmatch" => inner(outer, "~", first),
        "location" | "directory" | "files" if first == "~" => {
            inner(outer, "~", section.argument(1))
        }
        "location" | "directory" => first.to_owned(),
        "files" => inner(outer, "", first),
        // A condition, a method: no place of its own.
        _ => outer.to_owned(),
    }
}

fn inner(outer: &str, sign: &str, pattern: &str) -> String {
    let parts = [outer, sign, pattern];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}
