//! Route configurations: virtual hosts, their routes and where those lead.

use serde_json::Value;

use super::json::{at, field, is_true, items, text};
use crate::routes::notes::Notes;

/// Most characters of a match in a route's name.
const LONGEST_MATCH: usize = 80;
/// Most header conditions in a route's name.
const MOST_CONDITIONS: usize = 2;

/// Where a route leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Destination {
    /// Names of clusters.
    pub(super) clusters: Vec<String>,
    /// Any cluster, chosen for each request.
    pub(super) any: bool,
}

/// A route, with names for it from the shortest to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its names.
    pub(super) names: Vec<String>,
    /// Where it leads.
    pub(super) destination: Destination,
}

/// The routes of a `RouteConfiguration` called `name`.
pub(super) fn routes(config: &Value, name: &str, notes: &mut Notes) -> Vec<Found> {
    let mut found = Vec::new();
    let hosts: Vec<&Value> = items(config, &["virtual_hosts"]).collect();
    let everything = |host: &Value| items(host, &["domains"]).any(|domain| domain == "*");
    let alone = matches!(hosts[..], [host] if everything(host));
    if field(config, "vhds").is_some() {
        notes.add(
            format!("route configuration {name}"),
            "gets virtual hosts when they are asked for",
        );
    }
    for host in hosts {
        let host_name = text(host, &["name"]).unwrap_or("");
        for route in items(host, &["routes"]) {
            let matched = match_name(field(route, "match").unwrap_or(&Value::Null));
            let given = text(route, &["name"]);
            let own = given.unwrap_or(&matched);
            let mut names = Vec::new();
            if alone || given.is_some() {
                names.push(own.to_owned());
            }
            names.push(format!("{host_name}:{own}"));
            if given.is_some() {
                names.push(format!("{host_name}:{own} {matched}"));
            }
            let longest = names.last().map_or("", String::as_str);
            names.push(format!("{name}/{longest}"));
            let place = format!("route {name}/{host_name}:{own}");
            let mut destination = Destination::default();
            if let Some(action) = field(route, "route") {
                destination = action_destination(action, &place, notes);
                for parent in [action, host, config] {
                    mirrors(parent, &mut destination);
                }
            }
            found.push(Found { names, destination });
        }
        if field(host, "matcher").is_some() {
            notes.add(
                format!("virtual host {name}/{host_name}"),
                "its matcher is not read",
            );
        }
    }
    found
}

/// Where a `RouteAction` (or a `TcpProxy`) leads.
pub(super) fn action_destination(action: &Value, place: &str, notes: &mut Notes) -> Destination {
    let mut destination = Destination::default();
    destination
        .clusters
        .extend(text(action, &["cluster"]).map(str::to_owned));
    let mut by_header = |header: &str, destination: &mut Destination| {
        let what = format!("the header {header} chooses the cluster: any counts");
        notes.add(place, what);
        destination.any = true;
    };
    for part in items(action, &["weighted_clusters", "clusters"]) {
        destination
            .clusters
            .extend(text(part, &["name"]).map(str::to_owned));
        if let Some(header) = text(part, &["cluster_header"]) {
            by_header(header, &mut destination);
        }
    }
    if let Some(header) = text(action, &["cluster_header"]) {
        by_header(header, &mut destination);
    }
    for plugin in [
        "cluster_specifier_plugin",
        "inline_cluster_specifier_plugin",
    ] {
        if field(action, plugin).is_some() {
            notes.add(place, "a plugin chooses the cluster: any counts");
            destination.any = true;
        }
    }
    destination
}

/// Adds the clusters that get a copy of the requests.
fn mirrors(parent: &Value, destination: &mut Destination) {
    let policies = items(parent, &["request_mirror_policies"]);
    let old = field(parent, "request_mirror_policy").into_iter();
    for policy in policies.chain(old) {
        destination
            .clusters
            .extend(text(policy, &["cluster"]).map(str::to_owned));
    }
}

/// What a `RouteMatch` asks for, in short.
fn match_name(matched: &Value) -> String {
    let path = ["prefix", "path", "path_separated_prefix"]
        .iter()
        .find_map(|kind| text(matched, &[kind]));
    let regex = || text(matched, &["safe_regex", "regex"]).map(|regex| format!("~{regex}"));
    let template = || {
        let config = at(matched, &["path_match_policy", "typed_config"])?;
        text(config, &["path_template"]).map(str::to_owned)
    };
    let connect = || field(matched, "connect_matcher").map(|_| "CONNECT".to_owned());
    let path = path
        .map(str::to_owned)
        .or_else(regex)
        .or_else(template)
        .or_else(connect);
    let mut name = path.unwrap_or_else(|| "/".to_owned());
    for header in items(matched, &["headers"]).take(MOST_CONDITIONS) {
        let Some(header_name) = text(header, &["name"]) else {
            continue;
        };
        let value = ["exact", "prefix", "suffix", "contains"]
            .iter()
            .find_map(|kind| text(header, &["string_match", kind]))
            .or_else(|| text(header, &["exact_match"]));
        let not = if is_true(header, &["invert_match"]) {
            "!"
        } else {
            ""
        };
        name.extend([" ", not, header_name]);
        if let Some(value) = value {
            name.extend(["=", value]);
        }
    }
    for parameter in items(matched, &["query_parameters"]).take(MOST_CONDITIONS) {
        if let Some(parameter) = text(parameter, &["name"]) {
            name.push_str(" ?");
            name.push_str(parameter);
        }
    }
    if field(matched, "grpc").is_some() {
        name.push_str(" grpc");
    }
    if let Some((end, _)) = name.char_indices().nth(LONGEST_MATCH) {
        name.truncate(end);
        name.push('…');
    }
    name
}
