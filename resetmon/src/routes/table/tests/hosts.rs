//! Host names and their addresses.

use super::*;
use crate::routes::resolve::hosts_file::HostsFile;
use crate::routes::resolve::name_switch::NameSwitch;
use crate::routes::resolve::resolv_conf::ResolvConf;

/// The resolver of another network namespace with this hosts file.
fn resolver(netns: u32, hosts: &str) -> Arc<Resolver> {
    Arc::new(Resolver::new(
        Some(netns),
        ResolvConf::default(),
        HostsFile::parse(hosts),
        NameSwitch::default(),
        Vec::new(),
    ))
}

/// One answer; without addresses, the name was not found.
fn answered(resolver: Option<&Arc<Resolver>>, name: &str, addresses: &[&str]) -> Vec<Answer> {
    let host = HostKey {
        resolver: resolver.cloned(),
        name: name.into(),
    };
    let found: Vec<IpAddr> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    vec![if found.is_empty() {
        Answer::failed(host, "no such name".to_owned())
    } else {
        Answer::found(host, found)
    }]
}

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
    let answer = |name: &str, addresses: &[&str]| answered(None, name, addresses);
    let nginx = nginx();
    let to = |table: &RouteTable, remote| ask(table, Some(&nginx), CLIENT, "10.9.9.9:5", remote);
    let openai = "g upstream /llm openai";

    let table = RouteTable::new(gateways());
    let keys = ["api.openai.com", "b.example"].map(HostKey::own);
    assert_eq!(table.host_names(), keys);
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
    let answer = |table: RouteTable, a: &str, b: &str, seconds| {
        let mut answers = answered(None, "a.example", &[a]);
        answers.extend(answered(None, "b.example", &[b]));
        table.with_addresses(&answers, Duration::from_secs(seconds))
    };
    let table = answer(table, "192.0.2.1", "192.0.2.2", 100);
    let table = answer(table, "192.0.2.1", "192.0.2.2", 200);
    // 192.0.2.1 moves from a to b, 192.0.2.3 is written down for c.
    let table = answer(table, "192.0.2.3", "192.0.2.1", 300);
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

/// A gateway of its own namespace that connects to `api`.
fn with_resolver(name: &str, pid: u32, netns: u32, hosts: &str) -> Gateway {
    Gateway {
        netns: Some(netns),
        processes: vec![ProcessPattern::Tree(pid)],
        resolver: Some(resolver(netns, hosts)),
        ..gateway(name, "", &[], &[("/", &["u"])], &[("u", &["api:443"])])
    }
}

fn upstream_and_host(table: &RouteTable, pid: u32, netns: u32, remote: &str) -> String {
    let process = Process { pid, ..nginx() };
    let found = table.lookup(&Connection {
        process: Some(&process),
        netns,
        role: CLIENT,
        local: "10.9.9.9:5".parse().unwrap(),
        remote: remote.parse().unwrap(),
        opened: None,
    });
    let found = found.unwrap();
    let host = found.host.as_deref().unwrap_or("-");
    format!("{} {} {host}", found.gateway, found.upstream)
}

#[test]
fn one_name_with_the_addresses_of_each_gateway() {
    let gateways = || vec![with_resolver("a", 1, 11, ""), with_resolver("b", 2, 12, "")];
    let mut answers = answered(Some(&resolver(11, "")), "api", &["192.0.2.1", "192.0.2.3"]);
    answers.extend(answered(
        Some(&resolver(12, "")),
        "api",
        &["192.0.2.2", "192.0.2.3"],
    ));
    // Nobody asked the agent's own.
    answers.extend(answered(None, "api", &["192.0.2.9"]));
    let table = RouteTable::new(gateways()).with_addresses(&answers, Duration::from_secs(10));
    assert_eq!(table.host_names().len(), 2);
    for (pid, netns, remote, expected) in [
        (1, 11, "192.0.2.1:443", "a u api"),
        (1, 11, "192.0.2.2:443", "a  -"),
        (1, 11, "192.0.2.3:443", "a u api"),
        (1, 11, "192.0.2.9:443", "a  -"),
        (2, 12, "192.0.2.1:443", "b  -"),
        (2, 12, "192.0.2.2:443", "b u api"),
        (2, 12, "192.0.2.3:443", "b u api"),
    ] {
        let found = upstream_and_host(&table, pid, netns, remote);
        assert_eq!(found, expected, "{pid} {remote}");
    }
    // Those of one resolver share the name.
    let mut shared = gateways();
    shared[1].resolver = Some(resolver(11, ""));
    assert_eq!(RouteTable::new(shared).host_names().len(), 1);
}

#[test]
fn a_gateway_whose_files_change_keeps_its_addresses() {
    let before = vec![with_resolver("a", 1, 11, ""), with_resolver("b", 2, 12, "")];
    let mut answers = answered(Some(&resolver(11, "")), "api", &["192.0.2.1"]);
    answers.extend(answered(Some(&resolver(12, "")), "api", &["192.0.2.2"]));
    let before = RouteTable::new(before).with_addresses(&answers, Duration::from_secs(10));

    let hosts = "192.0.2.7 api\n";
    let after = vec![
        with_resolver("b", 2, 12, ""),
        // Its label has changed, too.
        with_resolver("a:host", 1, 11, hosts),
        // The number of a process that is gone means another one.
        with_resolver("c", 3, 11, ""),
    ];
    let after = RouteTable::new(after).with_addresses_of(&before);
    let hosts = answered(Some(&resolver(11, hosts)), "api", &["192.0.2.7"]);
    let after = after.with_addresses(&hosts, Duration::from_secs(20));
    for (pid, netns, remote, expected) in [
        (1, 11, "192.0.2.1:443", "a:host u api"),
        (1, 11, "192.0.2.7:443", "a:host u api"),
        (1, 11, "192.0.2.2:443", "a:host  -"),
        (2, 12, "192.0.2.2:443", "b u api"),
        (2, 12, "192.0.2.1:443", "b  -"),
        (3, 11, "192.0.2.7:443", "c  -"),
    ] {
        let found = upstream_and_host(&after, pid, netns, remote);
        assert_eq!(found, expected, "{pid} {remote}");
    }
}

#[test]
fn what_is_wrong_with_names_is_said() {
    let gateways = vec![with_resolver("a", 1, 11, ""), with_resolver("b", 2, 12, "")];
    let table = RouteTable::new(gateways);
    let at = Duration::from_secs;
    let never = |gateway| format!("host api of {gateway} is not resolved: it matches nothing");
    assert_eq!(table.about_hosts(), [never("a"), never("b")]);
    let mut answers = answered(Some(&resolver(11, "")), "api", &[]);
    answers.extend(answered(Some(&resolver(12, "")), "api", &["192.0.2.2"]));
    for answer in &mut answers {
        answer.notes = ["asked elsewhere".to_owned()].into();
    }
    let table = table.with_addresses(&answers, at(10));
    let failed = "host api of a is not resolved (no such name): it matches nothing";
    let noted = "gateway a and b: asked elsewhere";
    assert_eq!(table.about_hosts(), [failed, noted]);
    // The answer that follows has no notes.
    let table = table.with_addresses(&answered(Some(&resolver(12, "")), "api", &[]), at(20));
    let kept = "host api of b keeps the addresses that it had: no such name";
    let noted = "gateway a: asked elsewhere";
    assert_eq!(table.about_hosts(), [failed, kept, noted]);
    let found = upstream_and_host(&table, 2, 12, "192.0.2.2:443");
    assert_eq!(found, "b u api");
    let table = table.with_addresses(
        &answered(Some(&resolver(11, "")), "api", &["192.0.2.1"]),
        at(30),
    );
    assert_eq!(table.about_hosts(), [kept]);
}
