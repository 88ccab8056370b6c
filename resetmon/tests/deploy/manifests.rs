//! The files of `deploy/kubernetes` themselves.

use std::collections::BTreeSet;
use std::path::Path;

use resetmon::config::Config;
use resetmon::kernel::{pin, privilege};
use resetmon::routes::kubernetes::kind::Kind;
use serde_json::Value;

use crate::objects::{assert_known, documents, only};
use crate::{advice, files};

const DAEMON_SET: &str = "kubernetes/base/daemonset.yaml";

/// Every file of a folder with objects.
fn object_files(folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(files::path(folder)).expect("a folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let path = Path::new(&name);
        if path.extension().is_some_and(|end| end == "yaml")
            && !["kustomization.yaml", "resetmon.yaml"].contains(&&*name)
        {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    names
}

#[test]
fn kubernetes_knows_every_field() {
    let folders = ["base", "overlays/prometheus-operator", "overlays/openshift"];
    let mut seen = 0;
    for folder in folders {
        for name in object_files(&format!("kubernetes/{folder}")) {
            for object in documents(&files::read(&name)) {
                assert_known(&object);
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "{seen} objects");
}

#[test]
fn the_agent_accepts_its_configuration() {
    let name = "kubernetes/base/resetmon.yaml";
    let config = Config::parse(&files::read(name), name).unwrap_or_else(|e| panic!("{e}"));
    let container = &container(&documents(&files::read(DAEMON_SET)))["ports"][0];
    assert_eq!(container["containerPort"], config.listen.port());
}

/// The agent's container.
pub(crate) fn container(objects: &[Value]) -> Value {
    only(objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn the_capabilities_are_those_that_the_agent_names() {
    let container = container(&documents(&files::read(DAEMON_SET)));
    let capabilities = &container["securityContext"]["capabilities"];
    let added: BTreeSet<String> = strings(&capabilities["add"])
        .map(|name| format!("CAP_{name}"))
        .collect();
    let needed: BTreeSet<String> = privilege::NEEDS
        .iter()
        .map(|need| need.capability.to_string())
        .collect();
    assert_eq!(added, needed);
    assert_eq!(strings(&capabilities["drop"]).collect::<Vec<_>>(), ["ALL"]);
}

#[test]
fn programs_are_pinned_where_the_agent_pins_them() {
    let objects = documents(&files::read(DAEMON_SET));
    let mount = &container(&objects)["volumeMounts"][0];
    let volume = &only(&objects, "DaemonSet")["spec"]["template"]["spec"]["volumes"][0];
    assert_eq!(mount["name"], volume["name"]);
    let container = container(&objects);
    let arguments: Vec<&str> = strings(&container["args"]).collect();
    let at = arguments
        .iter()
        .position(|one| *one == "--pin-dir")
        .expect("--pin-dir");
    assert_eq!(mount["mountPath"], arguments[at + 1]);
    // Where `resetmon detach` looks on the node.
    assert_eq!(volume["hostPath"]["path"], pin::DEFAULT_DIR);
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// What a role allows, one line a resource and verb.
pub(crate) fn allowed(role: &Value) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    allowed.insert(format!("{verb} {resource}.{group}"));
                }
            }
        }
    }
    allowed
}

#[test]
fn the_role_allows_what_is_watched_and_nothing_else() {
    let objects = documents(&files::read("kubernetes/base/rbac.yaml"));
    let mut watched = BTreeSet::new();
    for kind in Kind::ALL {
        for verb in ["list", "watch"] {
            watched.insert(format!("{verb} {}.{}", kind.plural(), kind.group()));
        }
    }
    assert_eq!(allowed(only(&objects, "ClusterRole")), watched);
}

/// Every capability, mount, volume of the host and RBAC rule has its reason on the line above.
#[test]
fn every_privilege_has_its_reason() {
    let mut seen = 0;
    for (name, what) in [
        (
            DAEMON_SET,
            &["- BPF", "- PERFMON", "- SYS_PTRACE", "- DAC_READ_SEARCH"][..],
        ),
        (
            DAEMON_SET,
            &["hostPID: true", "hostNetwork: false", "runAsUser: 0"],
        ),
        (
            DAEMON_SET,
            &[
                "type: RuntimeDefault",
                "appArmorProfile:",
                "readOnlyRootFilesystem: true",
            ],
        ),
        ("kubernetes/base/rbac.yaml", &["- apiGroups: "]),
        (
            "kubernetes/overlays/openshift/scc.yaml",
            &["allowHostPID: true", "allowHostDirVolumePlugin: true"],
        ),
    ] {
        let text = files::read(name);
        let mut above = "";
        for line in text.lines() {
            let bare = line.trim();
            if what.iter().any(|what| bare.starts_with(what)) {
                assert!(above.starts_with('#'), "{name}: no reason above {bare}");
                seen += 1;
            }
            above = bare;
        }
    }
    assert_eq!(seen, 16);
    let text = files::read(DAEMON_SET);
    let (_, mounts) = text.split_once("volumeMounts:\n").expect("mounts");
    let (mounts, _) = mounts.split_once("startupProbe:").expect("probes");
    let mut above = "";
    for line in mounts.lines().map(str::trim) {
        assert!(!line.starts_with("- ") || above.starts_with('#'), "{line}");
        above = line;
    }
}

/// The rules, as the operator wants them.
#[test]
fn the_prometheus_rule_is_current() {
    let rules = advice::rules();
    let mut text = String::from(
        "# deploy/prometheus/resetmon.rules.yaml for the operator, written by\n\
         # UPDATE=1 cargo test -p resetmon --test deploy\n\
         apiVersion: monitoring.coreos.com/v1\n\
         kind: PrometheusRule\n\
         metadata:\n  name: resetmon\n  namespace: resetmon\n  labels:\n    \
         app.kubernetes.io/name: resetmon\n    app.kubernetes.io/part-of: resetmon\nspec:\n",
    );
    let (_, groups) = rules.split_once("\ngroups:\n").expect("groups");
    text.push_str("  groups:\n");
    for line in groups.lines() {
        if !line.is_empty() {
            text.push_str("  ");
            text.push_str(line);
        }
        text.push('\n');
    }
    let object = &documents(&text)[0];
    let spec: Value = serde_saphyr::from_str(&rules).expect("YAML");
    assert_eq!(object["spec"], spec);
    files::assert_current(
        "kubernetes/overlays/prometheus-operator/prometheusrule.yaml",
        &text,
    );
}
