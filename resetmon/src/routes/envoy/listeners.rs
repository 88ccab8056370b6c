//! Listeners and their filter chains.

use serde_json::Value;

use super::actions::{self, Found};
use super::address;
use super::json::{at, field, is_true, items, kind, text};
use super::resources::Resources;
use crate::routes::address::Listener;
use crate::routes::notes::Notes;

/// Last parts of the types of network filters that choose no cluster.
const PASSING: [&str; 16] = [
    "RBAC",
    "RateLimit",
    "LocalRateLimit",
    "ConnectionLimit",
    "ExtAuthz",
    "ExternalProcessor",
    "NetworkExternalProcessor",
    "Wasm",
    "MetadataExchange",
    "MySQLProxy",
    "PostgresProxy",
    "MongoProxy",
    "ZooKeeperProxy",
    "KafkaBroker",
    "Config",
    "Echo",
];

/// A listener and its routes.
#[derive(Debug, Default)]
pub(super) struct FoundListener {
    /// Where it accepts connections of its own.
    pub(super) bound: Vec<Listener>,
    /// Its connections are handed to the listener that the client wanted to reach.
    pub(super) hands_over: bool,
    /// It binds no port: connections are handed to it.
    pub(super) unbound: bool,
    /// Its routes, by route configuration or listener.
    pub(super) routes: Vec<(String, Vec<Found>)>,
}

/// Reads a `Listener`.
pub(super) fn read(
    listener: &Value,
    resources: &Resources<'_>,
    notes: &mut Notes,
) -> FoundListener {
    let shown = field(listener, "address").map(address::place);
    let name = match (text(listener, &["name"]), shown) {
        (Some(name), _) => name.to_owned(),
        (None, Some(address::Place::Tcp { host, port, .. })) => format!("{host}_{port}"),
        (None, Some(address::Place::Pipe(path))) => path.to_owned(),
        _ => String::new(),
    };
    let place = format!("listener {name}");
    let says_no = |path: &[&str]| at(listener, path).and_then(Value::as_bool) == Some(false);
    let mut found = FoundListener {
        hands_over: is_true(listener, &["use_original_dst"]),
        unbound: says_no(&["bind_to_port"]) || says_no(&["deprecated_v1", "bind_to_port"]),
        ..FoundListener::default()
    };
    if !found.unbound {
        for address in address::all(listener) {
            match address::listener(address) {
                Ok(listener) => found.bound.extend(listener),
                Err(reason) => notes.add(&place, reason),
            }
        }
    }
    let chains = items(listener, &["filter_chains"]);
    for chain in chains.chain(field(listener, "default_filter_chain")) {
        let chain_name = chain_name(chain);
        for filter in items(chain, &["filters"]) {
            let config = field(filter, "typed_config").unwrap_or(&Value::Null);
            let names = || {
                let whole = format!("{name}/{}", chain_name.unwrap_or("default"));
                vec![name.clone(), whole]
            };
            match kind(config) {
                Some("HttpConnectionManager") => {
                    found.routes.extend(http(config, &name, resources, notes));
                }
                Some("TcpProxy") => {
                    let destination = actions::action_destination(config, &place, notes);
                    let names = names();
                    found
                        .routes
                        .push((name.clone(), vec![Found { names, destination }]));
                }
                Some("RedisProxy") => {
                    let names = names();
                    let destination = redis(config);
                    found
                        .routes
                        .push((name.clone(), vec![Found { names, destination }]));
                }
                Some(kind) if PASSING.contains(&kind) => {}
                _ => {
                    let filter = text(filter, &["name"]).unwrap_or("?");
                    notes.add(&place, format!("its filter {filter} is not read"));
                }
            }
        }
    }
    found
}

/// A chain by its name, else by what it is chosen by.
fn chain_name(chain: &Value) -> Option<&str> {
    let mut names = items(chain, &["filter_chain_match", "server_names"]);
    let sni = names.find_map(Value::as_str);
    text(chain, &["name"]).or(sni)
}

/// The routes of a connection manager with the name of their configuration.
fn http(
    manager: &Value,
    listener: &str,
    resources: &Resources<'_>,
    notes: &mut Notes,
) -> Option<(String, Vec<Found>)> {
    if let Some(inline) = field(manager, "route_config") {
        let name = text(inline, &["name"]).unwrap_or(listener).to_owned();
        let routes = actions::routes(inline, &name, notes);
        return Some((name, routes));
    }
    let place = format!("listener {listener}");
    let Some(name) = text(manager, &["rds", "route_config_name"]) else {
        notes.add(place, "its routes are chosen by scopes, which are not read");
        return None;
    };
    let Some(config) = resources.routes.get(name) else {
        notes.add(
            place,
            format!("its route configuration {name} is not there yet"),
        );
        return None;
    };
    Some((name.to_owned(), actions::routes(config, name, notes)))
}

fn redis(proxy: &Value) -> actions::Destination {
    let fixed = at(proxy, &["prefix_routes", "catch_all_route"]).into_iter();
    let routes = fixed.chain(items(proxy, &["prefix_routes", "routes"]));
    let clusters = routes.filter_map(|route| text(route, &["cluster"]));
    actions::Destination {
        clusters: clusters.map(str::to_owned).collect(),
        any: false,
    }
}
