use serde_json::{Value, json};

use super::objects::Change;
use super::*;
use crate::routes::address::Listener;
use crate::routes::table::{ProcessPattern, Upstream};

mod ingress;
mod names;
mod place;
mod services;
mod setting;

/// Objects of these kinds, `namespace/name` with the rest of the object.
fn objects(rows: &[(Kind, &str, Value)]) -> Objects {
    let mut objects = Objects::default();
    for (kind, name, rest) in rows {
        objects.apply(*kind, Change::Apply(object(name, rest)));
    }
    objects
}

fn object(name: &str, rest: &Value) -> Box<kube::core::DynamicObject> {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let mut whole = rest.clone();
    if whole.get("metadata").is_none() {
        whole["metadata"] = json!({});
    }
    whole["metadata"]["name"] = json!(name);
    if !namespace.is_empty() {
        whole["metadata"]["namespace"] = json!(namespace);
    }
    Box::new(serde_json::from_value(whole).unwrap())
}

/// A Service and its slice: each endpoint is `address pod`.
fn service(
    name: &str,
    cluster: &str,
    (port, target): (u16, u16),
    endpoints: &[(&str, &str)],
) -> [(Kind, String, Value); 2] {
    let (namespace, plain) = name.split_once('/').unwrap();
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, pod)| {
            json!({
                "addresses": [address],
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod},
            })
        })
        .collect();
    [
        (
            Kind::Service,
            name.to_owned(),
            json!({"spec": {"clusterIP": cluster, "ports": [{"name": "p", "port": port}]}}),
        ),
        (
            Kind::EndpointSlice,
            format!("{name}-1"),
            json!({
                "metadata": {"labels": {"kubernetes.io/service-name": plain}},
                "ports": [{"name": "p", "port": target}],
                "endpoints": endpoints,
            }),
        ),
    ]
}

/// The shop: a Gateway in `edge` behind a Service of its own, and three Services.
fn shop(more: &[(Kind, &str, Value)]) -> Objects {
    let mut rows: Vec<(Kind, String, Value)> = vec![
        (
            Kind::Gateway,
            "edge/web".to_owned(),
            json!({
                "spec": {"gatewayClassName": "eg", "listeners": [
                    {"name": "http", "port": 80, "protocol": "HTTP"},
                    {"name": "https", "port": 443, "protocol": "HTTPS"},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ]},
                "status": {"addresses": [{"type": "IPAddress", "value": "203.0.113.1"}]},
            }),
        ),
        (
            Kind::Pod,
            "edge/envoy-1".to_owned(),
            json!({
                "metadata": {"uid": "uid-envoy", "labels": {"gateway.networking.k8s.io/gateway-name": "web"}},
                "status": {"podIP": "10.0.0.9"},
            }),
        ),
    ];
    rows.extend(service(
        "edge/envoy",
        "10.96.0.9",
        (80, 10080),
        &[("10.0.0.9", "envoy-1")],
    ));
    rows.extend(service(
        "shop/pay",
        "10.96.0.1",
        (80, 8080),
        &[("10.0.0.1", "pay-1"), ("10.0.1.1", "pay-2")],
    ));
    rows.extend(service(
        "shop/cart",
        "None",
        (80, 8080),
        &[("2001:db8::1", "cart-1")],
    ));
    rows.extend(service("bank/ledger", "10.96.0.3", (9000, 9000), &[]));
    let rows = rows
        .iter()
        .map(|(kind, name, rest)| (*kind, &**name, rest.clone()));
    let rows: Vec<_> = rows.chain(more.iter().cloned()).collect();
    objects(&rows)
}

fn to(service: &str, port: u16) -> Value {
    match service.split_once('/') {
        Some((namespace, name)) => json!({"namespace": namespace, "name": name, "port": port}),
        None => json!({"name": service, "port": port}),
    }
}

fn attached(rules: &Value) -> Value {
    json!({"spec": {"parentRefs": [{"namespace": "edge", "name": "web"}], "rules": rules}})
}

/// `route [listeners] → upstreams`, one a line.
fn routes(gateway: &Gateway) -> Vec<String> {
    let routes = gateway.routes.iter();
    routes
        .map(|route| {
            let at: Vec<String> = route.listeners.iter().map(Listener::to_string).collect();
            let at = if at.is_empty() {
                String::new()
            } else {
                format!(" [{}]", at.join(" "))
            };
            format!("{}{at} → {}", route.name, route.upstreams.join(" "))
        })
        .collect()
}

fn upstreams(gateway: &Gateway) -> Vec<String> {
    let shown = |upstream: &Upstream| {
        let endpoints = upstream.endpoints.iter().map(ToString::to_string);
        let endpoints: Vec<String> = endpoints.collect();
        format!("{}: {}", upstream.name, endpoints.join(" "))
    };
    gateway.upstreams.iter().map(shown).collect()
}

fn only(view: &ClusterView) -> &Gateway {
    assert_eq!(view.gateways.len(), 1, "{view:?}");
    &view.gateways[0]
}

#[test]
fn a_gateway_and_its_routes() {
    let view = ClusterView::of(&shop(&[(
        Kind::HttpRoute,
        "shop/web",
        attached(&json!([
            {"matches": [{"path": {"value": "/pay"}}], "backendRefs": [to("pay", 80)]},
            {"matches": [{"path": {"value": "/"}}], "backendRefs": [to("cart", 80), to("bank/ledger", 9000)]},
        ])),
    )]));
    let gateway = only(&view);
    assert_eq!(&*gateway.name, "edge/web");
    assert_eq!(gateway.processes, [ProcessPattern::Pod("uid-envoy".into())]);
    let listeners: Vec<String> = gateway.listeners.iter().map(Listener::to_string).collect();
    // Port 80 is forwarded to 10080, port 443 nobody forwards.
    assert_eq!(listeners, ["10.0.0.9:10080", "10.0.0.9:443"]);
    assert_eq!(
        routes(gateway),
        [
            "shop/web / → bank/ledger:9000 shop/cart:80",
            "shop/web /pay → shop/pay:80",
        ]
    );
    assert_eq!(
        upstreams(gateway),
        [
            "bank/ledger:9000: 10.96.0.3:9000",
            "shop/cart:80: [2001:db8::1]:8080",
            "shop/pay:80: 10.0.0.1:8080 10.0.1.1:8080 10.96.0.1:80",
        ]
    );
    assert_eq!(gateway.not_understood, Vec::<String>::new());
    assert_eq!(view.not_understood, Vec::<String>::new());
}

#[test]
fn names_of_routes() {
    let api = json!({"path": {"value": "/api"}});
    let pay = || json!([to("pay", 80)]);
    let cart = || json!([to("cart", 80)]);
    let both = json!([to("pay", 80), to("cart", 80)]);
    for (kind, rules, expected) in [
        // One rule, or rules to the same backends: the route.
        (
            Kind::HttpRoute,
            json!([{"backendRefs": both}]),
            &["shop/r → shop/cart:80 shop/pay:80"][..],
        ),
        (
            Kind::HttpRoute,
            json!([{"matches": [api], "backendRefs": pay()}, {"backendRefs": pay()}]),
            &["shop/r → shop/pay:80"],
        ),
        (Kind::HttpRoute, json!([]), &["shop/r → "]),
        // A redirect has no backend.
        (
            Kind::HttpRoute,
            json!([{"matches": [api]}, {"name": "rest", "backendRefs": cart()}]),
            &["shop/r /api → ", "shop/r rest → shop/cart:80"],
        ),
        (
            Kind::HttpRoute,
            json!([{"matches": [api], "backendRefs": pay()}, {"matches": [api], "backendRefs": cart()}]),
            &["shop/r /api → shop/pay:80", "shop/r /api #2 → shop/cart:80"],
        ),
        (
            Kind::GrpcRoute,
            json!([
                {"matches": [{"method": {"service": "a.B"}}], "backendRefs": pay()},
                {"backendRefs": cart()},
            ]),
            &["shop/r / → shop/cart:80", "shop/r /a.B/* → shop/pay:80"],
        ),
        (
            Kind::TcpRoute,
            json!([{"backendRefs": pay()}, {"backendRefs": cart()}]),
            &["shop/r #1 → shop/pay:80", "shop/r #2 → shop/cart:80"],
        ),
        (
            Kind::TlsRoute,
            json!([{"backendRefs": pay()}]),
            &["shop/r → shop/pay:80"],
        ),
        // A mirror gets the traffic too.
        (
            Kind::HttpRoute,
            json!([{
                "backendRefs": pay(),
                "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": to("cart", 80)}}],
            }]),
            &["shop/r → shop/cart:80 shop/pay:80"],
        ),
    ] {
        let view = ClusterView::of(&shop(&[(kind, "shop/r", attached(&rules.clone()))]));
        assert_eq!(routes(only(&view)), expected, "{kind} {rules}");
    }
}

#[test]
fn kinds_of_one_name_are_told_apart() {
    let view = ClusterView::of(&shop(&[
        (
            Kind::HttpRoute,
            "shop/r",
            attached(&json!([{"backendRefs": [to("pay", 80)]}])),
        ),
        (
            Kind::GrpcRoute,
            "shop/r",
            attached(&json!([{"backendRefs": [to("cart", 80)]}])),
        ),
    ]));
    assert_eq!(
        routes(only(&view)),
        ["GRPCRoute shop/r → shop/cart:80", "shop/r → shop/pay:80"]
    );
}

#[test]
fn listeners_of_routes() {
    for (parents, expected) in [
        (
            json!([{"sectionName": "http"}]),
            "shop/r [10.0.0.9:10080] → ",
        ),
        (
            json!([{"sectionName": "https"}]),
            "shop/r [10.0.0.9:443] → ",
        ),
        (json!([{"port": 80}]), "shop/r [10.0.0.9:10080] → "),
        (
            json!([{"sectionName": "http", "port": 80}]),
            "shop/r [10.0.0.9:10080] → ",
        ),
        (
            json!([{"sectionName": "http"}, {"sectionName": "https"}]),
            "shop/r [10.0.0.9:10080 10.0.0.9:443] → ",
        ),
        (json!([{"sectionName": "http"}, {}]), "shop/r → "),
        (json!([{}, {"sectionName": "http"}]), "shop/r → "),
    ] {
        let mut parents: Value = parents;
        for parent in parents.as_array_mut().unwrap() {
            parent["namespace"] = json!("edge");
            parent["name"] = json!("web");
        }
        let route = json!({"spec": {"parentRefs": parents}});
        let view = ClusterView::of(&shop(&[(Kind::TcpRoute, "shop/r", route)]));
        assert_eq!(routes(only(&view)), [expected], "{parents}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let at = |kind: &str| json!({"kind": kind, "group": "", "name": "x"});
    let backend = |value: Value| attached(&json!([{"backendRefs": [value]}]));
    let refused = |parent: Value| {
        let mut route = backend(to("pay", 80));
        route["status"] = json!({"parents": [{
            "parentRef": parent,
            "conditions": [{
                "type": "Accepted", "status": "False",
                "reason": "NotAllowedByListeners", "message": "no listener allows it",
            }],
        }]});
        route
    };
    for (route, of_gateway, expected) in [
        (
            json!({"spec": {"parentRefs": [at("Service")]}}),
            false,
            "attached to core/Service shop/x",
        ),
        (
            json!({"spec": {"parentRefs": [{"name": "x"}]}}),
            false,
            "there is no Gateway shop/x",
        ),
        (
            json!({"spec": {"parentRefs": [{"group": "a.b", "kind": "XListenerSet", "name": "x"}]}}),
            false,
            "attached to a.b/XListenerSet shop/x",
        ),
        (
            json!({"spec": {"parentRefs": [{"namespace": "edge", "name": "web", "sectionName": "ssh"}]}}),
            true,
            "no listener ssh",
        ),
        (
            backend(json!({"group": "a.b", "kind": "Backend", "name": "x"})),
            true,
            "the backend a.b/Backend shop/x is not read",
        ),
        (
            backend(json!({"name": "pay"})),
            true,
            "the backend shop/pay has no port",
        ),
        (
            backend(to("gone", 80)),
            true,
            "there is no Service shop/gone",
        ),
        (
            backend(to("pay", 81)),
            true,
            "Service shop/pay has no port 81",
        ),
        (
            refused(json!({"namespace": "edge", "name": "web"})),
            true,
            "not accepted by the Gateway: NotAllowedByListeners: no listener allows it",
        ),
    ] {
        let view = ClusterView::of(&shop(&[(Kind::HttpRoute, "shop/r", route)]));
        let notes = if of_gateway {
            &only(&view).not_understood
        } else {
            &view.not_understood
        };
        assert_eq!(notes.len(), 1, "{view:?}");
        assert!(notes[0].starts_with("HTTPRoute shop/r: "), "{}", notes[0]);
        assert!(notes[0].contains(expected), "{}", notes[0]);
    }
    // Refused by another parent than the one looked at.
    let route = refused(json!({"namespace": "edge", "name": "web", "sectionName": "http"}));
    let view = ClusterView::of(&shop(&[(Kind::HttpRoute, "shop/r", route)]));
    assert_eq!(routes(only(&view)), ["shop/r → shop/pay:80"]);
}

#[test]
fn a_list_replaces_what_was_known_when_it_is_complete() {
    let service = |cluster: &str| json!({"spec": {"clusterIP": cluster}});
    let mut objects = objects(&[(Kind::Service, "a/old", service("10.96.0.1"))]);
    let known = |objects: &Objects| -> Vec<String> {
        objects.services().map(|(key, _)| key.to_string()).collect()
    };
    objects.apply(Kind::Service, Change::Init);
    let new = object("a/new", &service("10.96.0.2"));
    objects.apply(Kind::Service, Change::InitApply(new.clone()));
    assert_eq!(known(&objects), ["a/old"]);
    // The list breaks off and begins anew.
    objects.apply(Kind::Service, Change::Init);
    let newer = object("a/newer", &service("10.96.0.3"));
    objects.apply(Kind::Service, Change::InitApply(newer.clone()));
    objects.apply(Kind::Service, Change::InitDone);
    assert_eq!(known(&objects), ["a/newer"]);
    objects.apply(Kind::Service, Change::Apply(new));
    assert_eq!(known(&objects), ["a/new", "a/newer"]);
    objects.apply(Kind::Service, Change::Delete(newer));
    assert_eq!(known(&objects), ["a/new"]);
    // What is no longer a Service's shape is no longer known, and named.
    objects.apply(
        Kind::Service,
        Change::Apply(object("a/new", &json!({"spec": 1}))),
    );
    assert_eq!(known(&objects), Vec::<String>::new());
    let view = ClusterView::of(&objects);
    assert!(
        view.not_understood[0].starts_with("Service a/new: "),
        "{view:?}"
    );
    objects.apply(Kind::Service, Change::Absent);
    assert_eq!(ClusterView::of(&objects), ClusterView::default());
}

#[test]
fn notes_are_bounded() {
    let route = json!({"spec": {"parentRefs": [{"name": "gone"}]}});
    let names: Vec<String> = (0..500).map(|number| format!("shop/r{number}")).collect();
    let rows: Vec<_> = names
        .iter()
        .map(|name| (Kind::HttpRoute, &**name, route.clone()))
        .collect();
    let notes = ClusterView::of(&objects(&rows)).not_understood;
    assert_eq!(notes.len(), MAX_NOTES + 1);
    assert_eq!(notes.last().unwrap(), "and 300 more");
}
