//! Upstreams while a configuration is read: each name once, each endpoint of it once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::address::Endpoint;
use super::table::Upstream;

/// The upstreams found so far.
#[derive(Clone, Debug, Default)]
pub struct Backends {
    upstreams: Vec<Upstream>,
    by_name: HashMap<Arc<str>, usize>,
    known: HashSet<(usize, Endpoint)>,
}

impl Backends {
    /// The upstream called `name`, which is there from now on.
    pub fn add(&mut self, name: &str) -> Arc<str> {
        let index = self.index(name);
        Arc::clone(&self.upstreams[index].name)
    }

    /// Adds an endpoint to the upstream called `name`, which is there from now on.
    pub fn add_endpoint(&mut self, name: &str, endpoint: Endpoint) {
        let index = self.index(name);
        if self.known.insert((index, endpoint.clone())) {
            self.upstreams[index].endpoints.push(endpoint);
        }
    }

    /// How many endpoints all of them have together.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.known.len()
    }

    /// True if there is an upstream called `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// All of them, in the order found.
    #[must_use]
    pub fn into_upstreams(self) -> Vec<Upstream> {
        self.upstreams
    }

    fn index(&mut self, name: &str) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            return index;
        }
        let index = self.upstreams.len();
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), index);
        self.upstreams.push(Upstream {
            name,
            endpoints: Vec::new(),
        });
        index
    }
}

/// `endpoint` with `port` if it has none.
#[must_use]
pub fn with_default_port(endpoint: Endpoint, default: Option<u16>) -> Endpoint {
    match endpoint {
        Endpoint::Network { network, port } => Endpoint::Network {
            network,
            port: port.or(default),
        },
        Endpoint::Host { name, port } => Endpoint::Host {
            name,
            port: port.or(default),
        },
    }
}
