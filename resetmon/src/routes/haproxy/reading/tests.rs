use super::super::{config, words::Variables};
use super::*;

fn read(text: &str, environment: &[&str], maps: &Maps, live: Option<&Live>) -> Reading {
    let files = [("h.cfg".to_owned(), text.to_owned())];
    let variables = Variables::new(environment.iter().copied());
    reading(&config::read(&files, variables), maps, live)
}

/// Listeners, routes and upstreams, a line each.
fn shown(reading: &Reading) -> Vec<String> {
    let list = |items: Vec<String>| items.join(" ");
    let mut lines = vec![list(
        reading.listeners.iter().map(ToString::to_string).collect(),
    )];
    for route in &reading.routes {
        lines.push(format!(
            "{} [{}] -> {}",
            route.name,
            list(route.listeners.iter().map(ToString::to_string).collect()),
            list(route.upstreams.iter().map(ToString::to_string).collect()),
        ));
    }
    for upstream in &reading.upstreams {
        let endpoints = upstream.endpoints.iter().map(ToString::to_string).collect();
        lines.push(format!("{} = {}", upstream.name, list(endpoints)));
    }
    lines
}

const WHOLE: &str = r#"
global
    log "${SYSLOG-127.0.0.1}:514" local0
    presetenv PORT 9000
    stats socket /run/haproxy/admin.sock mode 660 level admin

defaults base
    mode http
    timeout client 30s
    default_backend fallback

defaults tcp from base
    mode tcp

defaults plain

userlist people
    user a password b

resolvers dns
    nameserver one 10.0.0.53:53
    nameserver two tcp@[2001:db8::53]
    resolve_retries 3

resolvers unused
    nameserver x 192.0.2.53

frontend fe_main from base
    bind :80,:::80 v4v6
    bind 10.0.0.1:8443 ssl crt "/etc/ssl/my certs/a.pem" alpn h2,http/1.1
    bind unix@/run/fe.sock
    bind quic4@:8443
    acl is_api path_beg /api
    use_backend api if is_api !{ src 10.0.0.0/8 }
    use_backend api_v2 unless is_api or { hdr(host) -i "v2 host" }
    use_backend static

frontend fe_tcp from tcp
    bind 127.0.0.1:6000-6002

listen redis
    mode tcp
    bind [::1]:6379
    server r1 10.1.0.1:6379 check
    server r2 unix@/run/redis.sock backup

frontend off
    bind :1
    disabled

backend api
    server a1 10.2.0.1:"$PORT" check
    server a2 ipv6@2001:db8::1:9000 disabled
    server a3 [2001:db8::2]:9000 backup

backend api_v2
    default-server resolvers dns
    server-template v 1-5 v2.internal:80
    server w W.Internal.:81
    server noport 10.3.0.1

backend static
    dispatch 10.4.0.1:80
    server any 0.0.0.0:0
backend fallback
"#;

#[test]
fn a_whole_configuration() {
    let found = read(WHOLE, &[], &Maps::new(), None);
    assert_eq!(
        shown(&found),
        [
            "0.0.0.0:80 :80 10.0.0.1:8443 127.0.0.1:6000 127.0.0.1:6001 127.0.0.1:6002 [::1]:6379",
            "fe_main/is_api !{ src 10.0.0.0/8 } [0.0.0.0:80 :80 10.0.0.1:8443] -> api",
            "fe_main/unless is_api or { hdr(host) -i v2 host } [0.0.0.0:80 :80 10.0.0.1:8443] -> api_v2",
            "fe_main/static [0.0.0.0:80 :80 10.0.0.1:8443] -> static",
            "fe_main [0.0.0.0:80 :80 10.0.0.1:8443] -> fallback",
            "fe_tcp [127.0.0.1:6000 127.0.0.1:6001 127.0.0.1:6002] -> fallback",
            "redis [[::1]:6379] -> redis",
            "redis = 10.1.0.1:6379",
            "api = 10.2.0.1:9000 [2001:db8::1]:9000 [2001:db8::2]:9000",
            "api_v2 = v2.internal:80 w.internal:81 10.3.0.1",
            "static = 10.4.0.1:80",
            "fallback = ",
        ]
    );
    let servers: Vec<String> = found.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.53:53", "[2001:db8::53]:53"]);
    assert_eq!(
        found.not_understood,
        ["h.cfg:64: connects to where the client wanted to go"]
    );
}

#[test]
fn backends_chosen_by_maps() {
    let text = "frontend f\n bind :80\n\
         use_backend %[req.hdr(host),lower,map_dom(/etc/maps/hosts.map,bk_c)]\n\
         use_backend bk_%[path,field(2,/),map(/etc/p.map)] if x\n\
         use_backend bk_%[var(txn.b)]\n\
         backend bk_a\nbackend bk_b\nbackend bk_c\nbackend other\n";
    let maps = Maps::from([(
        "/etc/maps/hosts.map".to_owned(),
        Some("# comment bk_b\n\na.example   bk_a\nb.example\tmissing\n".to_owned()),
    )]);
    let files = [("h.cfg".to_owned(), text.to_owned())];
    let config = config::read(&files, Variables::default());
    assert_eq!(super::maps(&config), ["/etc/maps/hosts.map", "/etc/p.map"]);
    let found = read(text, &[], &maps, None);
    assert_eq!(
        shown(&found)[1..4],
        [
            "f/%[req.hdr(host),lower,map_dom(/etc/maps/hosts.map,bk_c)] [0.0.0.0:80] -> bk_a bk_c",
            "f/x [0.0.0.0:80] -> bk_a bk_b bk_c",
            "f/bk_%[var(txn.b)] [0.0.0.0:80] -> bk_a bk_b bk_c",
        ]
    );
    for (line, part) in [
        (
            0,
            "h.cfg:3: the backend is chosen by the map /etc/maps/hosts.map",
        ),
        (
            1,
            "h.cfg:4: the backend of `use_backend bk_%[path,field(2,/),map(/etc/p.map)]` is not known: the map /etc/p.map cannot be read",
        ),
        (2, "chosen for each request"),
    ] {
        assert!(
            found.not_understood[line].contains(part),
            "{:?}",
            found.not_understood
        );
    }
}

#[test]
fn what_runs_counts() {
    let text = "frontend f\n bind :80\n default_backend a\n\
         frontend new\n bind :81\n default_backend n\n\
         backend a\n server s1 10.0.0.1:80\n server s2 10.0.0.2:80\n server gone 10.0.0.3:80\n\
         server name app.internal:80\n server-template t 3 _http._tcp.app.internal resolvers dns\n\
         server any 0.0.0.0\n\
         backend n\n server s 10.0.0.9:80\n";
    let live = super::super::runtime::read(
        "# pxname,svname\nf,FRONTEND\na,BACKEND\nold,BACKEND\n",
        "1\n# be_id be_name srv_name srv_addr srv_fqdn srv_port\n\
         1 a s1 10.9.0.1 - 80\n1 a s2 10.0.0.2 - 80\n1 a name 10.9.0.2 app.internal 80\n\
         1 a t1 2001:db8::7 pod-1.internal 8080\n1 a t2 - - 0\n1 a added 10.9.0.3 - 8000\n1 a any 0.0.0.0 - 0\n\
         2 old x 10.9.9.9 - 1\n",
    )
    .unwrap();
    let found = read(text, &[], &Maps::new(), Some(&live));
    assert_eq!(
        shown(&found),
        [
            "0.0.0.0:80",
            "f [0.0.0.0:80] -> a",
            "a = app.internal:80 10.9.0.1:80 10.0.0.2:80 10.9.0.2:80 [2001:db8::7]:8080 pod-1.internal:8080 10.9.0.3:8000",
            "old = 10.9.9.9:1",
        ]
    );
    assert_eq!(
        found.not_understood,
        [
            "new: is in the configuration but does not run: reload HAProxy",
            "h.cfg:13: connects to where the client wanted to go",
            "n: is in the configuration but does not run: reload HAProxy",
            "old: runs but is not in the configuration: reload HAProxy",
        ]
    );
    let without = read(text, &[], &Maps::new(), None);
    assert_eq!(
        shown(&without)[3],
        "a = 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 app.internal:80"
    );
    assert!(without.not_understood[0].contains("h.cfg:12: the SRV record _http._tcp.app.internal"));
}

#[test]
fn conditional_blocks_and_the_environment() {
    let text = "global\n setenv B 2\n.if defined(A)\nfrontend a\n bind \"127.0.0.1:$A\"\n\
         .elif defined(B)\nfrontend b\n bind :2\n.else\nfrontend c\n bind :3\n.endif\n\
         .if feature(OPENSSL)\nfrontend d\n bind :4\n.else\nfrontend e\n bind :5\n.endif\n\
         frontend f\n bind \"${NOWHERE}:6\"\n bind \"fd@${FD}\"\n bind web.internal:7\n bind :x\n bind 10.0.0.1\n";
    let listeners = |environment: &[&str]| {
        let found = read(text, environment, &Maps::new(), None);
        (shown(&found)[0].clone(), found.not_understood)
    };
    let (with, notes) = listeners(&["A=1"]);
    assert_eq!(with, "127.0.0.1:1 0.0.0.0:4 0.0.0.0:6");
    assert_eq!(listeners(&[]).0, "0.0.0.0:2 0.0.0.0:4 0.0.0.0:6");
    for (note, part) in notes.iter().zip([
        "h.cfg:13: whether `feature(OPENSSL)` holds is not known",
        "h.cfg:21: the variable NOWHERE is not set",
        "h.cfg:22: the variable FD is not set",
        "h.cfg:22: where `fd@` listens is not known",
        "h.cfg:23: the address of web.internal",
        "h.cfg:24: `x` is no port",
        "h.cfg:25: `10.0.0.1` has no port",
    ]) {
        assert!(note.contains(part), "{note}: {part}");
    }
    assert_eq!(notes.len(), 7);
}

#[test]
fn names_are_unique_and_short() {
    let long = "x".repeat(200);
    let text = format!(
        "listen l 10.0.0.1:80\n use_backend a if y\n use_backend b if y\n use_backend a if {long}\n use_backend a if {long}\n\
         server s 10.0.0.2:80\nbackend a\nbackend b\nbackend a\n server s 10.0.0.3:80\n"
    );
    let found = read(&text, &[], &Maps::new(), None);
    let names: Vec<&str> = found.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["l/y", "l/y#2", "l/a", "l/a#2", "l"]);
    assert_eq!(shown(&found)[0], "10.0.0.1:80");
    assert_eq!(
        found.not_understood,
        ["a: is the name of several backends, of which the first counts"]
    );
}

#[test]
fn large_ranges_and_many_rules_are_bounded() {
    let mut text = "frontend f\n bind :1-65535\n bind :::1-65535\n".to_owned();
    text.push_str(&" use_backend %[x] if y\n".repeat(3000));
    let found = read(&text, &[], &Maps::new(), None);
    assert_eq!(found.listeners.len(), 4096);
    let mentions: usize = found.routes.iter().map(|route| route.listeners.len()).sum();
    assert!(mentions <= MOST_MENTIONS + 4096);
    assert!(found.not_understood.len() <= 201);
}
