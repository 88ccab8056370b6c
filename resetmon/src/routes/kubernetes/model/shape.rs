//! The shapes of Services, endpoint slices, nodes, Ingresses and Gateways.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{
    EndpointSlice, IngressBackend, Key, ServicePort, SliceEndpoint, annotation, labels, or_default,
    port,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    #[serde(deserialize_with = "or_default")]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<NodeAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    address: String,
}

impl From<Node> for super::Node {
    fn from(node: Node) -> Self {
        let addresses = node.status.addresses.iter();
        Self {
            // Host names are among them.
            addresses: addresses
                .filter_map(|address| address.address.parse().ok())
                .collect(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    #[serde(deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(deserialize_with = "or_default")]
    status: Published,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    r#type: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    external_ips: Vec<String>,
    external_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePortShape>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServicePortShape {
    name: Option<String>,
    port: i64,
    protocol: Option<String>,
}

/// `status` of Services and Ingresses.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Published {
    #[serde(deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<Point>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Point {
    ip: Option<String>,
    hostname: Option<String>,
}

impl Published {
    fn points(self) -> impl Iterator<Item = String> {
        self.load_balancer
            .ingress
            .into_iter()
            .flat_map(|point| [point.ip, point.hostname])
            .flatten()
            .filter(|text| !text.is_empty())
    }
}

pub(super) fn service(metadata: &ObjectMeta, shape: Service) -> super::Service {
    let Service { spec, status } = shape;
    let mut cluster_addresses: Vec<_> = spec
        .cluster_ips
        .iter()
        .chain(&spec.cluster_ip)
        .filter_map(|address| address.parse().ok())
        .collect();
    cluster_addresses.sort_unstable();
    cluster_addresses.dedup();
    super::Service {
        labels: labels(metadata),
        cluster_addresses,
        published: spec
            .external_ips
            .into_iter()
            .chain(status.points())
            .collect(),
        external_name: spec
            .external_name
            .filter(|_| spec.r#type.as_deref() == Some("ExternalName")),
        ports: spec
            .ports
            .into_iter()
            .filter(|port| is_tcp(port.protocol.as_deref()))
            .filter_map(|shape| Some((shape.name.unwrap_or_default(), port(shape.port)?)))
            .collect(),
    }
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Slice {
    #[serde(deserialize_with = "or_default")]
    endpoints: Vec<EndpointShape>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<SlicePort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SlicePort {
    name: Option<String>,
    port: Option<i64>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointShape {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<String>,
    target_ref: Option<TargetRef>,
    node_name: Option<String>,
    /// v1beta1 has the node here.
    #[serde(deserialize_with = "or_default")]
    topology: Topology,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Topology {
    #[serde(rename = "kubernetes.io/hostname")]
    node: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: String,
    namespace: Option<String>,
    name: String,
}

pub(super) fn slice(metadata: &ObjectMeta, shape: Slice) -> EndpointSlice {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let service = metadata.labels.as_ref();
    let service = service.and_then(|labels| labels.get("kubernetes.io/service-name"));
    EndpointSlice {
        service: service.map(|name| Arc::from(&**name)),
        ports: shape
            .ports
            .into_iter()
            .filter(|port| is_tcp(port.protocol.as_deref()))
            .map(|shape| (shape.name.unwrap_or_default(), shape.port.and_then(port)))
            .collect(),
        endpoints: shape
            .endpoints
            .into_iter()
            .map(|endpoint| SliceEndpoint {
                addresses: endpoint.addresses,
                pod: endpoint.target_ref.and_then(|target| {
                    let namespace = target.namespace.as_deref().unwrap_or(namespace);
                    (target.kind == "Pod").then(|| Key::new(namespace, &target.name))
                }),
                node: endpoint.node_name.or(endpoint.topology.node).map(Arc::from),
            })
            .collect(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressClass {
    #[serde(deserialize_with = "or_default")]
    spec: IngressClassSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressClassSpec {
    controller: String,
}

pub(super) fn ingress_class(metadata: &ObjectMeta, shape: IngressClass) -> super::IngressClass {
    let default = annotation(metadata, "ingressclass.kubernetes.io/is-default-class");
    super::IngressClass {
        controller: shape.spec.controller,
        is_default: default == Some("true"),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Ingress {
    #[serde(deserialize_with = "or_default")]
    spec: IngressSpec,
    #[serde(deserialize_with = "or_default")]
    status: Published,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IngressSpec {
    ingress_class_name: Option<String>,
    default_backend: Option<IngressBackendShape>,
    #[serde(deserialize_with = "or_default")]
    rules: Vec<IngressRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressRule {
    #[serde(deserialize_with = "or_default")]
    host: String,
    #[serde(deserialize_with = "or_default")]
    http: IngressHttp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressHttp {
    #[serde(deserialize_with = "or_default")]
    paths: Vec<IngressPath>,
}

#[derive(Deserialize)]
struct IngressPath {
    #[serde(default, deserialize_with = "or_default")]
    path: String,
    backend: IngressBackendShape,
}

#[derive(Deserialize)]
struct IngressBackendShape {
    service: Option<IngressService>,
    resource: Option<IngressResource>,
}

#[derive(Deserialize)]
struct IngressService {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    port: IngressPort,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressPort {
    name: Option<String>,
    number: Option<i64>,
}

#[derive(Deserialize)]
struct IngressResource {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

pub(super) fn ingress(metadata: &ObjectMeta, shape: Ingress) -> Result<super::Ingress, String> {
    let Ingress { spec, status } = shape;
    // Older objects name their class in an annotation.
    let class = annotation(metadata, "kubernetes.io/ingress.class").map(str::to_owned);
    let mut paths = Vec::new();
    for rule in spec.rules {
        for path in rule.http.paths {
            paths.push((rule.host.clone(), path.path, backend(path.backend)?));
        }
    }
    Ok(super::Ingress {
        class: spec.ingress_class_name.or(class).map(Arc::from),
        default: spec.default_backend.map(backend).transpose()?,
        paths,
        published: status.points().collect(),
    })
}

fn backend(shape: IngressBackendShape) -> Result<IngressBackend, String> {
    match (shape.service, shape.resource) {
        (Some(IngressService { name, port: ports }), _) => {
            let number = ports.number.and_then(port).map(ServicePort::Number);
            let named = || ports.name.map(ServicePort::Name);
            let port = number
                .or_else(named)
                .ok_or_else(|| format!("the backend {name} has no port"))?;
            Ok(IngressBackend::Service(name.into(), port))
        }
        (None, Some(resource)) => Ok(IngressBackend::Resource(format!(
            "{} {}",
            resource.kind, resource.name
        ))),
        (None, None) => Err("a backend has neither service nor resource".to_owned()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GatewayClass {
    #[serde(deserialize_with = "or_default")]
    spec: GatewayClassSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GatewayClassSpec {
    controller_name: String,
}

impl From<GatewayClass> for super::GatewayClass {
    fn from(class: GatewayClass) -> Self {
        Self {
            controller: class.spec.controller_name,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Gateway {
    #[serde(deserialize_with = "or_default")]
    spec: GatewaySpec,
    #[serde(deserialize_with = "or_default")]
    status: GatewayStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GatewaySpec {
    gateway_class_name: String,
    #[serde(deserialize_with = "or_default")]
    listeners: Vec<GatewayListener>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GatewayListener {
    name: String,
    port: i64,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GatewayStatus {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<GatewayAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GatewayAddress {
    value: String,
}

impl From<Gateway> for super::Gateway {
    fn from(gateway: Gateway) -> Self {
        let Gateway { spec, status } = gateway;
        Self {
            class: spec.gateway_class_name.into(),
            listeners: spec
                .listeners
                .into_iter()
                .filter(|listener| listener.protocol.as_deref() != Some("UDP"))
                .filter_map(|listener| Some((listener.name, port(listener.port)?)))
                .collect(),
            published: status
                .addresses
                .into_iter()
                .map(|address| address.value)
                .filter(|value| !value.is_empty())
                .collect(),
        }
    }
}
