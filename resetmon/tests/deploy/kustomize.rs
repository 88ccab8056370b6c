//! What Kustomize makes of `deploy/kubernetes`.

use std::process::Command;

use serde_json::Value;

use crate::files;
use crate::objects::{assert_known, documents, only};

/// The objects of an overlay, each checked.
pub(crate) fn build(overlay: &str) -> Vec<Value> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(files::path("kubernetes/overlays").join(overlay))
        .output()
        .expect("kubectl starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{overlay}: {said}"
    );
    let objects = documents(&String::from_utf8(output.stdout).expect("UTF-8"));
    for object in &objects {
        assert_known(object);
        let spaced = [
            "ConfigMap",
            "DaemonSet",
            "NetworkPolicy",
            "PodMonitor",
            "PrometheusRule",
            "ServiceAccount",
        ];
        if spaced.iter().any(|kind| object["kind"] == *kind) {
            assert_eq!(object["metadata"]["namespace"], "resetmon", "{object:#}");
        }
    }
    objects
}

/// The kinds of objects, sorted.
fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = objects
        .iter()
        .filter_map(|one| one["kind"].as_str())
        .collect();
    kinds.sort_unstable();
    kinds
}

const BASE: [&str; 8] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "DaemonSet",
    "Namespace",
    "NetworkPolicy",
    "PriorityClass",
    "ServiceAccount",
];

#[test]
#[ignore = "needs kubectl with Kustomize 4.5 or newer"]
fn plain_is_the_base_with_annotations() {
    let objects = build("plain");
    assert_eq!(kinds(&objects), BASE);
    let template = &only(&objects, "DaemonSet")["spec"]["template"];
    let port = &template["spec"]["containers"][0]["ports"][0]["containerPort"];
    let annotation = &template["metadata"]["annotations"]["prometheus.io/port"];
    assert_eq!(annotation.as_str(), Some(&*port.to_string()));
    // The configuration is the one of the hash.
    let config = &only(&objects, "ConfigMap")["metadata"]["name"];
    assert_ne!(config, "resetmon");
    assert_eq!(&template["spec"]["volumes"][1]["configMap"]["name"], config);
}

#[test]
#[ignore = "needs kubectl with Kustomize 4.5 or newer"]
fn with_the_operator_come_monitor_rules_and_dashboards() {
    let objects = build("prometheus-operator");
    let mut expected = BASE.to_vec();
    expected.extend(["ConfigMap", "ConfigMap", "PodMonitor", "PrometheusRule"]);
    expected.sort_unstable();
    assert_eq!(kinds(&objects), expected);
    let dashboards = objects
        .iter()
        .filter(|one| one["metadata"]["labels"]["grafana_dashboard"] == "1");
    for dashboard in dashboards {
        for (name, text) in dashboard["data"].as_object().expect("data") {
            assert_eq!(
                text.as_str(),
                Some(&*files::read(&format!("grafana/{name}")))
            );
        }
    }
    let monitor = only(&objects, "PodMonitor");
    let template = &only(&objects, "DaemonSet")["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    for (label, value) in monitor["spec"]["selector"]["matchLabels"]
        .as_object()
        .expect("labels")
    {
        assert_eq!(&labels[label], value);
    }
    let job = monitor["spec"]["jobLabel"].as_str().expect("a label");
    assert_eq!(labels[job], "resetmon");
    assert_eq!(
        monitor["spec"]["podMetricsEndpoints"][0]["port"],
        template["spec"]["containers"][0]["ports"][0]["name"]
    );
}

#[test]
#[ignore = "needs kubectl with Kustomize 4.5 or newer"]
fn openshift_allows_what_the_pod_asks_for() {
    let objects = build("openshift");
    let spec = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
    let constraints = only(&objects, "SecurityContextConstraints");
    let context = &spec["containers"][0]["securityContext"];
    assert_eq!(
        constraints["allowedCapabilities"],
        context["capabilities"]["add"]
    );
    assert_eq!(
        constraints["requiredDropCapabilities"],
        context["capabilities"]["drop"]
    );
    assert_eq!(constraints["allowHostPID"], spec["hostPID"]);
    assert_eq!(constraints["allowHostNetwork"], spec["hostNetwork"]);
    assert_eq!(
        constraints["readOnlyRootFilesystem"],
        context["readOnlyRootFilesystem"]
    );
    assert_eq!(
        constraints["allowPrivilegeEscalation"],
        context["allowPrivilegeEscalation"]
    );
    assert_eq!(
        spec["securityContext"]["seccompProfile"]["type"],
        "Unconfined"
    );
    assert_eq!(constraints["seccompProfiles"][0], "unconfined");
    assert_eq!(context["seLinuxOptions"]["type"], "spc_t");
    let account = only(&objects, "ServiceAccount");
    let user = format!(
        "system:serviceaccount:{}:{}",
        account["metadata"]["namespace"]
            .as_str()
            .expect("a namespace"),
        spec["serviceAccountName"].as_str().expect("a name"),
    );
    assert_eq!(constraints["users"][0], user);
}

#[test]
#[ignore = "needs kubectl with Kustomize 4.5 or newer"]
fn detach_only_detaches() {
    let objects = build("detach");
    let spec = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    assert_eq!(
        container["args"],
        serde_json::json!(["detach", "--pin-dir", "/run/bpf/resetmon"])
    );
    assert!(container["livenessProbe"].is_null() && container["startupProbe"].is_null());
    assert_eq!(container["volumeMounts"].as_array().map(Vec::len), Some(2));
    let pins = container["volumeMounts"].as_array().into_iter().flatten();
    let paths: Vec<_> = pins.filter(|mount| mount["name"] == "pins").collect();
    assert_eq!(paths[0]["mountPath"], "/run/bpf");
    assert_eq!(spec["volumes"][0]["hostPath"]["path"], "/sys/fs/bpf");
}
