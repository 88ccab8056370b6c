//! Kubernetes by watch, against a stand-in for the API server: what a real one does at its start,
//! at its end, and when it is asked for what it does not have.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use resetmon::routes::kubernetes::{
    Access, Cluster as Watched, ClusterView, Settings, Timing, start,
};
use serde_json::{Value, json};

use crate::program::free_port;

mod api;

use api::{Cluster, Server};

const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const OLD_SLICES: &str = "/apis/discovery.k8s.io/v1beta1/endpointslices";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";
const CLASSES: &str = "/apis/networking.k8s.io/v1/ingressclasses";
const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/gateways";
const GATEWAY_CLASSES: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
const HTTP_ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
const TCP_ROUTES: &str = "/apis/gateway.networking.k8s.io/v1alpha2/tcproutes";

const BUILT_IN: &[&str] = &[PODS, NODES, SERVICES, SLICES, INGRESSES, CLASSES];

/// As short as a loaded machine allows: nothing here waits for these times to pass.
fn timing() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        quiet: millis(50),
        latest: millis(500),
        retry_first: millis(20),
        retry_last: millis(200),
        settled: millis(300),
        absent_first: millis(50),
        absent_later: millis(100),
    }
}

/// What is watched at `port`.
fn watched(port: u16, folder: &Path) -> Watched {
    let path = folder.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, \
         clusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}], \
         users: [{{name: u, user: {{token: t}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    );
    std::fs::write(&path, text).unwrap();
    let settings = Settings {
        node: "node-1".into(),
        access: Access::Kubeconfig(path),
        timing: timing(),
    };
    start(settings).unwrap()
}

/// Waits for a view of which `right` is true.
async fn until(
    watched: &mut Watched,
    what: &str,
    right: impl Fn(&ClusterView) -> bool,
) -> Arc<ClusterView> {
    let wanted = async {
        let mut view = watched.view();
        while !right(&view) {
            view = watched.next().await;
        }
        view
    };
    let view = tokio::time::timeout(Duration::from_secs(60), wanted).await;
    view.unwrap_or_else(|_| panic!("{what} did not come: {:?}", watched.view()))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

fn service(cluster_ip: &str) -> Value {
    json!({"spec": {"clusterIP": cluster_ip, "ports": [{"port": 80}]}})
}

fn slice(service: &str, pods: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(address, pod)| {
            json!({"addresses": [address], "targetRef": {"kind": "Pod", "name": pod}})
        })
        .collect();
    json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "ports": [{"port": 8080}],
        "endpoints": endpoints,
    })
}

fn route(service: &str) -> Value {
    json!({"spec": {
        "parentRefs": [{"name": "web"}],
        "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
    }})
}

/// A node with a Gateway, two Services and their pods.
fn shop() -> Cluster {
    let cluster = Cluster::default();
    cluster.install(BUILT_IN);
    cluster.install(&[GATEWAYS, GATEWAY_CLASSES, HTTP_ROUTES, TCP_ROUTES]);
    let node = json!({"status": {"addresses": [{"address": "192.0.2.1"}]}});
    cluster.apply(NODES, "node-1", node);
    cluster.apply(
        PODS,
        "shop/envoy",
        json!({
            "metadata": {"uid": "u1", "labels": {"gateway.networking.k8s.io/gateway-name": "web"}},
            "status": {
                "podIP": "10.0.0.9",
                "containerStatuses": [{"name": "envoy", "containerID": "containerd://c1"}],
            },
        }),
    );
    cluster.apply(
        GATEWAYS,
        "shop/web",
        json!({"spec": {"gatewayClassName": "c", "listeners": [{"name": "http", "port": 80}]}}),
    );
    cluster.apply(SERVICES, "shop/pay", service("10.96.0.1"));
    cluster.apply(SERVICES, "shop/cart", service("2001:db8:96::2"));
    cluster.apply(SERVICES, "shop/more", service("None"));
    cluster.apply(SLICES, "shop/pay-1", slice("pay", &[("10.0.0.1", "pay-1")]));
    cluster.apply(
        SLICES,
        "shop/cart-1",
        slice("cart", &[("2001:db8::2", "cart-1")]),
    );
    cluster.apply(HTTP_ROUTES, "shop/pay", route("pay"));
    cluster.apply(TCP_ROUTES, "shop/cart", route("cart"));
    cluster
}

/// `route → upstream: endpoints`, one a line.
fn shown(view: &ClusterView) -> Vec<String> {
    let mut lines = Vec::new();
    for gateway in &view.gateways {
        for route in &gateway.routes {
            let upstreams = gateway.upstreams.iter();
            for upstream in upstreams.filter(|one| route.upstreams.contains(&one.name)) {
                let endpoints: Vec<String> =
                    upstream.endpoints.iter().map(ToString::to_string).collect();
                let endpoints = endpoints.join(" ");
                lines.push(format!("{} → {}: {endpoints}", route.name, upstream.name));
            }
        }
    }
    lines
}

const PAY: &str = "shop/pay → shop/pay:80: 10.0.0.1:8080 10.96.0.1:80";
const CART: &str = "shop/cart → shop/cart:80: [2001:db8:96::2]:80 [2001:db8::2]:8080";

#[test]
fn objects_come_and_go() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (shop(), free_port());
        let _server = Server::start(&cluster, port);
        let mut watched = watched(port, folder.path());
        let view = until(&mut watched, "both routes", |view| {
            shown(view) == [CART, PAY]
        })
        .await;
        assert_eq!(view.not_understood, Vec::<String>::new());
        let name = |view: &ClusterView, address: &str| {
            let found = view.names.get(address.parse().unwrap());
            found.map_or("-".to_owned(), |found| found.name.to_string())
        };
        assert_eq!(name(&view, "10.0.0.1"), "shop/pay-1");
        assert_eq!(name(&view, "2001:db8:96::2"), "shop/cart");
        assert_eq!(name(&view, "192.0.2.1"), "node-1");
        let names = view.pods.get("c1", None).unwrap();
        assert_eq!(names.container.as_deref(), Some("envoy"));
        // Of pods only this node's are asked for, of lists every page.
        assert_eq!(
            cluster.requests(PODS),
            cluster.requests("spec.nodeName%3Dnode-1")
        );
        assert!(!cluster.requests("continue=2").is_empty());

        cluster.apply(SLICES, "shop/pay-1", slice("pay", &[("10.0.0.5", "pay-2")]));
        let moved = "shop/pay → shop/pay:80: 10.0.0.5:8080 10.96.0.1:80";
        let view = until(&mut watched, "the new pod", |view| {
            shown(view) == [CART, moved]
        })
        .await;
        assert_eq!(name(&view, "10.0.0.5"), "shop/pay-2");
        assert_eq!(name(&view, "10.0.0.1"), "-");
        cluster.delete(TCP_ROUTES, "shop/cart");
        until(&mut watched, "the end of the route", |view| {
            shown(view) == [moved]
        })
        .await;
        cluster.delete(PODS, "shop/envoy");
        until(&mut watched, "the end of the gateway", |view| {
            view.gateways.is_empty()
        })
        .await;
    });
}

#[test]
fn the_api_server_is_away() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (shop(), free_port());
        let mut watched = watched(port, folder.path());
        let failing = |view: &ClusterView| {
            let notes = &view.not_understood;
            notes.iter().any(|note| note.contains("cannot be asked"))
        };
        // Absent at the start.
        until(&mut watched, "word of its absence", failing).await;
        let server = Server::start(&cluster, port);
        let well = |view: &ClusterView| view.not_understood.is_empty();
        let both = |view: &ClusterView| shown(view) == [CART, PAY];
        until(&mut watched, "both routes", |view| both(view) && well(view)).await;

        // Killed: what was known stays.
        drop(server);
        let view = until(&mut watched, "word of its end", failing).await;
        assert!(both(&view), "{view:?}");
        cluster.apply(SERVICES, "shop/pay", service("10.96.0.7"));
        cluster.delete(TCP_ROUTES, "shop/cart");
        let lists = cluster.requests("LIST").len();
        let server = Server::start(&cluster, port);
        let changed = "shop/pay → shop/pay:80: 10.0.0.1:8080 10.96.0.7:80";
        let after = |view: &ClusterView| shown(view) == [changed];
        until(&mut watched, "what happened meanwhile", after).await;
        until(&mut watched, "the all-clear", well).await;
        // Watches were taken up where they were.
        let again = &cluster.requests("LIST")[lists..];
        assert!(
            !again.iter().any(|line| line.contains(SERVICES)),
            "{again:?}"
        );

        // Killed, and without memory of what happened meanwhile.
        drop(server);
        cluster.delete(HTTP_ROUTES, "shop/pay");
        cluster.compact();
        cluster.apply(HTTP_ROUTES, "shop/new", route("pay"));
        let lists = cluster.requests("LIST").len();
        let _server = Server::start(&cluster, port);
        let renamed = changed.replace("shop/pay →", "shop/new →");
        until(&mut watched, "the new list", |view| {
            shown(view) == [&*renamed]
        })
        .await;
        let again = &cluster.requests("LIST")[lists..];
        assert!(
            again.iter().any(|line| line.contains(HTTP_ROUTES)),
            "{again:?}"
        );
    });
}

#[test]
fn connections_break() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (shop(), free_port());
        let _server = Server::start(&cluster, port);
        let mut watched = watched(port, folder.path());
        until(&mut watched, "both routes", |view| {
            shown(view) == [CART, PAY]
        })
        .await;
        for number in 0..4 {
            cluster.hang_up();
            let cluster_ip = format!("10.96.1.{number}");
            cluster.apply(SERVICES, "shop/pay", service(&cluster_ip));
            let changed = format!("shop/pay → shop/pay:80: 10.0.0.1:8080 {cluster_ip}:80");
            until(&mut watched, &changed, |view| {
                shown(view) == [CART, &*changed]
            })
            .await;
        }
    });
}

#[test]
fn kinds_are_installed_later() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (Cluster::default(), free_port());
        cluster.install(BUILT_IN);
        cluster.apply(NODES, "node-1", json!({}));
        cluster.apply(SERVICES, "shop/pay", service("10.96.0.1"));
        let _server = Server::start(&cluster, port);
        let mut watched = watched(port, folder.path());
        let named = |view: &ClusterView| view.names.get("10.96.0.1".parse().unwrap()).is_some();
        let view = until(&mut watched, "the Service", named).await;
        // Nothing is wrong with a cluster that has no Gateway API.
        assert_eq!(view.not_understood, Vec::<String>::new());
        let whole = shop();
        for collection in [PODS, SERVICES, SLICES, GATEWAYS, HTTP_ROUTES, TCP_ROUTES] {
            whole.copy(collection, &cluster);
        }
        until(&mut watched, "both routes", |view| {
            shown(view) == [CART, PAY]
        })
        .await;
    });
}

#[test]
fn an_older_cluster_has_slices_in_another_version() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (shop(), free_port());
        cluster.remove(SLICES);
        cluster.apply(
            OLD_SLICES,
            "shop/pay-1",
            slice("pay", &[("10.0.0.1", "pay-1")]),
        );
        cluster.apply(
            OLD_SLICES,
            "shop/cart-1",
            slice("cart", &[("2001:db8::2", "cart-1")]),
        );
        let _server = Server::start(&cluster, port);
        let mut watched = watched(port, folder.path());
        until(&mut watched, "both routes", |view| {
            shown(view) == [CART, PAY]
        })
        .await;
    });
}

#[test]
fn what_is_forbidden_is_named_and_the_rest_works() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, port) = (shop(), free_port());
        cluster.refuse(TCP_ROUTES, Some(403));
        let _server = Server::start(&cluster, port);
        let mut watched = watched(port, folder.path());
        let view = until(&mut watched, "the other route", |view| {
            shown(view) == [PAY] && !view.not_understood.is_empty()
        })
        .await;
        let note = &view.not_understood[0];
        assert!(note.starts_with("TCPRoute: forbidden ("), "{note}");
        assert!(
            note.contains("resources: [\"tcproutes\"], verbs: [\"list\", \"watch\"]"),
            "{note}"
        );
        // The rule is given, then taken away: what was known stays.
        cluster.refuse(TCP_ROUTES, None);
        until(&mut watched, "both routes", |view| {
            shown(view) == [CART, PAY] && view.not_understood.is_empty()
        })
        .await;
        cluster.refuse(TCP_ROUTES, Some(403));
        let view = until(&mut watched, "word of it", |view| {
            !view.not_understood.is_empty()
        })
        .await;
        assert_eq!(shown(&view), [CART, PAY]);
    });
}

#[test]
fn without_kubernetes_nothing_is_started() {
    run(async {
        let mut none = start(Settings::default()).unwrap();
        assert_eq!(*none.view(), ClusterView::default());
        let pending = tokio::time::timeout(Duration::from_millis(50), none.next()).await;
        assert!(pending.is_err());
    });
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let command = "{apiVersion: v1, kind: Config, current-context: c, \
             clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}], \
             users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/false}}}], \
             contexts: [{name: c, context: {cluster: c, user: u}}]}";
        for (text, part) in [
            (None, "cannot be used"),
            (Some("{"), "cannot be used"),
            (Some("{apiVersion: v1, kind: Config}"), "cannot be used"),
            (Some(command), "resetmon runs none"),
        ] {
            let path = folder.path().join("kubeconfig");
            let _ = std::fs::remove_file(&path);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let settings = Settings {
                access: Access::Kubeconfig(path),
                ..Settings::default()
            };
            let mut watched = start(settings).unwrap();
            let view = until(&mut watched, part, |view| !view.not_understood.is_empty()).await;
            let note = &view.not_understood[0];
            assert!(note.contains(part) && note.contains("kubeconfig"), "{note}");
        }
    });
}
