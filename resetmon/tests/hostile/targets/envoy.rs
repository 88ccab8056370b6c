//! What Envoy's admin interface answers, and its bootstrap configuration.

use resetmon::routes::envoy::{read_answers, read_bootstrap};

use super::haproxy::consistent;
use crate::mutate::Pool;
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    r#"{"configs": [
{"@type": "a.BootstrapConfigDump", "bootstrap": {"node": {"id": "a", "cluster": "b"}}},
{"@type": "a.ClustersConfigDump", "static_clusters": [{"cluster": {"name": "c", "type": "EDS", "eds_cluster_config": {"service_name": "s"}}}],
 "dynamic_active_clusters": [{"cluster": {"name": "g", "cluster_type": {"typed_config": {"clusters": ["c", "g"]}}}}]},
{"@type": "a.EndpointsConfigDump", "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "s", "endpoints": [{"lb_endpoints": [
 {"endpoint": {"address": {"socket_address": {"address": "::1", "port_value": 1}}}}]}]}}]},
{"@type": "a.RoutesConfigDump", "dynamic_route_configs": [{"route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
 {"match": {"prefix": "/", "headers": [{"name": "h"}]}, "route": {"weighted_clusters": {"clusters": [{"name": "c"}]}}},
 {"name": "n", "match": {"path": "/"}, "route": {"cluster_header": "h"}}]}]}}]},
{"@type": "a.ListenersConfigDump", "static_listeners": [{"listener": {"name": "l", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 2}},
 "filter_chains": [{"filters": [{"name": "f", "typed_config": {"@type": "a.HttpConnectionManager", "rds": {"route_config_name": "r"}}}]}]}}],
 "dynamic_listeners": [{"name": "d", "active_state": {"listener": {"bind_to_port": false, "default_filter_chain": {"filters": [
 {"name": "t", "typed_config": {"@type": "a.TcpProxy", "cluster": "g"}}]}}}}]}],
"cluster_statuses": [{"name": "c", "host_statuses": [{"address": {"socket_address": {"address": "10.0.0.1", "port_value": 3}}, "hostname": "x"}]}]}"#,
    r#"{"node": {"id": "a"}, "staticResources": {"listeners": [{"useOriginalDst": true, "address": {"pipe": {"path": "/a"}}}],
"clusters": [{"name": "c", "loadAssignment": {"endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress": {"address": "a.b", "portValue": 4}}}}]}]}}]}}"#,
];

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"null",
    b"true",
    b"-1",
    b"1e9",
    b"65536",
    b"\"@type\":",
    b"\"name\":",
    b"\"c\"",
    b"\"l\"",
    b"\"\"",
    b"\\u001b",
    b"\"cluster\":",
    b"\"routes\":",
    b"&a ",
    b"*a",
    b"- ",
    b"\n  ",
    b"!!",
    b"\xff",
];

/// Damaged answers.
#[derive(Debug)]
pub(crate) struct Answers {
    pool: Pool,
}

impl Default for Answers {
    fn default() -> Self {
        let seeds = SEEDS.iter().map(|seed| seed.as_bytes());
        Self {
            pool: Pool::new(seeds, TOKENS, 6000),
        }
    }
}

impl Target for Answers {
    const NAME: &'static str = "envoy";
    const QUICK: u64 = 2_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, text: &String) -> bool {
        if let Ok(reading) = read_bootstrap("e.yaml", text) {
            consistent(&reading);
        }
        let found = read_answers(text, text);
        if let Ok(reading) = &found {
            consistent(reading);
            self.pool.keep(text.as_bytes());
        }
        found.is_ok()
    }
}
