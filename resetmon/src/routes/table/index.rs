//! What the gateways' descriptions say, arranged for look-ups. Built once a reload.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use super::label::joined;
use super::{Endpoint, Gateway};
use crate::routes::resolve::HostKey;

/// A local address (`None`: every one of both families) and port.
pub(super) type ListenKey = (Option<IpAddr>, u16);

/// The descriptions, by what a connection shows.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) gateways: Vec<Gateway>,
    /// Who listens where, in the order of the gateways.
    pub(super) listeners: HashMap<ListenKey, Vec<Listening>>,
    /// The upstreams behind an address or prefix, by port, in the order of the gateways.
    pub(super) networks: JointPrefixMap<IpNet, BTreeMap<Option<u16>, Vec<Place>>>,
    /// The upstreams behind a host name, with the port.
    pub(super) hosts: HashMap<HostKey, Vec<(Option<u16>, Place)>>,
    /// By gateway and upstream.
    pub(super) shared: Vec<Vec<Shared>>,
}

/// A gateway at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) gateway: usize,
    pub(super) route: Single,
}

/// The route that something leads to, if it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Single {
    #[default]
    None,
    /// This one, by its number in the gateway.
    Route(usize),
    Several,
}

/// An upstream, by its gateway's number and its own in that gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) gateway: usize,
    pub(super) upstream: usize,
}

/// The routes that share an upstream.
#[derive(Debug)]
pub(super) struct Shared {
    /// Their names, each once, sorted.
    pub(super) routes: Vec<Arc<str>>,
    /// The value of the label `route`.
    pub(super) label: Arc<str>,
}

impl Single {
    /// The route that both lead to.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, other) => other,
            (this, Self::None) => this,
            (this, other) if this == other => this,
            _ => Self::Several,
        }
    }
}

impl Index {
    pub(super) fn new(gateways: Vec<Gateway>) -> Self {
        let mut index = Self::default();
        for (number, gateway) in gateways.iter().enumerate() {
            index.add_listeners(number, gateway);
            index.shared.push(shared(gateway));
            for (upstream, described) in gateway.upstreams.iter().enumerate() {
                let place = Place {
                    gateway: number,
                    upstream,
                };
                for endpoint in &described.endpoints {
                    index.add_endpoint(endpoint, gateway, place);
                }
            }
        }
        index.gateways = gateways;
        index
    }

    fn add_listeners(&mut self, number: usize, gateway: &Gateway) {
        let mut anywhere = Single::None;
        let mut tied: HashMap<ListenKey, Single> = HashMap::new();
        let key = |listener: &super::Listener| {
            let address = listener.address.map(|address| address.to_canonical());
            (address, listener.port)
        };
        for listener in &gateway.listeners {
            tied.entry(key(listener)).or_default();
        }
        for (route, described) in gateway.routes.iter().enumerate() {
            let route = Single::Route(route);
            if described.listeners.is_empty() {
                anywhere = anywhere.and(route);
            }
            for listener in &described.listeners {
                let slot = tied.entry(key(listener)).or_default();
                *slot = slot.and(route);
            }
        }
        for (key, route) in tied {
            self.listeners.entry(key).or_default().push(Listening {
                gateway: number,
                route: route.and(anywhere),
            });
        }
    }

    fn add_endpoint(&mut self, endpoint: &Endpoint, gateway: &Gateway, place: Place) {
        match endpoint {
            Endpoint::Network { network, port } => {
                let ports = self.networks.entry(network.trunc()).or_default();
                let places = ports.entry(*port).or_default();
                // The same backend written twice in one upstream is one backend. Upstreams come
                // one after the other, so it can only be the last.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            Endpoint::Host { name, port } => {
                let key = HostKey {
                    resolver: gateway.resolver.clone(),
                    name: Arc::clone(name),
                };
                let places = self.hosts.entry(key).or_default();
                places.push((*port, place));
            }
        }
    }
}

fn shared(gateway: &Gateway) -> Vec<Shared> {
    let mut users: HashMap<&str, BTreeSet<&Arc<str>>> = HashMap::new();
    for route in &gateway.routes {
        for upstream in &route.upstreams {
            users.entry(upstream).or_default().insert(&route.name);
        }
    }
    let of = |name: &str| -> Vec<Arc<str>> {
        let routes = users.get(name).into_iter().flatten();
        routes.map(|name| Arc::clone(name)).collect()
    };
    let upstreams = gateway.upstreams.iter();
    upstreams
        .map(|upstream| {
            let routes = of(&upstream.name);
            let label = joined(routes.iter().cloned());
            Shared { routes, label }
        })
        .collect()
}
