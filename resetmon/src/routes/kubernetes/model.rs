//! What of the cluster's objects is needed, taken from them as the API server sends them.
//!
//! Reading is lenient: what a version leaves out, or sends as `null`, counts as empty.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::kind::Kind;

mod pod;
mod route;
mod shape;

pub use route::{Backend, Parent, Refusal, Route, Rule};

/// Namespace and name of an object; no namespace for one of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for objects of the whole cluster.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// A key from its parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: Arc::from(namespace),
            name: Arc::from(name),
        }
    }

    /// The key in `metadata`.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A pod.
    Pod(Pod),
    /// A node.
    Node(Node),
    /// A Service.
    Service(Service),
    /// A part of a Service's endpoints.
    EndpointSlice(EndpointSlice),
    /// An Ingress.
    Ingress(Ingress),
    /// An ingress class.
    IngressClass(IngressClass),
    /// A Gateway.
    Gateway(Gateway),
    /// A gateway class.
    GatewayClass(GatewayClass),
    /// A route of the Gateway API.
    Route(Route),
}

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// The uid; for a static pod also the hash that its cgroup is named by.
    pub uids: Vec<Arc<str>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What made it, as `Deployment/web`.
    pub workload: Option<Arc<str>>,
    /// Runtime's id and name of each container that has run.
    pub containers: Vec<(Arc<str>, Arc<str>)>,
    /// Its addresses; with the host's network those of the node.
    pub addresses: Vec<IpAddr>,
    /// It has the node's network.
    pub host_network: bool,
    /// It has ended: its addresses may be another's by now.
    pub finished: bool,
    /// TCP ports that its containers declare.
    pub ports: Vec<u16>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its addresses, inside and outside.
    pub addresses: Vec<IpAddr>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Cluster IPs; none for a headless one.
    pub cluster_addresses: Vec<IpAddr>,
    /// Addresses and host names at which it is published: external IPs and the load balancer's.
    pub published: Vec<String>,
    /// The host name that an `ExternalName` Service stands for.
    pub external_name: Option<String>,
    /// Name (empty where there is one port) and number of each port.
    pub ports: Vec<(String, u16)>,
}

/// A part of a Service's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service, in the slice's namespace.
    pub service: Option<Arc<str>>,
    /// Name and number of each port; no number means all.
    pub ports: Vec<(String, Option<u16>)>,
    /// The endpoints, ready or not: those that end are the ones that reset.
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Addresses, or host names.
    pub addresses: Vec<String>,
    /// The pod behind it.
    pub pod: Option<Key>,
    /// The node that it is on.
    pub node: Option<Arc<str>>,
}

/// An ingress class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressClass {
    /// The controller's name for itself: `k8s.io/ingress-nginx`.
    pub controller: String,
    /// It serves Ingresses that name no class.
    pub is_default: bool,
}

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingress {
    /// The class that it names.
    pub class: Option<Arc<str>>,
    /// Where the rest goes.
    pub default: Option<IngressBackend>,
    /// Host (empty for any), path and backend, in the object's order.
    pub paths: Vec<(String, String, IngressBackend)>,
    /// Addresses and host names at which the controller publishes it.
    pub published: Vec<String>,
}

/// Where an Ingress sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressBackend {
    /// A Service of the same namespace.
    Service(Arc<str>, ServicePort),
    /// Another object, as `Kind name`.
    Resource(String),
}

/// A Service's port, as an Ingress names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePort {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

/// A gateway class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayClass {
    /// The controller's name for itself.
    pub controller: String,
}

/// A Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Its class.
    pub class: Arc<str>,
    /// Name and port of each listener.
    pub listeners: Vec<(String, u16)>,
    /// Addresses and host names at which it is published.
    pub published: Vec<String>,
}

/// The object, or what is wrong with it.
pub fn parse(kind: Kind, object: &DynamicObject) -> Result<Body, String> {
    let metadata = &object.metadata;
    Ok(match kind {
        Kind::Pod => Body::Pod(pod::pod(metadata, read(object)?)),
        Kind::Node => Body::Node(read::<shape::Node>(object)?.into()),
        Kind::Service => Body::Service(shape::service(metadata, read(object)?)),
        Kind::EndpointSlice => Body::EndpointSlice(shape::slice(metadata, read(object)?)),
        Kind::Ingress => Body::Ingress(shape::ingress(metadata, read(object)?)?),
        Kind::IngressClass => Body::IngressClass(shape::ingress_class(metadata, read(object)?)),
        Kind::Gateway => Body::Gateway(read::<shape::Gateway>(object)?.into()),
        Kind::GatewayClass => Body::GatewayClass(read::<shape::GatewayClass>(object)?.into()),
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute => {
            Body::Route(route::route(kind, metadata, read(object)?))
        }
    })
}

fn read<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, String> {
    T::deserialize(&object.data).map_err(|error| format!("not as its kind should be: {error}"))
}

/// A value that may be missing or `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A port number; others than 1 to 65535 are none.
fn port(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}

fn labels(metadata: &ObjectMeta) -> BTreeMap<String, String> {
    metadata.labels.clone().unwrap_or_default()
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests;
