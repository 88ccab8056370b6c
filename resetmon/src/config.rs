//! The configuration: one YAML file, every key optional, unknown keys an error.
//!
//! [`Config::parse`] is pure: a file that is wrong leaves the running configuration as it is.
//! [`Config::REFERENCE`] documents every key.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

use crate::routes::finder;
use crate::routes::table::Gateway;
use crate::yaml::{self, Problem};

mod discovery;
mod error;
mod events;
mod file;
mod value;

pub use error::ConfigError;
pub use events::{Events, EventsPath};

/// Largest file that is read, bytes.
const MAX_FILE: u64 = 16 << 20;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `listen`: where `resetmon run` serves HTTP.
    pub listen: SocketAddr,
    /// `web_config`: the file with TLS, basic auth and headers of that HTTP; `None` for plain HTTP.
    pub web_config: Option<PathBuf>,
    /// `log_level`: what resetmon and its programs say of themselves.
    pub log_level: LevelFilter,
    /// `ring_buffer_bytes`: a power of two, at least 64 KiB, so that it is a multiple of any page.
    pub ring_buffer_bytes: u32,
    /// `detail_rate`: resets of one source that are reported one by one, a second and CPU; 0 for
    /// all. The rest is counted with the same labels.
    pub detail_rate: u32,
    /// `refused_resets`: count what the kernel refuses; costs a little for each packet dropped.
    pub refused_resets: bool,
    /// `events`: where events go besides the metrics.
    pub events: Events,
    /// `metrics`: limits of the metrics page.
    pub metrics: Metrics,
    /// `peers`: names for the other ends.
    pub peers: Vec<Peer>,
    /// `discovery`: gateways that are found by themselves.
    pub discovery: finder::Settings,
    /// `kubernetes`: routes and names from the cluster and the container runtime.
    pub kubernetes: Kubernetes,
    /// `nat.conntrack`: follow translated connections to their upstream.
    pub conntrack: bool,
    /// `gateways`: those that are described by hand.
    pub gateways: Vec<Gateway>,
}

/// Limits of the metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `max_series_per_family`: past it a label value becomes `other`.
    pub max_series_per_family: usize,
    /// `idle_series_ttl`: a series unchanged for so long is removed.
    pub idle_series_ttl: Duration,
    /// `max_label_length`: characters of a label value.
    pub max_label_length: usize,
    /// `max_network_namespaces`: how many are compared with the kernel's own counters.
    pub max_network_namespaces: usize,
    /// `peer_prefix_v4`: bits of an unnamed IPv4 peer that are kept.
    pub peer_prefix_v4: u8,
    /// `peer_prefix_v6`: bits of an unnamed IPv6 peer that are kept.
    pub peer_prefix_v6: u8,
}

/// A name for other ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Value of the label `peer`.
    pub name: Arc<str>,
    /// `cidr`: addresses that have the name; the longest prefix of all peers wins.
    pub networks: Vec<IpNet>,
}

/// Where names of pods and routes of the cluster come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// `enabled`: ask the API server and the container runtime at all.
    pub enabled: bool,
    /// `node`: this node's name in the cluster; `None`: `NODE_NAME`, else the host's name.
    pub node: Option<Arc<str>>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            enabled: true,
            node: None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            max_series_per_family: 5000,
            idle_series_ttl: Duration::from_secs(3600),
            max_label_length: 128,
            max_network_namespaces: 1024,
            peer_prefix_v4: 32,
            peer_prefix_v6: 128,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9435),
            web_config: None,
            log_level: LevelFilter::INFO,
            ring_buffer_bytes: 2 << 20,
            detail_rate: 2000,
            refused_resets: false,
            events: Events::default(),
            metrics: Metrics::default(),
            peers: Vec::new(),
            discovery: finder::Settings::default(),
            kubernetes: Kubernetes::default(),
            conntrack: false,
            gateways: Vec::new(),
        }
    }
}

impl Config {
    /// Every key with its meaning and default, as a file that can be used.
    pub const REFERENCE: &'static str = include_str!("config/reference.yaml");

    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let name = path.display().to_string();
        let invalid = |place, what: String| ConfigError::Invalid {
            name: name.clone(),
            problems: vec![Problem { place, what }],
        };
        if bytes.len() as u64 > MAX_FILE {
            let most = MAX_FILE >> 20;
            return Err(invalid(
                None,
                format!("larger than {most} MiB; is this the right file?"),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let place = yaml::place_after(&String::from_utf8_lossy(valid));
            invalid(Some(place), "not UTF-8; save the file as UTF-8".to_owned())
        })?;
        Self::parse(&text, &name)
    }

    /// The configuration in `text`; `name` is what errors call it.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        file::read(text).map_err(|problems| ConfigError::Invalid {
            name: name.to_owned(),
            problems,
        })
    }
}

#[cfg(test)]
mod tests;
