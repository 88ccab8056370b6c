//! Apinto's `config.yml`: where it listens.
//!
//! Two forms are in use: ports (version 1) and URLs (version 2, into which Apinto rewrites the
//! first). <https://github.com/eolinker/apinto-docs/blob/main/docs/apinto/quick/quick_course.md>

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::routes::address::Listener;
use crate::routes::admin::AdminAddress;
use crate::routes::draft::{list, port, split_port, text, texts};

/// Port of the admin API where none is written.
const DEFAULT_ADMIN: u16 = 9400;
/// Port for clients where none is written.
const DEFAULT_GATEWAY: u16 = 80;

/// What matters of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it was read.
    pub origin: String,
    /// URLs of the admin API, as `http://0.0.0.0:9400`.
    pub admin: Vec<String>,
    /// URLs for clients.
    pub gateway: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origin: "Apinto's defaults".to_owned(),
            admin: vec![format!("http://0.0.0.0:{DEFAULT_ADMIN}")],
            gateway: vec![format!("http://0.0.0.0:{DEFAULT_GATEWAY}")],
        }
    }
}

impl Settings {
    /// What `value` says, which is written at `origin`.
    #[must_use]
    pub fn new(value: &Value, origin: &str) -> Self {
        let null = Value::Null;
        let part = |key: &str| value.get(key).unwrap_or(&null);
        let (admin, gateway) = if value.get("version").and_then(Value::as_u64) == Some(2) {
            let urls = |key: &str| texts(part(key), "listen_urls");
            let owned = |urls: Vec<&str>| urls.into_iter().map(str::to_owned).collect();
            (owned(urls("client")), owned(urls("gateway")))
        } else {
            let admin = part("admin");
            let scheme = match text(admin, "scheme") {
                Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
                _ => "http",
            };
            let ip = text(admin, "ip").unwrap_or("0.0.0.0");
            let admin = port(admin, "listen").unwrap_or(DEFAULT_ADMIN);
            let plain = list(value, "listen").iter().filter_map(Value::as_u64);
            let plain = plain.map(|port| format!("http://0.0.0.0:{port}"));
            let tls = list(part("ssl"), "listen")
                .iter()
                .filter_map(|listen| port(listen, "port"))
                .map(|port| format!("https://0.0.0.0:{port}"));
            (
                vec![format!("{scheme}://{ip}:{admin}")],
                plain.chain(tls).collect(),
            )
        };
        let default = Self::default();
        let or = |urls: Vec<String>, default| if urls.is_empty() { default } else { urls };
        Self {
            origin: origin.to_owned(),
            admin: or(admin, default.admin),
            gateway: or(gateway, default.gateway),
        }
    }

    /// Where the admin API answers without TLS, or why it does not.
    pub fn admin_address(&self) -> Result<AdminAddress, String> {
        let mut plain = self
            .admin
            .iter()
            .filter_map(|url| url.strip_prefix("http://"));
        let address = plain.find_map(socket);
        address.map(AdminAddress::Tcp).ok_or_else(|| {
            format!(
                "{}: the admin API ({}) has no address without TLS",
                self.origin,
                self.admin.join(", ")
            )
        })
    }

    /// Where clients are accepted, and what of it is not understood.
    #[must_use]
    pub fn listeners(&self) -> (Vec<Listener>, Vec<String>) {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for url in &self.gateway {
            let address = url.split_once("://").map(|(_, rest)| rest).and_then(socket);
            match address.filter(|address| address.port() != 0) {
                // Go listens on both families for the unspecified IPv4 address of a URL that
                // names every address.
                Some(address) => found.push(Listener {
                    address: Some(address.ip()).filter(|ip| !ip.is_unspecified()),
                    port: address.port(),
                }),
                None => unknown.push(format!("`{url}` is no address to listen at")),
            }
        }
        (found, unknown)
    }
}

/// The address in `host:port` and a path that may follow.
fn socket(text: &str) -> Option<SocketAddr> {
    let (host, port) = split_port(text.split('/').next().unwrap_or(""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = match host {
        "" | "*" => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    Some(SocketAddr::new(address, port?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let settings = Settings::new(&crate::yaml::parse(text).unwrap(), "o");
        let admin = settings
            .admin_address()
            .map_or_else(|error| error, |address| address.to_string());
        let (listeners, unknown) = settings.listeners();
        let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
        format!("{admin} | {} | {}", listeners.join(" "), unknown.join(" "))
    }

    #[test]
    fn both_forms() {
        for (text, expected) in [
            ("{}", "0.0.0.0:9400 | :80 | "),
            (
                "listen:\n  - 8099\nssl:\n  listen:\n    - port: 443\nadmin:\n  scheme: http\n  listen: 9410\n  ip: 127.0.0.1\n",
                "127.0.0.1:9410 | :8099 :443 | ",
            ),
            (
                "version: 2\nclient:\n  listen_urls:\n  - https://0.0.0.0:9443\n  - http://[::1]:9400\ngateway:\n  listen_urls:\n  - http://0.0.0.0:8099\n  - https://10.0.0.1:8443/\n",
                "[::1]:9400 | :8099 10.0.0.1:8443 | ",
            ),
            (
                "admin: {scheme: https, listen: 9400}",
                "o: the admin API (https://0.0.0.0:9400) has no address without TLS | :80 | ",
            ),
            (
                "version: 2\ngateway: {listen_urls: [nowhere]}",
                "0.0.0.0:9400 |  | `nowhere` is no address to listen at",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
