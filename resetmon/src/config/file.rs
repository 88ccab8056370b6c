//! The shape of the file, and its way to a [`Config`].

use std::collections::HashMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::discovery::{self, DiscoverySection};
use super::events::{self, EventsSection};
use super::{Config, Metrics, Peer, value};
use crate::routes::address;
use crate::routes::static_file::{self, GatewayEntry, Names};
use crate::yaml::{self, OneOrMany, Problem, Problems, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    listen: Option<Text>,
    web_config: Option<Text>,
    log_level: Option<Text>,
    ring_buffer_bytes: Option<Text>,
    detail_rate: Option<Text>,
    refused_resets: Option<Text>,
    events: Option<EventsSection>,
    metrics: Option<MetricsSection>,
    peers: Option<Vec<PeerEntry>>,
    discovery: Option<DiscoverySection>,
    kubernetes: Option<KubernetesSection>,
    nat: Option<NatSection>,
    gateways: Option<Vec<GatewayEntry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsSection {
    max_series_per_family: Option<Text>,
    idle_series_ttl: Option<Text>,
    max_label_length: Option<Text>,
    max_network_namespaces: Option<Text>,
    peer_prefix_v4: Option<Text>,
    peer_prefix_v6: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerEntry {
    name: Text,
    cidr: Spanned<OneOrMany>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct KubernetesSection {
    enabled: Option<Text>,
    node: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NatSection {
    conntrack: Option<Text>,
}

/// The configuration in `text`, or everything that is wrong with it.
pub(super) fn read(text: &str) -> Result<Config, Vec<Problem>> {
    let file: ConfigFile = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    let config = config(file, &mut problems);
    let problems = problems.into_sorted();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

fn config(file: ConfigFile, problems: &mut Problems) -> Config {
    let mut config = Config::default();
    set(&mut config.listen, file.listen, value::listen, problems);
    if let Some(path) = file.web_config {
        config.web_config = problems.keep(path.referenced, value::path(&path.value));
    }
    set(
        &mut config.log_level,
        file.log_level,
        value::log_level,
        problems,
    );
    set(
        &mut config.ring_buffer_bytes,
        file.ring_buffer_bytes,
        value::ring_buffer,
        problems,
    );
    set(
        &mut config.detail_rate,
        file.detail_rate,
        |text| {
            let number = value::number(text, 0, 1_000_000)?;
            u32::try_from(number).map_err(|error| error.to_string())
        },
        problems,
    );
    set(
        &mut config.refused_resets,
        file.refused_resets,
        value::switch,
        problems,
    );
    events::settings(
        &mut config.events,
        file.events.unwrap_or_default(),
        problems,
    );
    metrics(
        &mut config.metrics,
        file.metrics.unwrap_or_default(),
        problems,
    );
    config.peers = peers(file.peers.unwrap_or_default(), problems);
    discovery::settings(
        &mut config.discovery,
        file.discovery.unwrap_or_default(),
        problems,
    );
    if let Some(section) = file.kubernetes {
        let kubernetes = &mut config.kubernetes;
        set(
            &mut kubernetes.enabled,
            section.enabled,
            value::flag,
            problems,
        );
        let node = section.node;
        kubernetes.node = node.and_then(|text| static_file::name(&text, problems));
    }
    let nat = file.nat.unwrap_or_default();
    set(&mut config.conntrack, nat.conntrack, value::flag, problems);
    config.gateways = static_file::gateways(file.gateways.unwrap_or_default(), problems);
    config
}

fn metrics(metrics: &mut Metrics, section: MetricsSection, problems: &mut Problems) {
    let count = |from, to| {
        move |text: &str| {
            let number = value::number(text, from, to)?;
            usize::try_from(number).map_err(|error| error.to_string())
        }
    };
    let bits = |to: u8| {
        move |text: &str| {
            let number = value::number(text, 0, to.into())?;
            u8::try_from(number).map_err(|error| error.to_string())
        }
    };
    set(
        &mut metrics.max_series_per_family,
        section.max_series_per_family,
        count(1, 1_000_000),
        problems,
    );
    set(
        &mut metrics.idle_series_ttl,
        section.idle_series_ttl,
        value::duration,
        problems,
    );
    set(
        &mut metrics.max_label_length,
        section.max_label_length,
        count(16, 4096),
        problems,
    );
    set(
        &mut metrics.max_network_namespaces,
        section.max_network_namespaces,
        count(1, 100_000),
        problems,
    );
    set(
        &mut metrics.peer_prefix_v4,
        section.peer_prefix_v4,
        bits(32),
        problems,
    );
    set(
        &mut metrics.peer_prefix_v6,
        section.peer_prefix_v6,
        bits(128),
        problems,
    );
}

fn peers(entries: Vec<PeerEntry>, problems: &mut Problems) -> Vec<Peer> {
    let mut seen = Names::default();
    let mut owners = HashMap::new();
    let mut peers = Vec::new();
    for entry in entries {
        static_file::unique(&mut seen, &entry.name, "peer", problems);
        let name = static_file::name(&entry.name, problems);
        let mut networks = Vec::new();
        for text in static_file::texts(Some(entry.cidr), "cidr", problems) {
            let Some(network) = problems.keep(text.referenced, address::cidr(&text.value)) else {
                continue;
            };
            if let Some(owner) = owners.insert(network, entry.name.value.clone()) {
                let owner = owner.escape_debug();
                problems.at(
                    text.referenced,
                    format!("{network} is there twice, first in peer `{owner}`; keep one"),
                );
            }
            networks.push(network);
        }
        peers.extend(name.map(|name| Peer { name, networks }));
    }
    peers
}

/// Sets `target` if the key is given and its value possible.
pub(super) fn set<T>(
    target: &mut T,
    text: Option<Text>,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) {
    if let Some(text) = text
        && let Some(value) = problems.keep(text.referenced, read(&text.value))
    {
        *target = value;
    }
}
