//! Gateways told apart by their processes and network namespaces.

use super::*;

/// Main process 100 or 200 of the same executable, in namespace 1 or 2.
fn twins(netns: [Option<u32>; 2]) -> RouteTable {
    let twin = |name: &str, pid: u32, netns, port: &str, endpoint: &str| {
        let endpoints = [endpoint, "10.0.0.9:9000"];
        let upstreams: &[(&str, &[&str])] = &[(&format!("{name}-app"), &endpoints)];
        let mut twin = gateway(name, "", &[port], &[], upstreams);
        twin.processes = vec![
            ProcessPattern::Tree(pid),
            ProcessPattern::new("/usr/sbin/nginx"),
        ];
        twin.netns = netns;
        twin
    };
    let [one, other] = netns;
    RouteTable::new(vec![
        twin("a", 100, one, ":80", "10.0.0.1:9000"),
        twin("b", 200, other, ":80", "10.0.0.2:9000"),
    ])
}

fn worker(pid: u32, parent: u32) -> Process {
    Process {
        pid,
        parent: Some(parent),
        ..nginx()
    }
}

fn ask_in(
    table: &RouteTable,
    process: Option<&Process>,
    netns: u32,
    role: Option<Role>,
    ends: (&str, &str),
) -> String {
    let found = table.lookup(&Connection {
        process,
        netns,
        role,
        local: ends.0.parse().unwrap(),
        remote: ends.1.parse().unwrap(),
        opened: None,
    });
    found.map_or("-".to_owned(), |found| {
        format!("{} {} {}", found.gateway, found.leg, found.upstream)
            .trim_end()
            .to_owned()
    })
}

const ACCEPTED: (&str, &str) = ("10.9.9.9:80", "192.0.2.1:5");
const TO_A: (&str, &str) = ("10.9.9.9:5", "10.0.0.1:9000");
const TO_B: (&str, &str) = ("10.9.9.9:5", "10.0.0.2:9000");
const TO_BOTH: (&str, &str) = ("10.9.9.9:5", "10.0.0.9:9000");
const ELSEWHERE: (&str, &str) = ("10.9.9.9:5", "10.0.0.8:9000");

#[test]
fn main_processes_tell_gateways_of_one_program_apart() {
    let table = twins([Some(1), Some(1)]);
    assert_eq!(table.warnings(), <[&str; 0]>::default());
    let (of_a, of_b) = (worker(101, 100), worker(200, 1));
    let restarted = worker(301, 300);
    for (process, role, ends, expected) in [
        (Some(&of_a), SERVER, ACCEPTED, "a downstream"),
        (Some(&of_b), SERVER, ACCEPTED, "b downstream"),
        (Some(&of_a), CLIENT, TO_A, "a upstream a-app"),
        (Some(&of_a), CLIENT, TO_BOTH, "a upstream a-app"),
        (Some(&of_b), CLIENT, TO_BOTH, "b upstream b-app"),
        // Never another one's upstream, even if only that has the address.
        (Some(&of_a), CLIENT, TO_B, "a upstream"),
        (Some(&of_b), CLIENT, TO_A, "b upstream"),
        (Some(&of_a), CLIENT, ELSEWHERE, "a upstream"),
        (Some(&of_a), None, ELSEWHERE, "a none"),
        // A restarted gateway is known by its program until it is found again.
        (Some(&restarted), CLIENT, TO_A, "a upstream a-app"),
        (Some(&restarted), CLIENT, TO_B, "b upstream b-app"),
        (
            Some(&restarted),
            CLIENT,
            TO_BOTH,
            "a|b upstream a-app|b-app",
        ),
        (Some(&restarted), CLIENT, ELSEWHERE, "a|b upstream"),
        (None, CLIENT, TO_A, "a upstream a-app"),
        (None, CLIENT, TO_BOTH, "-"),
    ] {
        let found = ask_in(&table, process, 1, role, ends);
        assert_eq!(found, expected, "{process:?} {role:?} {ends:?}");
    }
}

#[test]
fn another_namespace_is_another_network() {
    let table = twins([Some(1), Some(2)]);
    let restarted = worker(301, 300);
    let of_a = worker(101, 100);
    for (process, netns, role, ends, expected) in [
        (Some(&restarted), 1, CLIENT, TO_BOTH, "a upstream a-app"),
        (Some(&restarted), 2, CLIENT, TO_BOTH, "b upstream b-app"),
        (Some(&restarted), 2, SERVER, ACCEPTED, "b downstream"),
        (Some(&restarted), 3, CLIENT, TO_BOTH, "-"),
        (Some(&restarted), 3, SERVER, ACCEPTED, "-"),
        (Some(&of_a), 1, CLIENT, TO_BOTH, "a upstream a-app"),
        (Some(&of_a), 3, CLIENT, TO_BOTH, "-"),
        (None, 1, CLIENT, TO_BOTH, "a upstream a-app"),
        (None, 2, CLIENT, TO_BOTH, "b upstream b-app"),
        (None, 2, None, ACCEPTED, "b downstream"),
        (None, 3, None, ACCEPTED, "-"),
    ] {
        let found = ask_in(&table, process, netns, role, ends);
        assert_eq!(found, expected, "{process:?} {netns} {role:?} {ends:?}");
    }
    // One that may be anywhere is everywhere.
    let table = twins([None, Some(2)]);
    let both = ask_in(&table, Some(&restarted), 2, CLIENT, TO_BOTH);
    assert_eq!(both, "a|b upstream a-app|b-app");
    let only = ask_in(&table, Some(&restarted), 3, CLIENT, TO_BOTH);
    assert_eq!(only, "a upstream a-app");
}

#[test]
fn a_main_process_goes_before_a_program_and_both_before_none() {
    let mut tree = gateway("tree", "", &[], &[], &[("t", &["10.0.0.1:9000"])]);
    tree.processes = vec![ProcessPattern::Tree(100)];
    let named: &[(&str, &[&str])] = &[("n", &["10.0.0.1:9000", "10.0.0.2:9000"])];
    let open: &[(&str, &[&str])] = &[("o", &["10.0.0.0/24:9000"])];
    let table = RouteTable::new(vec![
        gateway("open", "", &[], &[], open),
        gateway("named", "nginx", &[], &[], named),
        tree,
    ]);
    let (own, other) = (worker(101, 100), worker(201, 200));
    for (process, ends, expected) in [
        (&own, TO_A, "tree upstream t"),
        (&own, TO_B, "named upstream n"),
        (&own, ELSEWHERE, "open upstream o"),
        (&own, ("10.9.9.9:5", "10.0.0.1:9001"), "tree upstream"),
        (&other, TO_A, "named upstream n"),
        (&other, ("10.9.9.9:5", "10.0.0.1:9001"), "named upstream"),
    ] {
        let found = ask_in(&table, Some(process), 1, CLIENT, ends);
        assert_eq!(found, expected, "{} {ends:?}", process.pid);
    }
}

#[test]
fn only_what_can_be_confused_is_warned_of() {
    let table = |edit: &dyn Fn(&mut Gateway)| {
        let one = gateway("a", "nginx", &[":80"], &[], &[("x", &["10.0.0.1:1"])]);
        let mut other = Gateway {
            name: "b".into(),
            ..one.clone()
        };
        edit(&mut other);
        RouteTable::new(vec![one, other]).warnings().len()
    };
    assert_eq!(table(&|_| {}), 2);
    assert_eq!(
        table(&|b| b.processes = vec![ProcessPattern::new("/sbin/nginx")]),
        2
    );
    assert_eq!(table(&|b| b.processes.push(ProcessPattern::Tree(5))), 0);
    assert_eq!(table(&|b| b.processes.clear()), 0);
    assert_eq!(table(&|b| b.netns = Some(7)), 2);
    let apart = twins([Some(1), Some(2)]);
    assert_eq!(apart.warnings(), <[&str; 0]>::default());
}

#[test]
fn generations_of_a_gateway_and_a_neighbour_at_its_listener() {
    let one = |name: &str, pid: u32, route: &str, endpoint: &str| {
        let upstream: &[(&str, &[&str])] = &[("app", &[endpoint, "10.0.0.9:9000"])];
        let mut one = gateway(name, "", &[":80"], &[(route, &["app"])], upstream);
        one.processes = vec![
            ProcessPattern::Tree(pid),
            ProcessPattern::new("/usr/sbin/nginx"),
        ];
        one.netns = Some(1);
        one
    };
    let ask = |table: &RouteTable, process: Option<&Process>, role, ends: (&str, &str)| {
        let found = table.lookup(&Connection {
            process,
            netns: 1,
            role,
            local: ends.0.parse().unwrap(),
            remote: ends.1.parse().unwrap(),
            opened: None,
        });
        found.map_or("-".to_owned(), |found| {
            format!("{} {} {}", found.gateway, found.route, found.upstream)
        })
    };
    let (old, new, neighbour) = (worker(101, 100), worker(301, 300), worker(201, 200));
    let unfound = worker(401, 400);
    // Restarted with the same configuration, alone: what the two say is the same.
    let same = RouteTable::new(vec![
        one("a", 100, "/", "10.0.0.1:9000"),
        one("a", 300, "/", "10.0.0.1:9000"),
    ]);
    for process in [Some(&old), Some(&new), Some(&unfound), None] {
        assert_eq!(ask(&same, process, SERVER, ACCEPTED), "a / ", "{process:?}");
        assert_eq!(ask(&same, process, CLIENT, TO_A), "a / app", "{process:?}");
    }
    // With another configuration, beside a neighbour: each by its own, and never by another's.
    let changed = RouteTable::new(vec![
        one("a", 100, "/old", "10.0.0.1:9000"),
        one("a", 300, "/new", "10.0.0.2:9000"),
        one("b", 200, "/b", "10.0.0.1:9000"),
    ]);
    for (process, role, ends, expected) in [
        (Some(&old), SERVER, ACCEPTED, "a /old "),
        (Some(&new), SERVER, ACCEPTED, "a /new "),
        (Some(&neighbour), SERVER, ACCEPTED, "b /b "),
        (Some(&old), CLIENT, TO_BOTH, "a /old app"),
        (Some(&new), CLIENT, TO_BOTH, "a /new app"),
        (Some(&neighbour), CLIENT, TO_BOTH, "b /b app"),
        (Some(&new), CLIENT, TO_A, "a  "),
        (Some(&old), CLIENT, TO_B, "a  "),
        // Not found yet: what is said is all that it may be.
        (Some(&unfound), SERVER, ACCEPTED, "a|b  "),
        (Some(&unfound), CLIENT, TO_A, "a|b /b|/old app"),
        (Some(&unfound), CLIENT, TO_B, "a /new app"),
        (None, SERVER, ACCEPTED, "-"),
        (None, CLIENT, TO_A, "-"),
        (None, CLIENT, TO_B, "a /new app"),
        (None, CLIENT, TO_BOTH, "-"),
    ] {
        assert_eq!(
            ask(&changed, process, role, ends),
            expected,
            "{process:?} {ends:?}"
        );
    }
}
