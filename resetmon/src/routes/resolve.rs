//! Host names of endpoints to addresses, for each gateway as it does so itself.
//!
//! A gateway's [`resolver::Resolver`] is what its files and its network namespace say; gateways of
//! which none is known share the agent's own. [`follower::Follower`] looks the names up as long as
//! their TTL says.

use std::net::IpAddr;
use std::sync::Arc;

pub mod follower;
pub mod hosts_file;
pub mod lookup;
pub mod name_switch;
pub mod resolv_conf;
pub mod resolver;
mod round;
mod schedule;

use resolver::Resolver;

/// A host name, and by whom it is resolved: two gateways may get different addresses for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostKey {
    /// `None`: the agent's own.
    pub resolver: Option<Arc<Resolver>>,
    /// Lower case, without a final dot.
    pub name: Arc<str>,
}

/// What one look-up of a name gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name.
    pub host: HostKey,
    /// Its addresses, at least one; else why there is none.
    pub found: Result<Vec<IpAddr>, String>,
    /// What of the look-up was done otherwise than the gateway does it.
    pub notes: Arc<[String]>,
}

impl HostKey {
    /// A name for the agent's own resolver.
    #[must_use]
    pub fn own(name: &str) -> Self {
        Self {
            resolver: None,
            name: name.into(),
        }
    }
}

impl Answer {
    /// These addresses.
    #[must_use]
    pub fn found(host: HostKey, addresses: Vec<IpAddr>) -> Self {
        Self {
            host,
            found: Ok(addresses),
            notes: Arc::default(),
        }
    }

    /// No address, and why.
    #[must_use]
    pub fn failed(host: HostKey, reason: String) -> Self {
        Self {
            host,
            found: Err(reason),
            notes: Arc::default(),
        }
    }
}
