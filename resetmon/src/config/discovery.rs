//! The section `discovery`.

use serde::Deserialize;
use serde_saphyr::Location;

use super::file::set;
use super::value;
use crate::routes::admin::AdminAddress;
use crate::routes::admin::access::Access;
use crate::routes::discovery::Override;
use crate::routes::finder::Settings;
use crate::routes::static_file;
use crate::yaml::{Problems, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoverySection {
    enabled: Option<Text>,
    interval: Option<Text>,
    enter_network_namespaces: Option<Text>,
    gateways: Option<Vec<OverrideEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideEntry {
    kind: Text,
    process: Option<Text>,
    name: Option<Text>,
    config: Option<Text>,
    admin: Option<Text>,
    ca_file: Option<Text>,
    insecure: Option<Text>,
    server_name: Option<Text>,
    headers_file: Option<Text>,
    token_file: Option<Text>,
    basic_auth_file: Option<Text>,
}

/// Sets what the section says.
pub(super) fn settings(
    settings: &mut Settings,
    section: DiscoverySection,
    problems: &mut Problems,
) {
    set(
        &mut settings.enabled,
        section.enabled,
        value::flag,
        problems,
    );
    set(
        &mut settings.interval,
        section.interval,
        value::interval,
        problems,
    );
    set(
        &mut settings.enter_network_namespaces,
        section.enter_network_namespaces,
        value::flag,
        problems,
    );
    for entry in section.gateways.unwrap_or_default() {
        settings.overrides.push(overriding(entry, problems));
    }
}

fn overriding(entry: OverrideEntry, problems: &mut Problems) -> Override {
    let kind = problems.keep(
        entry.kind.referenced,
        value::gateway_kind(&entry.kind.value),
    );
    let kind = kind.unwrap_or_default();
    let at = Places {
        kind: entry.kind.referenced,
        admin: place(entry.admin.as_ref()),
        ca: place(entry.ca_file.as_ref()),
        trust: place(entry.ca_file.as_ref()).or(place(entry.insecure.as_ref())),
        name: place(entry.server_name.as_ref()),
        credentials: place(entry.headers_file.as_ref())
            .or(place(entry.token_file.as_ref()))
            .or(place(entry.basic_auth_file.as_ref())),
        both: place(entry.token_file.as_ref()).and(place(entry.basic_auth_file.as_ref())),
    };
    let path = |text: Option<Text>, problems: &mut Problems| {
        text.and_then(|text| problems.keep(text.referenced, value::path(&text.value)))
    };
    let mut access = Access {
        ca_file: path(entry.ca_file, problems),
        headers_file: path(entry.headers_file, problems),
        token_file: path(entry.token_file, problems),
        basic_auth_file: path(entry.basic_auth_file, problems),
        ..Access::default()
    };
    set(&mut access.insecure, entry.insecure, value::flag, problems);
    if let Some(text) = entry.server_name {
        access.server_name = problems.keep(text.referenced, value::server_name(&text.value));
    }
    let found = Override {
        process: entry
            .process
            .and_then(|text| static_file::process(&text, problems)),
        name: entry
            .name
            .and_then(|text| static_file::name(&text, problems)),
        config: path(entry.config, problems),
        admin: entry
            .admin
            .and_then(|text| problems.keep(text.referenced, value::admin(&text.value))),
        kind,
        access,
    };
    at.judge(&found, problems);
    found
}

fn place(text: Option<&Text>) -> Option<Location> {
    text.map(|text| text.referenced)
}

/// Where the keys stand that only make sense together.
struct Places {
    kind: Location,
    admin: Option<Location>,
    ca: Option<Location>,
    trust: Option<Location>,
    name: Option<Location>,
    credentials: Option<Location>,
    both: Option<Location>,
}

impl Places {
    /// Notes what would be of no effect, or not safe.
    fn judge(&self, entry: &Override, problems: &mut Problems) {
        let access = &entry.access;
        let speaks_http = !matches!(&*entry.kind, "nginx" | "apache" | "haproxy");
        let by_files = matches!(&*entry.kind, "nginx" | "apache");
        if by_files && let Some(at) = self.admin {
            let what = format!("{} has no admin interface: leave `admin` out", entry.kind);
            problems.at(at, what);
        }
        if !speaks_http && let Some(at) = self.trust.or(self.name).or(self.credentials) {
            let what = format!(
                "{} is not asked over HTTP: leave TLS and credentials out",
                entry.kind
            );
            problems.at(at, what);
            return;
        }
        let Some(admin) = &entry.admin else {
            // One that is there and wrong has been reported.
            if self.admin.is_none()
                && let Some(at) = self.trust.or(self.name).or(self.credentials)
            {
                let what = "it needs `admin`: only an interface that is named here is trusted";
                problems.at(at, what);
            }
            return;
        };
        let https = matches!(admin, AdminAddress::Https(_));
        if https && !speaks_http {
            let what = format!("{} is not asked over HTTP; write ip:port", entry.kind);
            problems.at(self.admin.unwrap_or(self.kind), what);
        } else if https && self.ca.is_none() && !access.insecure {
            let what = "https needs `ca_file` (the interface's certificate or that of its CA), or \
                        `insecure: true`";
            problems.at(self.admin.unwrap_or(self.kind), what);
        } else if !https && let Some(at) = self.trust.or(self.name) {
            problems.at(at, "it needs `admin: https://…`");
        }
        if access.insecure && self.ca.is_some() {
            let what = "`insecure` and `ca_file` exclude each other; keep one";
            problems.at(self.trust.unwrap_or(self.kind), what);
        }
        if let Some(at) = self.both {
            let what = "`token_file` and `basic_auth_file` exclude each other; keep one";
            problems.at(at, what);
        }
    }
}
