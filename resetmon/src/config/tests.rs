use std::io::Write;

use serde_json::{Value, json};

use super::*;
use crate::export::otlp::{self, Endpoint};
use crate::routes::admin::AdminAddress;
use crate::routes::admin::access::Access;
use crate::routes::discovery::Override;
use crate::routes::finder::Settings;
use crate::routes::table::ProcessPattern;

mod reference;

fn errors(text: &str) -> String {
    Config::parse(text, "x.yaml").unwrap_err().to_string()
}

#[test]
fn empty_files_are_the_default() {
    for text in [
        "",
        "\n",
        "# nothing\n",
        "---\n",
        "gateways:\npeers:\nmetrics:\nevents:\n",
    ] {
        assert_eq!(
            Config::parse(text, "x").unwrap(),
            Config::default(),
            "{text:?}"
        );
    }
}

#[test]
fn values_are_read() {
    let config = Config::parse(
        "listen: \"[::]:0\"\nweb_config: web.yml\nlog_level: debug\nring_buffer_bytes: 65536\ndetail_rate: 9\nrefused_resets: true\nevents: {path: /tmp/r.json, failures: true, journal: true, http: true, otlp: {endpoint: \"https://c.test/x\", headers_file: /h, ca_file: /c}}\n\
         metrics: {max_series_per_family: 7, idle_series_ttl: 1h 30m, max_label_length: 16, max_network_namespaces: 8,\n\
         peer_prefix_v4: 24, peer_prefix_v6: 0}\npeers: [{name: office, cidr: 192.0.2.0/24}]\n\
         discovery: {enabled: false, interval: 1m, enter_network_namespaces: true, gateways:\n\
         [{kind: envoy, process: /opt/e, name: e, config: /etc/e, admin: 127.0.0.1:1}, {kind: haproxy, admin: \"unix:/a\"},\n\
         {kind: kong, admin: \"https://[::1]:8444/\", ca_file: /c, server_name: kong.test, headers_file: /h, token_file: /t},\n\
         {kind: traefik, admin: https://192.0.2.1:443, insecure: true, basic_auth_file: /b}]}\n\
         kubernetes: {enabled: false, node: n1}\nnat: {conntrack: true}\n",
        "x",
    )
    .unwrap();
    let expected = Config {
        listen: "[::]:0".parse().unwrap(),
        web_config: Some("web.yml".into()),
        log_level: LevelFilter::DEBUG,
        ring_buffer_bytes: 65536,
        detail_rate: 9,
        refused_resets: true,
        events: Events {
            path: Some(EventsPath::File("/tmp/r.json".into())),
            failures: true,
            journal: true,
            http: true,
            otlp: Some(otlp::Settings {
                endpoint: Endpoint::parse("https://c.test/x").unwrap(),
                headers_file: Some("/h".into()),
                ca_file: Some("/c".into()),
            }),
        },
        metrics: Metrics {
            max_series_per_family: 7,
            idle_series_ttl: Duration::from_secs(5400),
            max_label_length: 16,
            max_network_namespaces: 8,
            peer_prefix_v4: 24,
            peer_prefix_v6: 0,
        },
        peers: vec![Peer {
            name: "office".into(),
            networks: vec!["192.0.2.0/24".parse().unwrap()],
        }],
        discovery: Settings {
            enabled: false,
            interval: Duration::from_secs(60),
            enter_network_namespaces: true,
            overrides: vec![
                Override {
                    process: Some(ProcessPattern::new("/opt/e")),
                    kind: "envoy".into(),
                    name: Some("e".into()),
                    config: Some("/etc/e".into()),
                    admin: Some(AdminAddress::Tcp("127.0.0.1:1".parse().unwrap())),
                    access: Access::default(),
                },
                Override {
                    kind: "haproxy".into(),
                    admin: Some(AdminAddress::Unix("/a".into())),
                    ..Override::default()
                },
                Override {
                    kind: "kong".into(),
                    admin: Some(AdminAddress::Https("[::1]:8444".parse().unwrap())),
                    access: Access {
                        ca_file: Some("/c".into()),
                        server_name: Some("kong.test".try_into().unwrap()),
                        headers_file: Some("/h".into()),
                        token_file: Some("/t".into()),
                        ..Access::default()
                    },
                    ..Override::default()
                },
                Override {
                    kind: "traefik".into(),
                    admin: Some(AdminAddress::Https("192.0.2.1:443".parse().unwrap())),
                    access: Access {
                        insecure: true,
                        basic_auth_file: Some("/b".into()),
                        ..Access::default()
                    },
                    ..Override::default()
                },
            ],
        },
        kubernetes: Kubernetes {
            enabled: false,
            node: Some("n1".into()),
        },
        conntrack: true,
        gateways: Vec::new(),
    };
    assert_eq!(config, expected);
}

/// `(text, place, part of the message)`.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "listn: a\n",
        "x.yaml:1:1: ",
        "unknown key `listn`; allowed here: listen, web_config, log_level, ring_",
    ),
    (
        "metrics:\n  ttl: 1\n",
        "x.yaml:2:3: ",
        "allowed here: max_series_per_family, idle_",
    ),
    (
        "listen: localhost:9435\n",
        "x.yaml:1:9: ",
        "write ip:port, as 127.0.0.1:9435",
    ),
    ("listen: 9435\n", "x.yaml:1:9: ", "write ip:port"),
    ("listen: [::]:9435\n", "x.yaml:1:9: ", "put quotes around"),
    (
        "log_level: INFO\n",
        "x.yaml:1:12: ",
        "allowed: off, error, warn, info, debug, trace",
    ),
    (
        "ring_buffer_bytes: 4194303\n",
        "x.yaml:1:20: ",
        "power of two from 65536",
    ),
    (
        "ring_buffer_bytes: 32KiB\n",
        "x.yaml:1:20: ",
        "power of two from 65536",
    ),
    (
        "ring_buffer_bytes: 2048MiB\n",
        "x.yaml:1:20: ",
        "power of two from 65536",
    ),
    (
        "ring_buffer_bytes: 99999999999999999999MiB\n",
        "x.yaml:1:20: ",
        "power of two",
    ),
    ("ring_buffer_bytes: 4 MB\n", "x.yaml:1:20: ", "power of two"),
    ("ring_buffer_bytes: -1\n", "x.yaml:1:20: ", "power of two"),
    (
        "events:\n  path: \"\"\n",
        "x.yaml:2:9: ",
        "- for standard output",
    ),
    (
        "events: {journal: yes}\n",
        "x.yaml:1:19: ",
        "neither true nor false",
    ),
    (
        "events: {otlp: {endpoint: \"collector:4318\"}}\n",
        "x.yaml:1:27: ",
        "is no endpoint; write http://HOST:PORT",
    ),
    (
        "events: {otlp: {headers_file: /x}}\n",
        "x.yaml:1:17: ",
        "the key `endpoint` is missing",
    ),
    (
        "events: {otlp: {endpoint: \"http://x\", ca_file: /x}}\n",
        "x.yaml:1:27: ",
        "`ca_file` is for https",
    ),
    ("web_config: \"\"\n", "x.yaml:1:13: ", "the path is empty"),
    ("events: yes\n", "x.yaml:1:9: ", "expected keys"),
    (
        "metrics: {max_series_per_family: 0}\n",
        "x.yaml:1:34: ",
        "from 1 to 1000000",
    ),
    (
        "metrics: {max_series_per_family: 1e3}\n",
        "x.yaml:1:34: ",
        "whole number",
    ),
    (
        "metrics: {max_label_length: 15}\n",
        "x.yaml:1:29: ",
        "from 16 to 4096",
    ),
    (
        "metrics: {max_network_namespaces: 0}\n",
        "x.yaml:1:35: ",
        "from 1 to 100000",
    ),
    (
        "metrics: {peer_prefix_v4: 33}\n",
        "x.yaml:1:27: ",
        "from 0 to 32",
    ),
    (
        "metrics: {peer_prefix_v6: +8}\n",
        "x.yaml:1:27: ",
        "from 0 to 128",
    ),
    (
        "metrics: {idle_series_ttl: 3600}\n",
        "x.yaml:1:28: ",
        "as 90s, 30m, 1h",
    ),
    (
        "metrics: {idle_series_ttl: -1h}\n",
        "x.yaml:1:28: ",
        "as 90s, 30m, 1h",
    ),
    (
        "metrics: {idle_series_ttl: 500ms}\n",
        "x.yaml:1:28: ",
        "at least 1s",
    ),
    (
        "peers: [{name: a}]\n",
        "x.yaml:1:10: ",
        "the key `cidr` is missing",
    ),
    (
        "peers: [{name: a, cidr: 10.0.0.1/8}]\n",
        "x.yaml:1:25: ",
        "the prefix is 10.0.0.0/8",
    ),
    (
        "peers: [{name: a, cidr: []}]\n",
        "x.yaml:1:25: ",
        "`cidr` is empty",
    ),
    (
        "peers: [{name: \"\", cidr: ::1}]\n",
        "x.yaml:1:16: ",
        "must not be empty",
    ),
    (
        "peers: [{name: \"a\\nb\", cidr: ::1}]\n",
        "x.yaml:1:16: ",
        "line breaks",
    ),
    (
        "peers:\n- {name: a, cidr: 10.0.0.0/8}\n- {name: a, cidr: ::1}\n",
        "x.yaml:3:10: ",
        "peer `a` is there twice",
    ),
    (
        "peers:\n- {name: a, cidr: 10.0.0.0/8}\n- {name: b, cidr: 10.0.0.0/8}\n",
        "x.yaml:3:19: ",
        "first in peer `a`",
    ),
    (
        "discovery: {gateways: [{kind: nginx, admin: 127.0.0.1:1}]}\n",
        "x.yaml:1:45: ",
        "nginx has no admin interface",
    ),
    (
        "discovery: {gateways: [{kind: haproxy, admin: 127.0.0.1:1, token_file: /t}]}\n",
        "x.yaml:1:72: ",
        "haproxy is not asked over HTTP",
    ),
    (
        "discovery: {gateways: [{kind: haproxy, admin: https://127.0.0.1:1}]}\n",
        "x.yaml:1:47: ",
        "haproxy is not asked over HTTP; write ip:port",
    ),
    (
        "discovery: {gateways: [{kind: kong, token_file: /t}]}\n",
        "x.yaml:1:49: ",
        "it needs `admin`",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: kong:8444}]}\n",
        "x.yaml:1:44: ",
        "write ip:port, as 127.0.0.1:9901, https://ip:port or unix:/path",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: https://127.0.0.1:1}]}\n",
        "x.yaml:1:44: ",
        "or `insecure: true`",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: 127.0.0.1:1, ca_file: /c}]}\n",
        "x.yaml:1:66: ",
        "it needs `admin: https://…`",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: https://127.0.0.1:1, ca_file: /c, insecure: true}]}\n",
        "x.yaml:1:74: ",
        "exclude each other",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: 127.0.0.1:1, token_file: /c, basic_auth_file: /d}]}\n",
        "x.yaml:1:90: ",
        "exclude each other",
    ),
    (
        "discovery: {gateways: [{kind: kong, admin: https://127.0.0.1:1, ca_file: /c, server_name: \"a b\"}]}\n",
        "x.yaml:1:91: ",
        "neither a host name nor an address",
    ),
    (
        "gateways: [{}]\n",
        "x.yaml:1:12: ",
        "the key `name` is missing",
    ),
    ("gateways: {name: a}\n", "x.yaml:1:11: ", "expected a list"),
    (
        "gateways: [{name: a}]\n",
        "x.yaml:1:19: ",
        "can match nothing",
    ),
    (
        "gateways: [{name: a, procces: b}]\n",
        "x.yaml:1:22: ",
        "allowed here: name, process, listeners, routes, upstreams",
    ),
    (
        "gateways: [{name: a, process: sbin/b}]\n",
        "x.yaml:1:31: ",
        "path from the root",
    ),
    (
        "gateways: [{name: a, process: []}]\n",
        "x.yaml:1:31: ",
        "`process` is empty",
    ),
    (
        "gateways: [{name: a, listeners: []}]\n",
        "x.yaml:1:33: ",
        "`listeners` is empty",
    ),
    (
        "gateways: [{name: a, listeners: [\":443\", \"*:443\"]}]\n",
        "x.yaml:1:42: ",
        "`:443` is there twice",
    ),
    (
        "gateways: [{name: a, listeners: 443}]\n",
        "x.yaml:1:",
        "in quotes",
    ),
    (
        "gateways: [{name: a, process: b, routes: []}]\n",
        "x.yaml:1:42: ",
        "`routes` is empty",
    ),
    (
        "gateways: [{name: a, upstreams: []}]\n",
        "x.yaml:1:33: ",
        "`upstreams` is empty",
    ),
    (
        "gateways: [{name: a, upstreams: [{name: u, endpoints: []}]}]\n",
        "x.yaml:1:55: ",
        "`endpoints` is empty",
    ),
    (
        "gateways: [{name: a, upstreams: [{name: u, endpoints: 10.0.0.1:0}]}]\n",
        "x.yaml:1:55: ",
        "1 to 65535",
    ),
    (
        "gateways: [{name: a, process: b, routes: [{name: r}]}]\n",
        "x.yaml:1:44: ",
        "`upstream` is missing",
    ),
    (
        "gateways: [{name: a, process: b, routes: [{name: r, upstream: u}]}]\n",
        "x.yaml:1:63: ",
        "has none under `upstreams`",
    ),
    (
        "gateways:\n- {name: a, process: b}\n- {name: a, process: c}\n",
        "x.yaml:3:10: ",
        "the gateway `a` is there twice",
    ),
    (
        "listen: \"a\u{7}\"\n",
        "x.yaml:1:11: ",
        "unexpected character",
    ),
];

#[test]
fn errors_say_place_fault_and_remedy() {
    let mut wrong = Vec::new();
    for (text, place, part) in WRONG {
        let errors = errors(text);
        let right = errors.starts_with(place) && errors.contains(part);
        if !right || errors.lines().count() != 1 {
            wrong.push(format!("{text:?}: {errors}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_problem_is_reported_in_order() {
    let found = errors(
        "\
gateways:
  - name: edge
    process: nginx
    listeners: [443x, \":80\"]
    routes:
      - name: /a
        upstream: [app, ap]
      - name: /a
        upstream: app
    upstreams:
      - name: app
        endpoints: [10.0.0.1/8, 10.0.0.1:80]
      - name: app
        endpoints: b:80
log_level: loud
",
    );
    let places: Vec<&str> = found
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "x.yaml:4:17",
            "x.yaml:7:25",
            "x.yaml:8:15",
            "x.yaml:12:21",
            "x.yaml:13:15",
            "x.yaml:15:12"
        ],
        "{found}"
    );
    assert!(
        found.contains("no upstream `ap` in this gateway; known here: app\n"),
        "{found}"
    );
}

#[test]
fn deep_input_is_refused() {
    for open in ["[", "{a: ", "- "] {
        let error = errors(&format!("peers: {}", open.repeat(100_000)));
        assert!(error.starts_with("x.yaml:1:"), "{error}");
    }
}

#[test]
fn anchors_work_and_errors_name_the_place_of_use() {
    let found = errors(
        "gateways:\n- name: a\n  upstreams:\n  - {name: u, endpoints: &e [10.0.0.1:80, x..y]}\n  \
         - {name: v, endpoints: *e}\n",
    );
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.starts_with("x.yaml:4:"), "{found}");
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.yaml");
    let error = Config::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none.yaml: No such file"), "{error}");
    assert!(
        Config::load(dir.path())
            .unwrap_err()
            .to_string()
            .contains("Is a directory")
    );

    let path = dir.path().join("c.yaml");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"# ok\nlisten: \xff\n").unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}:2:9: not UTF-8; save the file as UTF-8", path.display())
    );

    let error = Config::load(Path::new("/dev/zero"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/dev/zero: larger than 16 MiB"),
        "{error}"
    );

    std::fs::write(&path, "listen: 127.0.0.1:1\n").unwrap();
    assert_eq!(Config::load(&path).unwrap().listen.port(), 1);
}
