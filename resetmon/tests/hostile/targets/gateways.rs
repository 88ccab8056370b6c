//! What gateways say of themselves: configuration files and the answers of admin interfaces.

use resetmon::routes::apinto;
use resetmon::routes::caddy::{caddyfile, config};
use resetmon::routes::draft::Draft;
use resetmon::routes::kong;
use resetmon::routes::traefik;
use serde_json::Value;

use crate::mutate::Pool;
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    "{\n\tadmin off\n\thttp_port 8080\n}\n(s) {\n\treverse_proxy {args[0]}\n}\na.test, b.test:81 {\n\t@m path /a/* /b\n\thandle @m {\n\t\timport s 10.0.0.1:1\n\t}\n\thandle_path /c/* {\n\t\treverse_proxy https://u [::1]:2 {\n\t\t\tdynamic a n 80\n\t\t}\n\t}\n}\n",
    r#"{"admin":{"listen":":2019"},"apps":{"http":{"servers":{"s":{"listen":[":80","tcp/[::]:81-90"],"routes":[{"match":[{"host":["a"],"path":["/b/*"]}],"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:1"},{"dial":"{x}:2"}]}]}]}]}]}}},"layer4":{"servers":{"l":{"listen":[":1"],"routes":[{"handle":[{"handler":"proxy","upstreams":[{"dial":["h:1"]}]}]}]}}}}}"#,
    "http:\n  routers:\n    r: {entryPoints: [web], service: w}\n  services:\n    w: {weighted: {services: [{name: a}, {name: w}]}}\n    a: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80'}]}}\ntcp:\n  services:\n    d: {loadBalancer: {servers: [{address: 'h:1'}]}}\napi: {insecure: true}\nentryPoints: {web: {address: ':80'}}\n",
    "services:\n- {name: a, url: 'http://u', routes: [{name: r, paths: [/x], protocols: [tcp], destinations: [{port: 1}]}], plugins: [{name: ai-proxy}]}\nroutes: [{service: {name: a}}]\nupstreams: [{name: u, targets: [{target: '10.0.0.1:1', weight: 1}]}]\ntargets: [{target: x, upstream: u}]\n",
    "admin_listen = 127.0.0.1:8001 reuseport, unix:/x ssl # a\nproxy_listen = [::]:8000\ndns_resolver = 1.1.1.1,[::1]:53\nserver {\n server_name kong;\n listen 0.0.0.0:1 ssl;\n}\n",
    r#"[{"id":"a@service","name":"a","scheme":"https","nodes":["h:1 2","[::1]"],"discovery":"d@discovery","driver":"static","service":"10.0.0.1:1 w=1;h","listen":80}]"#,
    r#"[{"id":"p@ai-provider","name":"p","driver":"openai","base":"https://h/v1","config":"{\"base_url\":\"http://10.0.0.1\"}","plugins":{"f":{"config":{"provider":"p"}}}}]"#,
    "[entryPoints.web]\naddress = \":80\"\n[http.routers.r]\nservice = \"a\"\n",
];

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b"`",
    b":",
    b",",
    b"\n",
    b"\t",
    b" ",
    b"\\\n",
    b"<<E\n",
    b"#",
    b"@",
    b"(s)",
    b"import s ",
    b"{args[0]}",
    b"{$A}",
    b"{env.A}",
    b"&(s)",
    b"invoke s",
    b"0",
    b"65536",
    b"-1",
    b"1-65535",
    b"unix//",
    b"udp/",
    b"://",
    b"null",
    b"true",
    b"*",
    b"&a ",
    b"*a",
    b"\x1b[2J",
    b"\xc3\xa9",
    b"\xff",
];

/// Damaged configurations, each given to every source.
#[derive(Debug)]
pub(crate) struct Configurations {
    pool: Pool,
}

impl Default for Configurations {
    fn default() -> Self {
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 4096),
        }
    }
}

struct Outside;

impl caddyfile::Outside for Outside {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "A").then(|| "10.0.0.1:1".to_owned())
    }

    fn import(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(vec![format!("import {pattern}\n:80 {{\n}}\n")])
    }
}

impl Target for Configurations {
    const NAME: &'static str = "gateways";
    const QUICK: u64 = 3_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, text: &String) -> bool {
        let mut read = false;
        if let Ok((config, complaints)) = caddyfile::adapt(text, &Outside) {
            assert!(complaints.len() <= 1000);
            read |= bounded(config::draft(&config, &|_| None));
        }
        let mut kong = kong::settings::Settings::of_file(text, "o");
        kong.add_nginx(text);
        let _ = kong.admin_address();
        for toml in [false, true] {
            let Ok(value) = traefik::settings::document(text, toml) else {
                continue;
            };
            read |= all(&value, &kong);
        }
        if read {
            self.pool.keep(text.as_bytes());
        }
        read
    }
}

/// Gives `value` to every source; true if one makes something of it.
fn all(value: &Value, kong: &kong::settings::Settings) -> bool {
    let mut read = bounded(config::draft(value, &|_| Some("x".to_owned())));
    let install = traefik::settings::Settings::new(value, String::new());
    let _ = install.api_address();
    let objects = value.as_array().cloned().unwrap_or_default();
    let mut lists = traefik::model::Lists {
        entry_points: install.entry_points_list(),
        http_routers: objects.clone(),
        http_services: objects.clone(),
        ..traefik::model::Lists::default()
    };
    lists.add_file(value);
    read |= bounded(lists.draft());
    let mut entities = kong::model::Entities::default();
    entities.add_declarative(value);
    read |= bounded(entities.draft(kong));
    let workers = apinto::model::Workers {
        routers: objects.clone(),
        services: objects.clone(),
        discoveries: objects.clone(),
        providers: objects,
        ..apinto::model::Workers::default()
    };
    read | bounded(workers.draft(&apinto::settings::Settings::new(value, "o")))
}

/// A reading names everything once, and refers to nothing that it does not have.
fn bounded(draft: Draft) -> bool {
    let reading = draft.finish("o");
    assert!(reading.not_understood.len() <= 201);
    let mut names: Vec<&str> = reading.upstreams.iter().map(|one| &*one.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    for route in &reading.routes {
        for upstream in &route.upstreams {
            assert!(names.binary_search(&&**upstream).is_ok(), "{upstream}");
        }
        let known = |listener| reading.listeners.contains(listener);
        assert!(route.listeners.iter().all(known), "{reading:?}");
    }
    !reading.routes.is_empty()
}
