use super::*;

mod hosts;
mod processes;
mod warnings;

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
