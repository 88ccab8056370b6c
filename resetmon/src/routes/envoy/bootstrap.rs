//! Where Envoy's own configuration is, and what it says of the admin interface.

use std::net::SocketAddr;
use std::path::Path;

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

/// Reads what `arguments` name; `chosen` stands for their file, where the operator says so.
pub(super) fn read(arguments: &[String], chosen: Option<&Path>, files: &Files) -> Bootstrap {
    let mut found = Bootstrap::default();
    if let Some(text) = option(arguments, &["--config-yaml"]) {
        "--config-yaml".clone_into(&mut found.origin);
        found.part("--config-yaml", text);
    }
    let named = option(arguments, &["-c", "--config-path"]).map(Path::new);
    if let Some(path) = chosen.or(named) {
        found.origin = path.display().to_string();
        match files.read(path) {
            Ok(text) => found.part(&path.display().to_string(), &text),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(root: &std::path::Path, line: &str) -> Bootstrap {
        let arguments: Vec<String> = line.split('\u{1f}').map(str::to_owned).collect();
        let files = Files::open(root, std::path::Path::new("/etc")).unwrap();
        read(&arguments, None, &files)
    }

    #[test]
    fn admin_interfaces() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let file = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let socket = "admin: {address: {socket_address: {address: '::1', port_value: 9901}}}";
        file("etc/e.yaml", socket);
        file(
            "etc/pipe.json",
            r#"{"admin": {"address": {"pipe": {"path": "/run/admin.sock"}}}}"#,
        );
        file("etc/none.yaml", "node: {id: a}");
        file(
            "etc/zero.yaml",
            "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}",
        );
        file("etc/address", "127.0.0.1:41234\n");
        for (line, expected) in [
            ("envoy -c e.yaml", &["[::1]:9901"][..]),
            (
                "envoy --config-path=/etc/pipe.json",
                &["unix:/run/admin.sock"],
            ),
            ("envoy -c none.yaml", &[]),
            (
                "envoy -c zero.yaml --admin-address-path address",
                &["127.0.0.1:41234"],
            ),
            (
                "envoy -c missing.yaml",
                &["127.0.0.1:15000", "127.0.0.1:19000"],
            ),
            ("envoy", &["127.0.0.1:15000", "127.0.0.1:19000"]),
        ] {
            let found = read_in(root.path(), &line.replace(' ', "\u{1f}"));
            let shown: Vec<String> = found.admin.iter().map(ToString::to_string).collect();
            assert_eq!(shown, expected, "{line}");
        }
        let inline = "envoy\u{1f}-c\u{1f}e.yaml\u{1f}--config-yaml\u{1f}admin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}";
        let found = read_in(root.path(), inline);
        assert_eq!(
            found
                .admin
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["127.0.0.1:1"]
        );
        assert_eq!(found.origin, "e.yaml");
        let arguments = ["envoy", "-c", "e.yaml"].map(str::to_owned);
        let files = Files::open(root.path(), Path::new("/etc")).unwrap();
        let found = read(&arguments, Some(Path::new("/etc/pipe.json")), &files);
        assert_eq!(found.origin, "/etc/pipe.json");
        let shown: Vec<String> = found.admin.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["unix:/run/admin.sock"]);
        let problems = read_in(root.path(), "envoy\u{1f}-c\u{1f}missing.yaml").problems;
        assert!(
            problems[0].starts_with("missing.yaml: No such file"),
            "{problems:?}"
        );
    }
}
