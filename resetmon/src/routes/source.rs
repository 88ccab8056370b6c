//! What a source of routes is: one kind of gateway, one file, one trait.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::address::Listener;
use super::files::FileError;
use super::instance::Instance;
use super::table::{Route, Upstream};

/// One kind of gateway and how its routes are read.
///
/// Sources run on a thread of their own: one that waits for a file or an admin answer delays no
/// reset. A reading is whole: what an earlier one said and this one does not is gone.
pub trait Source: Send + Sync {
    /// The kind, as operators call it: `nginx`. It is the label `gateway` where neither the
    /// gateway itself nor its surroundings give it a better name.
    fn kind(&self) -> &'static str;

    /// True if `instance` is the main process of such a gateway.
    ///
    /// Decides by the executable and the command line alone; reads nothing. Processes whose parent
    /// runs the same executable (workers) are not asked about.
    fn claims(&self, instance: &Instance) -> bool;

    /// What tells one configuration in force from the next, without reading it. `None`: nothing
    /// does, so ask again every time.
    ///
    /// The default suits programs that take a new configuration by new processes only.
    fn generation(&self, instance: &Instance) -> Option<u64> {
        Some(instance.newest_start())
    }

    /// Reads the routes in force, or says why they cannot be read.
    ///
    /// What is merely not understood goes into [`Reading::not_understood`]; the rest still counts.
    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a>;
}

/// The way to a reading.
pub type ReadingFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Reading, SourceError>> + Send + 'a>>;

/// What one gateway says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The gateway's own name for itself (Envoy's node id, say), where it has one.
    pub name: Option<Arc<str>>,
    /// Where it accepts clients.
    pub listeners: Vec<Listener>,
    /// Its routes, named as its operator would.
    pub routes: Vec<Route>,
    /// Its upstreams, named as in its configuration.
    pub upstreams: Vec<Upstream>,
    /// Name servers it asks instead of those of its `resolv.conf`.
    pub name_servers: Vec<SocketAddr>,
    /// What was not understood or cannot be known beforehand, each with its place, as
    /// `nginx.conf:12: …`, for `resetmon routes`.
    pub not_understood: Vec<String>,
    /// Where it was read: a path or an admin address.
    pub origin: String,
}

/// Why a gateway's routes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its admin interface.
    #[error(transparent)]
    Admin(#[from] super::admin::AdminError),
    /// Nothing says where the configuration is; what was looked at, and the remedy.
    #[error("{0}")]
    NotFound(String),
    /// The text is not what the gateway would accept; what and where.
    #[error("{0}")]
    Invalid(String),
}

/// File names of the executables that the sources look for: when one appears, it is worth a look.
pub const PROGRAMS: &[&str] = &[
    "nginx",
    "openresty",
    "haproxy",
    "envoy",
    "apache2",
    "httpd",
    "caddy",
    "traefik",
    "apinto",
];

/// Every source that finds its gateways by itself.
#[must_use]
pub fn all() -> Vec<Box<dyn Source>> {
    vec![
        // Kong's processes are nginx's: it is asked before nginx.
        Box::new(super::kong::Kong),
        Box::new(super::nginx::Nginx),
        Box::new(super::haproxy::Haproxy::default()),
        Box::new(super::envoy::Envoy),
        Box::new(super::apache::Apache),
        Box::new(super::apinto::Apinto),
        Box::new(super::caddy::Caddy),
        Box::new(super::traefik::Traefik),
    ]
}
