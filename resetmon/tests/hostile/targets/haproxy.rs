//! `HAProxy`'s configuration and what its runtime socket answers.

use std::collections::HashSet;

use resetmon::routes::haproxy::{read_runtime, read_text};
use resetmon::routes::source::Reading;

use crate::mutate::{Pool, steers};
use crate::random::Random;
use crate::run::Target;

/// What parts the configuration from the answers.
const PART: &str = "\n====\n";

const SEEDS: &[&str] = &[
    "global\n stats socket /run/admin.sock level admin\n presetenv A 10\n\
     defaults d\n default_backend rest\n.if defined(A) && !streq(\"$A\",x)\n\
     frontend fe from d\n bind :80-82,[::1]:443 ssl crt '/a b'\n bind \"127.0.0.$A:1\"\n.endif\n \
     use_backend api if is_api !{ path_beg /x }\n use_backend bk_%[path,map(/a.map,x)] unless y\n\
     backend api\n server a1 10.0.0.1:80 check\n server-template t 1-3 app.internal:80 resolvers r\n\
     backend rest\n dispatch 10.0.0.2:80\n\
     listen l\n bind :::90 v4v6\n server s [2001:db8::1]:90\n\
     resolvers r\n nameserver n 10.0.0.53:53\n\
     \n====\n\
     # pxname,svname\nfe,FRONTEND\nl,FRONTEND\nl,BACKEND\napi,BACKEND\nrest,BACKEND\n\
     \n====\n\
     1\n# be_id be_name srv_id srv_name srv_addr srv_fqdn srv_port srvrecord\n\
     3 api 1 a1 10.0.0.9 - 81 -\n3 api 2 t1 2001:db8::2 app.internal 80 -\n4 old 1 x - - 0 -\n",
    "listen a :1\n server s \"${H[*]-b}\\x41\":1\n\n====\n# pxname,svname\n\n====\n1\n# be_name srv_name\n",
];

const TOKENS: &[&[u8]] = &[
    b"\"",
    b"'",
    b"\\",
    b"$",
    b"${",
    b"}",
    b"[*]",
    b"-",
    b"#",
    b"\n",
    b" ",
    b"%[",
    b"]",
    b"(",
    b")",
    b"@",
    b"unix@/a",
    b"fd@3",
    b"ipv6@",
    b":::",
    b"*:",
    b":1-65535",
    b"65536",
    b".if ",
    b".elif ",
    b".else\n",
    b".endif\n",
    b"!",
    b"&&",
    b"||",
    b"defaults\n",
    b"frontend ",
    b"backend ",
    b"listen ",
    b" from ",
    b"bind ",
    b"server ",
    b"server-template ",
    b"use_backend ",
    b"default_backend ",
    b"disabled\n",
    b"1-4294967295",
    b"map(",
    b"map_",
    b"_http._tcp.",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"\xff",
    b"====",
    b",",
    b"- ",
];

/// Damaged configurations and answers.
#[derive(Debug)]
pub(crate) struct Configurations {
    pool: Pool,
}

impl Default for Configurations {
    fn default() -> Self {
        let seeds = SEEDS.iter().map(|seed| seed.as_bytes());
        Self {
            pool: Pool::new(seeds, TOKENS, 4000),
        }
    }
}

impl Target for Configurations {
    const NAME: &'static str = "haproxy";
    const QUICK: u64 = 2_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, input: &String) -> bool {
        let mut parts = input.splitn(3, PART);
        let mut next = || parts.next().unwrap_or("");
        let (text, stat, state) = (next(), next(), next());
        consistent(&read_text("h.cfg", text));
        let found = read_runtime(text, stat, state);
        if let Ok(reading) = &found {
            consistent(reading);
            self.pool.keep(input.as_bytes());
        }
        found.is_ok()
    }
}

/// What every reading owes, whatever it was read from.
pub(crate) fn consistent(reading: &Reading) {
    let mut names = HashSet::new();
    for route in &reading.routes {
        assert!(names.insert(&route.name), "two routes {:?}", route.name);
        assert!(
            route
                .listeners
                .iter()
                .all(|listener| reading.listeners.contains(listener))
        );
    }
    let mut names = HashSet::new();
    for upstream in &reading.upstreams {
        assert!(
            names.insert(&upstream.name),
            "two upstreams {:?}",
            upstream.name
        );
        let mut endpoints = HashSet::new();
        assert!(
            upstream
                .endpoints
                .iter()
                .all(|endpoint| endpoints.insert(endpoint))
        );
    }
    assert!(reading.not_understood.len() <= 201);
    for note in &reading.not_understood {
        assert!(!note.contains(steers), "{note:?}");
    }
}
