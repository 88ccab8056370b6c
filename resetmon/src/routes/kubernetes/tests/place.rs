use super::*;

#[test]
fn where_a_gateway_runs() {
    let gateway = |published: &str| {
        let class = json!({"gatewayClassName": "c", "listeners": [{"name": "a", "port": 80}]});
        json!({"spec": class, "status": {"addresses": [{"value": published}]}})
    };
    let class = |controller: &str| {
        (
            Kind::GatewayClass,
            "c",
            json!({"spec": {"controllerName": controller}}),
        )
    };
    let pod = |labels: Value| {
        let metadata = json!({"uid": "u", "labels": labels});
        (
            Kind::Pod,
            "sys/proxy",
            json!({"metadata": metadata, "status": {"podIP": "10.0.0.7"}}),
        )
    };
    let balanced = |address: &str| {
        let [(_, _, mut service), (_, _, slice)] =
            service("sys/lb", "10.96.0.7", (80, 8000), &[("10.0.0.7", "proxy")]);
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        [
            (Kind::Service, "sys/lb", service),
            (Kind::EndpointSlice, "sys/lb-1", slice),
        ]
    };
    let here = Some("10.0.0.7:80");
    let forwarded = Some("10.0.0.7:8000");
    let name = "gateway.networking.k8s.io/gateway-name";
    let envoy = "gateway.envoyproxy.io/owning-gateway-name";
    let envoy_in = "gateway.envoyproxy.io/owning-gateway-namespace";
    for (rows, expected, known) in [
        (vec![pod(json!({name: "g"}))], here, true),
        (vec![pod(json!({name: "other"}))], None, false),
        (vec![pod(json!({envoy: "g", envoy_in: "sys"}))], here, true),
        (
            vec![pod(json!({envoy: "g", envoy_in: "other"}))],
            None,
            false,
        ),
        // By the controller's own label, if it is that controller.
        (
            vec![
                class("io.cilium/gateway-controller"),
                pod(json!({"k8s-app": "cilium-envoy"})),
            ],
            here,
            true,
        ),
        (
            vec![class("a.b/c"), pod(json!({"k8s-app": "cilium-envoy"}))],
            None,
            false,
        ),
        // By the address of a Service in front of it.
        (
            [vec![pod(json!({}))], balanced("203.0.113.7").to_vec()].concat(),
            forwarded,
            true,
        ),
        (
            [vec![pod(json!({}))], balanced("203.0.113.8").to_vec()].concat(),
            None,
            false,
        ),
        // On another node: nothing to do, nothing to say.
        (balanced("203.0.113.7").to_vec(), None, true),
    ] {
        let mut all = vec![(Kind::Gateway, "sys/g", gateway("203.0.113.7"))];
        all.extend(rows.clone());
        let view = ClusterView::of(&objects(&all));
        let found = view.gateways.first().map(|gateway| {
            let listeners: Vec<String> =
                gateway.listeners.iter().map(Listener::to_string).collect();
            listeners.join(" ")
        });
        assert_eq!(found.as_deref(), expected, "{rows:?}");
        assert_eq!(view.not_understood.is_empty(), known, "{view:?}");
    }
    // A pod with the node's network listens on all of the node's addresses.
    let mut hosted = pod(json!({name: "g"}));
    hosted.2["spec"] = json!({"hostNetwork": true});
    let view = ClusterView::of(&objects(&[(Kind::Gateway, "sys/g", gateway("x")), hosted]));
    assert_eq!(only(&view).listeners, [":80".parse().unwrap()]);
}
