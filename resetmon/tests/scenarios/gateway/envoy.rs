//! Envoy with static listeners and clusters.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Gateway, Plan, Route};
use crate::certificates::NAME;
use crate::row::{PATIENCE, Setting};

/// Envoy.
pub(crate) struct Envoy;

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const HTTP_UPSTREAM: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

impl Gateway for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn process(&self) -> &'static str {
        "envoy"
    }

    fn programs(&self) -> Vec<PathBuf> {
        vec![program()]
    }

    fn command(&self, plan: &Plan<'_>) -> Result<Command> {
        let path = plan.folder.join("envoy.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&bootstrap(plan))?)?;
        let mut command = Command::new(program());
        command
            .args(["--concurrency", "2", "--use-dynamic-base-id", "-c"])
            .arg(path);
        Ok(command)
    }

    fn workers(&self, main: u32) -> Option<Vec<u32>> {
        Some(vec![main])
    }

    fn route(&self, route: &Route) -> String {
        format!("/{}", route.name)
    }

    fn upstream(&self, route: &Route) -> String {
        route.name.to_owned()
    }
}

/// Envoy as the set-up fetched it, or another.
fn program() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/envoy/envoy");
    match std::env::var_os("RESETMON_TEST_ENVOY") {
        Some(chosen) => chosen.into(),
        None if own.exists() => own,
        None => "envoy".into(),
    }
}

fn bootstrap(plan: &Plan<'_>) -> Value {
    let listeners = plan.routes.iter().map(|route| listener(plan, route));
    let clusters = plan.routes.iter().map(|route| cluster(plan, route));
    json!({
        "node": {"id": "envoy-1", "cluster": "envoy"},
        "admin": {"address": {"pipe": {"path": plan.folder.join("admin.sock")}}},
        "static_resources": {
            "listeners": listeners.collect::<Vec<Value>>(),
            "clusters": clusters.collect::<Vec<Value>>(),
        },
    })
}

fn listener(plan: &Plan<'_>, route: &Route) -> Value {
    let milliseconds = match route.setting {
        Setting::Impatient => PATIENCE,
        _ => 60_000,
    };
    let timeout = format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000);
    let (idle, delay) = match route.setting {
        Setting::Brief => ("1s", "0.1s"),
        _ => ("600s", "1s"),
    };
    let mut filters = Vec::new();
    if route.setting == Setting::Small {
        filters.push(json!({
            "name": "envoy.filters.http.buffer",
            "typed_config": {
                "@type": format!("{FILTERS}.http.buffer.v3.Buffer"),
                "max_request_bytes": 1024,
            },
        }));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": format!("{FILTERS}.http.router.v3.Router")},
    }));
    let manager = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": route.name,
            "common_http_protocol_options": {"idle_timeout": idle},
            // How long a connection that was idle for too long is still served and kept.
            "drain_timeout": "0.1s",
            "delayed_close_timeout": delay,
            "http_filters": filters,
            "route_config": {"virtual_hosts": [{
                "name": "bench",
                "domains": ["*"],
                "routes": [{
                    "match": {"prefix": format!("/{}", route.name)},
                    "route": {"cluster": route.name, "timeout": timeout},
                }],
            }]},
        },
    });
    let mut chain = json!({"filters": [manager]});
    if route.setting == Setting::TlsFront {
        let files = plan.certificates;
        chain["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{TLS}.DownstreamTlsContext"),
                "common_tls_context": {"tls_certificates": [{
                    "certificate_chain": {"filename": files.certificate},
                    "private_key": {"filename": files.key},
                }]},
            },
        });
    }
    json!({
        "name": route.name,
        "address": address(route.front),
        "filter_chains": [chain],
    })
}

fn cluster(plan: &Plan<'_>, route: &Route) -> Value {
    let milliseconds = match route.setting {
        Setting::Impatient => PATIENCE,
        _ => 60_000,
    };
    let endpoint = json!({"endpoint": {"address": address(route.back)}});
    let mut cluster = json!({
        "name": route.name,
        "connect_timeout": format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000),
        "load_assignment": {
            "cluster_name": route.name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    });
    match route.setting {
        Setting::Fresh => {
            cluster["typed_extension_protocol_options"] = json!({HTTP_UPSTREAM: {
                "@type": format!("type.googleapis.com/{HTTP_UPSTREAM}"),
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {}},
            }});
        }
        Setting::TlsBack => {
            cluster["transport_socket"] = json!({
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": format!("{TLS}.UpstreamTlsContext"),
                    "sni": NAME,
                    "common_tls_context": {"validation_context": {
                        "trusted_ca": {"filename": plan.certificates.authority},
                    }},
                },
            });
        }
        _ => {}
    }
    cluster
}

fn address(at: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip(), "port_value": at.port()}})
}
