//! A configuration, written as YAML: the way back of `Config::parse`.

use std::fmt::Write;
use std::path::PathBuf;

use resetmon::config::{Config, Events, EventsPath, Kubernetes, Metrics};
use resetmon::export::otlp;
use resetmon::routes::admin::access::Access;
use resetmon::routes::discovery::Override;
use resetmon::routes::finder::Settings;
use resetmon::routes::table::{Gateway, ProcessPattern};

/// A file that says what `config` says, every value in double quotes.
pub(crate) fn of(config: &Config) -> String {
    // A key that is added must be written too.
    let Config {
        listen,
        web_config,
        log_level,
        ring_buffer_bytes,
        detail_rate,
        refused_resets,
        events,
        metrics,
        peers,
        discovery,
        kubernetes,
        conntrack,
        gateways,
    } = config;
    let mut text = String::new();
    let mut line = |indent: usize, key: &str, value: String| {
        writeln!(text, "{:indent$}{key}: {value}", "").unwrap();
    };
    line(0, "listen", quoted(&listen.to_string()));
    if let Some(path) = web_config {
        line(0, "web_config", quoted(path.to_str().unwrap()));
    }
    line(0, "log_level", quoted(&log_level.to_string()));
    line(
        0,
        "ring_buffer_bytes",
        quoted(&ring_buffer_bytes.to_string()),
    );
    line(0, "detail_rate", quoted(&detail_rate.to_string()));
    line(0, "refused_resets", quoted(&refused_resets.to_string()));
    write_events(events, &mut line);
    write_metrics(metrics, &mut line);
    line(
        0,
        "peers",
        if peers.is_empty() {
            "[]".to_owned()
        } else {
            String::new()
        },
    );
    for peer in peers {
        line(2, "- name", quoted(&peer.name));
        line(4, "cidr", list(&peer.networks));
    }
    write_discovery(discovery, &mut line);
    let Kubernetes { enabled, node } = kubernetes;
    line(0, "kubernetes", String::new());
    line(2, "enabled", enabled.to_string());
    if let Some(node) = node {
        line(2, "node", quoted(node));
    }
    line(0, "nat", String::new());
    line(2, "conntrack", conntrack.to_string());
    line(
        0,
        "gateways",
        if gateways.is_empty() {
            "[]".to_owned()
        } else {
            String::new()
        },
    );
    for gateway in gateways {
        write_gateway(gateway, &mut line);
    }
    text
}

fn write_events(events: &Events, line: &mut impl FnMut(usize, &str, String)) {
    let Events {
        path,
        failures,
        journal,
        http,
        otlp,
    } = events;
    line(0, "events", String::new());
    match path {
        None => {}
        Some(EventsPath::Stdout) => line(2, "path", quoted("-")),
        Some(EventsPath::File(path)) => line(2, "path", quoted(path.to_str().unwrap())),
    }
    line(2, "failures", failures.to_string());
    line(2, "journal", journal.to_string());
    line(2, "http", http.to_string());
    let Some(otlp::Settings {
        endpoint,
        headers_file,
        ca_file,
    }) = otlp
    else {
        return;
    };
    line(2, "otlp", String::new());
    // The path of logs is added to what is written.
    let endpoint = endpoint.to_string();
    line(
        4,
        "endpoint",
        quoted(endpoint.strip_suffix("/v1/logs").unwrap()),
    );
    for (key, path) in [("headers_file", headers_file), ("ca_file", ca_file)] {
        if let Some(path) = path {
            line(4, key, quoted(path.to_str().unwrap()));
        }
    }
}

fn write_discovery(settings: &Settings, line: &mut impl FnMut(usize, &str, String)) {
    let Settings {
        enabled,
        interval,
        enter_network_namespaces,
        overrides,
    } = settings;
    line(0, "discovery", String::new());
    line(2, "enabled", enabled.to_string());
    line(2, "interval", quoted(&format!("{interval:#?}")));
    line(
        2,
        "enter_network_namespaces",
        enter_network_namespaces.to_string(),
    );
    for (number, entry) in overrides.iter().enumerate() {
        let Override {
            process,
            kind,
            name,
            config,
            admin,
            access:
                Access {
                    ca_file,
                    insecure,
                    server_name,
                    headers_file,
                    token_file,
                    basic_auth_file,
                },
        } = entry;
        if number == 0 {
            line(2, "gateways", String::new());
        }
        line(4, "- kind", quoted(kind));
        let process = process.as_ref().map(|pattern| match pattern {
            ProcessPattern::Tree(_) | ProcessPattern::Pod(_) => {
                unreachable!("no file names a process or pod by its id")
            }
            ProcessPattern::Name(name) | ProcessPattern::Exe(name) => name.to_string(),
        });
        let admin = admin.as_ref().map(ToString::to_string);
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_str().unwrap().to_owned());
        let name = name.as_ref().map(ToString::to_string);
        for (key, value) in [
            ("process", process),
            ("name", name),
            ("config", path(config)),
            ("admin", admin),
            ("ca_file", path(ca_file)),
            ("insecure", insecure.then(|| "true".to_owned())),
            (
                "server_name",
                server_name.as_ref().map(|name| name.to_str().into_owned()),
            ),
            ("headers_file", path(headers_file)),
            ("token_file", path(token_file)),
            ("basic_auth_file", path(basic_auth_file)),
        ] {
            if let Some(value) = value {
                line(6, key, quoted(&value));
            }
        }
    }
}

fn write_metrics(metrics: &Metrics, line: &mut impl FnMut(usize, &str, String)) {
    let Metrics {
        max_series_per_family,
        idle_series_ttl,
        max_label_length,
        max_network_namespaces,
        peer_prefix_v4,
        peer_prefix_v6,
    } = metrics;
    let (seconds, nanos) = (idle_series_ttl.as_secs(), idle_series_ttl.subsec_nanos());
    line(0, "metrics", String::new());
    for (key, value) in [
        ("max_series_per_family", max_series_per_family.to_string()),
        ("idle_series_ttl", format!("{seconds}s {nanos}ns")),
        ("max_label_length", max_label_length.to_string()),
        ("max_network_namespaces", max_network_namespaces.to_string()),
        ("peer_prefix_v4", peer_prefix_v4.to_string()),
        ("peer_prefix_v6", peer_prefix_v6.to_string()),
    ] {
        line(2, key, quoted(&value));
    }
}

fn write_gateway(gateway: &Gateway, line: &mut impl FnMut(usize, &str, String)) {
    line(2, "- name", quoted(&gateway.name));
    if !gateway.processes.is_empty() {
        let names: Vec<_> = gateway
            .processes
            .iter()
            .map(|pattern| match pattern {
                ProcessPattern::Tree(_) | ProcessPattern::Pod(_) => {
                    unreachable!("no file names a process or pod by its id")
                }
                ProcessPattern::Name(name) | ProcessPattern::Exe(name) => name,
            })
            .collect();
        line(4, "process", list(&names));
    }
    if !gateway.listeners.is_empty() {
        line(4, "listeners", list(&gateway.listeners));
    }
    for (number, route) in gateway.routes.iter().enumerate() {
        if number == 0 {
            line(4, "routes", String::new());
        }
        line(6, "- name", quoted(&route.name));
        line(8, "upstream", list(&route.upstreams));
    }
    for (number, upstream) in gateway.upstreams.iter().enumerate() {
        if number == 0 {
            line(4, "upstreams", String::new());
        }
        line(6, "- name", quoted(&upstream.name));
        line(8, "endpoints", list(&upstream.endpoints));
    }
}

fn list(values: &[impl ToString]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|value| quoted(&value.to_string()))
        .collect();
    format!("[{}]", values.join(", "))
}

/// YAML 1.2 §7.3.1: all but plain ASCII is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        if matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\') {
            quoted.push(letter);
        } else {
            write!(quoted, "\\U{:08x}", u32::from(letter)).unwrap();
        }
    }
    quoted.push('"');
    quoted
}
