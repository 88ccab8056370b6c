//! Services as upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::model::{EndpointSlice, Key, ServicePort};
use super::objects::Objects;
use crate::routes::address::Endpoint;
use crate::routes::table::Upstream;

/// Services with their endpoints.
pub(super) struct Services<'a> {
    objects: &'a Objects,
    slices: BTreeMap<Key, Vec<&'a EndpointSlice>>,
    by_pod: BTreeMap<&'a Key, BTreeSet<Key>>,
}

impl<'a> Services<'a> {
    pub(super) fn new(objects: &'a Objects) -> Self {
        let mut slices: BTreeMap<Key, Vec<&EndpointSlice>> = BTreeMap::new();
        let mut by_pod: BTreeMap<&Key, BTreeSet<Key>> = BTreeMap::new();
        for (key, slice) in objects.slices() {
            let Some(name) = &slice.service else { continue };
            let service = Key {
                namespace: Arc::clone(&key.namespace),
                name: Arc::clone(name),
            };
            for pod in slice.endpoints.iter().filter_map(|one| one.pod.as_ref()) {
                if objects.pod(pod).is_some() {
                    let services = by_pod.entry(pod).or_default();
                    services.insert(service.clone());
                }
            }
            slices.entry(service).or_default().push(slice);
        }
        Self {
            objects,
            slices,
            by_pod,
        }
    }

    /// Pods behind Service `key`, on whichever node.
    pub(super) fn pods(&self, key: &Key) -> impl Iterator<Item = &'a Key> {
        let slices = self.slices.get(key).into_iter().flatten();
        slices.flat_map(|slice| slice.endpoints.iter().filter_map(|one| one.pod.as_ref()))
    }

    /// Ports of `pod` to which Services forward their port `port`; with `None` those of any.
    pub(super) fn target_ports(&self, pod: &Key, port: Option<u16>) -> BTreeSet<u16> {
        let services = self.by_pod.get(pod).into_iter().flatten();
        let mut targets = BTreeSet::new();
        for key in services {
            let Some(service) = self.objects.service(key) else {
                continue;
            };
            for (name, number) in &service.ports {
                if port.is_some_and(|port| port != *number) {
                    continue;
                }
                for slice in self.slices.get(key).into_iter().flatten() {
                    let has_pod = |one: &super::model::SliceEndpoint| one.pod.as_ref() == Some(pod);
                    if slice.endpoints.iter().any(has_pod) {
                        targets.extend(ports_of(slice, name).map(|port| port.unwrap_or(*number)));
                    }
                }
            }
        }
        targets
    }

    /// The upstream that `port` of Service `key` is, called `namespace/service:port`; and what is
    /// wrong with it.
    pub(super) fn upstream(&self, key: &Key, port: &ServicePort) -> (Upstream, Option<String>) {
        let wanted = match port {
            ServicePort::Number(number) => number.to_string(),
            ServicePort::Name(name) => name.clone(),
        };
        let named = |port: &str| Arc::from(format!("{key}:{port}"));
        let Some(service) = self.objects.service(key) else {
            return (
                Upstream {
                    name: named(&wanted),
                    endpoints: Vec::new(),
                },
                Some(format!("there is no Service {key}")),
            );
        };
        let found = service.ports.iter().find(|(name, number)| match port {
            ServicePort::Number(wanted) => number == wanted,
            ServicePort::Name(wanted) => name == wanted,
        });
        let number = match (found, port) {
            (Some((_, number)), _) | (None, ServicePort::Number(number)) => Some(*number),
            (None, ServicePort::Name(_)) => None,
        };
        if let (Some(host), Some(number)) = (&service.external_name, number) {
            let endpoint = endpoint(host, number);
            let note = endpoint
                .is_none()
                .then(|| format!("the external name of Service {key} is no host name"));
            return (
                Upstream {
                    name: named(&number.to_string()),
                    endpoints: endpoint.into_iter().collect(),
                },
                note,
            );
        }
        let Some((port_name, number)) = found else {
            return (
                Upstream {
                    name: named(&wanted),
                    endpoints: Vec::new(),
                },
                Some(format!("Service {key} has no port {wanted}")),
            );
        };
        let mut endpoints = BTreeSet::new();
        // What the gateway connects to itself: pods, or the cluster IP that is translated later.
        for address in &service.cluster_addresses {
            endpoints.insert((address.to_string(), *number));
        }
        for slice in self.slices.get(key).into_iter().flatten() {
            for target in ports_of(slice, port_name) {
                for address in slice.endpoints.iter().flat_map(|one| &one.addresses) {
                    endpoints.insert((address.clone(), target.unwrap_or(*number)));
                }
            }
        }
        let endpoints = endpoints.iter();
        let upstream = Upstream {
            name: named(&number.to_string()),
            endpoints: endpoints
                .filter_map(|(address, port)| endpoint(address, *port))
                .collect(),
        };
        (upstream, None)
    }
}

/// Numbers of the ports called `name`.
fn ports_of<'a>(slice: &'a EndpointSlice, name: &'a str) -> impl Iterator<Item = Option<u16>> + 'a {
    let ports = slice.ports.iter();
    ports
        .filter(move |(port, _)| port == name)
        .map(|(_, number)| *number)
}

/// An address or a host name with a port.
fn endpoint(address: &str, port: u16) -> Option<Endpoint> {
    if let Ok(address) = address.parse::<std::net::IpAddr>() {
        return Some(Endpoint::Network {
            network: IpNet::from(address.to_canonical()),
            port: Some(port),
        });
    }
    format!("{address}:{port}").parse().ok()
}
