use std::time::Duration;

use super::*;
use crate::kernel::observation::Role;
use crate::reset::{Container, Process, RouteMatch};
use crate::routes::table::{Connection, Route, RouteTable, Upstream};

const POD: &str = "11111111-2222-3333-4444-555555555555";
const OTHER_POD: &str = "99999999-2222-3333-4444-555555555555";
const PID: u32 = 7;

fn gateway(name: &str, processes: Vec<ProcessPattern>, upstreams: &[(&str, &str)]) -> Gateway {
    Gateway {
        name: name.into(),
        processes,
        listeners: vec![":80".parse().unwrap()],
        routes: upstreams
            .iter()
            .map(|(upstream, _)| Route {
                name: format!("to {upstream}").into(),
                listeners: Vec::new(),
                upstreams: vec![(*upstream).into()],
            })
            .collect(),
        upstreams: upstreams
            .iter()
            .map(|(name, endpoint)| Upstream {
                name: (*name).into(),
                endpoints: vec![endpoint.parse().unwrap()],
            })
            .collect(),
        ..Gateway::default()
    }
}

/// The process of a controller, as its generated configuration describes it.
fn found() -> Found {
    let patterns = vec![
        ProcessPattern::Tree(PID),
        ProcessPattern::new("/usr/bin/nginx"),
    ];
    Found {
        gateway: gateway("nginx", patterns, &[("upstream_balancer", "10.0.0.1:8080")]),
        kind: "nginx",
        pid: PID,
        exe: "/usr/bin/nginx".into(),
        origin: "/etc/nginx/nginx.conf".to_owned(),
        error: None,
    }
}

fn class(pod: &str, upstreams: &[(&str, &str)]) -> Gateway {
    gateway("public", vec![ProcessPattern::Pod(pod.into())], upstreams)
}

const PAY: &[(&str, &str)] = &[("shop/pay:80", "10.0.0.1:8080")];

fn names(gateways: &[Gateway]) -> Vec<&str> {
    gateways.iter().map(|gateway| &*gateway.name).collect()
}

#[test]
fn one_description_wins() {
    let pod_of = |pid| (pid == PID).then(|| Arc::from(POD));
    let found = [found()];
    let by_hand = [gateway(
        "edge",
        vec![ProcessPattern::new("nginx")],
        &[("app", "10.0.0.1:8080")],
    )];
    for (what, by_hand, by_cluster, expected) in [
        ("found alone", &[][..], &[][..], &["nginx"][..]),
        ("the cluster's", &[], &[class(POD, PAY)], &["public"]),
        (
            "another pod's",
            &[],
            &[class(OTHER_POD, PAY)],
            &["nginx", "public"],
        ),
        (
            "without routes",
            &[],
            &[class(POD, &[])],
            &["nginx", "public"],
        ),
        ("by hand", &by_hand, &[], &["edge"]),
    ] {
        let merged = merged(by_hand, by_cluster, &found, pod_of);
        assert_eq!(names(&merged), expected, "{what}");
    }
    // Where the pod is not known, nothing is left out.
    let merged = merged(&[], &[class(POD, PAY)], &found, |_| None);
    assert_eq!(names(&merged), ["nginx", "public"]);
}

fn lookup(table: &RouteTable, owned: bool, role: Role, local: &str, remote: &str) -> RouteMatch {
    let process = Process {
        pid: PID + 1,
        parent: Some(PID),
        name: "nginx".into(),
        comm: "nginx".into(),
        exe: Some("/usr/bin/nginx".into()),
        cmdline: None,
        container: Some(Container {
            id: "c1".into(),
            runtime: "containerd",
            pod_uid: Some(POD.into()),
            names: None,
        }),
        unit: None,
    };
    let connection = Connection {
        process: owned.then_some(&process),
        netns: 1,
        role: Some(role),
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        opened: Some(Duration::ZERO),
    };
    table.lookup(&connection).unwrap()
}

#[test]
fn both_legs_go_by_one_name_with_and_without_the_process() {
    let pod_of = |_| Some(Arc::from(POD));
    let table = RouteTable::new(merged(&[], &[class(POD, PAY)], &[found()], pod_of));
    for owned in [true, false] {
        let down = lookup(&table, owned, Role::Server, "10.0.0.9:80", "192.0.2.1:5000");
        let up = lookup(
            &table,
            owned,
            Role::Client,
            "10.0.0.9:5000",
            "10.0.0.1:8080",
        );
        for (found, upstream) in [(&down, ""), (&up, "shop/pay:80")] {
            assert_eq!(&*found.gateway, "public", "{owned}");
            assert_eq!(&*found.route, "to shop/pay:80", "{owned}");
            assert_eq!(&*found.upstream, upstream, "{owned}");
        }
    }
    // Without the rule a reset without a process would have no name at all.
    let both = RouteTable::new(vec![found().gateway, class(POD, PAY)]);
    let connection = Connection {
        process: None,
        netns: 1,
        role: Some(Role::Server),
        local: "10.0.0.9:80".parse().unwrap(),
        remote: "192.0.2.1:5000".parse().unwrap(),
        opened: None,
    };
    assert_eq!(both.lookup(&connection), None);
}
