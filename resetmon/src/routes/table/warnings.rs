//! What an operator should know about a table: notes of the sources, and things it cannot tell apart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::index::Place;
use super::label::{SHOWN, listed};
use super::pattern::Patterns as _;
use super::{Endpoint, Gateway, Listener, RouteTable};
use crate::routes::resolve::HostKey;

/// Warnings of one kind at most; of the rest it says how many there are.
const MOST: usize = 100;
/// Gateways at one place that are compared with each other.
const COMPARED: usize = 64;

impl RouteTable {
    /// Every warning, in a stable order.
    pub(super) fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for gateway in &self.index.gateways {
            let notes = gateway.not_understood.iter();
            warnings.extend(notes.map(|note| format!("gateway {}: {note}", gateway.name)));
            warnings.extend(bounded(about_names(gateway)));
            warnings.extend(bounded(about_loops(gateway)));
        }
        warnings.extend(bounded(self.about_labels()));
        warnings.extend(bounded(self.about_listeners()));
        warnings.extend(bounded(self.about_endpoints()));
        warnings.extend(self.find_about_hosts());
        warnings
    }

    /// Names without the latest addresses, then what is done otherwise than the gateways do it.
    pub(super) fn find_about_hosts(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut notes: BTreeMap<&str, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (key, gateways) in self.users() {
            if let Some(trouble) = self.hosts.trouble(&key) {
                let gateways = listed(gateways.iter().cloned());
                troubles.push(format!("host {} of {gateways} {trouble}", key.name));
            }
            for note in self.hosts.notes(&key) {
                notes.entry(note).or_default().extend(gateways.clone());
            }
        }
        troubles.sort_unstable();
        let notes = notes.into_iter();
        let notes = notes.map(|(note, gateways)| format!("gateway {}: {note}", listed(gateways)));
        let mut all = bounded(troubles);
        all.extend(bounded(notes.collect()));
        all
    }

    /// Every host name, with the names of the gateways that have it.
    fn users(&self) -> impl Iterator<Item = (HostKey, BTreeSet<Arc<str>>)> {
        self.host_names().into_iter().map(|key| {
            let places = self.index.hosts.get(&key).into_iter().flatten();
            let gateway = |place: &Place| Arc::clone(&self.index.gateways[place.gateway].name);
            let gateways = places.map(|(_, place)| gateway(place)).collect();
            (key, gateways)
        })
    }

    /// Labels that leave names out.
    fn about_labels(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (gateway, shared) in self.index.gateways.iter().zip(&self.index.shared) {
            for (upstream, shared) in gateway.upstreams.iter().zip(shared) {
                if shared.routes.len() > SHOWN {
                    warnings.push(format!(
                        "gateway {}: upstream {} is shared by {} routes, its resets have route {}",
                        gateway.name,
                        upstream.name,
                        shared.routes.len(),
                        shared.label
                    ));
                }
            }
        }
        warnings
    }

    fn about_listeners(&self) -> Vec<String> {
        let listeners: BTreeMap<_, _> = self.index.listeners.iter().collect();
        let mut warnings = Vec::new();
        for (&(address, port), listening) in listeners {
            let gateways: Vec<_> = listening.iter().map(|one| one.gateway).collect();
            if let Some(names) = self.confused(&gateways) {
                let listener = Listener { address, port };
                warnings.push(format!(
                    "listener {listener} is in gateways {names}, whose processes cannot be told apart"
                ));
            }
        }
        warnings
    }

    fn about_endpoints(&self) -> Vec<String> {
        let mut all: BTreeMap<(IpNet, Option<u16>), BTreeSet<Place>> = BTreeMap::new();
        for (network, ports) in &self.index.networks {
            for (port, places) in ports {
                all.entry((network, *port)).or_default().extend(places);
            }
        }
        for (address, port, places) in self.hosts.current() {
            all.entry((address.into(), port))
                .or_default()
                .extend(places);
        }
        let mut warnings = Vec::new();
        for ((network, port), places) in all.into_iter().filter(|(_, places)| places.len() > 1) {
            let shown = Endpoint::Network { network, port };
            let mut by_gateway: BTreeMap<usize, Vec<Arc<str>>> = BTreeMap::new();
            for place in places {
                let upstream = &self.index.gateways[place.gateway].upstreams[place.upstream];
                let names = by_gateway.entry(place.gateway).or_default();
                names.push(Arc::clone(&upstream.name));
            }
            for (number, upstreams) in &by_gateway {
                if upstreams.len() > 1 {
                    let gateway = &self.index.gateways[*number].name;
                    warnings.push(format!(
                        "gateway {gateway}: endpoint {shown} is in upstreams {}",
                        listed(upstreams.iter().cloned())
                    ));
                }
            }
            let gateways: Vec<_> = by_gateway.into_keys().collect();
            if let Some(names) = self.confused(&gateways) {
                warnings.push(format!(
                    "endpoint {shown} is in gateways {names}, whose processes cannot be told apart"
                ));
            }
        }
        warnings
    }

    /// The names of those of `gateways` that a process may belong to as well as to another of them.
    fn confused(&self, gateways: &[usize]) -> Option<String> {
        let gateways = &gateways[..gateways.len().min(COMPARED)];
        let alike = |one: &&usize| {
            let mut others = gateways.iter().filter(|other| other != one);
            others.any(|other| self.alike(**one, *other))
        };
        let confused: Vec<_> = gateways.iter().filter(alike).collect();
        let name = |number: &usize| Arc::clone(&self.index.gateways[*number].name);
        (!confused.is_empty()).then(|| listed(confused.into_iter().map(name)))
    }

    /// True if a process may be either gateway.
    fn alike(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.index.gateways[one], &self.index.gateways[other]);
        let apart = matches!((one.netns, other.netns), (Some(one), Some(other)) if one != other);
        !apart && one.processes.overlap(&other.processes)
    }
}

/// The first of `warnings`, and how many more there are.
fn bounded(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MOST);
    if more > 0 {
        let last = format!("… and {more} more like this: {}", warnings[MOST]);
        warnings.truncate(MOST);
        warnings.push(last);
    }
    warnings
}

/// Routes and upstreams that do not meet.
fn about_names(gateway: &Gateway) -> Vec<String> {
    let name = &gateway.name;
    let known: HashSet<&str> = gateway.upstreams.iter().map(|one| &*one.name).collect();
    let mut used: HashSet<&str> = HashSet::new();
    let mut warnings = Vec::new();
    for route in &gateway.routes {
        for upstream in &route.upstreams {
            used.insert(upstream);
            if !known.contains(&**upstream) {
                let route = &route.name;
                warnings.push(format!(
                    "gateway {name}: route {route} names upstream {upstream}, which is not known"
                ));
            }
        }
    }
    for upstream in &gateway.upstreams {
        if !gateway.routes.is_empty() && !used.contains(&*upstream.name) {
            let upstream = &upstream.name;
            warnings.push(format!(
                "gateway {name}: no route names upstream {upstream}, its resets have no route"
            ));
        }
    }
    warnings
}

/// Listeners that are backends of the same gateway: meant for a second hop, else a loop.
fn about_loops(gateway: &Gateway) -> Vec<String> {
    let mut by_port: HashMap<u16, Vec<&Listener>> = HashMap::new();
    for listener in &gateway.listeners {
        by_port.entry(listener.port).or_default().push(listener);
    }
    let mut warnings = Vec::new();
    for upstream in &gateway.upstreams {
        for endpoint in &upstream.endpoints {
            let Endpoint::Network {
                network,
                port: Some(port),
            } = endpoint
            else {
                continue;
            };
            let reached = |listener: &&&Listener| {
                let own = |address: IpAddr| {
                    address == network.addr()
                        || address.is_unspecified() && network.addr().is_loopback()
                };
                let single = network.prefix_len() == network.max_prefix_len();
                single && listener.address.map_or(network.addr().is_loopback(), own)
            };
            let mut listeners = by_port.get(port).into_iter().flatten();
            if let Some(listener) = listeners.find(reached) {
                warnings.push(format!(
                    "gateway {}: upstream {} connects to the gateway's own listener {listener}",
                    gateway.name, upstream.name
                ));
            }
        }
    }
    warnings
}
