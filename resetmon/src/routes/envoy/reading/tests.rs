use serde_json::{Value, json};

use super::super::{read_answers, read_bootstrap};
use super::*;

/// Listeners, routes and upstreams, a line each.
fn shown(reading: &Reading) -> Vec<String> {
    let list = |items: Vec<String>| items.join(" ");
    let mut lines = vec![list(
        reading.listeners.iter().map(ToString::to_string).collect(),
    )];
    for route in &reading.routes {
        lines.push(format!(
            "{} [{}] -> {}",
            route.name,
            list(route.listeners.iter().map(ToString::to_string).collect()),
            list(route.upstreams.iter().map(ToString::to_string).collect()),
        ));
    }
    for upstream in &reading.upstreams {
        let endpoints = upstream.endpoints.iter().map(ToString::to_string).collect();
        lines.push(format!("{} = {}", upstream.name, list(endpoints)));
    }
    lines
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.filters.network.{kind}").into();
    json!({"name": name, "typed_config": config})
}

fn tcp(config: Value) -> Value {
    typed(
        "envoy.filters.network.tcp_proxy",
        "tcp_proxy.v3.TcpProxy",
        config,
    )
}

fn http(config: Value) -> Value {
    let kind = "http_connection_manager.v3.HttpConnectionManager";
    typed(
        "envoy.filters.network.http_connection_manager",
        kind,
        config,
    )
}

fn hosts(hosts: &[(&str, u16)]) -> Value {
    let hosts: Vec<Value> = hosts
        .iter()
        .map(|(host, port)| json!({"endpoint": {"address": socket(host, *port)}}))
        .collect();
    json!([{"lb_endpoints": hosts}])
}

fn part(kind: &str, mut fields: Value) -> Value {
    fields["@type"] = format!("type.googleapis.com/envoy.admin.v3.{kind}").into();
    fields
}

fn read(parts: &[Value], statuses: &Value) -> Reading {
    let dump = json!({"configs": parts}).to_string();
    read_answers(&dump, &json!({"cluster_statuses": statuses}).to_string()).unwrap()
}

fn clusters(clusters: &[Value]) -> Value {
    let wrapped: Vec<Value> = clusters.iter().map(|one| json!({"cluster": one})).collect();
    part(
        "ClustersConfigDump",
        json!({"dynamic_active_clusters": wrapped}),
    )
}

fn listeners(listeners: &[Value]) -> Value {
    let wrapped: Vec<Value> = listeners
        .iter()
        .map(|one| json!({"listener": one}))
        .collect();
    part("ListenersConfigDump", json!({"static_listeners": wrapped}))
}

#[test]
fn hosts_of_every_kind_of_cluster() {
    let found = read(
        &[
            clusters(&[
                json!({"name": "static", "load_assignment": {"endpoints": hosts(&[("10.0.0.1", 80), ("2001:db8::1", 80), ("::ffff:10.0.0.2", 80)])}}),
                json!({"name": "dns", "type": "STRICT_DNS", "load_assignment": {"endpoints": hosts(&[("App.Internal", 443)])}}),
                json!({"name": "outbound|80||a.ns.svc.cluster.local", "type": "EDS", "eds_cluster_config": {"service_name": "a-service"}}),
                json!({"name": "pipe", "load_assignment": {"endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"pipe": {"path": "/run/a.sock"}}}},
                    {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "x"}}}}]}]}}),
                json!({"name": "PassthroughCluster", "type": "ORIGINAL_DST"}),
                json!({"name": "dfp", "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy"}}),
                json!({"name": "odd", "load_assignment": {"endpoints": hosts(&[("not a host", 1)])}}),
            ]),
            part(
                "EndpointsConfigDump",
                json!({"dynamic_endpoint_configs": [
                {"endpoint_config": {"cluster_name": "a-service", "endpoints": hosts(&[("10.1.0.1", 8080)])}}]}),
            ),
        ],
        &json!([
            {"name": "dns", "host_statuses": [
                {"address": socket("192.0.2.1", 443), "hostname": "App.Internal",
                 "additional_addresses": [{"address": socket("2001:db8::2", 443)}]}]},
            {"name": "outbound|80||a.ns.svc.cluster.local", "host_statuses": [{"address": socket("10.1.0.1", 8080)}, {"address": socket("10.1.0.2", 8080)}]},
            {"name": "PassthroughCluster", "host_statuses": [{"address": socket("192.0.2.9", 1)}]},
        ]),
    );
    assert_eq!(
        shown(&found)[1..],
        [
            "static = 10.0.0.1:80 [2001:db8::1]:80 10.0.0.2:80",
            "dns = app.internal:443 192.0.2.1:443 [2001:db8::2]:443",
            "outbound|80||a.ns.svc.cluster.local = 10.1.0.1:8080 10.1.0.2:8080",
            "pipe = ",
            "PassthroughCluster = ",
            "dfp = ",
            "odd = ",
        ]
    );
    for (line, start) in [
        (
            0,
            "cluster PassthroughCluster: connects to where the client wanted to go",
        ),
        (
            1,
            "cluster dfp: connects to the host that each request names",
        ),
        (2, "cluster odd: `not a host:1` is no endpoint"),
    ] {
        assert!(
            found.not_understood[line].starts_with(start),
            "{:?}",
            found.not_understood
        );
    }
    assert_eq!(found.not_understood.len(), 3);
}

#[test]
fn routes_of_virtual_hosts() {
    let config = json!({"name": "main", "virtual_hosts": [
        {"name": "payments", "domains": ["pay.example"],
         "request_mirror_policies": [{"cluster": "copy"}],
         "routes": [
            {"match": {"prefix": "/api/pay"}, "route": {"cluster": "a"}},
            {"match": {"prefix": "/api/pay", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}, "route": {"cluster": "b"}},
            {"match": {"safe_regex": {"regex": "^/x"}}, "name": "by-regex",
             "route": {"weighted_clusters": {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 9}]}}},
            {"match": {"path": "/old"}, "redirect": {"host_redirect": "new"}},
            {"match": {"path": "/h"}, "route": {"cluster_header": "x-cluster"}},
         ]},
        {"name": "rest", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "name": "default", "route": {"cluster": "all"}}]},
        {"name": "more", "domains": ["more"], "routes": [
            {"match": {"prefix": "/"}, "name": "default", "route": {"cluster": "b"}}]},
    ]});
    let alone = json!({"virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [
        {"match": {"path_separated_prefix": "/v1"}, "route": {"cluster": "a"}},
        {"match": {"connect_matcher": {}}, "route": {"cluster": "a"}}]}]});
    let found = read(
        &[
            part(
                "RoutesConfigDump",
                json!({"dynamic_route_configs": [{"route_config": config}]}),
            ),
            listeners(&[
                json!({"name": "l1", "address": socket("0.0.0.0", 80), "filter_chains": [{"filters": [
                    typed("r", "rbac.v3.RBAC", json!({})),
                    http(json!({"rds": {"route_config_name": "main"}}))]}]}),
                json!({"name": "l2", "address": socket("::", 81), "filter_chains": [{"filters": [
                    http(json!({"rds": {"route_config_name": "main"}}))]}]}),
                json!({"name": "l3", "address": socket("::1", 82), "filter_chains": [
                    {"filters": [http(json!({"route_config": alone}))]},
                    {"filters": [http(json!({"rds": {"route_config_name": "missing"}}))]},
                    {"filters": [typed("thrift", "thrift_proxy.v3.ThriftProxy", json!({}))]}]}),
            ]),
            clusters(&[
                json!({"name": "a"}),
                json!({"name": "b"}),
                json!({"name": "all", "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": {"clusters": ["a", "all", "c"]}}}),
            ]),
        ],
        &json!([]),
    );
    let both = "[0.0.0.0:80 [::]:81]";
    assert_eq!(
        shown(&found)[..10],
        [
            "0.0.0.0:80 [::]:81 [::1]:82".to_owned(),
            format!("payments:/api/pay {both} -> a copy"),
            format!("payments:/api/pay :method=GET {both} -> b copy"),
            format!("by-regex {both} -> a b copy"),
            format!("payments:/old {both} -> "),
            format!("payments:/h {both} -> a b all"),
            format!("rest:default {both} -> all a c"),
            format!("more:default {both} -> b"),
            "/v1 [[::1]:82] -> a".to_owned(),
            "CONNECT [[::1]:82] -> a".to_owned(),
        ]
    );
    assert_eq!(
        found.not_understood,
        [
            "route main/payments:/h: the header x-cluster chooses the cluster: any counts",
            "listener l3: its route configuration missing is not there yet",
            "listener l3: its filter thrift is not read",
        ]
    );
}

#[test]
fn listeners_of_every_kind() {
    let found = read(
        &[
            part(
                "BootstrapConfigDump",
                json!({"bootstrap": {"node": {"id": "sidecar~10.0.0.1~pod.ns~x", "cluster": "web.ns"}}}),
            ),
            part(
                "ListenersConfigDump",
                json!({
                "static_listeners": [{"listener": {"address": socket("10.0.0.1", 90), "filter_chains": [{"filters": [tcp(json!({"cluster": "a"}))]}]}}],
                "dynamic_listeners": [
                    {"name": "virtualOutbound", "active_state": {"listener": {"name": "virtualOutbound", "use_original_dst": true,
                        "address": socket("0.0.0.0", 15001), "additional_addresses": [{"address": socket("::", 15001)}],
                        "filter_chains": [
                            {"name": "one", "filters": [tcp(json!({"cluster": "PassthroughCluster"}))]},
                            {"filter_chain_match": {"server_names": ["sni.example"]}, "filters": [tcp(json!({"weighted_clusters": {"clusters": [{"name": "a"}, {"name": "b"}]}}))]}],
                        "default_filter_chain": {"filters": [tcp(json!({"cluster": "c"}))]}}}},
                    {"name": "10.96.0.10_53", "active_state": {"listener": {"name": "10.96.0.10_53", "bind_to_port": false,
                        "address": socket("10.96.0.10", 53), "filter_chains": [{"filters": [tcp(json!({"cluster": "dns"}))]}]}}},
                    {"name": "warming", "warming_state": {"listener": {"name": "warming", "address": socket("0.0.0.0", 1)}}},
                    {"name": "bad", "error_state": {"details": "no such filter"}, "active_state": {"listener": {"name": "bad",
                        "address": {"socket_address": {"address": "::", "port_value": 99, "ipv4_compat": true}}}}},
                    {"name": "udp", "active_state": {"listener": {"name": "udp", "address": {"socket_address": {"protocol": "UDP", "address": "0.0.0.0", "port_value": 53}}}}},
                    {"name": "internal", "active_state": {"listener": {"name": "internal", "internal_listener": {}}}},
                    {"name": "pipe", "active_state": {"listener": {"name": "pipe", "address": {"pipe": {"path": "/run/l.sock"}}}}},
                    {"name": "redis", "active_state": {"listener": {"name": "redis", "address": socket("127.0.0.1", 6379), "filter_chains": [{"filters": [
                        typed("redis", "redis_proxy.v3.RedisProxy", json!({"prefix_routes": {"catch_all_route": {"cluster": "cache"}, "routes": [{"prefix": "a", "cluster": "a"}]}}))]}]}}},
                    {"name": "zero", "active_state": {"listener": {"name": "zero", "address": {"socket_address": {"address": "0.0.0.0"}}}}},
                ]}),
            ),
        ],
        &json!([]),
    );
    assert_eq!(found.name.as_deref(), Some("web.ns"));
    assert_eq!(
        shown(&found),
        [
            "10.0.0.1:90 0.0.0.0:15001 [::]:15001 :99 127.0.0.1:6379",
            "10.0.0.1_90 [10.0.0.1:90] -> a",
            "virtualOutbound/one [0.0.0.0:15001 [::]:15001] -> PassthroughCluster",
            "virtualOutbound/sni.example [0.0.0.0:15001 [::]:15001] -> a b",
            "virtualOutbound/default [0.0.0.0:15001 [::]:15001] -> c",
            "10.96.0.10_53 [0.0.0.0:15001 [::]:15001] -> dns",
            "redis [127.0.0.1:6379] -> cache a",
        ]
    );
    assert_eq!(
        found.not_understood,
        [
            "listener bad: its update was refused: no such filter",
            "listener zero: its port is chosen when it starts",
        ]
    );
}

#[test]
fn a_bootstrap_in_either_spelling() {
    let yaml = "node: {id: edge-1}\nadmin:\n  address: {socketAddress: {address: 127.0.0.1, portValue: 9901}}\n\
        staticResources:\n  listeners:\n  - name: l\n    address: {socket_address: {address: '::1', port_value: 80}}\n    \
        filterChains:\n    - filters:\n      - name: t\n        typedConfig:\n          '@type': x.TcpProxy\n          cluster: a\n  \
        clusters:\n  - name: a\n    loadAssignment: {endpoints: [{lbEndpoints: [{endpoint: {address: {socketAddress: {address: app, portValue: 9000}}}}]}]}\n";
    let found = read_bootstrap("e.yaml", yaml).unwrap();
    assert_eq!(
        shown(&found),
        ["[::1]:80", "l [[::1]:80] -> a", "a = app:9000"]
    );
    assert_eq!(found.name.as_deref(), Some("edge-1"));
    assert_eq!(found.not_understood, [""; 0]);
    let error = read_bootstrap("e.yaml", "a: [").unwrap_err().to_string();
    assert!(error.starts_with("e.yaml:"), "{error}");
}

#[test]
fn other_answers() {
    for (dump, clusters, part) in [
        (
            "not json",
            "{}",
            "the answer to /config_dump?include_eds is no JSON",
        ),
        ("{}", "", "the answer to /clusters?format=json is no JSON"),
    ] {
        let error = read_answers(dump, clusters).unwrap_err().to_string();
        assert!(error.starts_with(part), "{error}");
    }
    for odd in [
        "[]",
        "1",
        "{\"configs\": 1}",
        "{\"configs\": [1, {}, null, {\"@type\": 1}]}",
    ] {
        assert_eq!(shown(&read_answers(odd, "{}").unwrap()), [""]);
    }
}
