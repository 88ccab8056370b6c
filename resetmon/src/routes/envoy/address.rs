//! Addresses in Envoy's configuration and answers.

use ipnet::IpNet;
use serde_json::Value;

use super::json::{at, field, is_true, text};
use crate::routes::address::{Endpoint, Listener};

/// Where something is; no address at all is [`Place::Other`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// TCP.
    Tcp {
        /// An IP address, or a name.
        host: &'a str,
        /// 0 if not said.
        port: u16,
        /// An IPv6 address that takes IPv4, too.
        both: bool,
    },
    /// A unix socket's path.
    Pipe(&'a str),
    /// UDP, or inside Envoy.
    Other,
}

/// Reads `config.core.v3.Address`.
pub(super) fn place(address: &Value) -> Place<'_> {
    if let Some(path) = text(address, &["pipe", "path"]) {
        return Place::Pipe(path);
    }
    let Some(socket) = field(address, "socket_address") else {
        return Place::Other;
    };
    let port = field(socket, "port_value").and_then(Value::as_u64);
    match (text(socket, &["address"]), u16::try_from(port.unwrap_or(0))) {
        (Some(host), Ok(port)) if text(socket, &["protocol"]) != Some("UDP") => Place::Tcp {
            host,
            port,
            both: is_true(socket, &["ipv4_compat"]),
        },
        _ => Place::Other,
    }
}

/// The listener at `address`, if it is one for TCP.
///
/// Errors: what is wrong with it.
pub(super) fn listener(address: &Value) -> Result<Option<Listener>, String> {
    let Place::Tcp { host, port, both } = place(address) else {
        return Ok(None);
    };
    let ip: std::net::IpAddr = host
        .parse()
        .map_err(|_| format!("`{host}` is no address to listen at"))?;
    if port == 0 {
        return Err("its port is chosen when it starts".to_owned());
    }
    let address = (!(both && ip.is_unspecified())).then_some(ip.to_canonical());
    Ok(Some(Listener { address, port }))
}

/// The endpoint at `address`, if it is one for TCP.
///
/// Errors: what is wrong with it.
pub(super) fn endpoint(address: &Value) -> Result<Option<Endpoint>, String> {
    let Place::Tcp { host, port, .. } = place(address) else {
        return Ok(None);
    };
    let port = (port != 0).then_some(port);
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        let network = IpNet::from(ip.to_canonical());
        return Ok(Some(Endpoint::Network { network, port }));
    }
    named(host, port).map(Some)
}

/// The endpoint with the name `host`.
///
/// Errors: it is no host name.
pub(super) fn named(host: &str, port: Option<u16>) -> Result<Endpoint, String> {
    let text = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    text.parse::<Endpoint>().map_err(|error| error.to_string())
}

/// The addresses of an endpoint or host: its own and those tried besides.
pub(super) fn all(endpoint: &Value) -> impl Iterator<Item = &Value> {
    let more = super::json::items(endpoint, &["additional_addresses"]);
    let more = more.filter_map(|more| field(more, "address"));
    at(endpoint, &["address"]).into_iter().chain(more)
}
