//! Ties and what is warned of.

use super::*;

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
