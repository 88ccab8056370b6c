//! Ingresses, by class.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::data_plane::DataPlane;
use super::model::{Ingress, IngressBackend, Key};
use super::objects::Objects;
use super::services::Services;
use crate::routes::table::{Gateway, Route, Upstream};

/// The ingress classes whose controllers have pods on this node, by the name of the class.
pub(super) fn gateways(
    objects: &Objects,
    services: &Services<'_>,
    notes: &mut BTreeSet<String>,
) -> Vec<Gateway> {
    let default = objects
        .ingress_classes()
        .find(|(_, class)| class.is_default)
        .map(|(key, _)| &key.name);
    let mut classes: BTreeMap<&Arc<str>, Vec<(&Key, &Ingress)>> = BTreeMap::new();
    for (key, ingress) in objects.ingresses() {
        match ingress.class.as_ref().or(default) {
            Some(class) => classes.entry(class).or_default().push((key, ingress)),
            None => {
                notes.insert(format!(
                    "Ingress {key}: it names no class and the cluster has no default"
                ));
            }
        }
    }
    let mut gateways = Vec::new();
    for (name, ingresses) in classes {
        let class = objects.ingress_class(&Key::new("", name));
        let controller = class.map_or("", |class| &class.controller);
        let published: BTreeSet<&String> = ingresses
            .iter()
            .flat_map(|(_, ingress)| &ingress.published)
            .collect();
        let published: Vec<String> = published.into_iter().cloned().collect();
        let plane = DataPlane::of_class(objects, services, controller, &published);
        if !plane.known {
            notes.insert(format!(
                "ingress class {name}: nothing tells which pods serve it (controller \
                 {controller:?}): no Service has the addresses of its Ingresses"
            ));
        }
        if !plane.local.is_empty() {
            gateways.push(gateway(services, name, &ingresses, &plane));
        }
    }
    gateways
}

fn gateway(
    services: &Services<'_>,
    name: &Arc<str>,
    ingresses: &[(&Key, &Ingress)],
    plane: &DataPlane<'_>,
) -> Gateway {
    let mut routes: BTreeMap<Arc<str>, Route> = BTreeMap::new();
    let mut upstreams: BTreeMap<Arc<str>, Upstream> = BTreeMap::new();
    let mut notes = BTreeSet::new();
    for (key, ingress) in ingresses {
        for (route, backend) in named_paths(key, ingress) {
            let entered = routes.entry(Arc::clone(&route)).or_insert_with(|| Route {
                name: route,
                listeners: Vec::new(),
                upstreams: Vec::new(),
            });
            let (service, port) = match backend {
                IngressBackend::Service(service, port) => (service, port),
                IngressBackend::Resource(resource) => {
                    notes.insert(format!("Ingress {key}: the backend {resource} is not read"));
                    continue;
                }
            };
            let service = Key {
                namespace: Arc::clone(&key.namespace),
                name: Arc::clone(service),
            };
            let (upstream, note) = services.upstream(&service, port);
            if let Some(note) = note {
                notes.insert(format!("Ingress {key}: {note}"));
            }
            let upstream_name = Arc::clone(&upstream.name);
            if !entered.upstreams.contains(&upstream_name) {
                entered.upstreams.push(Arc::clone(&upstream_name));
            }
            upstreams.entry(upstream_name).or_insert(upstream);
        }
    }
    Gateway {
        name: Arc::clone(name),
        processes: plane.processes(),
        netns: None,
        listeners: plane.all_listeners(services),
        routes: routes.into_values().collect(),
        upstreams: upstreams.into_values().collect(),
        resolver: None,
        not_understood: notes.into_iter().collect(),
    }
}

/// The backends by route: the Ingress itself, with host and path where they differ in the backend.
fn named_paths<'a>(key: &Key, ingress: &'a Ingress) -> Vec<(Arc<str>, &'a IngressBackend)> {
    let mut all: Vec<(String, &IngressBackend)> = Vec::new();
    let mut hosts = ingress.paths.iter().map(|(host, _, _)| host);
    let first = hosts.next();
    let one_host = hosts.all(|host| Some(host) == first);
    for (host, path, backend) in &ingress.paths {
        let path = if path.is_empty() { "/" } else { path };
        let place = if one_host {
            path.to_owned()
        } else {
            format!("{host}{path}")
        };
        all.push((place, backend));
    }
    if let Some(backend) = &ingress.default {
        all.push(("default".to_owned(), backend));
    }
    let one_backend = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
    all.into_iter()
        .map(|(place, backend)| {
            let name = if one_backend {
                key.to_string()
            } else {
                format!("{key} {place}")
            };
            (Arc::from(name), backend)
        })
        .collect()
}
