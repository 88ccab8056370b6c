use super::*;

fn instance(line: &str) -> Instance {
    Instance {
        exe: "/usr/bin/caddy".into(),
        arguments: line.split(' ').map(str::to_owned).collect(),
        ..Instance::default()
    }
}

#[test]
fn claims_what_serves() {
    for (line, expected) in [
        ("caddy run --config /etc/caddy/Caddyfile", true),
        ("/usr/bin/caddy start", true),
        ("caddy reverse-proxy --to :9000", true),
        ("caddy reload", false),
        ("caddy", false),
    ] {
        assert_eq!(Caddy.claims(&instance(line)), expected, "{line}");
    }
    let mut other = instance("caddy run");
    other.exe = "/usr/bin/caddyx".into();
    assert!(!Caddy.claims(&other));
    assert_eq!(Caddy.generation(&instance("caddy run")), None);
}

#[test]
fn where_to_ask() {
    for (listen, expected) in [
        ("localhost:2019", "127.0.0.1:2019 [::1]:2019"),
        (":2020", "127.0.0.1:2020 [::1]:2020"),
        ("tcp/10.0.0.1:2019", "10.0.0.1:2019"),
        ("unix//run/caddy.sock|0222", "unix:/run/caddy.sock"),
        ("udp/:1", ""),
    ] {
        let addresses = admin_addresses(listen).unwrap();
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), expected, "{listen}");
    }
    assert!(admin_addresses("admin.internal:2019").is_err());
    assert!(admin_addresses("").is_err());
}

#[test]
fn upstreams_in_use_are_added_once() {
    let mut draft = Draft::default();
    draft.upstream("10.0.0.1:1", []);
    let answer = br#"[{"address":"10.0.0.1:1"},{"address":"10.0.0.2:2"},{"address":"{x}:1"},1]"#;
    upstreams_in_use(&mut draft, answer);
    upstreams_in_use(&mut draft, b"nothing");
    assert_eq!(
        draft::shown(&draft.finish("")),
        "upstream 10.0.0.1:1:\nupstream 10.0.0.2:2: 10.0.0.2:2\n\
         ? /reverse_proxy/upstreams: /reverse_proxy/upstreams gave no JSON: expected ident at line 1 column 2\n"
    );
}
