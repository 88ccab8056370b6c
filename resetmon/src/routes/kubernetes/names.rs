//! Names of addresses, pods and containers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::model::Pod;
use super::objects::Objects;
use crate::reset::ContainerNames;

/// What an address is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressName {
    /// `namespace/pod`, `namespace/service`, or a node's name.
    pub name: Arc<str>,
    /// What made the pod, as `Deployment/web`; known for the pods of this node.
    pub workload: Option<Arc<str>>,
}

/// Names of the cluster's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressNames {
    names: HashMap<IpAddr, AddressName>,
}

impl AddressNames {
    /// The name of `address`; IPv4 mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<&AddressName> {
        self.names.get(&address.to_canonical())
    }

    /// True if nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn insert(&mut self, address: IpAddr, name: AddressName) {
        self.names.insert(address.to_canonical(), name);
    }

    /// Names from `objects`: those of nodes before those of Services before those of pods, because
    /// pods may share their node's address.
    #[must_use]
    pub fn of(objects: &Objects) -> Self {
        let mut names = Self::default();
        names.add_endpoints(objects);
        for (key, pod) in objects.pods() {
            if pod.host_network || pod.finished {
                continue;
            }
            let name = AddressName {
                name: key.to_string().into(),
                workload: pod.workload.clone(),
            };
            for address in &pod.addresses {
                names.insert(*address, name.clone());
            }
        }
        for (key, service) in objects.services() {
            let name = AddressName {
                name: key.to_string().into(),
                workload: None,
            };
            let published = service.published.iter();
            let published = published.filter_map(|address| address.parse().ok());
            for address in service.cluster_addresses.iter().copied().chain(published) {
                // A balancer may publish Services at the nodes' own addresses, several at one.
                names.names.entry(address).or_insert_with(|| name.clone());
            }
        }
        for (key, node) in objects.nodes() {
            let name = AddressName {
                name: Arc::clone(&key.name),
                workload: None,
            };
            for address in &node.addresses {
                names.insert(*address, name.clone());
            }
        }
        names
    }

    /// Pods behind Services, on whichever node. An address with two pods is their node's.
    fn add_endpoints(&mut self, objects: &Objects) {
        let mut pods = HashMap::new();
        for (_, slice) in objects.slices() {
            for endpoint in &slice.endpoints {
                let Some(pod) = &endpoint.pod else { continue };
                for address in endpoint.addresses.iter().filter_map(|a| a.parse().ok()) {
                    let address: IpAddr = address;
                    let known = pods.entry(address).or_insert((Some(pod), &endpoint.node));
                    if known.0.is_some_and(|known| known != pod) {
                        known.0 = None;
                    }
                }
            }
        }
        for (address, (pod, node)) in pods {
            let name = match (pod, node) {
                (Some(pod), _) => pod.to_string().into(),
                (None, Some(node)) => Arc::clone(node),
                (None, None) => continue,
            };
            let workload = None;
            self.insert(address, AddressName { name, workload });
        }
    }
}

/// Names of pods by uid, and of containers by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodNames {
    /// By the uid that cgroup paths have; [`ContainerNames::container`] is then not known.
    pub pods: HashMap<Arc<str>, Arc<ContainerNames>>,
    /// By the runtime's id of the container.
    pub containers: HashMap<Arc<str>, Arc<ContainerNames>>,
}

impl PodNames {
    /// The names of the pods in `objects`.
    #[must_use]
    pub fn of(objects: &Objects) -> Self {
        let mut names = Self::default();
        for (key, pod) in objects.pods() {
            names.add(&key.namespace, &key.name, pod);
        }
        names
    }

    fn add(&mut self, namespace: &Arc<str>, name: &Arc<str>, pod: &Pod) {
        let named = |container: Option<&Arc<str>>| {
            Arc::new(ContainerNames {
                namespace: Arc::clone(namespace),
                pod: Arc::clone(name),
                container: container.cloned(),
                workload: pod.workload.clone(),
            })
        };
        for uid in &pod.uids {
            self.pods.insert(Arc::clone(uid), named(None));
        }
        for (id, container) in &pod.containers {
            self.containers
                .insert(Arc::clone(id), named(Some(container)));
        }
    }

    /// The names of container `id`, else of its pod.
    #[must_use]
    pub fn get(&self, id: &str, pod_uid: Option<&str>) -> Option<&Arc<ContainerNames>> {
        self.containers.get(id).or_else(|| self.pods.get(pod_uid?))
    }
}
