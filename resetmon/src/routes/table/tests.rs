use super::*;

mod hosts;
mod processes;

fn process(name: &str, comm: &str, exe: Option<&str>) -> Process {
    Process {
        pid: 7,
        parent: None,
        name: name.into(),
        comm: comm.into(),
        exe: exe.map(Arc::from),
        cmdline: None,
        container: None,
        unit: None,
    }
}

fn nginx() -> Process {
    process("nginx", "nginx", Some("/usr/sbin/nginx"))
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// `gateway("nginx", "nginx", &[":80"], &[("/", &["app"])], &[("app", &["10.0.0.1:80"])])`.
fn gateway(
    name: &str,
    processes: &str,
    listeners: &[&str],
    routes: &[(&str, &[&str])],
    upstreams: &[(&str, &[&str])],
) -> Gateway {
    Gateway {
        netns: None,
        name: name.into(),
        processes: processes
            .split_whitespace()
            .map(ProcessPattern::new)
            .collect(),
        listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
        routes: routes
            .iter()
            .map(|(name, upstreams)| Route {
                listeners: Vec::new(),
                name: (*name).into(),
                upstreams: names(upstreams),
            })
            .collect(),
        upstreams: upstreams
            .iter()
            .map(|(name, endpoints)| Upstream {
                name: (*name).into(),
                endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
            })
            .collect(),
        resolver: None,
        not_understood: Vec::new(),
    }
}

/// The answer as `gateway/leg/route/upstream`, or `-`.
fn ask(
    table: &RouteTable,
    process: Option<&Process>,
    role: Option<Role>,
    local: &str,
    remote: &str,
) -> String {
    let found = table.lookup(&Connection {
        process,
        netns: 1,
        role,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        opened: None,
    });
    found.map_or("-".to_owned(), |found| {
        let RouteMatch {
            gateway,
            route,
            upstream,
            host: _,
            leg,
        } = found;
        format!("{gateway} {leg} {route} {upstream}")
            .trim_end()
            .to_owned()
    })
}

const CLIENT: Option<Role> = Some(Role::Client);
const SERVER: Option<Role> = Some(Role::Server);

fn shop() -> RouteTable {
    RouteTable::new(vec![gateway(
        "edge",
        "nginx",
        &["0.0.0.0:443", "[::]:443", "10.9.9.9:80", ":8080"],
        &[
            ("/api/pay", &["payments"]),
            ("/cart", &["web"]),
            ("/about", &["web"]),
            ("/both", &["web", "payments2"]),
        ],
        &[
            (
                "payments",
                &["10.0.0.1:9000", "10.0.0.1:9001", "[2001:db8::1]:9000"],
            ),
            ("payments2", &["10.0.0.2"]),
            (
                "web",
                &["10.1.0.0/16:9000", "10.2.0.0/16", "2001:db8:1::/48"],
            ),
            ("canary", &["10.1.7.0/24", "10.1.7.7:9000"]),
        ],
    )])
}

#[test]
fn roles_and_addresses_decide() {
    let table = shop();
    let nginx = nginx();
    let c = "10.9.9.9:50000";
    for (role, local, remote, expected) in [
        // The client leg: by port, by address and port, by either family.
        (SERVER, "10.9.9.9:443", "192.0.2.1:1", "edge downstream"),
        (
            SERVER,
            "[2001:db8::9]:443",
            "[2001:db8::5]:1",
            "edge downstream",
        ),
        (SERVER, "10.9.9.9:80", "192.0.2.1:1", "edge downstream"),
        (
            SERVER,
            "[2001:db8::9]:8080",
            "[2001:db8::5]:1",
            "edge downstream",
        ),
        (
            SERVER,
            "[::ffff:10.9.9.9]:443",
            "[::ffff:192.0.2.1]:1",
            "edge downstream",
        ),
        // A port nobody listed is still this gateway's.
        (SERVER, "10.9.9.8:80", "192.0.2.1:1", "edge downstream"),
        // Exact endpoints.
        (
            CLIENT,
            c,
            "10.0.0.1:9000",
            "edge upstream /api/pay payments",
        ),
        (
            CLIENT,
            c,
            "10.0.0.1:9001",
            "edge upstream /api/pay payments",
        ),
        (
            CLIENT,
            c,
            "[::ffff:10.0.0.1]:9000",
            "edge upstream /api/pay payments",
        ),
        (
            CLIENT,
            c,
            "[2001:db8::1]:9000",
            "edge upstream /api/pay payments",
        ),
        (CLIENT, c, "10.0.0.2:1", "edge upstream /both payments2"),
        // Near misses: another port, another address, another family's prefix.
        (CLIENT, c, "10.0.0.1:9002", "edge upstream"),
        (CLIENT, c, "10.0.0.3:9000", "edge upstream"),
        (CLIENT, c, "10.1.2.3:9001", "edge upstream"),
        (CLIENT, c, "[2001:db8::2]:9000", "edge upstream"),
        // Prefixes: a shared upstream has the set of its routes.
        (
            CLIENT,
            c,
            "10.1.2.3:9000",
            "edge upstream /about|/both|/cart web",
        ),
        (
            CLIENT,
            c,
            "10.2.255.255:1",
            "edge upstream /about|/both|/cart web",
        ),
        (
            CLIENT,
            c,
            "[2001:db8:1::7]:1",
            "edge upstream /about|/both|/cart web",
        ),
        (CLIENT, c, "10.3.0.0:1", "edge upstream"),
        // The longest prefix wins even without a port; this upstream has no route.
        (CLIENT, c, "10.1.7.8:9000", "edge upstream  canary"),
        (CLIENT, c, "10.1.7.7:9000", "edge upstream  canary"),
        // Unknown role: whichever end matches, the listener first.
        (None, "10.9.9.9:443", "192.0.2.1:1", "edge downstream"),
        (None, c, "10.0.0.1:9000", "edge upstream /api/pay payments"),
        (None, "10.9.9.9:443", "10.2.0.1:5", "edge downstream"),
        (None, "10.9.9.9:444", "192.0.2.1:443", "edge none"),
        // The role is the truth: an outgoing connection from a listening port's number.
        (
            CLIENT,
            "10.9.9.9:443",
            "10.0.0.1:9000",
            "edge upstream /api/pay payments",
        ),
        (SERVER, "10.9.9.9:50000", "10.0.0.1:9000", "edge downstream"),
    ] {
        let found = ask(&table, Some(&nginx), role, local, remote);
        assert_eq!(found, expected, "{role:?} {local} {remote}");
    }
}

#[test]
fn another_process_is_not_the_gateway() {
    let table = shop();
    let curl = process("curl", "curl", Some("/usr/bin/curl"));
    assert_eq!(
        ask(&table, Some(&curl), CLIENT, "10.9.9.9:5", "10.0.0.1:9000"),
        "-"
    );
    assert_eq!(
        ask(&table, Some(&curl), SERVER, "10.9.9.9:443", "192.0.2.1:5"),
        "-"
    );
    assert_eq!(
        ask(
            &RouteTable::default(),
            Some(&nginx()),
            CLIENT,
            "1.1.1.1:1",
            "1.1.1.2:1"
        ),
        "-"
    );
}

#[test]
fn processes_by_name_comm_and_path() {
    for (pattern, process, expected) in [
        ("nginx", nginx(), true),
        ("ngin", nginx(), false),
        ("nginx2", nginx(), false),
        ("/usr/sbin/nginx", nginx(), true),
        ("/usr/sbin/ngin", nginx(), false),
        ("/sbin/nginx", nginx(), false),
        ("/usr/sbin/nginx", process("nginx", "nginx", None), false),
        (
            "envoy",
            process("envoy-1.30", "envoy", Some("/opt/envoy-1.30")),
            true,
        ),
        (
            "envoy-1.30",
            process("x", "y", Some("/opt/envoy-1.30")),
            true,
        ),
        (
            "ingress-nginx-controller",
            process("ingress-nginx-c", "ingress-nginx-c", None),
            true,
        ),
        (
            "ingress-nginx-controller",
            process("ingress-nginx", "ingress-nginx", None),
            false,
        ),
        (
            "ingress-nginx-controller",
            process("x", "ingress-nginx-c", Some("/x")),
            false,
        ),
    ] {
        let found = ProcessPattern::new(pattern).matches(&process);
        assert_eq!(found, expected, "{pattern} {process:?}");
    }
}

#[test]
fn without_a_process_addresses_decide_if_one_gateway_fits_best() {
    let table = RouteTable::new(vec![
        gateway(
            "a",
            "nginx",
            &[":80", "10.0.0.5:443"],
            &[("/", &["x"])],
            &[("x", &["10.0.0.1:9000", "10.0.0.2:9000"])],
        ),
        gateway(
            "b",
            "haproxy",
            &["0.0.0.0:80", "0.0.0.0:443"],
            &[("fe", &["y"])],
            &[("y", &["10.0.0.1:9000", "10.0.0.0/24"])],
        ),
    ]);
    for (role, local, remote, expected) in [
        (None, "10.0.0.5:80", "192.0.2.1:1", "-"),
        (SERVER, "10.0.0.5:80", "192.0.2.1:1", "-"),
        (
            None,
            "[2001:db8::1]:80",
            "[2001:db8::2]:1",
            "a downstream /",
        ),
        (None, "10.0.0.5:443", "192.0.2.1:1", "a downstream /"),
        (None, "10.0.0.6:443", "192.0.2.1:1", "b downstream fe"),
        (None, "10.0.0.5:50000", "10.0.0.1:9000", "-"),
        (CLIENT, "10.0.0.5:50000", "10.0.0.2:9000", "a upstream / x"),
        (None, "10.0.0.5:50000", "10.0.0.3:9000", "b upstream fe y"),
        (None, "10.0.0.5:50000", "10.0.1.3:9000", "-"),
        (CLIENT, "10.0.0.5:443", "192.0.2.1:1", "-"),
        (SERVER, "10.0.0.5:50000", "10.0.0.2:9000", "-"),
    ] {
        assert_eq!(
            ask(&table, None, role, local, remote),
            expected,
            "{local} {remote}"
        );
    }
}

#[test]
fn a_named_process_goes_before_an_open_gateway() {
    let table = RouteTable::new(vec![
        gateway(
            "closed",
            "",
            &[":80"],
            &[("all", &["y"])],
            &[("y", &["10.0.0.0/8"])],
        ),
        gateway(
            "nginx",
            "nginx",
            &[],
            &[("/", &["x"])],
            &[("x", &["10.0.0.0/16"])],
        ),
    ]);
    let (nginx, java) = (nginx(), process("java", "java", Some("/usr/bin/java")));
    for (process, role, local, remote, expected) in [
        (
            &nginx,
            CLIENT,
            "10.9.9.9:5",
            "10.0.1.1:1",
            "nginx upstream / x",
        ),
        (
            &java,
            CLIENT,
            "10.9.9.9:5",
            "10.0.1.1:1",
            "closed upstream all y",
        ),
        (&java, CLIENT, "10.9.9.9:5", "11.0.1.1:1", "-"),
        (
            &java,
            SERVER,
            "10.9.9.9:80",
            "11.0.1.1:1",
            "closed downstream all",
        ),
        (&java, SERVER, "10.9.9.9:81", "11.0.1.1:1", "-"),
        (
            &nginx,
            CLIENT,
            "10.9.9.9:5",
            "10.9.1.1:1",
            "closed upstream all y",
        ),
        (&nginx, CLIENT, "10.9.9.9:5", "11.9.1.1:1", "nginx upstream"),
        // Without listeners every accepted connection is a client's.
        (
            &nginx,
            SERVER,
            "10.9.9.9:81",
            "11.0.1.1:1",
            "nginx downstream /",
        ),
    ] {
        let found = ask(&table, Some(process), role, local, remote);
        assert_eq!(
            found, expected,
            "{} {role:?} {local} {remote}",
            process.name
        );
    }
}

#[test]
fn ties_are_named_in_a_stable_order() {
    let build = |reverse: bool| {
        let mut gateways = vec![
            gateway(
                "b",
                "nginx",
                &[":80"],
                &[("/b", &["y", "z"])],
                &[("z", &["10.0.0.1:9"]), ("y", &["10.0.0.1:9", "10.0.0.1:9"])],
            ),
            gateway(
                "a",
                "/usr/sbin/nginx",
                &[":80"],
                &[("/a", &["y"])],
                &[("y", &["10.0.0.2:9"])],
            ),
            gateway(
                "c",
                "nginx",
                &[":81"],
                &[("/c", &["w"])],
                &[("w", &["10.0.0.2:9"])],
            ),
        ];
        if reverse {
            gateways.reverse();
        }
        RouteTable::new(gateways)
    };
    let nginx = nginx();
    for table in [build(false), build(true)] {
        for (role, local, remote, expected) in [
            (CLIENT, "10.9.9.9:5", "10.0.0.1:9", "b upstream /b y|z"),
            (CLIENT, "10.9.9.9:5", "10.0.0.2:9", "a|c upstream /a|/c w|y"),
            (CLIENT, "10.9.9.9:5", "10.0.0.3:9", "a|b|c upstream"),
            (SERVER, "10.9.9.9:80", "10.0.0.3:9", "a|b downstream"),
            (SERVER, "10.9.9.9:81", "10.0.0.3:9", "c downstream /c"),
        ] {
            assert_eq!(
                ask(&table, Some(&nginx), role, local, remote),
                expected,
                "{local} {remote}"
            );
        }
        let warnings = table.warnings().join("\n");
        for part in [
            "gateway b: endpoint 10.0.0.1:9 is in upstreams y and z",
            "endpoint 10.0.0.2:9 is in gateways",
            "listener :80 is in gateways",
        ] {
            assert!(warnings.contains(part), "{part}: {warnings}");
        }
        assert_eq!(table.warnings().len(), 3, "{warnings}");
    }
}

#[test]
fn warnings_name_what_does_not_fit() {
    let mut odd = gateway(
        "g",
        "nginx",
        &[":80", "10.0.0.9:81", "0.0.0.0:82", ":80"],
        &[("/", &["a", "gone"])],
        &[
            (
                "a",
                &[
                    "127.0.0.1:80",
                    "10.0.0.9:81",
                    "10.0.0.8:81",
                    "127.0.0.0/8:82",
                    "127.0.0.2:82",
                ],
            ),
            ("b", &["10.0.0.7:80", "nowhere.internal:1"]),
        ],
    );
    odd.not_understood.push("map $x is not read".to_owned());
    let other = gateway("h", "haproxy", &[":80"], &[], &[("a", &["10.0.0.8:81"])]);
    let table = RouteTable::new(vec![odd, other]);
    assert_eq!(
        table.warnings(),
        [
            "gateway g: map $x is not read",
            "gateway g: route / names upstream gone, which is not known",
            "gateway g: no route names upstream b, its resets have no route",
            "gateway g: upstream a connects to the gateway's own listener :80",
            "gateway g: upstream a connects to the gateway's own listener 10.0.0.9:81",
            "gateway g: upstream a connects to the gateway's own listener 0.0.0.0:82",
            "host nowhere.internal of g is not resolved: it matches nothing",
        ]
    );
    assert!(
        shop().warnings().iter().all(|text| text.contains("canary")),
        "{:?}",
        shop().warnings()
    );
}

#[test]
fn a_listener_with_one_route_leads_to_it() {
    let mut one = gateway(
        "g",
        "nginx",
        &[":80", ":81", ":82", "10.0.0.5:84", "0.0.0.0:85", ":85"],
        &[("a", &[]), ("b", &[]), ("c", &[]), ("c2", &[])],
        &[],
    );
    for (route, listeners) in [
        (0, &[":80", ":81", "0.0.0.0:85"][..]),
        (1, &[":81", "10.0.0.5:84", ":85"]),
        (2, &[":83", "[::ffff:10.0.0.5]:86"]),
        (3, &[":87"]),
    ] {
        one.routes[route].listeners = listeners.iter().map(|text| text.parse().unwrap()).collect();
    }
    let mut open = one.clone();
    open.routes[3].listeners.clear();
    let nginx = nginx();
    for (local, expected, with_open) in [
        ("10.0.0.5:80", "g downstream a", "g downstream"),
        ("10.0.0.5:81", "g downstream", "g downstream"),
        ("10.0.0.5:82", "g downstream", "g downstream c2"),
        // Only the route says that there is a listener.
        ("10.0.0.5:83", "g downstream c", "g downstream"),
        ("10.0.0.5:86", "g downstream c", "g downstream"),
        ("10.0.0.5:84", "g downstream b", "g downstream"),
        ("10.0.0.6:84", "g downstream", "g downstream"),
        // Two sockets that may both have accepted.
        ("10.0.0.5:85", "g downstream", "g downstream"),
        ("[2001:db8::1]:85", "g downstream b", "g downstream"),
        ("10.0.0.5:88", "g downstream", "g downstream"),
    ] {
        let ask = |one: &Gateway| {
            let table = RouteTable::new(vec![one.clone()]);
            ask(&table, Some(&nginx), SERVER, local, "192.0.2.1:1")
        };
        assert_eq!(ask(&one), expected, "{local}");
        assert_eq!(ask(&open), with_open, "{local}, one route open");
    }
    // The only route of a gateway whose listeners are not known, unless it has some of its own.
    one.listeners.clear();
    one.routes.truncate(1);
    let ask = |one: &Gateway| {
        let table = RouteTable::new(vec![one.clone()]);
        ask(&table, Some(&nginx), SERVER, "10.0.0.5:99", "192.0.2.1:1")
    };
    assert_eq!(ask(&one), "g downstream");
    one.routes[0].listeners.clear();
    assert_eq!(ask(&one), "g downstream a");
}

#[test]
fn labels_and_warnings_of_many_are_bounded() {
    let names: Vec<String> = (0..9).map(|number| format!("/r{number}")).collect();
    let routes: Vec<(&str, &[&str])> = names.iter().map(|name| (&**name, &["web"][..])).collect();
    let table = RouteTable::new(vec![gateway(
        "g",
        "nginx",
        &[],
        &routes,
        &[("web", &["10.0.0.1:80"])],
    )]);
    let found = ask(&table, Some(&nginx()), CLIENT, "10.9.9.9:5", "10.0.0.1:80");
    assert_eq!(found, "g upstream /r0|/r1|/r2|/r3|+5 web");
    assert_eq!(
        table.warnings(),
        ["gateway g: upstream web is shared by 9 routes, its resets have route /r0|/r1|/r2|/r3|+5"]
    );
    let endpoints: Vec<String> = (0..300)
        .map(|number| format!("10.0.0.1:{}", 1000 + number))
        .collect();
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let upstreams: Vec<String> = (0..300).map(|number| format!("u{number:03}")).collect();
    let upstreams: Vec<(&str, &[&str])> = upstreams
        .iter()
        .map(|name| (&**name, &endpoints[..]))
        .collect();
    let table = RouteTable::new(vec![gateway("g", "nginx", &[], &[], &upstreams)]);
    let warnings = table.warnings();
    assert_eq!(warnings.len(), 101, "{warnings:#?}");
    assert_eq!(
        warnings[0],
        "gateway g: endpoint 10.0.0.1:1000 is in upstreams u000, u001, u002, u003 and 296 more"
    );
    assert!(
        warnings[100].starts_with("… and 200 more like this: gateway g: endpoint 10.0.0.1:1100")
    );
    let found = ask(
        &table,
        Some(&nginx()),
        CLIENT,
        "10.9.9.9:5",
        "10.0.0.1:1000",
    );
    assert_eq!(found, "g upstream  u000|u001|u002|u003|+296");
}
