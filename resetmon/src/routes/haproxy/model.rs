//! What `HAProxy`'s configuration says of where traffic goes.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::address::{Address, Host};
use crate::routes::address::Listener;
use crate::routes::notes::Notes;

/// Name here of what `dispatch` leads to: no server is called so.
pub(super) const DISPATCH: &str = "";

/// What the files say.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    /// Frontends, backends and listens that are enabled, in order.
    pub(super) proxies: Vec<Proxy>,
    /// `stats socket`s, in order.
    pub(super) sockets: Vec<Address>,
    /// Name servers by section `resolvers`.
    pub(super) resolvers: HashMap<String, Vec<SocketAddr>>,
    /// What was not understood.
    pub(super) notes: Notes,
}

/// A frontend, backend or listen.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxy {
    /// Its name.
    pub(super) name: String,
    /// Whether it takes connections (frontend, listen).
    pub(super) front: bool,
    /// Whether it has servers (backend, listen).
    pub(super) back: bool,
    /// Its `bind`s.
    pub(super) listeners: Vec<Listener>,
    /// Its `use_backend`s.
    pub(super) rules: Vec<Rule>,
    /// Its `default_backend`.
    pub(super) default_backend: Option<String>,
    /// Its `server`s.
    pub(super) servers: Vec<Server>,
    /// Whether it is out of use.
    pub(super) disabled: bool,
}

/// A `use_backend`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Backend, or an expression with `%[…]` that gives one.
    pub(super) backend: String,
    /// As written after the backend: `if …`, `unless …` or nothing.
    pub(super) condition: Vec<String>,
    /// File and line.
    pub(super) place: String,
}

/// A `server`, or all of a `server-template`.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Its name; for a template what its servers' names begin with.
    pub(super) name: String,
    /// Numbers that follow the name.
    pub(super) range: Option<(u32, u32)>,
    /// Where it is.
    pub(super) host: Host,
    /// Its port; `None`: any.
    pub(super) port: Option<u16>,
    /// Section whose name servers are asked.
    pub(super) resolvers: Option<String>,
    /// File and line.
    pub(super) place: String,
}
