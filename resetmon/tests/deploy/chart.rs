//! The Helm chart: linted and rendered by Helm itself, and held against the manifests.

use std::io::Write as _;
use std::process::{Command, Stdio};

use resetmon::config::Config;
use serde_json::{Value, json};

use crate::objects::{assert_known, documents, only};
use crate::{advice, dashboards, files, kustomize, manifests};

/// Where Helm's library is (`libhelm_sdkpy.so` of the Python wheel helm-sdkpy).
const LIBRARY: &str = "RESETMON_HELM_LIBRARY";

/// What the chart takes from other folders, since Helm reads nothing outside of it.
#[test]
fn copies_in_the_chart_are_current() {
    let rules = ("resetmon.rules.yaml", advice::rules());
    for (name, text) in dashboards::texts().into_iter().chain([rules]) {
        files::assert_current(&format!("helm/resetmon/files/{name}"), &text);
    }
}

#[test]
fn versions_are_the_workspaces() {
    let chart = files::yaml("helm/resetmon/Chart.yaml");
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let base = files::yaml("kubernetes/base/kustomization.yaml");
    assert_eq!(base["images"][0]["newTag"], env!("CARGO_PKG_VERSION"));
}

/// Every value has a place in the schema, so that a misspelt one is found.
#[test]
fn the_schema_has_every_value() {
    let schema: Value =
        serde_json::from_str(&files::read("helm/resetmon/values.schema.json")).expect("JSON");
    let values = files::yaml("helm/resetmon/values.yaml");
    for (key, value) in values.as_object().expect("values") {
        let place = &schema["properties"][key];
        assert!(place.is_object(), "{key}");
        if place["additionalProperties"] == false {
            for part in value.as_object().expect("an object").keys() {
                assert!(place["properties"][part].is_object(), "{key}.{part}");
            }
        }
    }
}

/// What Helm says to the chart alone, and then to each set of values.
fn helm(cases: &[(&str, Value)]) -> Vec<Value> {
    let library = std::env::var_os(LIBRARY)
        .unwrap_or_else(|| panic!("{LIBRARY} does not say where Helm's library is"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/chart/helm.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(library)
        .arg(files::path("helm/resetmon"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let cases: Vec<Value> = cases
        .iter()
        .map(|(release, values)| json!({"release": release, "namespace": "resetmon", "values": values}))
        .collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(json!(cases).to_string().as_bytes())
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", output.status);
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answers.len(), cases.len() + 1);
    answers
}

/// The objects that Helm made, those of its tests too, each checked.
fn rendered(answer: &Value) -> Vec<Value> {
    assert!(answer["error"].is_null(), "{answer:#}");
    let mut objects = documents(answer["manifest"].as_str().expect("a manifest"));
    for hook in answer["hooks"].as_array().into_iter().flatten() {
        objects.extend(documents(hook["manifest"].as_str().expect("a manifest")));
    }
    for object in &objects {
        assert_known(object);
    }
    objects
}

fn everything() -> Value {
    json!({
        "podMonitor": {"enabled": true, "labels": {"release": "monitoring"}},
        "prometheusRule": {"enabled": true},
        "dashboards": {"enabled": true},
    })
}

/// A pod's specification without what may differ: how it is pulled, and the names of others.
fn specification(objects: &[Value]) -> Value {
    let mut spec = only(objects, "DaemonSet")["spec"]["template"]["spec"].clone();
    spec["containers"][0]["imagePullPolicy"] = Value::Null;
    spec["volumes"][1]["configMap"]["name"] = Value::Null;
    spec
}

#[test]
#[ignore = "needs Helm's library and kubectl with Kustomize 4.5 or newer"]
fn chart_and_manifests_agree() {
    let openshift = json!({"openshift": true});
    let detach = json!({"detach": true});
    let cases = [
        ("resetmon", everything()),
        ("resetmon", openshift),
        ("resetmon", detach),
    ];
    let answers = helm(&cases);
    let overlays = ["prometheus-operator", "openshift", "detach"];
    for (answer, overlay) in answers[1..].iter().zip(overlays) {
        let (chart, plain) = (rendered(answer), kustomize::build(overlay));
        let mut kustomized = specification(&plain);
        if overlay == "detach" {
            // The order of mounts is Kustomize's.
            let mounts = kustomized["containers"][0]["volumeMounts"].as_array_mut();
            mounts
                .expect("mounts")
                .sort_by_key(|mount| mount["name"] != "pins");
        }
        assert_eq!(specification(&chart), kustomized, "{overlay}");
        for kind in ["DaemonSet", "NetworkPolicy", "PriorityClass"] {
            let strategy = |objects: &[Value]| match kind {
                "DaemonSet" => only(objects, kind)["spec"]["updateStrategy"].clone(),
                "NetworkPolicy" => only(objects, kind)["spec"]["egress"].clone(),
                _ => only(objects, kind)["value"].clone(),
            };
            assert_eq!(strategy(&chart), strategy(&plain), "{overlay} {kind}");
        }
        let allowed = |objects: &[Value]| manifests::allowed(only(objects, "ClusterRole"));
        assert_eq!(allowed(&chart), allowed(&plain));
    }
    let (chart, plain) = (
        rendered(&answers[1]),
        kustomize::build("prometheus-operator"),
    );
    assert_eq!(
        only(&chart, "PrometheusRule")["spec"],
        only(&plain, "PrometheusRule")["spec"]
    );
    let ends =
        |objects: &[Value]| only(objects, "PodMonitor")["spec"]["podMetricsEndpoints"].clone();
    assert_eq!(ends(&chart), ends(&plain));
    let (chart, plain) = (rendered(&answers[2]), kustomize::build("openshift"));
    let allowed = |objects: &[Value]| {
        let mut constraints = only(objects, "SecurityContextConstraints").clone();
        constraints["metadata"] = Value::Null;
        constraints["volumes"] = Value::Null;
        constraints
    };
    assert_eq!(allowed(&chart), allowed(&plain));
}

#[test]
#[ignore = "needs Helm's library"]
fn helm_accepts_chart_and_values() {
    let secret = json!({"webConfigSecret": "tls", "pin": false, "kubernetes": false});
    let named = json!({
        "fullnameOverride": "rm", "image": {"repository": "mirror.example.com/resetmon", "digest": format!("sha256:{}", "0".repeat(64))},
        "serviceAccount": {"create": false, "name": "other"}, "priorityClass": {"create": false, "name": "system-node-critical"},
        "config": {"listen": "0.0.0.0:9999", "peers": [{"name": "office", "cidr": "192.0.2.0/24"}]},
        "networkPolicy": {"enabled": false}, "resources": {"limits": {"memory": "1Gi"}},
        "imagePullSecrets": [{"name": "pull"}], "podLabels": {"team": "net"}, "podAnnotations": {"a": "b"}, "affinity": {"nodeAffinity": {}},
    });
    let cases = [
        ("resetmon", json!({})),
        ("x", everything()),
        ("x", secret),
        ("x", named),
    ];
    let answers = helm(&cases);
    let severe = |message: &Value| {
        message["Severity"]
            .as_u64()
            .is_none_or(|severity| severity > 1)
    };
    let messages = answers[0]["Messages"].as_array().expect("messages");
    assert!(!messages.iter().any(severe), "lint: {messages:?}");
    assert!(answers[0]["Errors"].is_null(), "lint: {}", answers[0]);
    for (answer, (release, values)) in answers[1..].iter().zip(&cases) {
        let objects = rendered(answer);
        let config = only(
            &objects
                .iter()
                .filter(|o| o["data"]["resetmon.yaml"].is_string())
                .cloned()
                .collect::<Vec<_>>(),
            "ConfigMap",
        )["data"]["resetmon.yaml"]
            .clone();
        let config = Config::parse(config.as_str().expect("text"), "chart")
            .unwrap_or_else(|e| panic!("{e}"));
        let container = manifests::container(&objects);
        assert_eq!(
            container["ports"][0]["containerPort"],
            config.listen.port(),
            "{values}"
        );
        // The test's pod looks with the agent's rights.
        assert_eq!(
            only(&objects, "Pod")["spec"]["containers"][0]["securityContext"],
            container["securityContext"]
        );
        let spec = &only(&objects, "DaemonSet")["spec"];
        let labels = &spec["template"]["metadata"]["labels"];
        for (label, value) in spec["selector"]["matchLabels"].as_object().expect("labels") {
            assert_eq!(&labels[label], value);
        }
        let notes = answer["info"]["notes"].as_str().expect("notes");
        assert!(
            notes.contains("doctor") || notes.contains("helm"),
            "{release}: {notes}"
        );
    }
    let secret = rendered(&answers[3]);
    let container = manifests::container(&secret);
    let arguments = json!([
        "run",
        "--config",
        "/etc/resetmon/resetmon.yaml",
        "--web-config",
        "/etc/resetmon-web/web.yaml",
        "--no-pin"
    ]);
    assert_eq!(container["args"], arguments);
    assert_eq!(container["livenessProbe"]["httpGet"]["scheme"], "HTTPS");
    assert!(!secret.iter().any(|object| object["kind"] == "ClusterRole"));
    let config = secret
        .iter()
        .find(|object| object["kind"] == "ConfigMap")
        .expect("a ConfigMap");
    assert!(
        config["data"]["resetmon.yaml"]
            .as_str()
            .is_some_and(|text| text.contains("enabled: false"))
    );
}

#[test]
#[ignore = "needs Helm's library"]
fn helm_refuses_values_that_are_not_in_the_schema() {
    let wrong = [
        ("/pin", json!({"pin": "yes"})),
        ("nonsense", json!({"nonsense": 1})),
        ("/image/digest", json!({"image": {"digest": "latest"}})),
        ("/maxUnavailable", json!({"maxUnavailable": 0})),
        ("/maxUnavailable", json!({"maxUnavailable": "all"})),
        (
            "/config/listen",
            json!({"config": {"listen": "everywhere"}}),
        ),
        (
            "/podMonitor/interval",
            json!({"podMonitor": {"interval": "fast"}}),
        ),
        ("/seccompProfile", json!({"seccompProfile": "none"})),
        (
            "/priorityClass/value",
            json!({"priorityClass": {"value": 2_000_001_000}}),
        ),
        ("dashboard", json!({"dashboards": {"dashboard": true}})),
    ];
    let cases: Vec<(&str, Value)> = wrong
        .iter()
        .map(|(_, values)| ("x", values.clone()))
        .collect();
    let answers = helm(&cases);
    for ((place, values), answer) in wrong.iter().zip(&answers[1..]) {
        let error = answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{values} is accepted"));
        assert!(error.contains(place), "{values}: {error}");
    }
}
