//! The manifests and the chart of `deploy/`, given to the API server as an administrator would.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hyper::Request;
use kube::Client;
use resetmon::routes::kubernetes::kind::Kind;
use resetmon::routes::kubernetes::{Access, Settings, Timing, start};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::control_plane::ControlPlane;
use crate::objects::{Definition, NODE, Objects};
use crate::views::{PAY, SITE, shown, until};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
/// Where Helm's library is (`libhelm_sdkpy.so` of the Python wheel helm-sdkpy).
const LIBRARY: &str = "RESETMON_HELM_LIBRARY";

/// Kinds that others bring into a cluster.
const OPERATOR: [Definition; 3] = [
    Definition {
        group: "monitoring.coreos.com",
        kind: "PodMonitor",
        plural: "podmonitors",
        scope: "Namespaced",
        version: "v1",
    },
    Definition {
        group: "monitoring.coreos.com",
        kind: "PrometheusRule",
        plural: "prometheusrules",
        scope: "Namespaced",
        version: "v1",
    },
    Definition {
        group: "security.openshift.io",
        kind: "SecurityContextConstraints",
        plural: "securitycontextconstraints",
        scope: "Cluster",
        version: "v1",
    },
];

/// What this server is too old to know (1.30 and 1.22 are not), and leaves out.
const UNKNOWN: [&str; 2] = [
    "/securityContext/appArmorProfile",
    "/rollingUpdate/maxSurge",
];

/// What only who may do more than list and watch could do.
const FORBIDDEN: [(&str, &str); 8] = [
    ("get", "pods"),
    ("list", "secrets"),
    ("list", "configmaps"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("create", "serviceaccounts/token"),
    ("patch", "nodes"),
    ("delete", "daemonsets.apps"),
];

/// kubectl as the administrator.
struct Kubectl {
    kubeconfig: PathBuf,
    home: TempDir,
}

impl Kubectl {
    /// What it prints; it must succeed.
    fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new("kubectl")
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Fails unless the server has each of these objects, with all that is written in it.
    fn assert_kept(&self, written: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": written});
        let kept = self.run(&["get", "-f", "-", "-o", "json"], &list.to_string());
        let kept: Value = serde_json::from_str(&kept).expect("JSON");
        let kept = kept["items"].as_array().expect("a list");
        assert_eq!(kept.len(), written.len());
        let mut lost = Vec::new();
        for (written, kept) in written.iter().zip(kept) {
            let kind = written["kind"].as_str().unwrap_or_default();
            compare(written, kept, kind, &mut lost);
        }
        lost.retain(|path| !UNKNOWN.iter().any(|end| path.ends_with(end)));
        assert!(lost.is_empty(), "the server has not kept {lost:#?}");
    }
}

/// Collects what of `written` is not in `kept`.
fn compare(written: &Value, kept: &Value, path: &str, lost: &mut Vec<String>) {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            for (key, value) in written.iter().filter(|(_, value)| !value.is_null()) {
                let path = format!("{path}/{key}");
                match kept.get(key) {
                    Some(other) => compare(value, other, &path, lost),
                    // The server does not write what is so anyhow.
                    None if *value == false => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => {
            for (at, (value, other)) in written.iter().zip(kept).enumerate() {
                compare(value, other, &format!("{path}/{at}"), lost);
            }
        }
        _ if written == kept => {}
        _ => lost.push(path.to_owned()),
    }
}

fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    documents.into_iter().filter(|one| !one.is_null()).collect()
}

/// Why not here: Debian's own kubectl is too old for what the manifests use.
pub(crate) fn without_kubectl() -> Option<String> {
    let output = Command::new("kubectl")
        .args(["version", "--client", "--output", "json"])
        .output();
    let has = output
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("kustomizeVersion"));
    (!has).then(|| "no kubectl with Kustomize 4.5 or newer".to_owned())
}

/// Why not here.
pub(crate) fn without_helm() -> Option<String> {
    let here = std::env::var_os(LIBRARY).is_some();
    let helm = (!here).then(|| format!("{LIBRARY} names no library of Helm"));
    without_kubectl().or(helm)
}

async fn begin() -> (ControlPlane, Objects, Kubectl) {
    let plane = ControlPlane::start().await;
    let objects = Objects(plane.administrator().await);
    for definition in &OPERATOR {
        objects.define(definition).await;
    }
    let kubectl = Kubectl {
        kubeconfig: plane.kubeconfig("administrator"),
        home: TempDir::new().unwrap(),
    };
    (plane, objects, kubectl)
}

pub(crate) async fn the_manifests_are_taken() {
    let (plane, objects, kubectl) = begin().await;
    objects.install_gateway_api().await;
    objects.shop().await;
    for overlay in ["plain", "prometheus-operator", "openshift"] {
        let folder = format!("{DEPLOY}/kubernetes/overlays/{overlay}");
        // This server is older than the check of fields on the server; kubectl's own in its place
        // would refuse the field that the server leaves out.
        kubectl.run(&["apply", "--validate=false", "-k", &folder], "");
        kubectl.assert_kept(&documents(&kubectl.run(&["kustomize", &folder], "")));
    }
    let pod = first_pod(&objects, "resetmon").await;
    assert_eq!(pod["spec"]["priority"], 1_000_000, "{pod:#}");

    // The account's own token, as the kubelet mounts it.
    let kubeconfig = plane.kubeconfig_with(&token(&objects).await);
    let mut watched = start(Settings {
        node: NODE.into(),
        access: Access::Kubeconfig(kubeconfig.clone()),
        timing: Timing::default(),
    })
    .unwrap();
    let view = until(&mut watched, "everything", |view| view.complete).await;
    assert_eq!(view.not_understood, Vec::<String>::new());
    let lines = shown(&view);
    assert!(
        [SITE[0], SITE[1], PAY]
            .iter()
            .all(|line| lines.iter().any(|one| one == line)),
        "{lines:?}"
    );
    drop(watched);
    rights(&plane, &kubeconfig).await;

    let folder = format!("{DEPLOY}/kubernetes/overlays/detach");
    kubectl.run(&["apply", "--validate=false", "-k", &folder], "");
    kubectl.assert_kept(&documents(&kubectl.run(&["kustomize", &folder], "")));
    kubectl.run(&["delete", "--wait=false", "-k", &folder], "");
    let left = kubectl.run(&["get", "clusterroles,priorityclasses", "-o", "name"], "");
    assert!(!left.contains("resetmon"), "{left}");
}

/// A pod of the DaemonSet, made as its controller would; there is none here.
async fn first_pod(objects: &Objects, namespace: &str) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/resetmon");
    let set = objects.get(&path).await;
    let template = &set["spec"]["template"];
    let mut pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = json!("resetmon-0");
    pod["spec"]["nodeName"] = json!(NODE);
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    objects.create(&path, pod).await;
    let pod = objects.get(&format!("{path}/resetmon-0")).await;
    objects.delete(&format!("{path}/resetmon-0")).await;
    pod
}

async fn token(objects: &Objects) -> String {
    let path = "/api/v1/namespaces/resetmon/serviceaccounts/resetmon/token";
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    });
    let answer = objects.ask("POST", path, &request).await;
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// The role gives what is watched, and nothing that would make the agent's token worth stealing.
async fn rights(plane: &ControlPlane, kubeconfig: &Path) {
    let client = plane.client(kubeconfig).await;
    let mut wrong = String::new();
    let watched = Kind::ALL.into_iter().flat_map(|kind| {
        let name = format!("{}.{}", kind.plural(), kind.group());
        ["list", "watch"].map(|verb| (verb.to_owned(), name.clone(), true))
    });
    let forbidden = FORBIDDEN.map(|(verb, name)| (verb.to_owned(), name.to_owned(), false));
    for (verb, name, expected) in watched.chain(forbidden) {
        let found = may(&client, &verb, &name).await;
        if found != expected {
            // Writing to a string does not fail.
            let _ = writeln!(wrong, "{verb} {name}: {found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

async fn may(client: &Client, verb: &str, name: &str) -> bool {
    let (name, group) = name.split_once('.').unwrap_or((name, ""));
    let (resource, part) = name.split_once('/').unwrap_or((name, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": "shop", "verb": verb, "group": group, "resource": resource,
            "subresource": part,
        }},
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let answer = client.request::<Value>(request).await.unwrap();
    answer["status"]["allowed"] == true
}

pub(crate) async fn the_chart_is_taken() {
    let (_plane, objects, kubectl) = begin().await;
    let cases = [
        ("resetmon", json!({})),
        (
            "all",
            json!({
                "podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true},
                "dashboards": {"enabled": true},
            }),
        ),
        ("shift", json!({"openshift": true})),
        (
            "secret",
            json!({"webConfigSecret": "tls", "pin": false, "kubernetes": false}),
        ),
        ("gone", json!({"detach": true})),
    ];
    let answers = rendered(&cases);
    for ((release, values), answer) in cases.iter().zip(&answers[1..]) {
        let manifest = answer["manifest"]
            .as_str()
            .unwrap_or_else(|| panic!("{values}: {answer:#}"));
        objects
            .create("/api/v1/namespaces", json!({"metadata": {"name": release}}))
            .await;
        let mut written = documents(manifest);
        for hook in answer["hooks"].as_array().into_iter().flatten() {
            written.extend(documents(hook["manifest"].as_str().unwrap()));
        }
        for object in &mut written {
            // As Helm does with what has none of its own.
            if !["Cluster", "Priority", "Security"]
                .iter()
                .any(|start| object["kind"].as_str().unwrap().starts_with(start))
            {
                object["metadata"]["namespace"] = json!(release);
            }
            kubectl.run(
                &["create", "--validate=false", "-f", "-"],
                &object.to_string(),
            );
        }
        kubectl.assert_kept(&written);
    }
}

/// What Helm makes of the chart, after its linter's messages.
fn rendered(cases: &[(&str, Value)]) -> Vec<Value> {
    let library = std::env::var_os(LIBRARY).expect(LIBRARY);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/chart/helm.py");
    let cases: Vec<Value> = cases
        .iter()
        .map(|(name, values)| json!({"release": name, "namespace": name, "values": values}))
        .collect();
    let mut child = Command::new("python3")
        .arg(script)
        .arg(library)
        .arg(format!("{DEPLOY}/helm/resetmon"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = Value::Array(cases).to_string();
    stdin.write_all(text.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}
