use super::*;
use crate::routes::table::{ProcessPattern, Upstream};

fn gateway() -> Gateway {
    let route = |name: &str, upstreams: &[&str]| Route {
        listeners: Vec::new(),
        name: name.into(),
        upstreams: upstreams.iter().map(|name| (*name).into()).collect(),
    };
    let upstream = |name: &str, endpoints: &[&str]| Upstream {
        name: name.into(),
        endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
    };
    Gateway {
        name: "nginx".into(),
        processes: vec![ProcessPattern::Tree(7)],
        listeners: vec![":80".parse().unwrap(), "[::1]:443".parse().unwrap()],
        routes: vec![
            route("/api/pay", &["payments"]),
            route("/v1/chat", &["llm", "fallback"]),
            route("/static", &[]),
        ],
        upstreams: vec![
            upstream("payments", &["10.0.0.1:80", "[2001:db8::1]:80"]),
            upstream("llm", &["api.example.com:443"]),
            upstream("fallback", &[]),
            upstream(
                "unused",
                &[
                    "10.0.0.2:1",
                    "10.0.0.2:2",
                    "10.0.0.2:3",
                    "10.0.0.2:4",
                    "10.0.0.2:5",
                ],
            ),
        ],
        not_understood: vec!["nginx.conf:3: \u{1b}[2J".to_owned()],
        ..Gateway::default()
    }
}

fn found(error: Option<&str>) -> Found {
    Found {
        gateway: gateway(),
        kind: "nginx",
        pid: 7,
        exe: "/usr/sbin/nginx".into(),
        origin: "/etc/nginx/nginx.conf".to_owned(),
        error: error.map(str::to_owned),
    }
}

#[test]
fn a_gateway_as_its_operator_reads_it() {
    let views = views(
        &Config::default(),
        &ClusterView::default(),
        &[found(None)],
        None,
    );
    assert_eq!(
        text(&views, &["two things".to_owned()]),
        "nginx  (nginx)  process 7  /etc/nginx/nginx.conf\n\
         \x20 listens on :80, [::1]:443\n\
         \x20 ROUTE     UPSTREAM  ENDPOINTS\n\
         \x20 /api/pay  payments  10.0.0.1:80, [2001:db8::1]:80\n\
         \x20 /v1/chat  llm       api.example.com:443\n\
         \x20           fallback  -\n\
         \x20 /static   -         -\n\
         \x20 -         unused    10.0.0.2:1, 10.0.0.2:2, 10.0.0.2:3, 10.0.0.2:4, and 1 more (--json)\n\
         \x20 not understood:\n\
         \x20   nginx.conf:3: \\u{1b}[2J\n\
         \n\
         warning: two things\n"
    );
}

#[test]
fn what_cannot_be_read_is_said_and_names_filter() {
    let config = Config {
        gateways: vec![Gateway {
            name: "edge".into(),
            ..Gateway::default()
        }],
        ..Config::default()
    };
    let found = [found(Some("permission denied"))];
    let all = text(&views(&config, &ClusterView::default(), &found, None), &[]);
    assert!(
        all.starts_with("edge  (configuration)  section `gateways`"),
        "{all}"
    );
    assert!(all.contains("\nnginx  (nginx)"), "{all}");
    assert!(all.contains("\n  NOT READ: permission denied\n"), "{all}");
    assert_eq!(
        views(&config, &ClusterView::default(), &found, Some("ngi")).len(),
        1
    );
    let none = text(
        &views(&config, &ClusterView::default(), &found, Some("zzz")),
        &[],
    );
    assert!(none.starts_with("no gateway found"), "{none}");
}

#[test]
fn json_has_what_the_text_has() {
    let views = views(
        &Config::default(),
        &ClusterView::default(),
        &[found(None)],
        None,
    );
    let json = serde_json::to_value(&views).unwrap();
    assert_eq!(json[0]["gateway"], "nginx");
    assert_eq!(json[0]["pid"], 7);
    assert_eq!(json[0]["routes"][1]["upstreams"][1], "fallback");
    assert_eq!(json[0]["upstreams"][3]["endpoints"][4], "10.0.0.2:5");
    assert_eq!(json[0].get("error"), None);
}

#[test]
fn the_gateways_of_the_cluster_are_among_them() {
    let cluster = ClusterView {
        gateways: vec![Gateway {
            name: "shop/web".into(),
            ..gateway()
        }],
        ..ClusterView::default()
    };
    let views = views(&Config::default(), &cluster, &[found(None)], None);
    let heads: Vec<_> = views
        .iter()
        .map(|view| (&*view.gateway, view.kind, view.pid))
        .collect();
    assert_eq!(
        heads,
        [
            ("shop/web", "kubernetes", None),
            ("nginx", "nginx", Some(7))
        ]
    );
}
