use std::fmt::Write as _;

use super::*;
use crate::routes::draft::shown;

fn read(config: &str) -> String {
    let config: Value = serde_json::from_str(config).unwrap();
    let variable = |name: &str| (name == "BACKEND").then(|| "10.9.9.9".to_owned());
    shown(&draft(&config, &variable).finish(""))
}

/// As Caddy 2.6 answers for a Caddyfile with `handle`, `handle_path`, `route` and a named matcher.
const ADAPTED: &str = r#"{"admin":{"listen":"localhost:20199"},"apps":{"http":{"http_port":20180,"servers":{
"srv0":{"listen":["127.0.0.1:20181","[::1]:20181"],"routes":[
 {"handle":[{"handler":"subroute","routes":[{"handle":[{"dynamic_upstreams":{"name":"_x._tcp.example.com","source":"srv"},"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:9003"}]}]}]},
  {"handler":"reverse_proxy","upstreams":[{"dial":"{http.request.host}:80"},{"dial":"10.1.1.1:8000-8001"}]}]},
 {"match":[{"path":["*.php"]}],"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi","split_path":[".php"]},"upstreams":[{"dial":"unix//run/php.sock"}]}]}]},
"srv1":{"listen":[":20180"],"routes":[{"match":[{"host":["a.test","b.test"]}],"handle":[{"handler":"subroute","routes":[
 {"group":"group4","handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:9001"},{"dial":"[::1]:9001"}]}]}]}],"match":[{"path":["/api/*","/v2/*"]}]},
 {"group":"group4","handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"rewrite","strip_path_prefix":"/users"}]},{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"localhost:9002"}]}],"match":[{"path":["/old/*"]}]}]}],"match":[{"path":["/users/*"]}]},
 {"group":"group4","handle":[{"handler":"subroute","routes":[{"handle":[{"body":"x","handler":"static_response"}]}]}]}]}],"terminal":true}]}}}}}"#;

#[test]
fn an_adapted_caddyfile() {
    assert_eq!(
        read(ADAPTED),
        "\
listen 127.0.0.1:20181
listen [::1]:20181
listen :20180
route 127.0.0.1:20181 at 127.0.0.1:20181 [::1]:20181: 127.0.0.1:9003, 10.1.1.1:8000-8001
route 127.0.0.1:20181*.php at 127.0.0.1:20181 [::1]:20181: unix//run/php.sock
route a.test,b.test/api/*,/v2/* at :20180: 127.0.0.1:9001, [::1]:9001
route a.test,b.test/users/old/* at :20180: localhost:9002
route a.test,b.test at :20180:
upstream 127.0.0.1:9003: 127.0.0.1:9003
upstream 10.1.1.1:8000-8001: 10.1.1.1:8000 10.1.1.1:8001
upstream unix//run/php.sock:
upstream 127.0.0.1:9001: 127.0.0.1:9001
upstream [::1]:9001: [::1]:9001
upstream localhost:9002: localhost:9002
? apps/http/servers/srv0/routes/0/0: SRV records of _x._tcp.example.com are looked up by Caddy itself
? apps/http/servers/srv0/routes/0: `{http.request.host}:80` depends on the request
"
    );
}

#[test]
fn single_servers() {
    let proxy = r#"{"handler":"reverse_proxy","upstreams":[{"dial":"U"}]}"#;
    let site = |listen: &str, rest: &str, handle: &str, dial: &str| {
        let handle = handle.replace("PROXY", &proxy.replace('U', dial));
        read(&format!(
            r#"{{"apps":{{"http":{{"servers":{{"s":{{"listen":["{listen}"]{rest},"routes":[{{"match":[{{"host":["a"]}}],"handle":[{handle}]}}]}}}}}}}}}}"#
        ))
    };
    for (listen, rest, handle, dial, expected) in [
        // Redirects come by themselves with HTTPS, unless switched off.
        (
            ":443",
            "",
            "PROXY",
            "b:1",
            "listen :443\nlisten :80\nroute a at :443: b:1\n",
        ),
        (
            ":443",
            r#","automatic_https":{"disable_redirects":true}"#,
            "PROXY",
            "b:1",
            "listen :443\nroute a at :443: b:1\nupstream b:1: b:1\n",
        ),
        (":8443", "", "PROXY", "b:1", "listen :8443\nroute"),
        (
            ":80",
            "",
            "PROXY",
            "{env.BACKEND}:1",
            "listen :80\nroute a at :80: 10.9.9.9:1\nupstream 10.9.9.9:1: 10.9.9.9:1\n",
        ),
        (
            ":80",
            "",
            "PROXY",
            "{env.OTHER}:1",
            "listen :80\nroute a at :80:\n? apps/http/servers/s/routes/0: `{env.OTHER}:1` depends on the request\n",
        ),
        (
            ":80",
            "",
            r#"{"handler":"forward_proxy"}"#,
            "",
            "listen :80\n? apps/http/servers/s/routes/0: handler `forward_proxy` is unknown; what it connects to is not known\n",
        ),
        (
            "udp/:80",
            "",
            "PROXY",
            "unix//run/x",
            "route a: unix//run/x\nupstream unix//run/x:\n",
        ),
        (
            ":80",
            r#","named_routes":{"n":{"handle":[PROXY]}}"#,
            r#"{"handler":"invoke","name":"n"}"#,
            "b:1",
            "listen :80\n? apps/http/servers/s/routes/0/0: handler",
        ),
    ] {
        let rest = rest.replace("PROXY", r#"{"handler":"none"}"#);
        let shown = site(listen, &rest, handle, dial);
        assert!(
            shown.starts_with(expected),
            "{listen} {handle} {dial}:\n{shown}"
        );
    }
}

#[test]
fn layer4() {
    let config = r#"{"apps":{"layer4":{"servers":{"db":{"listen":["0.0.0.0:5432","udp/:53"],"routes":[
        {"match":[{"tls":{"sni":["db.test"]}}],"handle":[{"handler":"tls"},{"handler":"proxy","upstreams":[{"dial":["10.0.0.1:5432","10.0.0.2:5432"]}]}]},
        {"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"proxy","upstreams":[{"dial":["[2001:db8::1]:5432"]}]}]}]}]}]}}}}}"#;
    assert_eq!(
        read(config),
        "\
listen 0.0.0.0:5432
route db.test at 0.0.0.0:5432: 10.0.0.1:5432, 10.0.0.2:5432
route 0.0.0.0:5432 at 0.0.0.0:5432: [2001:db8::1]:5432
upstream 10.0.0.1:5432: 10.0.0.1:5432
upstream 10.0.0.2:5432: 10.0.0.2:5432
upstream [2001:db8::1]:5432: [2001:db8::1]:5432
"
    );
}

#[test]
fn loops_and_depth_end() {
    let mut named = String::new();
    for index in 0..20 {
        let invoke = format!(r#"{{"handler":"invoke","name":"{}"}}"#, index + 1);
        write!(named, r#""{index}":{{"handle":[{invoke},{invoke}]}},"#).unwrap();
    }
    let config = format!(
        r#"{{"apps":{{"http":{{"servers":{{"s":{{"listen":[":1"],"named_routes":{{{named}"20":{{"handle":[{{"handler":"invoke","name":"20"}}]}}}},"routes":[{{"handle":[{{"handler":"invoke","name":"0"}}]}}]}}}}}}}}}}"#
    );
    let shown = read(&config);
    assert!(
        shown.contains("handlers after the first 200000 are left out"),
        "{shown}"
    );
    assert!(shown.contains("nested deeper than 24"), "{shown}");
}

#[test]
fn other_shapes_are_no_panic() {
    for text in [
        "null",
        "[]",
        "{\"apps\":1}",
        r#"{"apps":{"http":{"servers":[1]},"layer4":{"servers":{"a":{"routes":[{"handle":[1]}]}}}}}"#,
    ] {
        read(text);
    }
}
