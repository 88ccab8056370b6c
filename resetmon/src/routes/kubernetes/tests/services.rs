use super::*;

#[test]
fn odd_services() {
    let external = json!({"spec": {"type": "ExternalName", "externalName": "api.example.com"}});
    let bad = json!({"spec": {"type": "ExternalName", "externalName": "not a name"}});
    let two_ports = json!({"spec": {"clusterIP": "10.96.0.5", "ports": [
        {"name": "http", "port": 80}, {"name": "admin", "port": 81}, {"name": "dns", "port": 53, "protocol": "UDP"},
    ]}});
    let slice = |ports: Value| {
        json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "odd"}},
            "ports": ports,
            "endpoints": [{"addresses": ["10.0.0.5"]}],
        })
    };
    let named = slice(json!([{"name": "http", "port": 8080}, {"name": "admin", "port": 8081}]));
    for (service, slices, port, expected) in [
        (&external, vec![], 443, "shop/odd:443: api.example.com:443"),
        (&bad, vec![], 443, "shop/odd:443: "),
        (
            &two_ports,
            vec![named.clone()],
            80,
            "shop/odd:80: 10.0.0.5:8080 10.96.0.5:80",
        ),
        (
            &two_ports,
            vec![named.clone()],
            81,
            "shop/odd:81: 10.0.0.5:8081 10.96.0.5:81",
        ),
        (&two_ports, vec![named], 53, "shop/odd:53: "),
        // While pods are replaced, the target port of one name may differ from slice to slice.
        (
            &two_ports,
            vec![
                slice(json!([{"name": "http", "port": 8080}])),
                slice(json!([{"name": "http", "port": 9090}])),
            ],
            80,
            "shop/odd:80: 10.0.0.5:8080 10.0.0.5:9090 10.96.0.5:80",
        ),
        // No ports means all.
        (
            &two_ports,
            vec![slice(json!([{"name": "http", "port": null}]))],
            80,
            "shop/odd:80: 10.0.0.5:80 10.96.0.5:80",
        ),
        (
            &two_ports,
            vec![slice(Value::Null)],
            80,
            "shop/odd:80: 10.96.0.5:80",
        ),
    ] {
        let mut rows = vec![
            (Kind::Service, "shop/odd", service.clone()),
            (
                Kind::TcpRoute,
                "shop/r",
                attached(&json!([{"backendRefs": [to("odd", port)]}])),
            ),
        ];
        for (name, slice) in ["shop/odd-1", "shop/odd-2"].into_iter().zip(&slices) {
            rows.push((Kind::EndpointSlice, name, slice.clone()));
        }
        let view = ClusterView::of(&shop(&rows));
        assert_eq!(upstreams(only(&view)), [expected]);
    }
}
