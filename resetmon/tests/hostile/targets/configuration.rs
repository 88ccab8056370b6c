//! The configuration file.

use resetmon::config::{Config, ConfigError};
use resetmon::routes::table::RouteTable;

use crate::mutate::{Pool, steers};
use crate::random::Random;
use crate::run::Target;
use crate::yaml_text;

const SEEDS: &[&str] = &[
    Config::REFERENCE,
    "",
    "listen: 0.0.0.0:9435\nlog_level: debug\nring_buffer_bytes: 64KiB\n",
    "metrics: {max_series_per_family: 10, idle_series_ttl: 1h 30m, max_label_length: 16, peer_prefix_v4: 24}\n",
    "peers:\n- name: office\n  cidr: [192.0.2.0/24, \"2001:db8:1::/48\"]\n- {name: lab, cidr: 10.0.0.0/8}\n",
    "gateways:\n- name: edge\n  process: [nginx, /usr/sbin/haproxy]\n  listeners: \":443\"\n",
    "gateways:\n- name: a\n  routes: [{name: /, upstream: u}]\n  upstreams: [{name: u, endpoints: 10.0.0.1:80}]\n",
    "a: &x [1, 2]\nb: *x\n",
    "events: {path: /var/log/resetmon.jsonl}\n",
    "peers:\n  - name: |\n      block\n    cidr: >-\n      10.0.0.0/8\n",
];

const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\n  ",
    b"\n- ",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b", ",
    b"\"",
    b"'",
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"!!str ",
    b"!!binary ",
    b"!x ",
    b"|\n",
    b">-\n",
    b"? ",
    b"# ",
    b"---\n",
    b"...\n",
    b"%YAML 1.2\n",
    b"\t",
    b"\r\n",
    b"~",
    b"null",
    b"true",
    b"1e3",
    b"0x10",
    b"1_000",
    b"-1",
    b".inf",
    b"18446744073709551616",
    b"9223372036854775807s",
    b"1ns",
    b"-1h",
    b"P1D",
    b"KiB",
    b"MiB",
    b"name: ",
    b"cidr: ",
    b"gateways:\n",
    b"peers:\n",
    b"upstream: ",
    b"upstreams:\n",
    b"endpoints: ",
    b"routes:\n",
    b"process: ",
    b"listeners: ",
    b"metrics:\n",
    b"events: {path: x}\n",
    b"listen: ",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xc2\x85",
    b"\xf0\x9f\x98\x80",
    b"\\u202e",
    b"\\x1b",
    b"\\0",
    b"\x1b[31m",
    b"\0",
    b"\x7f",
    b"10.0.0.0/8",
    b"::/0",
    b":443",
    b"a:1",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{",
];

/// Damaged configurations.
#[derive(Debug)]
pub(crate) struct Configuration {
    pool: Pool,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 4096),
        }
    }
}

impl Target for Configuration {
    const NAME: &'static str = "configuration";
    const QUICK: u64 = 6_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, text: &String) -> bool {
        let config = match Config::parse(text, "resetmon.yaml") {
            Ok(config) => config,
            Err(error) => {
                explained(&error, text);
                return false;
            }
        };
        self.pool.keep(text.as_bytes());
        let written = yaml_text::of(&config);
        match Config::parse(&written, "written.yaml") {
            Ok(again) => assert_eq!(again, config, "written as\n{written}"),
            Err(error) => panic!("{error}\nwritten as\n{written}"),
        }
        let table = RouteTable::new(config.gateways.clone());
        assert_eq!(
            table.warnings(),
            RouteTable::new(config.gateways).warnings()
        );
        true
    }
}

/// The error says where, on lines of their own, without what the file itself could put there.
fn explained(error: &ConfigError, text: &str) {
    let ConfigError::Invalid { problems, .. } = error else {
        panic!("{error}");
    };
    assert!(!problems.is_empty());
    let shown = error.to_string();
    assert_eq!(shown.lines().count(), problems.len(), "{shown:?}");
    // One line more than there are, for what is missing at the end.
    let lines = text.split(['\n', '\r']).count() as u64 + 1;
    for problem in problems {
        assert!(
            !problem.what.is_empty() && !problem.what.contains(steers),
            "{:?}",
            problem.what
        );
        if let Some((line, column)) = problem.place {
            assert!((1..=lines).contains(&line) && column >= 1, "{problem}");
        }
    }
}
