//! Routes from resetmon's own configuration file: its section `gateways`.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::address::{Endpoint, Listener};
use super::table::{Gateway, ProcessPattern, Route, Upstream};
use crate::yaml::{OneOrMany, Problems, Text};

/// Longest name of a gateway, route or upstream, in bytes.
const MAX_NAME: usize = 256;

/// One entry of `gateways`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayEntry {
    name: Text,
    process: Option<Spanned<OneOrMany>>,
    listeners: Option<Spanned<OneOrMany>>,
    routes: Option<Spanned<Vec<RouteEntry>>>,
    upstreams: Option<Spanned<Vec<UpstreamEntry>>>,
}

/// One entry of `routes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    name: Text,
    upstream: Spanned<OneOrMany>,
}

/// One entry of `upstreams`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamEntry {
    name: Text,
    endpoints: Spanned<OneOrMany>,
}

/// The gateways of the section. Entries with a problem are noted and left out.
pub fn gateways(entries: Vec<GatewayEntry>, problems: &mut Problems) -> Vec<Gateway> {
    let mut seen = Names::default();
    let mut gateways = Vec::new();
    for entry in entries {
        unique(&mut seen, &entry.name, "gateway", problems);
        gateways.extend(gateway(entry, problems));
    }
    gateways
}

fn gateway(entry: GatewayEntry, problems: &mut Problems) -> Option<Gateway> {
    let name = name(&entry.name, problems)?;
    if entry.process.is_none() && entry.listeners.is_none() && entry.upstreams.is_none() {
        problems.at(
            entry.name.referenced,
            format!(
                "gateway `{}` can match nothing; give it process, listeners or upstreams",
                name.escape_debug()
            ),
        );
    }
    let processes = texts(entry.process, "process", problems);
    let upstreams = upstreams(entry.upstreams, problems);
    let routes = routes(entry.routes, &upstreams, problems);
    Some(Gateway {
        netns: None,
        processes: processes
            .iter()
            .filter_map(|text| process(text, problems))
            .collect(),
        listeners: parsed::<Listener>(entry.listeners, "listeners", problems),
        routes,
        upstreams,
        name,
        resolver: None,
        not_understood: Vec::new(),
    })
}

fn upstreams(
    entries: Option<Spanned<Vec<UpstreamEntry>>>,
    problems: &mut Problems,
) -> Vec<Upstream> {
    let mut seen = Names::default();
    let mut upstreams = Vec::new();
    for entry in list(entries, "upstreams", problems) {
        unique(&mut seen, &entry.name, "upstream", problems);
        let endpoints = parsed::<Endpoint>(Some(entry.endpoints), "endpoints", problems);
        let name = name(&entry.name, problems);
        upstreams.extend(name.map(|name| Upstream { name, endpoints }));
    }
    upstreams
}

fn routes(
    entries: Option<Spanned<Vec<RouteEntry>>>,
    upstreams: &[Upstream],
    problems: &mut Problems,
) -> Vec<Route> {
    let mut seen = Names::default();
    let mut routes = Vec::new();
    for entry in list(entries, "routes", problems) {
        unique(&mut seen, &entry.name, "route", problems);
        let mut used = Vec::new();
        for text in texts(Some(entry.upstream), "upstream", problems) {
            let known = upstreams
                .iter()
                .find(|upstream| *upstream.name == *text.value);
            match known {
                Some(upstream) => used.push(Arc::clone(&upstream.name)),
                None => problems.at(text.referenced, unknown_upstream(&text.value, upstreams)),
            }
        }
        let name = name(&entry.name, problems);
        routes.extend(name.map(|name| Route {
            listeners: Vec::new(),
            name,
            upstreams: used,
        }));
    }
    routes
}

fn unknown_upstream(name: &str, upstreams: &[Upstream]) -> String {
    let name = name.escape_debug();
    if upstreams.is_empty() {
        return format!("there is no upstream `{name}`; this gateway has none under `upstreams`");
    }
    let known: BTreeSet<String> = upstreams
        .iter()
        .map(|upstream| upstream.name.escape_debug().to_string())
        .collect();
    let known: Vec<String> = known.into_iter().collect();
    format!(
        "there is no upstream `{name}` in this gateway; known here: {}",
        known.join(", ")
    )
}

/// A process by name or by path.
pub fn process(text: &Text, problems: &mut Problems) -> Option<ProcessPattern> {
    let name = name(text, problems)?;
    if !name.starts_with('/') && name.contains('/') {
        problems.at(
            text.referenced,
            format!(
                "process `{}` is neither a name (nginx) nor a path from the root (/usr/sbin/nginx)",
                name.escape_debug()
            ),
        );
        return None;
    }
    Some(ProcessPattern::new(&name))
}

/// A name fit for a label: not empty, bounded, printable.
pub fn name(text: &Text, problems: &mut Problems) -> Option<Arc<str>> {
    let fault = if text.value.trim().is_empty() {
        "a name must not be empty".to_owned()
    } else if text.value.len() > MAX_NAME {
        format!(
            "a name has at most {MAX_NAME} bytes, this one {}",
            text.value.len()
        )
    } else if text.value.contains(char::is_control) {
        "a name must not contain line breaks or control characters".to_owned()
    } else {
        return Some(Arc::from(&*text.value));
    };
    problems.at(text.referenced, fault);
    None
}

/// The names of one kind so far.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

/// Notes a `name` that was there before.
pub fn unique(seen: &mut Names, name: &Text, kind: &str, problems: &mut Problems) {
    if !seen.0.insert(name.value.clone()) {
        problems.at(
            name.referenced,
            format!(
                "the {kind} `{}` is there twice; rename or join",
                name.value.escape_debug()
            ),
        );
    }
}

/// The entries of a list that, if given, has some.
fn list<T>(entries: Option<Spanned<Vec<T>>>, key: &str, problems: &mut Problems) -> Vec<T> {
    let Some(entries) = entries else {
        return Vec::new();
    };
    if entries.value.is_empty() {
        problems.at(entries.referenced, empty(key));
    }
    entries.value
}

/// The values of a key that, if given, has some.
pub fn texts(entries: Option<Spanned<OneOrMany>>, key: &str, problems: &mut Problems) -> Vec<Text> {
    let Some(entries) = entries else {
        return Vec::new();
    };
    let place = entries.referenced;
    let texts = OneOrMany::texts(entries);
    if texts.is_empty() {
        problems.at(place, empty(key));
    }
    texts
}

fn empty(key: &str) -> String {
    format!("`{key}` is empty; fill it or leave it out")
}

/// The values of a key, each once.
fn parsed<T>(entries: Option<Spanned<OneOrMany>>, key: &str, problems: &mut Problems) -> Vec<T>
where
    T: FromStr + Clone + Eq + Hash + Display,
    T::Err: Display,
{
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for text in texts(entries, key, problems) {
        let Some(value) = problems.keep(text.referenced, text.value.parse::<T>()) else {
            continue;
        };
        if seen.insert(value.clone()) {
            values.push(value);
        } else {
            problems.at(
                text.referenced,
                format!("`{value}` is there twice; keep one"),
            );
        }
    }
    values
}
