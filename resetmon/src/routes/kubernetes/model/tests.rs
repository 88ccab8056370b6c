use serde_json::{Value, json};

use super::*;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn pod_of(value: Value) -> Pod {
    match parse(Kind::Pod, &object(value)).unwrap() {
        Body::Pod(pod) => pod,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_made_a_pod() {
    let hash = json!({"pod-template-hash": "5d8f7c9b4"});
    for (name, labels, owners, expected) in [
        (
            "web-5d8f7c9b4-x2x4z",
            &hash,
            json!([{"kind": "ReplicaSet", "name": "web-5d8f7c9b4", "controller": true}]),
            Some("Deployment/web"),
        ),
        (
            "web-x2x4z",
            &json!({}),
            json!([{"kind": "ReplicaSet", "name": "web-5d8f7c9b4", "controller": true}]),
            Some("ReplicaSet/web-5d8f7c9b4"),
        ),
        (
            "web-x2x4z",
            &json!({"pod-template-hash": "c9b4"}),
            json!([{"kind": "ReplicaSet", "name": "web-5d8f7c9b4", "controller": true}]),
            Some("ReplicaSet/web-5d8f7c9b4"),
        ),
        (
            "db-0",
            &json!({}),
            json!([{"kind": "StatefulSet", "name": "db", "controller": true}]),
            Some("StatefulSet/db"),
        ),
        (
            "log-abcde",
            &json!({}),
            json!([{"kind": "DaemonSet", "name": "log", "controller": true}]),
            Some("DaemonSet/log"),
        ),
        (
            "pay-29381230-abcde",
            &json!({}),
            json!([{"kind": "Job", "name": "pay-29381230", "controller": true}]),
            Some("CronJob/pay"),
        ),
        (
            "pay-2-abcde",
            &json!({}),
            json!([{"kind": "Job", "name": "pay-2", "controller": true}]),
            Some("Job/pay-2"),
        ),
        (
            "x",
            &json!({}),
            json!([{"kind": "Job", "name": "-29381230", "controller": true}]),
            Some("Job/-29381230"),
        ),
        (
            "etcd-node-1",
            &json!({}),
            json!([{"kind": "Node", "name": "node-1", "controller": true}]),
            Some("Pod/etcd"),
        ),
        // The controller counts among several owners, else the first.
        (
            "x",
            &json!({}),
            json!([{"kind": "Foo", "name": "a"}, {"kind": "Bar", "name": "b", "controller": true}]),
            Some("Bar/b"),
        ),
        (
            "x",
            &json!({}),
            json!([{"kind": "Foo", "name": "a"}, {"kind": "Bar", "name": "b"}]),
            Some("Foo/a"),
        ),
        ("x", &json!({}), json!([]), None),
        ("x", &json!({}), Value::Null, None),
    ] {
        let mut owners = owners;
        for owner in owners.as_array_mut().into_iter().flatten() {
            owner["apiVersion"] = json!("v1");
            owner["uid"] = json!("u");
        }
        let pod = pod_of(json!({
            "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
            "spec": {"nodeName": "node-1"},
        }));
        assert_eq!(pod.workload.as_deref(), expected, "{name}");
    }
}

#[test]
fn pods() {
    let pod = pod_of(json!({
        "metadata": {
            "name": "web-0", "namespace": "shop", "uid": "u1",
            "annotations": {"kubernetes.io/config.hash": "h1"},
        },
        "spec": {
            "containers": [
                {"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]},
                {"name": "b", "ports": null},
                {"name": "c", "ports": [{"containerPort": 0}, {"containerPort": 70000}]},
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}, {"ip": "none"}],
            "initContainerStatuses": [{"name": "init", "containerID": "containerd://i1"}],
            "containerStatuses": [
                {
                    "name": "a", "containerID": "containerd://c2",
                    "lastState": {"terminated": {"containerID": "containerd://c1"}},
                },
                {"name": "b", "containerID": null, "lastState": {}},
                {"name": "c", "containerID": "cri-o://"},
            ],
        },
    }));
    let containers: Vec<_> = pod
        .containers
        .iter()
        .map(|(id, name)| format!("{id} {name}"))
        .collect();
    assert_eq!(containers, ["c2 a", "c1 a", "i1 init"]);
    let uids: Vec<&str> = pod.uids.iter().map(|uid| &**uid).collect();
    assert_eq!(uids, ["u1", "h1"]);
    let addresses: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(pod.addresses, addresses);
    assert_eq!(pod.ports, [80]);
    assert!(!pod.finished && !pod.host_network);
    for (phase, finished) in [("Succeeded", true), ("Failed", true), ("Pending", false)] {
        let pod = pod_of(json!({"metadata": {"name": "x"}, "status": {"phase": phase}}));
        assert_eq!(pod.finished, finished, "{phase}");
    }
}

#[test]
fn every_kind_may_be_empty_or_null() {
    for kind in Kind::ALL {
        for value in [
            json!({"metadata": {"name": "x"}}),
            json!({"metadata": {"name": "x"}, "spec": null, "status": null}),
            json!({"metadata": {"name": "x"}, "spec": {}, "status": {}}),
            json!({"metadata": {"name": "x"}, "endpoints": null, "ports": null}),
            json!({
                "metadata": {"name": "x"},
                "spec": {"rules": null, "ports": null, "parentRefs": null, "listeners": null},
                "status": {"addresses": null, "parents": null, "loadBalancer": null, "podIPs": null},
            }),
        ] {
            assert_eq!(
                parse(kind, &object(value.clone())).err(),
                None,
                "{kind} {value}"
            );
        }
    }
}

#[test]
fn another_shape_is_named() {
    for (kind, value, part) in [
        (Kind::Pod, json!({"spec": 7}), "invalid type: integer `7`"),
        (
            Kind::Service,
            json!({"spec": {"ports": "http"}}),
            "invalid type: string",
        ),
        (
            Kind::Ingress,
            json!({"spec": {"defaultBackend": {}}}),
            "neither service nor resource",
        ),
        (
            Kind::Ingress,
            json!({"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 0}}}}}),
            "backend x has no port",
        ),
        (
            Kind::Ingress,
            json!({"spec": {"rules": [{"http": {"paths": [{"path": "/"}]}}]}}),
            "missing field `backend`",
        ),
    ] {
        let mut whole = json!({"metadata": {"name": "x"}});
        whole["spec"] = value["spec"].clone();
        let error = parse(kind, &object(whole)).unwrap_err();
        assert!(error.contains(part), "{kind}: {error}");
    }
}

#[test]
fn labels_of_rules() {
    for (kind, rule, expected) in [
        (Kind::HttpRoute, json!({}), "/"),
        (Kind::HttpRoute, json!({"matches": [{}]}), "/"),
        (
            Kind::HttpRoute,
            json!({"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}, {"path": {"value": "/b"}}]}),
            "/api",
        ),
        (
            Kind::HttpRoute,
            json!({"matches": [{"path": {"type": "Exact", "value": "/api"}, "method": "POST"}]}),
            "POST =/api",
        ),
        (
            Kind::HttpRoute,
            json!({"matches": [{"path": {"type": "RegularExpression", "value": "/v[12]"}}]}),
            "~/v[12]",
        ),
        (
            Kind::HttpRoute,
            json!({"name": "pay", "matches": [{"path": {"value": "/b"}}]}),
            "pay",
        ),
        (
            Kind::GrpcRoute,
            json!({"matches": [{"method": {"service": "shop.Pay", "method": "Do"}}]}),
            "/shop.Pay/Do",
        ),
        (
            Kind::GrpcRoute,
            json!({"matches": [{"method": {"service": "shop.Pay"}}]}),
            "/shop.Pay/*",
        ),
        (
            Kind::GrpcRoute,
            json!({"matches": [{"method": {"method": "Do"}}]}),
            "/*/Do",
        ),
        (Kind::GrpcRoute, json!({}), "/"),
        (Kind::TcpRoute, json!({}), ""),
        (Kind::TlsRoute, json!({"name": "tls"}), "tls"),
    ] {
        let route = object(json!({"metadata": {"name": "x"}, "spec": {"rules": [rule]}}));
        let Body::Route(route) = parse(kind, &route).unwrap() else {
            panic!("no route")
        };
        assert_eq!(route.rules[0].label, expected, "{kind} {rule}");
    }
}
