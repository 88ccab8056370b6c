//! Where Envoy's own configuration is, and what it says of the admin interface.

use std::net::SocketAddr;

use serde_json::Value;

use super::address::{Place, place};
use super::json::{at, field};
use crate::routes::admin::AdminAddress;
use crate::routes::files::Files;
use crate::routes::instance::option;
use crate::yaml;

/// Where Istio's proxy and that of Envoy Gateway answer.
const USUAL: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 15000),
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 19000),
];

/// What an Envoy was started with.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    /// Its configurations, the one that overrides the others first.
    pub(super) parts: Vec<Value>,
    /// Where they come from.
    pub(super) origin: String,
    /// Why one cannot be read.
    pub(super) problems: Vec<String>,
    /// Where the admin interface may answer, the likeliest first.
    pub(super) admin: Vec<AdminAddress>,
}

/// Reads what `arguments` name.
pub(super) fn read(arguments: &[String], files: &Files) -> Bootstrap {
    let mut found = Bootstrap::default();
    if let Some(text) = option(arguments, &["--config-yaml"]) {
        found.origin = "--config-yaml".to_owned();
        found.part("--config-yaml", text);
    }
    if let Some(path) = option(arguments, &["-c", "--config-path"]) {
        path.clone_into(&mut found.origin);
        match files.read(path.as_ref()) {
            Ok(text) => found.part(path, &text),
            Err(error) => found.problems.push(error.to_string()),
        }
    }
    if let Some(path) = option(arguments, &["--admin-address-path"]) {
        match files.read(path.as_ref()).map(|text| text.trim().parse()) {
            Ok(Ok(address)) => found.admin.push(AdminAddress::Tcp(address)),
            Ok(Err(_)) => found
                .problems
                .push(format!("{path}: not an address with a port")),
            Err(error) => found.problems.push(error.to_string()),
        }
    }
    let configured = found.parts.iter().find_map(admin);
    found.admin.extend(configured);
    // An Envoy that says it has no admin interface is not asked at that of another.
    if found.admin.is_empty() && found.parts.is_empty() {
        found.admin.extend(USUAL.map(AdminAddress::Tcp));
    }
    found
}

impl Bootstrap {
    fn part(&mut self, name: &str, text: &str) {
        match yaml::parse(text) {
            Ok(part) => self.parts.push(part),
            Err(problem) => self.problems.push(yaml::listed(name, &[problem])),
        }
    }
}

/// The admin interface that a bootstrap configuration sets up.
pub(super) fn admin(bootstrap: &Value) -> Option<AdminAddress> {
    match place(at(bootstrap, &["admin", "address"])?) {
        Place::Tcp { host, port, .. } if port != 0 => {
            let ip = host.parse().ok()?;
            Some(AdminAddress::Tcp(SocketAddr::new(ip, port)))
        }
        Place::Pipe(path) => Some(AdminAddress::Unix(path.into())),
        _ => None,
    }
}

/// Whether a configuration leaves anything to be sent later.
pub(super) fn is_dynamic(bootstrap: &Value) -> bool {
    field(bootstrap, "dynamic_resources").is_some()
}
