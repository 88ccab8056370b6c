//! Routes of the Gateway API, all kinds alike.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{Key, or_default, port};
use crate::routes::kubernetes::kind::Kind;

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What it is attached to.
    pub parents: Vec<Parent>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// Parents that did not accept it.
    pub refusals: Vec<Refusal>,
}

/// What a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// `Gateway`, or another kind with its group.
    pub kind: Arc<str>,
    /// Its key.
    pub key: Key,
    /// Only this listener.
    pub section: Option<String>,
    /// Only listeners of this port.
    pub port: Option<u16>,
}

/// A parent that did not accept the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub parent: Parent,
    /// Why, in the controller's words.
    pub reason: String,
}

/// A rule of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name, where it has one, else its first match in short: `/api`.
    pub label: String,
    /// Where it sends requests, mirrors included.
    pub backends: Vec<Backend>,
}

/// A backend of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `Service`, or another kind with its group.
    pub kind: Arc<str>,
    /// Its key.
    pub key: Key,
    /// Port of the Service.
    pub port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
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
    parent_refs: Vec<Reference>,
    #[serde(deserialize_with = "or_default")]
    rules: Vec<RuleShape>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    group: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: String,
    section_name: Option<String>,
    port: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleShape {
    name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    matches: Vec<Match>,
    #[serde(deserialize_with = "or_default")]
    filters: Vec<Filter>,
    #[serde(deserialize_with = "or_default")]
    backend_refs: Vec<BackendRef>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BackendRef {
    #[serde(flatten)]
    reference: Reference,
    #[serde(deserialize_with = "or_default")]
    filters: Vec<Filter>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    request_mirror: Option<Mirror>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mirror {
    backend_ref: Reference,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Match {
    path: Option<Path>,
    method: Option<Method>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Path {
    r#type: Option<String>,
    value: Option<String>,
}

/// A verb of HTTP, or service and method of gRPC.
#[derive(Deserialize)]
#[serde(untagged)]
enum Method {
    Verb(String),
    Call {
        service: Option<String>,
        method: Option<String>,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    parents: Vec<ParentStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ParentStatus {
    parent_ref: Reference,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
}

pub(super) fn route(kind: Kind, metadata: &ObjectMeta, shape: Shape) -> Route {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let Shape { spec, status } = shape;
    Route {
        parents: spec
            .parent_refs
            .iter()
            .map(|reference| parent(namespace, reference))
            .collect(),
        rules: spec
            .rules
            .into_iter()
            .map(|shape| rule(kind, namespace, shape))
            .collect(),
        refusals: status
            .parents
            .iter()
            .filter_map(|status| {
                let refused = |condition: &&Condition| {
                    condition.r#type == "Accepted" && condition.status == "False"
                };
                let condition = status.conditions.iter().find(refused)?;
                Some(Refusal {
                    parent: parent(namespace, &status.parent_ref),
                    reason: format!("{}: {}", condition.reason, condition.message),
                })
            })
            .collect(),
    }
}

/// The kind alone where the group is the usual one.
fn kind_of(reference: &Reference, usual_group: &str, usual_kind: &str) -> Arc<str> {
    let group = reference.group.as_deref().unwrap_or(usual_group);
    let kind = reference.kind.as_deref().unwrap_or(usual_kind);
    if group == usual_group {
        Arc::from(kind)
    } else if group.is_empty() {
        Arc::from(format!("core/{kind}"))
    } else {
        Arc::from(format!("{group}/{kind}"))
    }
}

fn key_of(namespace: &str, reference: &Reference) -> Key {
    Key::new(
        reference.namespace.as_deref().unwrap_or(namespace),
        &reference.name,
    )
}

fn parent(namespace: &str, reference: &Reference) -> Parent {
    Parent {
        kind: kind_of(reference, GATEWAY_GROUP, "Gateway"),
        key: key_of(namespace, reference),
        section: reference
            .section_name
            .clone()
            .filter(|name| !name.is_empty()),
        port: reference.port.and_then(port),
    }
}

fn backend(namespace: &str, reference: &Reference) -> Backend {
    Backend {
        kind: kind_of(reference, "", "Service"),
        key: key_of(namespace, reference),
        port: reference.port.and_then(port),
    }
}

fn rule(kind: Kind, namespace: &str, shape: RuleShape) -> Rule {
    let mirrors = |filters: &[Filter]| -> Vec<Backend> {
        let mirrors = filters
            .iter()
            .filter_map(|filter| filter.request_mirror.as_ref());
        mirrors
            .map(|mirror| backend(namespace, &mirror.backend_ref))
            .collect()
    };
    let mut backends = Vec::new();
    for reference in &shape.backend_refs {
        backends.push(backend(namespace, &reference.reference));
        backends.extend(mirrors(&reference.filters));
    }
    backends.extend(mirrors(&shape.filters));
    let named = shape.name.filter(|name| !name.is_empty());
    Rule {
        label: named.unwrap_or_else(|| match kind {
            Kind::HttpRoute => http_label(shape.matches.first()),
            Kind::GrpcRoute => grpc_label(shape.matches.first()),
            _ => String::new(),
        }),
        backends,
    }
}

/// `/api`, `=/exact`, `~^/regex`; without a path every request.
fn http_label(first: Option<&Match>) -> String {
    let path = first.and_then(|first| first.path.as_ref());
    let value = path.and_then(|path| path.value.as_deref()).unwrap_or("/");
    let sign = match path.and_then(|path| path.r#type.as_deref()) {
        Some("Exact") => "=",
        Some("RegularExpression") => "~",
        _ => "",
    };
    match first.and_then(|first| first.method.as_ref()) {
        Some(Method::Verb(verb)) => format!("{verb} {sign}{value}"),
        _ => format!("{sign}{value}"),
    }
}

/// `/package.Service/Method`; `*` for any.
fn grpc_label(first: Option<&Match>) -> String {
    match first.and_then(|first| first.method.as_ref()) {
        Some(Method::Call { service, method }) => format!(
            "/{}/{}",
            service.as_deref().unwrap_or("*"),
            method.as_deref().unwrap_or("*")
        ),
        _ => "/".to_owned(),
    }
}
