//! nginx's `http`: servers, locations, and where they pass requests.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::listen::listeners;
use super::upstream::Context;
use super::variables::{Scope, Sets};
use crate::routes::address::Listener;
use crate::routes::directive::Directive;
use crate::routes::naming::Draft;

/// Port of a `listen` without one, and of a server without `listen`.
const PORT: u16 = 80;
/// Most named locations that one location may fall back to, one behind the other.
const MAX_FALLBACKS: usize = 16;

/// The routes of `http`, in order.
///
/// A location that answers by itself is a route without upstreams: a client's connection may be
/// about it as well as about its neighbours.
pub(super) fn drafts<'a>(block: &'a [Directive], context: &mut Context<'a, '_>) -> Vec<Draft> {
    let fallbacks: HashSet<&str> = fallbacks(block).collect();
    block
        .iter()
        .filter(|directive| directive.name == "server")
        .flat_map(|server| Server::drafts(server, &fallbacks, context))
        .collect()
}

/// A server while its locations are walked.
struct Server<'a, 'c, 's> {
    context: &'c mut Context<'a, 's>,
    name: Option<&'a str>,
    sets: Sets<'a>,
    locations: Vec<Location<'a>>,
}

/// A location: what it is called, what it passes to, what it falls back to.
struct Location<'a> {
    path: String,
    upstreams: BTreeSet<Arc<str>>,
    /// The named locations of `try_files` and `error_page`.
    fallbacks: Vec<&'a str>,
}

impl<'a, 'c, 's> Server<'a, 'c, 's> {
    fn drafts(
        server: &'a Directive,
        outer_fallbacks: &HashSet<&str>,
        context: &'c mut Context<'a, 's>,
    ) -> Vec<Draft> {
        let block = server.inside();
        let listeners = server_listeners(block, context);
        let name = server_name(block);
        let mut walk = Server {
            context,
            name,
            sets: Sets::of(block),
            locations: Vec::new(),
        };
        for directive in block {
            if directive.name == "location" {
                walk.location(directive, "");
            }
        }
        let mut kept: HashSet<&str> = fallbacks(block).collect();
        kept.extend(outer_fallbacks);
        let mut locations = fall_back(walk.locations, &kept);
        if locations.is_empty() {
            locations.push(Location {
                path: "/".to_owned(),
                upstreams: BTreeSet::new(),
                fallbacks: Vec::new(),
            });
        }
        let server: Option<Arc<str>> = name.map(Into::into);
        let draft = |location: Location<'_>| Draft {
            server: server.clone(),
            path: location.path,
            listeners: listeners.clone(),
            upstreams: location.upstreams.into_iter().collect(),
        };
        locations.into_iter().map(draft).collect()
    }

    /// Walks a location and those inside.
    fn location(&mut self, location: &'a Directive, outer: &str) {
        let block = location.inside();
        let path = path(location, outer);
        let sets = Sets::of(block);
        let mut upstreams = BTreeSet::new();
        let mut inner = Vec::new();
        for directive in block {
            match &*directive.name {
                "location" => inner.push(directive),
                // Part of the location; it may pass elsewhere.
                "if" | "limit_except" => {
                    let own = Sets::of(directive.inside());
                    for directive in directive.inside() {
                        upstreams.extend(self.pass(directive, &[&own, &sets]));
                    }
                }
                _ => upstreams.extend(self.pass(directive, &[&sets])),
            }
        }
        // What an inner location is for, its outer one is not: a pass is not inherited.
        self.locations.push(Location {
            path: path.clone(),
            upstreams,
            fallbacks: fallbacks(block).collect(),
        });
        for location in inner {
            self.location(location, &path);
        }
    }

    /// What a directive of a location passes to, if it is such a directive.
    fn pass(&mut self, directive: &'a Directive, sets: &[&Sets<'a>]) -> Vec<Arc<str>> {
        if directive.name.ends_with("_pass") {
            let mut sets = sets.to_vec();
            sets.push(&self.sets);
            let scope = Scope {
                sets: &sets,
                server_name: self.name,
            };
            return self.context.pass(directive, scope);
        }
        let code = ["content_by_lua", "js_content", "perl"];
        if code.iter().any(|name| directive.name.starts_with(name)) {
            let what = format!("{}: what its code connects to is not known", directive.name);
            self.context.shared.notes.add(&directive.place, what);
        }
        Vec::new()
    }
}

/// The named locations of `try_files` and `error_page` in `block` itself.
fn fallbacks(block: &[Directive]) -> impl Iterator<Item = &str> {
    block
        .iter()
        .filter(|directive| ["try_files", "error_page"].contains(&&*directive.name))
        .filter_map(|directive| directive.arguments.last())
        .filter(|target| target.starts_with('@'))
        .map(String::as_str)
}

/// Gives locations the upstreams of the named ones that they fall back to. A named location is no
/// route of its own then, unless it is one of `kept`, which the whole server falls back to.
fn fall_back<'a>(mut locations: Vec<Location<'a>>, kept: &HashSet<&str>) -> Vec<Location<'a>> {
    let named: HashMap<String, usize> = locations
        .iter()
        .enumerate()
        .filter(|(_, location)| location.path.starts_with('@'))
        .map(|(index, location)| (location.path.clone(), index))
        .collect();
    let mut reached = HashSet::new();
    for index in 0..locations.len() {
        if locations[index].path.starts_with('@') {
            continue;
        }
        let mut next = locations[index].fallbacks.clone();
        let mut seen = HashSet::new();
        while let Some(name) = next.pop() {
            let Some(&target) = named.get(name) else {
                continue;
            };
            if seen.len() >= MAX_FALLBACKS || !seen.insert(target) {
                continue;
            }
            reached.insert(target);
            next.extend(&locations[target].fallbacks);
            let upstreams = locations[target].upstreams.clone();
            locations[index].upstreams.extend(upstreams);
        }
    }
    let mut index = 0;
    locations.retain(|location| {
        let replaced = reached.contains(&index) && !kept.contains(&*location.path);
        index += 1;
        !replaced
    });
    locations
}

/// The first name that is one, as written. `_`, the customary name of a server for all the rest,
/// is none.
fn server_name(block: &[Directive]) -> Option<&str> {
    block
        .iter()
        .filter(|directive| directive.name == "server_name")
        .flat_map(|directive| &directive.arguments)
        .map(String::as_str)
        .find(|name| !["", "_", "-", "*", "$hostname"].contains(name))
}

/// The TCP listeners of a server; without a `listen` it is port 80, as for root.
fn server_listeners(block: &[Directive], context: &mut Context<'_, '_>) -> Vec<Listener> {
    let mut found = Vec::new();
    let mut any = false;
    for listen in block.iter().filter(|directive| directive.name == "listen") {
        any = true;
        match listeners(listen, Some(PORT)) {
            Ok(listeners) => found.extend(listeners),
            Err(reason) => context.shared.notes.add(&listen.place, reason),
        }
    }
    if !any {
        found.push(Listener {
            address: Some(std::net::Ipv4Addr::UNSPECIFIED.into()),
            port: PORT,
        });
    }
    let mut seen = HashSet::new();
    found.retain(|listener| seen.insert(*listener));
    found
}

/// What an operator calls a location: `/api/`, `= /`, `~ \.php$`, `@named`; inside another one
/// `/app/ ~ \.php$`. Whether a prefix is written with `^~` makes no other location of it.
fn path(location: &Directive, outer: &str) -> String {
    let first = location.argument(0);
    let (modifier, path) = match location.arguments.get(1) {
        Some(path) => (first, &**path),
        // The modifier may stand without a blank.
        None => ["=", "^~", "~*", "~"]
            .into_iter()
            .find_map(|modifier| Some((modifier, first.strip_prefix(modifier)?)))
            .unwrap_or(("", first)),
    };
    match modifier {
        "" | "^~" => path.to_owned(),
        "~" | "~*" if !outer.is_empty() => format!("{outer} {modifier} {path}"),
        _ => format!("{modifier} {path}"),
    }
}
