//! What an operator should know about a table: notes of the sources, and things it cannot tell apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Endpoint, Gateway, Listener, ProcessPattern, RouteTable};

impl RouteTable {
    /// Every warning, in a stable order.
    pub(super) fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for gateway in self.gateways.iter() {
            let notes = gateway.not_understood.iter();
            warnings.extend(notes.map(|note| format!("gateway {}: {note}", gateway.name)));
            about_names(gateway, &mut warnings);
            about_loops(gateway, &mut warnings);
        }
        self.about_listeners(&mut warnings);
        self.about_endpoints(&mut warnings);
        for name in self.host_names() {
            if self.hosts[&name].current.is_empty() {
                warnings.push(format!("host {name} is not resolved: it matches nothing"));
            }
        }
        warnings
    }

    fn about_listeners(&self, warnings: &mut Vec<String>) {
        let mut listeners: Vec<_> = self.listeners.iter().collect();
        listeners.sort_unstable();
        for (&(address, port), gateways) in listeners {
            for (one, other) in pairs(gateways) {
                if self.alike(*one, *other) {
                    warnings.push(format!(
                        "listener {} is in {}, whose processes cannot be told apart",
                        Listener { address, port },
                        self.both(*one, *other)
                    ));
                }
            }
        }
    }

    fn about_endpoints(&self, warnings: &mut Vec<String>) {
        let mut found: BTreeMap<(IpNet, Option<u16>), Vec<String>> = BTreeMap::new();
        for (network, ports) in &self.endpoints {
            for (port, targets) in ports {
                let shown = Endpoint::Network {
                    network,
                    port: *port,
                };
                let current: Vec<_> = targets.iter().filter(|target| !target.former).collect();
                for (one, other) in pairs(&current) {
                    let what = if one.gateway == other.gateway {
                        let gateway = &self.gateways[one.gateway];
                        format!(
                            "gateway {}: endpoint {shown} is in upstreams {} and {}",
                            gateway.name,
                            gateway.upstreams[one.upstream].name,
                            gateway.upstreams[other.upstream].name
                        )
                    } else if self.alike(one.gateway, other.gateway) {
                        format!(
                            "endpoint {shown} is in {}, whose processes cannot be told apart",
                            self.both(one.gateway, other.gateway)
                        )
                    } else {
                        continue;
                    };
                    found.entry((network, *port)).or_default().push(what);
                }
            }
        }
        warnings.extend(found.into_values().flatten());
    }

    fn both(&self, one: usize, other: usize) -> String {
        let (one, other) = (&self.gateways[one].name, &self.gateways[other].name);
        format!("gateways {one} and {other}")
    }

    /// True if a process may be either gateway.
    fn alike(&self, one: usize, other: usize) -> bool {
        let (one, other) = (
            &self.gateways[one].processes,
            &self.gateways[other].processes,
        );
        let any = |one: &ProcessPattern| other.iter().any(|other| overlap(one, other));
        one.is_empty() && other.is_empty() || one.iter().any(any)
    }
}

fn overlap(one: &ProcessPattern, other: &ProcessPattern) -> bool {
    match (one, other) {
        (ProcessPattern::Name(name), ProcessPattern::Exe(path))
        | (ProcessPattern::Exe(path), ProcessPattern::Name(name)) => {
            path.rsplit('/').next() == Some(name)
        }
        _ => one == other,
    }
}

/// Routes and upstreams that do not meet.
fn about_names(gateway: &Gateway, warnings: &mut Vec<String>) {
    let name = &gateway.name;
    for route in &gateway.routes {
        for upstream in &route.upstreams {
            if !gateway
                .upstreams
                .iter()
                .any(|known| known.name == *upstream)
            {
                let route = &route.name;
                warnings.push(format!(
                    "gateway {name}: route {route} names upstream {upstream}, which is not known"
                ));
            }
        }
    }
    for upstream in &gateway.upstreams {
        let used = |upstreams: &[_]| upstreams.contains(&upstream.name);
        let routes = &gateway.routes;
        if !routes.is_empty() && !routes.iter().any(|route| used(&route.upstreams)) {
            let upstream = &upstream.name;
            warnings.push(format!(
                "gateway {name}: no route names upstream {upstream}, its resets have no route"
            ));
        }
    }
}

/// Listeners that are backends of the same gateway: meant for a second hop, else a loop.
fn about_loops(gateway: &Gateway, warnings: &mut Vec<String>) {
    for upstream in &gateway.upstreams {
        for endpoint in &upstream.endpoints {
            let Endpoint::Network {
                network,
                port: Some(port),
            } = endpoint
            else {
                continue;
            };
            let reached = |listener: &&Listener| {
                let own = |address: IpAddr| {
                    address == network.addr()
                        || address.is_unspecified() && network.addr().is_loopback()
                };
                let single = network.prefix_len() == network.max_prefix_len();
                single
                    && listener.port == *port
                    && listener.address.map_or(network.addr().is_loopback(), own)
            };
            if let Some(listener) = gateway.listeners.iter().find(reached) {
                warnings.push(format!(
                    "gateway {}: upstream {} connects to the gateway's own listener {listener}",
                    gateway.name, upstream.name
                ));
            }
        }
    }
}

/// Every pair of `items`, in order.
fn pairs<T>(items: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let rest = |index: usize| items[index + 1..].iter();
    (0..items.len()).flat_map(move |index| rest(index).map(move |other| (&items[index], other)))
}
