//! Pods: addresses, containers, and what made them.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{Pod, annotation, labels, or_default, port};

/// Least digits that a `CronJob` puts behind its name: the scheduled time in minutes.
const CRON_DIGITS: usize = 8;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Shape {
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    host_network: bool,
    node_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ContainerPort>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    container_port: i64,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    #[serde(deserialize_with = "or_default")]
    last_state: LastState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LastState {
    terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Terminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

pub(super) fn pod(metadata: &ObjectMeta, shape: Shape) -> Pod {
    let Shape { spec, status } = shape;
    // The kubelet names the cgroup of a static pod by the hash of its file.
    let hash = annotation(metadata, "kubernetes.io/config.hash");
    let uids = [metadata.uid.as_deref(), hash];
    let statuses = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .chain(&status.ephemeral_container_statuses);
    let mut addresses: Vec<IpAddr> = status
        .pod_ips
        .iter()
        .map(|ip| &ip.ip)
        .chain(&status.pod_ip)
        .filter_map(|ip| ip.parse().ok())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Pod {
        uids: uids.into_iter().flatten().map(Arc::from).collect(),
        labels: labels(metadata),
        workload: workload(metadata, spec.node_name.as_deref()).map(Arc::from),
        containers: statuses.flat_map(containers).collect(),
        addresses,
        host_network: spec.host_network,
        finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        ports: spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .filter(|port| port.protocol.as_deref().is_none_or(|name| name == "TCP"))
            .filter_map(|declared| port(declared.container_port))
            .collect(),
    }
}

/// The container that runs and the one before it, as `containerd://id`.
fn containers(status: &ContainerStatus) -> impl Iterator<Item = (Arc<str>, Arc<str>)> + '_ {
    let last = status.last_state.terminated.as_ref();
    let last = last.and_then(|last| last.container_id.as_deref());
    [status.container_id.as_deref(), last]
        .into_iter()
        .flatten()
        .filter_map(|id| id.split_once("://"))
        .filter(|(_, id)| !id.is_empty())
        .map(|(_, id)| (Arc::from(id), Arc::from(&*status.name)))
}

/// What made the pod: its owner, or that one's owner where the name tells it.
fn workload(metadata: &ObjectMeta, node: Option<&str>) -> Option<String> {
    let owners = metadata.owner_references.as_ref()?;
    let owner = owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .or(owners.first())?;
    let label = |key: &str| metadata.labels.as_ref()?.get(key).map(String::as_str);
    let (kind, name) = match &*owner.kind {
        "ReplicaSet" => label("pod-template-hash")
            .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
            .map_or(("ReplicaSet", &*owner.name), |name| ("Deployment", name)),
        "Job" => of_cron_job(&owner.name).map_or(("Job", &*owner.name), |name| ("CronJob", name)),
        // A static pod: the kubelet appends the node's name.
        "Node" => {
            let name = metadata.name.as_deref()?;
            let plain = node.and_then(|node| name.strip_suffix(node)?.strip_suffix('-'));
            ("Pod", plain.unwrap_or(name))
        }
        kind => (kind, &*owner.name),
    };
    Some(format!("{kind}/{name}"))
}

/// The `CronJob` whose job has this name.
fn of_cron_job(job: &str) -> Option<&str> {
    let (name, time) = job.rsplit_once('-')?;
    let is_time = time.len() >= CRON_DIGITS && time.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && !name.is_empty()).then_some(name)
}
