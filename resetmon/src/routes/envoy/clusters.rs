//! Clusters as upstreams.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::address;
use super::json::{at, field, items, kind, text};
use super::resources::Resources;
use crate::routes::address::Endpoint;
use crate::routes::notes::Notes;
use crate::routes::table::Upstream;

/// Every cluster by its name, with names of hosts as configured and addresses as they are now.
pub(super) fn upstreams(resources: &Resources<'_>, notes: &mut Notes) -> Vec<Upstream> {
    let mut seen = HashSet::new();
    let mut upstreams = Vec::new();
    for cluster in &resources.clusters {
        let Some(name) = text(cluster, &["name"]) else {
            continue;
        };
        if seen.insert(name) {
            upstreams.push(Upstream {
                name: Arc::from(name),
                endpoints: endpoints(cluster, name, resources, notes),
            });
        }
    }
    upstreams
}

/// The clusters that an aggregate cluster stands for, by its name.
pub(super) fn aggregates<'a>(resources: &Resources<'a>) -> HashMap<&'a str, Vec<&'a str>> {
    let clusters = resources.clusters.iter().copied();
    let aggregates = clusters.filter_map(|cluster| {
        let members: Vec<&str> = items(cluster, &["cluster_type", "typed_config", "clusters"])
            .filter_map(Value::as_str)
            .collect();
        Some((text(cluster, &["name"])?, members))
    });
    aggregates
        .filter(|(_, members)| !members.is_empty())
        .collect()
}

fn endpoints(
    cluster: &Value,
    name: &str,
    resources: &Resources<'_>,
    notes: &mut Notes,
) -> Vec<Endpoint> {
    let mut found = Endpoints::default();
    if let Some(why) = unknowable(cluster) {
        notes.add(format!("cluster {name}"), why);
        return found.list;
    }
    let place = format!("cluster {name}");
    let assigned = field(cluster, "load_assignment");
    // The assignment of an EDS cluster has the service's name.
    let service = text(cluster, &["eds_cluster_config", "service_name"]).unwrap_or(name);
    let live = resources.assignments.get(service).copied();
    for assignment in assigned.into_iter().chain(live) {
        for locality in items(assignment, &["endpoints"]) {
            for host in items(locality, &["lb_endpoints"]) {
                if let Some(endpoint) = field(host, "endpoint") {
                    found.add_all(endpoint, &place, notes);
                }
            }
        }
    }
    if let Some(status) = resources.statuses.get(name) {
        for host in items(status, &["host_statuses"]) {
            found.add_all(host, &place, notes);
        }
    }
    found.list
}

/// Why nobody can know the cluster's hosts beforehand.
fn unknowable(cluster: &Value) -> Option<&'static str> {
    let original = "connects to where the client wanted to go";
    if text(cluster, &["type"]) == Some("ORIGINAL_DST") {
        return Some(original);
    }
    let name = text(cluster, &["cluster_type", "name"]).unwrap_or("");
    let config = at(cluster, &["cluster_type", "typed_config"]);
    match config.and_then(kind).unwrap_or("") {
        "OriginalDstCluster" => Some(original),
        _ if name.ends_with("original_dst") => Some(original),
        _ if name.ends_with("dynamic_forward_proxy") => {
            Some("connects to the host that each request names")
        }
        _ => None,
    }
}

/// Endpoints, each once, in order.
#[derive(Default)]
struct Endpoints {
    list: Vec<Endpoint>,
    seen: HashSet<Endpoint>,
}

impl Endpoints {
    /// The addresses of an `Endpoint` or `HostStatus`.
    fn add_all(&mut self, host: &Value, place: &str, notes: &mut Notes) {
        for address in address::all(host) {
            match address::endpoint(address) {
                Ok(Some(endpoint)) if self.seen.insert(endpoint.clone()) => {
                    self.list.push(endpoint);
                }
                Ok(_) => {}
                Err(reason) => notes.add(place, reason),
            }
        }
    }
}
