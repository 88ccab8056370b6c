//! From Envoy's resources to routes and upstreams.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::actions::{Destination, Found};
use super::clusters;
use super::listeners;
use super::resources::Resources;
use crate::routes::address::Listener;
use crate::routes::naming::UniqueNames;
use crate::routes::notes::Notes;
use crate::routes::source::Reading;
use crate::routes::table::{Route, Upstream};

/// Most routes.
const MOST_ROUTES: usize = 20_000;
/// Most mentions of a listener or upstream in all routes together.
const MOST_MENTIONS: usize = 1 << 20;

/// A route under way to its final name.
struct Draft {
    found: Found,
    /// Index of its name among `found.names`.
    level: usize,
    listeners: Vec<Listener>,
}

/// The reading, without its origin.
pub(super) fn reading(resources: &Resources<'_>, mut notes: Notes) -> Reading {
    let upstreams = clusters::upstreams(resources, &mut notes);
    let mut bound = Vec::new();
    let mut seen = HashSet::new();
    let mut drafts: Vec<Draft> = Vec::new();
    let found: Vec<_> = resources
        .listeners
        .iter()
        .map(|listener| listeners::read(listener, resources, &mut notes))
        .collect();
    let handing = found.iter().filter(|listener| listener.hands_over);
    let handing: Vec<Listener> = handing
        .flat_map(|listener| listener.bound.clone())
        .collect();
    // One route configuration may serve several listeners: its routes are then the same ones.
    let mut shared: HashMap<(String, Vec<String>, Vec<String>), usize> = HashMap::new();
    let mut mentions = 0;
    for listener in found {
        bound.extend(
            listener
                .bound
                .iter()
                .copied()
                .filter(|one| seen.insert(*one)),
        );
        let own = if listener.unbound {
            &handing
        } else {
            &listener.bound
        };
        for (config, routes) in listener.routes {
            for route in routes {
                mentions += own.len();
                if drafts.len() >= MOST_ROUTES || mentions > MOST_MENTIONS {
                    notes.add(
                        "routes",
                        format!("more than {MOST_ROUTES}: the rest is left out"),
                    );
                    break;
                }
                let key = (
                    config.clone(),
                    route.names.clone(),
                    route.destination.clusters.clone(),
                );
                let index = *shared.entry(key).or_insert_with(|| {
                    drafts.push(Draft {
                        found: route,
                        level: 0,
                        listeners: Vec::new(),
                    });
                    drafts.len() - 1
                });
                for listener in own {
                    if !drafts[index].listeners.contains(listener) {
                        drafts[index].listeners.push(*listener);
                    }
                }
            }
        }
    }
    Reading {
        name: resources.name.map(Arc::from),
        listeners: bound,
        routes: named(drafts, resources, &upstreams, &mut notes),
        upstreams,
        name_servers: Vec::new(),
        not_understood: notes.into_lines(),
        origin: String::new(),
    }
}

/// Gives each route the shortest of its names that no other has.
fn named(
    mut drafts: Vec<Draft>,
    resources: &Resources<'_>,
    upstreams: &[Upstream],
    notes: &mut Notes,
) -> Vec<Route> {
    let longest = drafts.iter().map(|draft| draft.found.names.len()).max();
    for _ in 1..longest.unwrap_or(0) {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for draft in &drafts {
            *counts.entry(draft.name()).or_default() += 1;
        }
        let again: Vec<bool> = drafts
            .iter()
            .map(|draft| counts[draft.name()] > 1)
            .collect();
        for (draft, again) in drafts.iter_mut().zip(again) {
            if again && draft.level + 1 < draft.found.names.len() {
                draft.level += 1;
            }
        }
    }
    let aggregates = clusters::aggregates(resources);
    let mut names = UniqueNames::default();
    let mut routes: Vec<Route> = Vec::new();
    let mut known: BTreeMap<(String, Vec<Arc<str>>), usize> = BTreeMap::new();
    let mut mentions = 0;
    for draft in drafts {
        let base = draft.name().to_owned();
        if mentions > MOST_MENTIONS {
            notes.add(&base, "its clusters are too many to be followed");
            break;
        }
        let clusters = expanded(&draft.found.destination, &aggregates, upstreams);
        mentions += clusters.len();
        // What cannot be told apart and leads to the same place is one route.
        if let Some(index) = known.get(&(base.clone(), clusters.clone())) {
            let route: &mut Route = &mut routes[*index];
            let new = |listener: &&Listener| !route.listeners.contains(listener);
            let more: Vec<Listener> = draft.listeners.iter().filter(new).copied().collect();
            route.listeners.extend(more);
            continue;
        }
        known.insert((base.clone(), clusters.clone()), routes.len());
        let name = names.of(base);
        routes.push(Route {
            name: Arc::from(name),
            listeners: draft.listeners,
            upstreams: clusters,
        });
    }
    routes
}

impl Draft {
    fn name(&self) -> &str {
        self.found.names.get(self.level).map_or("", String::as_str)
    }
}

/// The clusters of `destination`, and those that aggregates among them stand for.
fn expanded(
    destination: &Destination,
    aggregates: &HashMap<&str, Vec<&str>>,
    upstreams: &[Upstream],
) -> Vec<Arc<str>> {
    if destination.any {
        return upstreams
            .iter()
            .map(|upstream| Arc::clone(&upstream.name))
            .collect();
    }
    let mut seen = HashSet::new();
    let mut open: Vec<&str> = destination
        .clusters
        .iter()
        .rev()
        .map(String::as_str)
        .collect();
    let mut clusters = Vec::new();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            clusters.push(Arc::from(name));
            open.extend(aggregates.get(name).into_iter().flatten().rev());
        }
    }
    clusters
}

#[cfg(test)]
mod tests;
