//! Kubernetes objects as the API's own types read them.

use k8s_openapi::api::{apps, core, networking, rbac, scheduling};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Kinds that others bring into a cluster, with definitions of their own that are not at hand here.
const FOREIGN: [&str; 3] = ["PodMonitor", "PrometheusRule", "SecurityContextConstraints"];

/// The documents of a YAML stream.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    documents.into_iter().filter(|one| !one.is_null()).collect()
}

/// The one object of a kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = objects.iter().filter(|one| one["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}

/// Fails unless Kubernetes knows every field of the object, with values of these types.
pub(crate) fn assert_known(object: &Value) {
    let (version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    let read: fn(&Value) -> Result<Value, serde_json::Error> = match (version, kind) {
        ("v1", "ConfigMap") => typed::<core::v1::ConfigMap>,
        ("v1", "Namespace") => typed::<core::v1::Namespace>,
        ("v1", "Pod") => typed::<core::v1::Pod>,
        ("v1", "ServiceAccount") => typed::<core::v1::ServiceAccount>,
        ("apps/v1", "DaemonSet") => typed::<apps::v1::DaemonSet>,
        ("networking.k8s.io/v1", "NetworkPolicy") => typed::<networking::v1::NetworkPolicy>,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => typed::<rbac::v1::ClusterRole>,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            typed::<rbac::v1::ClusterRoleBinding>
        }
        ("scheduling.k8s.io/v1", "PriorityClass") => typed::<scheduling::v1::PriorityClass>,
        (_, kind) => {
            assert!(FOREIGN.contains(&kind), "what is {version} {kind}?");
            return;
        }
    };
    let known = read(object).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let mut lost = Vec::new();
    compare(object, &known, "", &mut lost);
    assert!(
        lost.is_empty(),
        "{kind} has fields that Kubernetes does not: {lost:?}"
    );
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key}: {object:#}"))
}

fn typed<T: Serialize + DeserializeOwned>(object: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(object)?)
}

/// Collects what of `written` is not in `known`.
fn compare(written: &Value, known: &Value, path: &str, lost: &mut Vec<String>) {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            for (key, value) in written {
                let path = format!("{path}/{key}");
                match known.get(key) {
                    Some(other) => compare(value, other, &path, lost),
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(known)) if written.len() == known.len() => {
            for (at, (value, other)) in written.iter().zip(known).enumerate() {
                compare(value, other, &format!("{path}/{at}"), lost);
            }
        }
        _ if written == known => {}
        _ => lost.push(path.to_owned()),
    }
}

#[test]
fn a_field_in_the_wrong_place_is_found() {
    let mut pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"hostPID": true, "containers": [{"name": "c", "securityContext": {"runAsUser": 0}}]},
    });
    assert_known(&pod);
    pod["spec"]["containers"][0]["securityContext"]["hostPID"] = true.into();
    let found = std::panic::catch_unwind(|| assert_known(&pod)).expect_err("it is accepted");
    let words = found.downcast_ref::<String>().expect("words");
    assert!(
        words.contains("/spec/containers/0/securityContext/hostPID"),
        "{words}"
    );
}
