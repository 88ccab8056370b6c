//! What resetmon makes of the cluster.

use std::sync::Arc;
use std::time::Duration;

use resetmon::routes::kubernetes::kind::Kind;
use resetmon::routes::kubernetes::{Access, Cluster, ClusterView, Settings, Timing, start};
use serde_json::json;

use crate::control_plane::{ControlPlane, PATIENCE};
use crate::objects::{NODE, Objects, SLICES};

/// What the view says of gateways, one route and upstream a line.
pub(crate) const PAY: &str = "shop/web: shop/pay → shop/pay:80: 10.0.0.1:8080 10.96.0.10:80";
const CART: &str = "shop/web: shop/cart → shop/cart:80: 10.96.0.11:80 [2001:db8::2]:8080";
pub(crate) const SITE: [&str; 2] = [
    "public: shop/site /cart → shop/cart:80: 10.96.0.11:80 [2001:db8::2]:8080",
    "public: shop/site /pay → shop/pay:80: 10.0.0.1:8080 10.96.0.10:80",
];

pub(crate) fn shown(view: &ClusterView) -> Vec<String> {
    let mut lines = Vec::new();
    for gateway in &view.gateways {
        for route in &gateway.routes {
            let upstreams = gateway.upstreams.iter();
            for upstream in upstreams.filter(|one| route.upstreams.contains(&one.name)) {
                let mut endpoints: Vec<String> =
                    upstream.endpoints.iter().map(ToString::to_string).collect();
                endpoints.sort();
                lines.push(format!(
                    "{}: {} → {}: {}",
                    gateway.name,
                    route.name,
                    upstream.name,
                    endpoints.join(" ")
                ));
            }
        }
    }
    lines.sort();
    lines
}

/// Waits for a view of which `right` is true.
pub(crate) async fn until(
    watched: &mut Cluster,
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
    let view = tokio::time::timeout(PATIENCE, wanted).await;
    view.unwrap_or_else(|_| {
        let view = watched.view();
        panic!(
            "{what} did not come: {:#?} {:#?}",
            shown(&view),
            view.not_understood
        )
    })
}

/// Exactly these lines.
async fn until_shown(watched: &mut Cluster, what: &str, lines: &[&str]) -> Arc<ClusterView> {
    until(watched, what, |view| {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        shown(view) == lines
    })
    .await
}

fn name(view: &ClusterView, address: &str) -> Option<String> {
    let found = view.names.get(address.parse().unwrap());
    found.map(|found| found.name.to_string())
}

pub(crate) async fn a_real_api_server() {
    let mut plane = ControlPlane::start().await;
    let objects = Objects(plane.administrator().await);
    objects.install_gateway_api().await;
    let allowed = Kind::ALL.into_iter().filter(|kind| *kind != Kind::TcpRoute);
    objects.allow(&allowed.collect::<Vec<_>>()).await;
    objects.shop().await;

    let mut watched = start(Settings {
        node: NODE.into(),
        access: Access::Kubeconfig(plane.kubeconfig("resetmon")),
        timing: Timing {
            retry_first: Duration::from_millis(200),
            retry_last: Duration::from_secs(1),
            ..Timing::default()
        },
    })
    .unwrap();

    // Slices have no v1 here, two kinds are not installed, and one may not be read.
    let view = until(&mut watched, "everything", |view| view.complete).await;
    assert_eq!(shown(&view), [SITE[0], SITE[1], PAY]);
    let [note] = &view.not_understood[..] else {
        panic!("{:#?}", view.not_understood);
    };
    assert!(note.starts_with("TCPRoute: forbidden ("), "{note}");
    assert!(note.contains(&Kind::TcpRoute.rbac_rule()), "{note}");
    for (address, expected) in [
        ("10.96.0.10", Some("shop/pay")),
        ("10.0.0.1", Some("shop/pay-1")),
        ("192.0.2.1", Some(NODE)),
        ("10.0.0.9", Some("shop/envoy")),
        ("10.0.1.9", None),
    ] {
        assert_eq!(name(&view, address).as_deref(), expected, "{address}");
    }
    let names = view.pods.get("envoy-id", None).unwrap();
    assert_eq!((&*names.namespace, &*names.pod), ("shop", "envoy"));
    assert!(view.pods.get("envoy-elsewhere-id", None).is_none());

    // The rule is given.
    let rules =
        json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]});
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/resetmon";
    objects.change(role, rules).await;
    let all = [SITE[0], SITE[1], PAY, CART];
    let view = until_shown(&mut watched, "the other route", &all).await;
    assert_eq!(view.not_understood, Vec::<String>::new());

    // A pod comes, another goes.
    let endpoint =
        json!({"addresses": ["10.0.0.5"], "targetRef": {"kind": "Pod", "name": "pay-2"}});
    let slice = format!("{SLICES}/pay-1");
    objects
        .change(&slice, json!({"endpoints": [endpoint]}))
        .await;
    let moved = |line: &str| line.replace("10.0.0.1:8080", "10.0.0.5:8080");
    let (site, pay) = (moved(SITE[1]), moved(PAY));
    until_shown(&mut watched, "the new pod", &[SITE[0], &site, &pay, CART]).await;
    objects.delete("/api/v1/namespaces/shop/pods/nginx").await;
    until_shown(&mut watched, "the end of the controller", &[&pay, CART]).await;

    // The API server is killed: what was known stays.
    plane.kill_server();
    let failing = |view: &ClusterView| {
        let mut notes = view.not_understood.iter();
        notes.any(|note| note.contains("cannot be asked"))
    };
    let view = until(&mut watched, "word of its end", failing).await;
    assert_eq!(shown(&view), [CART, &*pay]);
    plane.start_server().await;
    let nginx = json!({"app.kubernetes.io/name": "ingress-nginx"});
    objects.pod("nginx-2", NODE, nginx, "10.0.0.8").await;
    let all = [SITE[0], &*site, &*pay, CART];
    until_shown(&mut watched, "what happened after it", &all).await;
    let well = |view: &ClusterView| view.not_understood.is_empty();
    until(&mut watched, "the all-clear", well).await;

    // Killed again, and its history is gone when it is back: watches expire (410).
    let path = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/pay";
    plane.kill_server();
    until(&mut watched, "word of its end", failing).await;
    // Some watches see these changes, others only find that their place in history is gone.
    plane.start_server().await;
    objects.delete(path).await;
    objects.route("HTTPRoute", "new", "pay").await;
    let revision = objects.revision().await;
    plane.forget_history(&revision);
    plane.kill_server();
    plane.start_server().await;
    let renamed = pay.replace("shop/pay →", "shop/new →");
    let all = [SITE[0], &*site, &*renamed, CART];
    until_shown(&mut watched, "the new list", &all).await;
    until(&mut watched, "the all-clear", well).await;
}
