//! Host names and their addresses.

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

    let table = table.with_addresses(&answer(
        "api.openai.com",
        &["192.0.2.1", "::ffff:192.0.2.2"],
    ));
    assert_eq!(to(&table, "192.0.2.1:443"), openai);
    assert_eq!(to(&table, "192.0.2.2:443"), openai);
    assert_eq!(to(&table, "192.0.2.1:444"), "g upstream");

    // Replaced addresses stay, no answer changes nothing, unknown names are left out.
    let table = table
        .with_addresses(&answer("api.openai.com", &["192.0.2.3"]))
        .with_addresses(&answer("api.openai.com", &[]))
        .with_addresses(&answer("other.example", &["192.0.2.9"]));
    for remote in ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"] {
        assert_eq!(to(&table, remote), openai, "{remote}");
    }
    assert_eq!(to(&table, "192.0.2.9:443"), "g upstream");

    // An address that moved to another name is that name's.
    let table = table.with_addresses(&answer("b.example", &["192.0.2.1"]));
    assert_eq!(to(&table, "192.0.2.1:443"), "g upstream /b b");
    assert_eq!(to(&table, "192.0.2.2:443"), openai);

    // A reload keeps what is known.
    let reloaded = RouteTable::new(gateways()).with_addresses_of(&table);
    assert_eq!(to(&reloaded, "192.0.2.2:443"), openai);
    assert_eq!(to(&reloaded, "192.0.2.1:80"), "g upstream /b b");
}

#[test]
fn former_addresses_are_bounded() {
    let mut host = HostAddresses::default();
    for number in 0..2000_u32 {
        host.replace(&[IpAddr::V4(Ipv4Addr::from_bits(number))]);
    }
    assert_eq!(host.current, [IpAddr::V4(Ipv4Addr::from_bits(1999))]);
    assert_eq!(host.former.len(), FORMER_ADDRESSES);
    assert_eq!(host.former[0], IpAddr::V4(Ipv4Addr::from_bits(1998)));
}
