//! What the cluster has, made and changed as its administrator would.

use hyper::Request;
use kube::Client;
use resetmon::routes::kubernetes::kind::Kind;
use serde_json::{Value, json};

/// The node that the tests are on.
pub(crate) const NODE: &str = "node-1";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// The API of the cluster, for its administrator.
pub(crate) struct Objects(pub(crate) Client);

/// A kind that the server does not bring, with any fields.
pub(crate) struct Definition {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    /// `Cluster` or `Namespaced`.
    pub(crate) scope: &'static str,
    pub(crate) version: &'static str,
}

impl Objects {
    /// One request; only success is no failure.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body.to_string().into_bytes())
            .unwrap();
        let answer = self.0.request::<Value>(request).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null).await
    }

    /// Makes `object` in the collection at `path`, with its `status`, which has a door of its own.
    pub(crate) async fn create(&self, path: &str, object: Value) {
        self.ask("POST", path, &object).await;
        let name = object["metadata"]["name"].as_str().unwrap();
        if let Some(status) = object.get("status") {
            let path = format!("{path}/{name}/status");
            self.ask("PATCH", &path, &json!({"status": status})).await;
        }
    }

    pub(crate) async fn change(&self, path: &str, change: Value) {
        self.ask("PATCH", path, &change).await;
    }

    /// At once: there is no kubelet that would end a pod.
    pub(crate) async fn delete(&self, path: &str) {
        self.ask("DELETE", path, &json!({"gracePeriodSeconds": 0}))
            .await;
    }

    /// The revision of the whole cluster at the moment.
    pub(crate) async fn revision(&self) -> String {
        let list = self.ask("GET", "/api/v1/namespaces", &Value::Null).await;
        let revision = list["metadata"]["resourceVersion"].as_str();
        revision.unwrap().to_owned()
    }

    /// Installs the Gateway API as far as it is used here; two kinds of its routes are not there.
    pub(crate) async fn install_gateway_api(&self) {
        for (kind, plural, scope, version) in [
            ("GatewayClass", "gatewayclasses", "Cluster", "v1"),
            ("Gateway", "gateways", "Namespaced", "v1"),
            ("HTTPRoute", "httproutes", "Namespaced", "v1"),
            ("TCPRoute", "tcproutes", "Namespaced", "v1alpha2"),
        ] {
            self.define(&Definition {
                group: GATEWAY,
                kind,
                plural,
                scope,
                version,
            })
            .await;
        }
    }

    /// Makes a kind known to the server.
    pub(crate) async fn define(&self, kind: &Definition) {
        let Definition {
            group,
            plural,
            version,
            ..
        } = kind;
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                // Groups below k8s.io are reviewed.
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
            },
            "spec": {
                "group": group,
                "scope": kind.scope,
                "names": {
                    "kind": kind.kind, "plural": plural, "singular": kind.kind.to_lowercase(),
                },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": anything},
                }],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        self.create(path, definition).await;
        self.until_served(&format!("/apis/{group}/{version}/{plural}"))
            .await;
    }

    async fn until_served(&self, path: &str) {
        let end = std::time::Instant::now() + super::control_plane::PATIENCE;
        loop {
            let request = Request::get(path).body(Vec::new()).unwrap();
            match self.0.request::<Value>(request).await {
                Ok(_) => return,
                Err(error) => assert!(std::time::Instant::now() < end, "{path}: {error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Lets resetmon list and watch these kinds and nothing else.
    pub(crate) async fn allow(&self, kinds: &[Kind]) {
        let rules: Vec<Value> = kinds
            .iter()
            .map(|kind| {
                json!({
                    "apiGroups": [kind.group()],
                    "resources": [kind.plural()],
                    "verbs": ["list", "watch"],
                })
            })
            .collect();
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        let role = json!({"metadata": {"name": "resetmon"}, "rules": rules});
        self.create(path, role).await;
        let binding = json!({
            "metadata": {"name": "resetmon"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "resetmon",
            },
            "subjects": [{
                "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "resetmon",
            }],
        });
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        self.create(path, binding).await;
    }

    pub(crate) async fn service(&self, name: &str, cluster_ip: &str) {
        let service = json!({
            "metadata": {"name": name},
            "spec": {"clusterIP": cluster_ip, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        self.create("/api/v1/namespaces/shop/services", service)
            .await;
    }

    /// The pods behind a Service, in the only version that the server has.
    pub(crate) async fn slice(&self, service: &str, family: &str, address: &str, pod: &str) {
        let slice = json!({
            "metadata": {
                "name": format!("{service}-1"),
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": family,
            "ports": [{"name": "", "port": 8080}],
            "endpoints": [{
                "addresses": [address],
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod},
            }],
        });
        self.create(SLICES, slice).await;
    }

    /// A pod that runs, as a kubelet would report it.
    pub(crate) async fn pod(&self, name: &str, node: &str, labels: Value, address: &str) {
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "proxy", "image": "none", "ports": [{"containerPort": 8000}]}],
            },
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "containerStatuses": [{
                    "name": "proxy", "image": "none", "imageID": "", "ready": true,
                    "restartCount": 0, "containerID": format!("containerd://{name}-id"),
                    "state": {"running": {}},
                }],
            },
        });
        self.create("/api/v1/namespaces/shop/pods", pod).await;
    }

    /// A shop with a Gateway and an ingress class on this node.
    pub(crate) async fn shop(&self) {
        self.create("/api/v1/namespaces", json!({"metadata": {"name": "shop"}}))
            .await;
        let addresses = json!([{"type": "InternalIP", "address": "192.0.2.1"}]);
        let node = json!({"metadata": {"name": NODE}, "status": {"addresses": addresses}});
        self.create("/api/v1/nodes", node).await;
        let web = json!({"gateway.networking.k8s.io/gateway-name": "web"});
        self.pod("envoy", NODE, web.clone(), "10.0.0.9").await;
        self.pod("envoy-elsewhere", "node-2", web, "10.0.1.9").await;
        let nginx = json!({"app.kubernetes.io/name": "ingress-nginx"});
        self.pod("nginx", NODE, nginx, "10.0.0.8").await;
        self.service("pay", "10.96.0.10").await;
        self.service("cart", "10.96.0.11").await;
        self.slice("pay", "IPv4", "10.0.0.1", "pay-1").await;
        self.slice("cart", "IPv6", "2001:db8::2", "cart-1").await;
        let group = "/apis/gateway.networking.k8s.io";
        self.create(
            &format!("{group}/v1/gatewayclasses"),
            json!({
                "apiVersion": format!("{GATEWAY}/v1"), "kind": "GatewayClass",
                "metadata": {"name": "envoy"}, "spec": {"controllerName": "example.com/envoy"},
            }),
        )
        .await;
        self.create(
            &format!("{group}/v1/namespaces/shop/gateways"),
            json!({
                "apiVersion": format!("{GATEWAY}/v1"), "kind": "Gateway",
                "metadata": {"name": "web"},
                "spec": {
                    "gatewayClassName": "envoy",
                    "listeners": [{"name": "http", "port": 8000, "protocol": "HTTP"}],
                },
            }),
        )
        .await;
        self.route("HTTPRoute", "pay", "pay").await;
        self.route("TCPRoute", "cart", "cart").await;
        let networking = "/apis/networking.k8s.io/v1";
        self.create(
            &format!("{networking}/ingressclasses"),
            json!({
                "metadata": {"name": "public"},
                "spec": {"controller": "k8s.io/ingress-nginx"},
            }),
        )
        .await;
        let backend = |service: &str| json!({"service": {"name": service, "port": {"number": 80}}});
        let path = |path: &str, service: &str| json!({"path": path, "pathType": "Prefix", "backend": backend(service)});
        self.create(
            &format!("{networking}/namespaces/shop/ingresses"),
            json!({
                "metadata": {"name": "site"},
                "spec": {
                    "ingressClassName": "public",
                    "rules": [{
                        "host": "shop.example.com",
                        "http": {"paths": [path("/pay", "pay"), path("/cart", "cart")]},
                    }],
                },
            }),
        )
        .await;
    }

    /// A route of the Gateway to a Service.
    pub(crate) async fn route(&self, kind: &str, name: &str, service: &str) {
        let version = if kind == "HTTPRoute" {
            "v1"
        } else {
            "v1alpha2"
        };
        let plural = format!("{}s", kind.to_lowercase());
        let route = json!({
            "apiVersion": format!("{GATEWAY}/{version}"), "kind": kind,
            "metadata": {"name": name},
            "spec": {
                "parentRefs": [{"name": "web"}],
                "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
            },
        });
        let path = format!("/apis/{GATEWAY}/{version}/namespaces/shop/{plural}");
        self.create(&path, route).await;
    }
}

/// Where the slices of the shop are.
pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1beta1/namespaces/shop/endpointslices";
