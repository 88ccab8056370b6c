//! Keys and values, and the names that the semantic conventions have for keys of the JSON line.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use serde_json::Value;

/// Keys of the line that the conventions have a name for; the others are `resetmon.` and the key.
const NAMES: &[(&str, &str)] = &[
    ("failure", "error.type"),
    ("process.pid", "process.pid"),
    ("process.name", "process.executable.name"),
    ("process.exe", "process.executable.path"),
    ("process.cmdline", "process.command_line"),
    ("process.container.id", "container.id"),
    ("process.container.runtime", "container.runtime.name"),
    ("process.container.pod_uid", "k8s.pod.uid"),
    ("process.container.namespace", "k8s.namespace.name"),
    ("process.container.pod", "k8s.pod.name"),
    ("process.container.name", "k8s.container.name"),
];

/// What makes pods, with the names of theirs.
const WORKLOADS: &[(&str, &str)] = &[
    ("CronJob", "k8s.cronjob.name"),
    ("DaemonSet", "k8s.daemonset.name"),
    ("Deployment", "k8s.deployment.name"),
    ("Job", "k8s.job.name"),
    ("ReplicaSet", "k8s.replicaset.name"),
    ("StatefulSet", "k8s.statefulset.name"),
];

/// An attribute that is text.
#[must_use]
pub fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Appends the attributes for one key of the line.
pub(super) fn push(attributes: &mut Vec<KeyValue>, path: &str, value: &Value) {
    match (path, value) {
        // Said by the record itself.
        ("event" | "time", _) => {}
        ("local", Value::String(address)) => endpoint(attributes, "network.local", address),
        ("remote", Value::String(address)) => endpoint(attributes, "network.peer", address),
        ("ip_version", _) => {
            let kind = if *value == 4 { "ipv4" } else { "ipv6" };
            attributes.push(text("network.type", kind));
            attributes.push(text("network.transport", "tcp"));
        }
        ("process.container.workload", Value::String(workload)) => {
            let known = workload.split_once('/').and_then(|(kind, name)| {
                let (_, key) = WORKLOADS.iter().find(|(known, _)| *known == kind)?;
                Some(text(key, name))
            });
            attributes.push(known.unwrap_or_else(|| text(&ours(path), workload)));
        }
        _ => {
            let named = NAMES.iter().find(|(key, _)| *key == path);
            let key = named.map_or_else(|| ours(path), |(_, name)| (*name).to_owned());
            attributes.push(attribute(&key, any(value)));
        }
    }
}

fn ours(path: &str) -> String {
    format!("resetmon.{path}")
}

/// An `ip:port` as address and port.
fn endpoint(attributes: &mut Vec<KeyValue>, prefix: &str, address: &str) {
    if let Ok(address) = address.parse::<std::net::SocketAddr>() {
        let ip = address.ip().to_string();
        attributes.push(text(&format!("{prefix}.address"), &ip));
        let port = Any::IntValue(address.port().into());
        attributes.push(attribute(&format!("{prefix}.port"), port));
    }
}

fn any(value: &Value) -> Any {
    match value {
        Value::Bool(flag) => Any::BoolValue(*flag),
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Any::IntValue(number),
            // Beyond what its integers hold, as well as fractions.
            (None, Some(number)) => Any::DoubleValue(number),
            (None, None) => Any::StringValue(number.to_string()),
        },
        Value::Array(values) => Any::ArrayValue(ArrayValue {
            values: values
                .iter()
                .map(|value| AnyValue {
                    value: Some(any(value)),
                })
                .collect(),
        }),
        // Flat values have neither.
        Value::Null | Value::Object(_) => Any::StringValue(value.to_string()),
    }
}
