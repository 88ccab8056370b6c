//! nginx's `stream`: TCP servers and where they pass connections.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::listen::listeners;
use super::upstream::Context;
use super::variables::{Scope, Sets, entries, names};
use crate::routes::address::Listener;
use crate::routes::directive::Directive;
use crate::routes::naming::Draft;

/// The variable that has the name a TLS client asks for.
const SERVER_NAME: &str = "$ssl_preread_server_name";

/// The routes of `stream`, in order: `stream:5432`, or by the name that a TLS client asks for.
///
/// Servers of UDP alone are left out.
pub(super) fn drafts<'a>(block: &'a [Directive], context: &mut Context<'a, '_>) -> Vec<Draft> {
    let mut servers = Vec::new();
    let mut of_port: HashMap<u16, usize> = HashMap::new();
    for server in block.iter().filter(|directive| directive.name == "server") {
        let sockets = Sockets::of(server.inside(), context);
        if let Some(listener) = sockets.listeners.first() {
            *of_port.entry(listener.port).or_default() += 1;
        }
        servers.push((server, sockets));
    }
    let mut drafts = Vec::new();
    for (server, sockets) in servers {
        let Some(name) = sockets.name(server.inside(), &of_port) else {
            continue;
        };
        let name: Arc<str> = name.into();
        let sets = Sets::of(server.inside());
        let scope = Scope {
            sets: &[&sets],
            server_name: None,
        };
        let passes = server.inside().iter();
        for pass in passes.filter(|directive| directive.name == "proxy_pass") {
            for (asked, upstreams) in targets(pass, scope, context) {
                drafts.push(Draft {
                    server: Some(asked.map_or_else(|| Arc::clone(&name), Into::into)),
                    path: String::new(),
                    listeners: sockets.listeners.clone(),
                    upstreams: upstreams.into_iter().collect(),
                });
            }
        }
    }
    drafts
}

/// The upstreams of a `proxy_pass`, by the name that the client asks for where that decides.
fn targets<'a>(
    pass: &'a Directive,
    scope: Scope<'a, '_>,
    context: &mut Context<'a, '_>,
) -> BTreeMap<Option<&'a str>, BTreeSet<Arc<str>>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut variables = names(pass.argument(0));
    let map = variables
        .next()
        .filter(|name| {
            [format!("${name}"), format!("${{{name}}}")]
                .iter()
                .any(|form| form == pass.argument(0))
        })
        .and_then(|name| context.variables.map(name))
        .filter(|map| map.name == "map" && map.argument(0) == SERVER_NAME);
    let Some(map) = map else {
        found.insert(None, context.pass(pass, scope).into_iter().collect());
        return found;
    };
    for (asked, value) in entries(map) {
        let one = Directive {
            arguments: vec![value.to_owned()],
            ..pass.clone()
        };
        let asked = (asked != "default").then_some(asked);
        found
            .entry(asked)
            .or_default()
            .extend(context.pass(&one, scope));
    }
    found
}

/// Where a server accepts connections.
struct Sockets<'a> {
    listeners: Vec<Listener>,
    unix: Option<&'a str>,
}

impl<'a> Sockets<'a> {
    fn of(block: &'a [Directive], context: &mut Context<'_, '_>) -> Self {
        let mut sockets = Self {
            listeners: Vec::new(),
            unix: None,
        };
        for listen in block.iter().filter(|directive| directive.name == "listen") {
            match listeners(listen, None) {
                Ok(listeners) => sockets.listeners.extend(listeners),
                Err(reason) => context.shared.notes.add(&listen.place, reason),
            }
            if listen.argument(0).starts_with("unix:") {
                sockets.unix = Some(listen.argument(0));
            }
        }
        sockets
    }

    /// What the server is called: by its `server_name`, else by its port, and where several
    /// servers have that port by the address too. `None` if it has neither TCP nor a Unix socket.
    fn name(&self, block: &[Directive], of_port: &HashMap<u16, usize>) -> Option<String> {
        let Some(first) = self.listeners.first() else {
            return self.unix.map(|path| format!("stream:{path}"));
        };
        let mut names = block.iter().filter(|one| one.name == "server_name");
        Some(match names.next() {
            Some(name) => name.argument(0).to_owned(),
            None if of_port.get(&first.port) > Some(&1) => format!("stream:{first}"),
            None => format!("stream:{}", first.port),
        })
    }
}
