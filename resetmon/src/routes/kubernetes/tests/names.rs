use super::*;

fn slice(endpoints: &Value) -> (Kind, &'static str, Value) {
    let labels = json!({"labels": {"kubernetes.io/service-name": "s"}});
    (
        Kind::EndpointSlice,
        "shop/s-1",
        json!({"metadata": labels, "endpoints": endpoints}),
    )
}

fn target(address: &str, pod: &str, node: &str) -> Value {
    json!({
        "addresses": [address], "nodeName": node,
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod},
    })
}

#[test]
fn names_of_addresses() {
    let objects = objects(&[
        (
            Kind::Pod,
            "shop/web-0",
            json!({
                "metadata": {"ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "x", "controller": true},
                ]},
                "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}]},
            }),
        ),
        (
            Kind::Pod,
            "shop/done",
            json!({"status": {"phase": "Succeeded", "podIP": "10.0.0.2"}}),
        ),
        (
            Kind::Pod,
            "sys/agent",
            json!({"spec": {"hostNetwork": true}, "status": {"podIP": "192.0.2.1"}}),
        ),
        (
            Kind::Node,
            "node-1",
            json!({"status": {"addresses": [
                {"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "node-1"},
            ]}}),
        ),
        (
            Kind::Service,
            "shop/pay",
            json!({
                "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "2001:db8:96::1"], "externalIPs": ["198.51.100.1"]},
                "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"hostname": "lb.example"}, {"ip": "192.0.2.1"}]}},
            }),
        ),
        slice(&json!([
            target("10.0.0.1", "web-0", "node-1"),
            target("10.0.1.1", "far", "node-2"),
            target("192.0.2.2", "host-a", "node-2"),
            target("192.0.2.2", "host-b", "node-2"),
            target("192.0.2.1", "host-c", "node-1"),
            {"addresses": ["203.0.113.99"]},
            {"addresses": ["db.example"], "targetRef": {"kind": "Pod", "name": "x"}},
        ])),
    ]);
    let names = AddressNames::of(&objects);
    for (address, expected) in [
        ("10.0.0.1", Some("shop/web-0 StatefulSet/web")),
        ("::ffff:10.0.0.1", Some("shop/web-0 StatefulSet/web")),
        ("2001:db8::1", Some("shop/web-0 StatefulSet/web")),
        ("10.0.0.2", None),
        ("10.0.1.1", Some("shop/far -")),
        ("10.96.0.1", Some("shop/pay -")),
        ("2001:db8:96::1", Some("shop/pay -")),
        ("198.51.100.1", Some("shop/pay -")),
        ("203.0.113.1", Some("shop/pay -")),
        // An address of a node, whatever else is there.
        ("192.0.2.1", Some("node-1 -")),
        // Of two pods, so that it must be their node's.
        ("192.0.2.2", Some("node-2 -")),
        ("203.0.113.99", None),
        ("10.0.0.3", None),
    ] {
        let found = names.get(address.parse().unwrap()).map(|found| {
            let workload = found.workload.as_deref().unwrap_or("-");
            format!("{} {workload}", found.name)
        });
        assert_eq!(found.as_deref(), expected, "{address}");
    }
}

#[test]
fn an_older_slice_names_its_node_elsewhere() {
    let endpoint = |pod: &str| {
        json!({
            "addresses": ["192.0.2.2"], "topology": {"kubernetes.io/hostname": "node-2"},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod},
        })
    };
    let names = AddressNames::of(&objects(&[slice(&json!([endpoint("a"), endpoint("b")]))]));
    let found = names.get("192.0.2.2".parse().unwrap()).unwrap();
    assert_eq!(&*found.name, "node-2");
}

#[test]
fn names_of_pods_and_containers() {
    let pods = PodNames::of(&objects(&[(
        Kind::Pod,
        "shop/web-0",
        json!({
            "metadata": {"uid": "u1", "annotations": {"kubernetes.io/config.hash": "h1"}},
            "status": {"containerStatuses": [{"name": "nginx", "containerID": "containerd://c1"}]},
        }),
    )]));
    for (id, uid, expected) in [
        ("c1", None, Some("shop/web-0 nginx")),
        ("c2", Some("u1"), Some("shop/web-0 -")),
        ("c2", Some("h1"), Some("shop/web-0 -")),
        ("c2", Some("u2"), None),
        ("c2", None, None),
        ("u1", None, None),
    ] {
        let found = pods.get(id, uid).map(|names| {
            let container = names.container.as_deref().unwrap_or("-");
            format!("{}/{} {container}", names.namespace, names.pod)
        });
        assert_eq!(found.as_deref(), expected, "{id} {uid:?}");
    }
}
