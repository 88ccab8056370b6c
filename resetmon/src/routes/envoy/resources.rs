//! Listeners, route configurations, clusters and their hosts, wherever they were found.

use std::collections::HashMap;

use serde_json::Value;

use super::json::{at, field, items, kind, text};
use crate::routes::notes::Notes;

/// Envoy's resources in force.
#[derive(Debug, Default)]
pub(super) struct Resources<'a> {
    /// The logical name of this Envoy and those like it, else its own.
    pub(super) name: Option<&'a str>,
    /// `Listener`s.
    pub(super) listeners: Vec<&'a Value>,
    /// `RouteConfiguration`s by name; inline ones are within their listeners.
    pub(super) routes: HashMap<&'a str, &'a Value>,
    /// `Cluster`s.
    pub(super) clusters: Vec<&'a Value>,
    /// `ClusterLoadAssignment`s by name.
    pub(super) assignments: HashMap<&'a str, &'a Value>,
    /// `ClusterStatus`es by cluster.
    pub(super) statuses: HashMap<&'a str, &'a Value>,
}

impl<'a> Resources<'a> {
    /// From the answer to `/config_dump?include_eds`.
    pub(super) fn of_dump(dump: &'a Value, notes: &mut Notes) -> Self {
        let mut found = Self::default();
        for part in items(dump, &["configs"]) {
            match kind(part) {
                Some("BootstrapConfigDump") => {
                    if let Some(node) = at(part, &["bootstrap", "node"]) {
                        found.name = node_name(node);
                    }
                }
                Some("ListenersConfigDump") => found.listeners_of(part, notes),
                Some("RoutesConfigDump") => {
                    for list in ["static_route_configs", "dynamic_route_configs"] {
                        let configs =
                            items(part, &[list]).filter_map(|item| field(item, "route_config"));
                        found.routes.extend(by_name(configs, "name"));
                    }
                }
                Some("ClustersConfigDump") => {
                    for list in ["static_clusters", "dynamic_active_clusters"] {
                        let clusters = items(part, &[list]);
                        found
                            .clusters
                            .extend(clusters.filter_map(|item| field(item, "cluster")));
                    }
                }
                Some("EndpointsConfigDump") => {
                    for list in ["static_endpoint_configs", "dynamic_endpoint_configs"] {
                        let configs =
                            items(part, &[list]).filter_map(|item| field(item, "endpoint_config"));
                        found.assignments.extend(by_name(configs, "cluster_name"));
                    }
                }
                Some("ScopedRoutesConfigDump") => {
                    for list in [
                        "inline_scoped_route_configs",
                        "dynamic_scoped_route_configs",
                    ] {
                        for item in items(part, &[list]) {
                            let name = text(item, &["name"]).unwrap_or("");
                            notes.add(format!("scoped routes {name}"), "are not read");
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// From a bootstrap configuration: what is static.
    pub(super) fn of_bootstrap(bootstrap: &'a Value) -> Self {
        Self {
            name: field(bootstrap, "node").and_then(node_name),
            listeners: items(bootstrap, &["static_resources", "listeners"]).collect(),
            clusters: items(bootstrap, &["static_resources", "clusters"]).collect(),
            ..Self::default()
        }
    }

    /// Adds the answer to `/clusters?format=json`.
    pub(super) fn with_statuses(&mut self, clusters: &'a Value) {
        self.statuses = by_name(items(clusters, &["cluster_statuses"]), "name").collect();
    }

    fn listeners_of(&mut self, part: &'a Value, notes: &mut Notes) {
        let fixed = items(part, &["static_listeners"]);
        self.listeners
            .extend(fixed.filter_map(|item| field(item, "listener")));
        for item in items(part, &["dynamic_listeners"]) {
            let name = text(item, &["name"]).unwrap_or("");
            if let Some(details) = text(item, &["error_state", "details"]) {
                notes.add(
                    format!("listener {name}"),
                    format!("its update was refused: {details}"),
                );
            }
            self.listeners
                .extend(at(item, &["active_state", "listener"]));
        }
    }
}

/// `node.cluster`, which restarts and copies have in common, else `node.id`.
fn node_name(node: &Value) -> Option<&str> {
    text(node, &["cluster"]).or_else(|| text(node, &["id"]))
}

fn by_name<'a>(
    values: impl Iterator<Item = &'a Value>,
    name: &'static str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    values.filter_map(move |value| Some((text(value, &[name])?, value)))
}
