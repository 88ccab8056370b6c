//! Which pods of this node carry a gateway's connections, and on which ports.

use std::collections::BTreeSet;

use super::model::{Key, Pod, Service};
use super::objects::Objects;
use super::services::Services;
use crate::routes::address::Listener;
use crate::routes::table::ProcessPattern;

/// Label on what a controller makes for a Gateway (Gateway API, GEP-1762).
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The same of Envoy Gateway, which keeps all of it in its own namespace.
const ENVOY_NAME: &str = "gateway.envoyproxy.io/owning-gateway-name";
const ENVOY_NAMESPACE: &str = "gateway.envoyproxy.io/owning-gateway-namespace";
/// The recommended label for an application's name.
const APP: &str = "app.kubernetes.io/name";

/// Controllers whose proxies serve every object of their class, with the label that their own
/// installation gives the proxies' pods.
const CONTROLLERS: &[(&str, &str, &str)] = &[
    ("k8s.io/ingress-nginx", APP, "ingress-nginx"),
    ("nginx.org/ingress-controller", APP, "nginx-ingress"),
    ("traefik.io/ingress-controller", APP, "traefik"),
    ("traefik.io/gateway-controller", APP, "traefik"),
    ("haproxy.org/ingress-controller", APP, "kubernetes-ingress"),
    (
        "haproxy-ingress.github.io/controller",
        APP,
        "haproxy-ingress",
    ),
    ("ingress-controllers.konghq.com/kong", APP, "kong"),
    ("projectcontour.io/gateway-controller", APP, "contour"),
    ("io.cilium/gateway-controller", "k8s-app", "cilium-envoy"),
    ("cilium.io/ingress-controller", "k8s-app", "cilium-envoy"),
];

/// Where a gateway runs.
#[derive(Debug)]
pub(super) struct DataPlane<'a> {
    /// Its pods on this node.
    pub(super) local: Vec<(&'a Key, &'a Pod)>,
    /// False if nothing tells where it runs, here or elsewhere.
    pub(super) known: bool,
}

impl<'a> DataPlane<'a> {
    /// Of the Gateway `key`, published at `published`, whose class has this `controller`.
    pub(super) fn of_gateway(
        objects: &'a Objects,
        services: &Services<'a>,
        key: &Key,
        controller: &str,
        published: &[String],
    ) -> Self {
        let has = |labels: &std::collections::BTreeMap<String, String>, namespace: &str| {
            let label = |key: &str| labels.get(key).map(String::as_str);
            label(GATEWAY_NAME) == Some(&*key.name) && *namespace == *key.namespace
                || label(ENVOY_NAME) == Some(&*key.name)
                    && label(ENVOY_NAMESPACE) == Some(&*key.namespace)
        };
        Self::find(
            objects,
            services,
            controller,
            published,
            |of, pod| has(&pod.labels, &of.namespace),
            |of, service| has(&service.labels, &of.namespace),
        )
    }

    /// Of an ingress class with this `controller`, whose Ingresses are published at `published`.
    pub(super) fn of_class(
        objects: &'a Objects,
        services: &Services<'a>,
        controller: &str,
        published: &[String],
    ) -> Self {
        Self::find(
            objects,
            services,
            controller,
            published,
            |_, _| false,
            |_, _| false,
        )
    }

    fn find(
        objects: &'a Objects,
        services: &Services<'a>,
        controller: &str,
        published: &[String],
        owns_pod: impl Fn(&Key, &Pod) -> bool,
        owns_service: impl Fn(&Key, &Service) -> bool,
    ) -> Self {
        let of_controller = |pod: &Pod| {
            CONTROLLERS.iter().any(|(name, label, value)| {
                (controller == *name || is_below(controller, name))
                    && pod.labels.get(*label).is_some_and(|found| found == value)
            })
        };
        let mut keys: BTreeSet<&Key> = objects
            .pods()
            .filter(|(key, pod)| owns_pod(key, pod) || of_controller(pod))
            .map(|(key, _)| key)
            .collect();
        let mut known = !keys.is_empty();
        for (key, service) in objects.services() {
            if owns_service(key, service) || is_at(service, published) {
                for pod in services.pods(key) {
                    known = true;
                    keys.insert(pod);
                }
            }
        }
        let local = keys.into_iter();
        Self {
            local: local
                .filter_map(|key| Some((key, objects.pod(key)?)))
                .filter(|(_, pod)| !pod.finished)
                .collect(),
            known,
        }
    }

    /// The processes: those of the pods.
    pub(super) fn processes(&self) -> Vec<ProcessPattern> {
        let uids = self.local.iter().flat_map(|(_, pod)| &pod.uids);
        uids.cloned().map(ProcessPattern::Pod).collect()
    }

    /// Where the pods listen for what is published at `port`: behind a Service often elsewhere.
    pub(super) fn listeners(&self, services: &Services<'_>, port: u16) -> Vec<Listener> {
        self.at(|key, _| {
            let targets = services.target_ports(key, Some(port));
            if targets.is_empty() {
                BTreeSet::from([port])
            } else {
                targets
            }
        })
    }

    /// Where the pods listen at all, as their Services and they themselves declare it.
    pub(super) fn all_listeners(&self, services: &Services<'_>) -> Vec<Listener> {
        self.at(|key, pod| {
            let targets = services.target_ports(key, None);
            if targets.is_empty() {
                pod.ports.iter().copied().collect()
            } else {
                targets
            }
        })
    }

    fn at(&self, ports: impl Fn(&Key, &Pod) -> BTreeSet<u16>) -> Vec<Listener> {
        let mut found = BTreeSet::new();
        for (key, pod) in &self.local {
            for port in ports(key, pod) {
                if pod.host_network || pod.addresses.is_empty() {
                    // A node has more addresses than the pod knows of.
                    found.insert((None, port));
                }
                if !pod.host_network {
                    found.extend(pod.addresses.iter().map(|address| (Some(*address), port)));
                }
            }
        }
        let found = found.into_iter();
        found
            .map(|(address, port)| Listener { address, port })
            .collect()
    }
}

/// True for `name/…`: some controllers append their class.
fn is_below(controller: &str, name: &str) -> bool {
    controller
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// True if the Service has one of the addresses at which something is published.
fn is_at(service: &Service, published: &[String]) -> bool {
    published.iter().any(|at| {
        service.published.contains(at)
            || at
                .parse()
                .is_ok_and(|address| service.cluster_addresses.contains(&address))
    })
}
