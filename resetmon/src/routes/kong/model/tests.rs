use super::*;
use crate::routes::draft::shown;

fn declared(text: &str) -> String {
    let mut entities = Entities::default();
    entities.add_declarative(&crate::yaml::parse(text).unwrap());
    let settings = Settings {
        origin: "kong.conf".to_owned(),
        proxy_listen: Some("0.0.0.0:8000 reuseport, host:1".to_owned()),
        stream_listen: Some("0.0.0.0:9000, 0.0.0.0:9001".to_owned()),
        dns_resolver: Some("10.0.0.53".to_owned()),
        ..Settings::default()
    };
    shown(&entities.draft(&settings).finish(""))
}

#[test]
fn a_declarative_file() {
    let shown = declared(
        r#"
_format_version: "3.0"
services:
  - name: payments
    url: http://payments.upstream/v1
    plugins:
      - name: key-auth
    routes:
      - name: pay
        paths: [/pay]
      - hosts: [a.test, b.test]
        paths: [/x, /y]
        plugins:
          - name: ai-proxy
  - name: mail
    host: mail.test
    port: 2525
    protocol: tcp
    routes:
      - name: smtp
        protocols: [tcp]
        destinations: [{port: 9001}]
  - host: 2001:db8::5
    protocol: https
  - name: retired
    host: retired.test
    enabled: false
  - name: none
routes:
  - name: loose
    service: {name: payments}
    snis: [s.test]
  - paths: [/lost]
    service: retired
  - expression: http.path ^= "/e"
upstreams:
  - name: payments.upstream
    targets:
      - target: 10.0.0.1:8080
        weight: 100
      - target: "[2001:db8::1]:8080"
      - target: gone.test:80
        weight: 0
      - target: plain.test
      - target: a:b
targets:
  - target: 10.0.0.9:9
    upstream: payments.upstream
  - target: 10.0.0.9:9
    upstream: other
plugins:
  - name: ai-proxy-advanced
    route: loose
  - name: aws-lambda
    enabled: false
"#,
    );
    let expected = "\
listen 0.0.0.0:8000
listen 0.0.0.0:9000
listen 0.0.0.0:9001
route loose at 0.0.0.0:8000: payments
route /lost at 0.0.0.0:8000:
route http.path ^= \"/e\" at 0.0.0.0:8000:
route pay at 0.0.0.0:8000: payments
route a.test,b.test/x,/y at 0.0.0.0:8000: payments
route smtp at 0.0.0.0:9001: mail
upstream payments: 10.0.0.1:8080 [2001:db8::1]:8080 plain.test:8000 10.0.0.9:9
upstream mail: mail.test:2525
upstream 2001:db8::5:443: [2001:db8::5]:443
name server 10.0.0.53:53
? kong.conf: `host:1` is no listener: not an IP address with a port; write ip:port (10.0.0.1:443, [2001:db8::1]:443), 0.0.0.0:port, [::]:port, or :port for every address
? upstream payments.upstream: target `a:b`: the port must be 1 to 65535
? service none: it names no host
? route /lost: there is no enabled service `retired`
? route loose: plugin ai-proxy-advanced chooses the backend by itself
? route route 4: plugin ai-proxy chooses the backend by itself
";
    assert_eq!(shown, expected);
}

#[test]
fn other_shapes_are_no_panic() {
    for text in [
        "1",
        "[]",
        "services: 1",
        "services: [1, [], {}]\nroutes: [1, {service: 1}]\nupstreams: [1, {targets: 1}]\ntargets: [1]\nplugins: [1]",
        "services: [{name: a, host: b, routes: 1, plugins: [1]}]",
        "services: [{url: nothing}, {url: 'http://x:y'}, {url: 'http://'}]",
    ] {
        declared(text);
    }
}
