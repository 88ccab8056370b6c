use super::*;
use crate::routes::draft::shown;

fn lists(entry_points: &str, http: (&str, &str), tcp: (&str, &str)) -> Lists {
    let parsed = |text: &str| serde_json::from_str(text).unwrap();
    Lists {
        entry_points: parsed(entry_points),
        http_routers: parsed(http.0),
        http_services: parsed(http.1),
        tcp_routers: parsed(tcp.0),
        tcp_services: parsed(tcp.1),
        complaints: Vec::new(),
    }
}

const POINTS: &str = r#"[{"name":"web","address":":80"},{"name":"websecure","address":"[2001:db8::1]:443/tcp"},
    {"name":"dns","address":":53/udp"},{"name":"odd","address":"host:1"}]"#;

#[test]
fn services_of_every_kind() {
    let routers = r#"[
        {"name":"plain@docker","provider":"docker","entryPoints":["web"],"service":"a","status":"enabled"},
        {"name":"weighted@file","provider":"file","entryPoints":["web","webSecure"],"service":"w"},
        {"name":"mirrored@file","provider":"file","entryPoints":["web"],"service":"m@file"},
        {"name":"failing@file","provider":"file","entryPoints":["nowhere"],"service":"f"},
        {"name":"dashboard@internal","provider":"internal","entryPoints":["web"],"service":"dashboard@internal"},
        {"name":"gone@file","provider":"file","service":"none"},
        {"name":"odd@file","provider":"file","service":"odd"},
        {"name":"off@docker","provider":"docker","service":"a","status":"disabled","error":["the service \"x\" does not exist"]}]"#;
    let services = r#"[
        {"name":"a@docker","loadBalancer":{"servers":[{"url":"http://10.0.0.1:8080"},{"url":"https://[2001:db8::9]"}]}},
        {"name":"b@file","loadBalancer":{"servers":[{"url":"h2c://b.test"}]}},
        {"name":"c@file","loadBalancer":{"servers":[{"url":"nothing"},{}]}},
        {"name":"w@file","weighted":{"services":[{"name":"a@docker","weight":3},{"name":"b"}]}},
        {"name":"m@file","mirroring":{"service":"w","mirrors":[{"name":"c","percent":10}]}},
        {"name":"f@file","failover":{"service":"m","fallback":"f"}},
        {"name":"odd@file","novel":{}}]"#;
    let shown = shown(
        &lists(POINTS, (routers, services), ("[]", "[]"))
            .draft()
            .finish(""),
    );
    let expected = "\
listen :80
listen [2001:db8::1]:443
route plain@docker at :80: a@docker
route weighted@file at :80 [2001:db8::1]:443: a@docker, b@file
route mirrored@file at :80: a@docker, b@file, c@file
route failing@file: a@docker, b@file, c@file
route dashboard@internal at :80:
route gone@file:
route odd@file:
upstream a@docker: 10.0.0.1:8080 [2001:db8::9]:443
upstream b@file: b.test:80
upstream c@file:
? entry point odd: `host:1` is no listener: not an IP address with a port; write ip:port (10.0.0.1:443, [2001:db8::1]:443), 0.0.0.0:port, [::]:port, or :port for every address
? http service c@file: `nothing` is no URL: no scheme
? http service c@file: a server without url or address
? http router gone@file: there is no service `none@file`
? http service odd@file: its kind is unknown
? http router failing@file: there is no entry point `nowhere`
? http router off@docker: disabled by Traefik: the service \"x\" does not exist
";
    assert_eq!(shown, expected);
}

#[test]
fn tcp() {
    let routers = r#"[{"name":"db@file","provider":"file","entryPoints":["web"],"service":"db"},
        {"name":"w@file","provider":"file","entryPoints":["web"],"service":"w"}]"#;
    let services = r#"[{"name":"db@file","loadbalancer":{"servers":[{"address":"10.0.0.5:5432"},{"address":"[2001:db8::5]:5432"},{"address":"x"}]}},
        {"name":"w@file","weighted":{"services":[{"name":"db"},{"name":"w"}]}}]"#;
    let shown = shown(
        &lists("[]", ("[]", "[]"), (routers, services))
            .draft()
            .finish(""),
    );
    assert_eq!(
        shown,
        "\
route db@file: db@file
route w@file: db@file
upstream db@file: 10.0.0.5:5432 [2001:db8::5]:5432
? tcp service db@file: `x` has no port
? tcp router db@file: there is no entry point `web`
? tcp router w@file: there is no entry point `web`
"
    );
}

#[test]
fn other_shapes_are_no_panic() {
    let odd = r#"[1,null,"x",[],{},{"name":1},{"name":"n","service":{},"entryPoints":"web","loadBalancer":1,"weighted":[1]}]"#;
    let _ = lists(odd, (odd, odd), (odd, odd)).draft().finish("");
    let mut lists = Lists::default();
    for text in [
        "1",
        "[]",
        r#"{"http":1,"tcp":{"routers":[1],"services":{"a":1}}}"#,
    ] {
        lists.add_file(&serde_json::from_str(text).unwrap());
    }
    let _ = lists.draft().finish("");
}
