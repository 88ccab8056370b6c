use super::*;

#[test]
fn ingresses() {
    let backend = |service: &str, port: Value| json!({"service": {"name": service, "port": port}});
    let by_name = || backend("pay", json!({"name": "p"}));
    let by_number = || backend("cart", json!({"number": 80}));
    let rule = |host: &str, paths: Value| json!({"host": host, "http": {"paths": paths}});
    let controller = [
        (
            Kind::IngressClass,
            "nginx",
            json!({
                "metadata": {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
                "spec": {"controller": "k8s.io/ingress-nginx"},
            }),
        ),
        (
            Kind::Pod,
            "sys/controller",
            json!({
                "metadata": {"uid": "u", "labels": {"app.kubernetes.io/name": "ingress-nginx"}},
                "spec": {"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 443}]}]},
                "status": {"podIP": "10.0.0.7"},
            }),
        ),
    ];
    for (spec, expected) in [
        (
            json!({"rules": [rule("a.example", json!([{"path": "/", "backend": by_name()}]))]}),
            &["shop/i → shop/pay:80"][..],
        ),
        (
            json!({"ingressClassName": "nginx", "rules": [
                rule("a.example", json!([{"path": "/pay", "backend": by_name()}, {"backend": by_number()}])),
            ]}),
            &["shop/i / → shop/cart:80", "shop/i /pay → shop/pay:80"],
        ),
        (
            json!({"rules": [
                rule("a.example", json!([{"path": "/", "backend": by_name()}])),
                rule("b.example", json!([{"path": "/", "backend": by_number()}])),
            ]}),
            &[
                "shop/i a.example/ → shop/pay:80",
                "shop/i b.example/ → shop/cart:80",
            ],
        ),
        (
            json!({"defaultBackend": by_number()}),
            &["shop/i → shop/cart:80"],
        ),
        (
            json!({"defaultBackend": by_number(), "rules": [
                {"http": {"paths": [{"path": "/x", "backend": by_name()}]}},
            ]}),
            &["shop/i /x → shop/pay:80", "shop/i default → shop/cart:80"],
        ),
        (json!({"rules": [rule("a.example", Value::Null)]}), &[]),
    ] {
        let mut rows = controller.to_vec();
        rows.push((Kind::Ingress, "shop/i", json!({"spec": spec})));
        let view = ClusterView::of(&shop(&rows));
        let gateway = view
            .gateways
            .iter()
            .find(|gateway| &*gateway.name == "nginx");
        let gateway = gateway.unwrap();
        assert_eq!(routes(gateway), expected, "{spec}");
        let listeners: Vec<String> = gateway.listeners.iter().map(Listener::to_string).collect();
        assert_eq!(listeners, ["10.0.0.7:80", "10.0.0.7:443"]);
        assert_eq!(gateway.processes, [ProcessPattern::Pod("u".into())]);
    }
    // Of a class that is not served here, of none at all, and with a backend that is no Service.
    let other = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "other"}}});
    let view = ClusterView::of(&objects(&[(Kind::Ingress, "shop/i", other)]));
    assert_eq!(view.gateways, []);
    assert!(
        view.not_understood[0].starts_with("ingress class other: nothing tells"),
        "{view:?}"
    );
    let view = ClusterView::of(&objects(&[(Kind::Ingress, "shop/i", json!({}))]));
    assert!(
        view.not_understood[0].contains("names no class"),
        "{view:?}"
    );
    let bucket = json!({"spec": {"defaultBackend": {"resource": {"kind": "Bucket", "name": "b"}}}});
    let mut rows = controller.to_vec();
    rows.push((Kind::Ingress, "shop/i", bucket));
    let view = ClusterView::of(&objects(&rows));
    let expected = ["Ingress shop/i: the backend Bucket b is not read"];
    assert_eq!(only(&view).not_understood, expected);
}
