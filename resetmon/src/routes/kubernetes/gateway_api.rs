//! Gateways and routes of the Gateway API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::data_plane::DataPlane;
use super::kind::Kind;
use super::model::{Backend, Gateway as Object, Key, Parent, Route as RouteObject, ServicePort};
use super::objects::Objects;
use super::services::Services;
use crate::routes::address::Listener;
use crate::routes::table::{Gateway, Route, Upstream};

/// The Gateways with pods on this node, as `namespace/name`; what could not be understood goes to
/// `notes`, or to the gateway that it is about.
pub(super) fn gateways(
    objects: &Objects,
    services: &Services<'_>,
    notes: &mut BTreeSet<String>,
) -> Vec<Gateway> {
    let mut found: BTreeMap<&Key, Building<'_>> = BTreeMap::new();
    for (key, object) in objects.gateways() {
        let class = objects.gateway_class(&Key::new("", &object.class));
        let controller = class.map_or("", |class| &class.controller);
        let published = &object.published;
        let plane = DataPlane::of_gateway(objects, services, key, controller, published);
        if !plane.known {
            notes.insert(format!(
                "Gateway {key}: nothing tells which pods serve it (class {}): no pod or Service \
                 has the label gateway.networking.k8s.io/gateway-name, and no Service its addresses",
                object.class
            ));
        }
        found.insert(key, Building::new(object, plane));
    }
    for (kind, key, route) in objects.routes() {
        for parent in &route.parents {
            if &*parent.kind != "Gateway" {
                let (of, at) = (&parent.kind, &parent.key);
                notes.insert(format!(
                    "{kind} {key}: attached to {of} {at}, which is not read"
                ));
                continue;
            }
            let Some(building) = found.get_mut(&parent.key) else {
                let at = &parent.key;
                notes.insert(format!("{kind} {key}: there is no Gateway {at}"));
                continue;
            };
            if !building.plane.local.is_empty() {
                building.attach(services, (kind, key, route), parent);
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, building)| !building.plane.local.is_empty())
        .map(|(key, building)| building.finish(services, key))
        .collect()
}

/// A gateway whose routes are being gathered.
struct Building<'a> {
    object: &'a Object,
    plane: DataPlane<'a>,
    routes: BTreeMap<Arc<str>, Route>,
    upstreams: BTreeMap<Arc<str>, Upstream>,
    notes: BTreeSet<String>,
}

impl<'a> Building<'a> {
    fn new(object: &'a Object, plane: DataPlane<'a>) -> Self {
        Self {
            object,
            plane,
            routes: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            notes: BTreeSet::new(),
        }
    }

    fn attach(
        &mut self,
        services: &Services<'_>,
        (kind, key, route): (Kind, &Key, &RouteObject),
        parent: &Parent,
    ) {
        if let Some(refusal) = route.refusals.iter().find(|one| one.parent == *parent) {
            let reason = &refusal.reason;
            self.notes.insert(format!(
                "{kind} {key}: not accepted by the Gateway: {reason}"
            ));
            return;
        }
        let Some(listeners) = self.listeners_of(services, parent) else {
            let section = parent.section.as_deref().unwrap_or_default();
            self.notes.insert(format!(
                "{kind} {key}: the Gateway has no listener {section} (port {})",
                parent
                    .port
                    .map_or("any".to_owned(), |port| port.to_string())
            ));
            return;
        };
        for (name, backends) in named_rules(key, route) {
            let upstreams = backends
                .iter()
                .filter_map(|backend| self.upstream(services, (kind, key), backend))
                .collect();
            self.insert(kind, name, &listeners, upstreams);
        }
    }

    /// Where the pods listen for what is attached as `parent` says: empty for every listener,
    /// `None` if the Gateway has no such listener.
    fn listeners_of(&self, services: &Services<'_>, parent: &Parent) -> Option<Vec<Listener>> {
        if parent.section.is_none() && parent.port.is_none() {
            return Some(Vec::new());
        }
        let ports: BTreeSet<u16> = self
            .object
            .listeners
            .iter()
            .filter(|(name, _)| {
                parent
                    .section
                    .as_ref()
                    .is_none_or(|section| section == name)
            })
            .map(|(_, port)| *port)
            .filter(|port| parent.port.is_none_or(|wanted| wanted == *port))
            .collect();
        let all = self.object.listeners.iter();
        if all.map(|(_, port)| *port).collect::<BTreeSet<_>>() == ports && !ports.is_empty() {
            return Some(Vec::new());
        }
        (!ports.is_empty()).then(|| {
            let ports = ports.into_iter();
            ports
                .flat_map(|port| self.plane.listeners(services, port))
                .collect()
        })
    }

    fn upstream(
        &mut self,
        services: &Services<'_>,
        (kind, key): (Kind, &Key),
        backend: &Backend,
    ) -> Option<Arc<str>> {
        let (of, at) = (&backend.kind, &backend.key);
        if &**of != "Service" {
            self.notes
                .insert(format!("{kind} {key}: the backend {of} {at} is not read"));
            return None;
        }
        let Some(port) = backend.port else {
            self.notes
                .insert(format!("{kind} {key}: the backend {at} has no port"));
            return None;
        };
        let (upstream, note) = services.upstream(at, &ServicePort::Number(port));
        if let Some(note) = note {
            self.notes.insert(format!("{kind} {key}: {note}"));
        }
        let name = Arc::clone(&upstream.name);
        self.upstreams.entry(Arc::clone(&name)).or_insert(upstream);
        Some(name)
    }

    /// Enters a route. One attached twice has the listeners of both; one whose name a route of
    /// another kind has is told apart by its kind.
    fn insert(
        &mut self,
        kind: Kind,
        name: Arc<str>,
        listeners: &[Listener],
        upstreams: Vec<Arc<str>>,
    ) {
        let mut upstreams: Vec<_> = upstreams;
        upstreams.sort_unstable();
        upstreams.dedup();
        let same = |known: &Route| known.upstreams == upstreams;
        let name = match self.routes.get(&name) {
            Some(known) if !same(known) => Arc::from(format!("{kind} {name}")),
            _ => name,
        };
        let route = Route {
            name: Arc::clone(&name),
            listeners: listeners.to_vec(),
            upstreams,
        };
        self.routes
            .entry(name)
            .and_modify(|known| {
                if known.listeners.is_empty() || route.listeners.is_empty() {
                    known.listeners.clear();
                } else {
                    for listener in &route.listeners {
                        if !known.listeners.contains(listener) {
                            known.listeners.push(*listener);
                        }
                    }
                }
            })
            .or_insert(route);
    }

    fn finish(self, services: &Services<'_>, key: &Key) -> Gateway {
        let mut listeners = Vec::new();
        for (_, port) in &self.object.listeners {
            for listener in self.plane.listeners(services, *port) {
                if !listeners.contains(&listener) {
                    listeners.push(listener);
                }
            }
        }
        Gateway {
            name: key.to_string().into(),
            processes: self.plane.processes(),
            netns: None,
            listeners,
            routes: self.routes.into_values().collect(),
            upstreams: self.upstreams.into_values().collect(),
            resolver: None,
            not_understood: self.notes.into_iter().collect(),
        }
    }
}

/// The rules by name: the route's own, with the rule's label where rules differ in their backends.
fn named_rules<'a>(key: &Key, route: &'a RouteObject) -> Vec<(Arc<str>, &'a [Backend])> {
    let mut rules = route.rules.iter();
    let Some(first) = rules.next() else {
        return vec![(key.to_string().into(), &[])];
    };
    if rules.all(|rule| rule.backends == first.backends) {
        return vec![(key.to_string().into(), &first.backends)];
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let rules = route.rules.iter();
    rules
        .map(|rule| {
            let times = seen.entry(&rule.label).or_default();
            *times += 1;
            let name = match (&*rule.label, *times) {
                ("", times) => format!("{key} #{times}"),
                (label, 1) => format!("{key} {label}"),
                (label, times) => format!("{key} {label} #{times}"),
            };
            (Arc::from(name), &*rule.backends)
        })
        .collect()
}
