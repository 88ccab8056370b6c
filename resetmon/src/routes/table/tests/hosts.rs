//! Host names and their addresses.

use std::collections::HashMap;

use super::*;

#[test]
fn host_names_follow_the_resolver_and_keep_former_addresses() {
    let gateways = || {
        vec![gateway(
            "g",
            "nginx",
            &[],
            &[("/llm", &["openai"]), ("/b", &["b"])],
            &[
                ("openai", &["api.openai.com:443", "Api.OpenAI.com.:443"]),
                ("b", &["b.example:443", "b.example:80"]),
            ],
        )]
    };
    let answer = |name: &str, addresses: &[&str]| -> Addresses {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        HashMap::from([(Arc::from(name), addresses)])
    };
    let nginx = nginx();
    let to = |table: &RouteTable, remote| ask(table, Some(&nginx), CLIENT, "10.9.9.9:5", remote);
    let openai = "g upstream /llm openai";

    let table = RouteTable::new(gateways());
    assert_eq!(table.host_names(), names(&["api.openai.com", "b.example"]));
    assert_eq!(to(&table, "192.0.2.1:443"), "g upstream");

    let at = Duration::from_secs;
    let first = answer("api.openai.com", &["192.0.2.1", "::ffff:192.0.2.2"]);
    let table = table.with_addresses(&first, at(10));
    assert_eq!(to(&table, "192.0.2.1:443"), openai);
    assert_eq!(to(&table, "192.0.2.2:443"), openai);
    assert_eq!(to(&table, "192.0.2.1:444"), "g upstream");

    // Replaced addresses stay, no answer changes nothing, unknown names are left out.
    let table = table
        .with_addresses(&answer("api.openai.com", &["192.0.2.3"]), at(20))
        .with_addresses(&answer("api.openai.com", &[]), at(30))
        .with_addresses(&answer("other.example", &["192.0.2.9"]), at(40));
    for remote in ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"] {
        assert_eq!(to(&table, remote), openai, "{remote}");
    }
    assert_eq!(to(&table, "192.0.2.9:443"), "g upstream");

    // An address that moved to another name is that name's.
    let table = table.with_addresses(&answer("b.example", &["192.0.2.1"]), at(50));
    assert_eq!(to(&table, "192.0.2.1:443"), "g upstream /b b");
    assert_eq!(to(&table, "192.0.2.2:443"), openai);

    // A reload keeps what is known.
    let reloaded = RouteTable::new(gateways()).with_addresses_of(&table);
    assert_eq!(to(&reloaded, "192.0.2.2:443"), openai);
    assert_eq!(to(&reloaded, "192.0.2.1:80"), "g upstream /b b");
}

#[test]
fn the_address_of_the_time_decides() {
    let table = RouteTable::new(vec![gateway(
        "g",
        "nginx",
        &[],
        &[("/a", &["a"]), ("/b", &["b"]), ("/c", &["c"])],
        &[
            ("a", &["a.example:443"]),
            ("b", &["b.example:443"]),
            ("c", &["192.0.2.3:443"]),
        ],
    )]);
    let answer = |table: &RouteTable, a: &str, b: &str, seconds| {
        let one = |text: &str| vec![text.parse().unwrap()];
        let answer = HashMap::from([("a.example".into(), one(a)), ("b.example".into(), one(b))]);
        table.with_addresses(&answer, Duration::from_secs(seconds))
    };
    let table = answer(&table, "192.0.2.1", "192.0.2.2", 100);
    let table = answer(&table, "192.0.2.1", "192.0.2.2", 200);
    // 192.0.2.1 moves from a to b, 192.0.2.3 is written down for c.
    let table = answer(&table, "192.0.2.3", "192.0.2.1", 300);
    let nginx = nginx();
    let ask = |remote: &str, opened: Option<u64>| {
        let found = table.lookup(&Connection {
            process: Some(&nginx),
            netns: 1,
            role: CLIENT,
            local: "10.9.9.9:5".parse().unwrap(),
            remote: remote.parse().unwrap(),
            opened: opened.map(Duration::from_secs),
        });
        found.unwrap().upstream.to_string()
    };
    for (remote, opened, expected) in [
        ("192.0.2.1:443", Some(50), "a"),
        ("192.0.2.1:443", Some(199), "a"),
        // When it moved is not known.
        ("192.0.2.1:443", Some(250), "a|b"),
        ("192.0.2.1:443", Some(301), "b"),
        ("192.0.2.1:443", None, "b"),
        ("192.0.2.2:443", Some(150), "b"),
        ("192.0.2.2:443", Some(400), "b"),
        ("192.0.2.3:443", Some(150), "c"),
        ("192.0.2.3:443", Some(250), "a|c"),
        ("192.0.2.4:443", Some(250), ""),
    ] {
        assert_eq!(ask(remote, opened), expected, "{remote} {opened:?}");
    }
}
