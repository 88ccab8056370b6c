//! The web configuration file: TLS, basic auth and headers, in the form of Prometheus' exporters
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! What the form has and resetmon has not is an error, never passed over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::header::HeaderMap;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::basic_auth::Users;
use super::seen::Seen;
use crate::yaml::{self, Problem, Problems};

mod client_cert;
mod file;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use settings::{ClientAuth, Settings};

/// Every key with its meaning and default, as a file in the form of Prometheus' exporters.
pub const REFERENCE: &str = include_str!("web_config/reference.yaml");

/// Why a web configuration cannot be used. No secret is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// The file cannot be read.
    #[error("cannot read the web configuration {}: {reason}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why, with the remedy.
        reason: String,
    },
    /// It, or a file it names, cannot be; one line a problem, as `name:line:column: what`.
    #[error("{}", yaml::listed(.name, .problems))]
    Invalid {
        /// The path of the web configuration.
        name: String,
        /// Everything found, in the order of the text.
        problems: Vec<Problem>,
    },
    /// The system gave no random numbers.
    #[error("no random numbers for basic auth; see whether getrandom(2) works here")]
    Random,
}

/// A web configuration with all its files read, ready to serve by.
#[derive(Default)]
pub(super) struct WebConfig {
    /// `None` serves plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    /// `None` lets everybody in.
    pub(super) users: Option<Arc<Users>>,
    /// Headers of every answer.
    pub(super) headers: HeaderMap,
    /// A certificate of the client CA is required.
    pub(super) verifies_clients: bool,
    /// What is insecure in it, one sentence each.
    pub(super) warnings: Vec<String>,
}

impl WebConfig {
    /// Whether something that `self` protects is open in `new`.
    pub(super) fn is_stricter_than(&self, new: &Self) -> bool {
        self.tls.is_some() && new.tls.is_none()
            || self.users.is_some() && new.users.is_none()
            || self.verifies_clients && !new.verifies_clients
    }
}

/// Reads the file at `path` and all that it names; with the files as they were *before* reading,
/// so that a change meanwhile is seen as one.
pub(super) fn load(path: &Path) -> (Result<WebConfig, WebConfigError>, Vec<Seen>) {
    let mut seen = vec![Seen::now(path)];
    let result = settings(path).and_then(|settings| {
        let sources = settings
            .tls
            .iter()
            .flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]);
        let files = sources.flatten().filter_map(|source| source.file());
        seen.extend(files.map(Seen::now));
        build(path, settings)
    });
    (result, seen)
}

fn settings(path: &Path) -> Result<Settings, WebConfigError> {
    let bytes = source::read(path).map_err(|reason| WebConfigError::Read {
        path: path.to_owned(),
        reason,
    })?;
    let invalid = |problems| WebConfigError::Invalid {
        name: path.display().to_string(),
        problems,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let place = yaml::place_after(&String::from_utf8_lossy(valid));
        invalid(vec![Problem {
            place: Some(place),
            what: "not UTF-8; save the file as UTF-8".to_owned(),
        }])
    })?;
    let dir = path.parent().unwrap_or(Path::new(""));
    file::read(&text, dir).map_err(invalid)
}

fn build(path: &Path, settings: Settings) -> Result<WebConfig, WebConfigError> {
    let mut config = WebConfig {
        headers: settings.headers,
        ..WebConfig::default()
    };
    if !settings.users.is_empty() {
        let users = Users::new(settings.users).ok_or(WebConfigError::Random)?;
        config.users = Some(Arc::new(users));
    }
    if let Some(tls) = settings.tls {
        config.verifies_clients = tls.client_auth == ClientAuth::RequireAndVerifyClientCert;
        if tls.key.is_world_readable() {
            config.warnings.push(format!(
                "{} can be read by every user of this machine; chmod it to 0600",
                tls.key.describe()
            ));
        }
        if tls.client_auth.takes_any() {
            config.warnings.push(
                "client_auth_type takes any certificate, which protects nothing; use \
                 RequireAndVerifyClientCert with client_ca_file"
                    .to_owned(),
            );
        }
        let mut problems = Problems::default();
        let server: Option<Arc<ServerConfig>> = tls::server(&tls, &mut problems);
        let Some(server) = server else {
            return Err(WebConfigError::Invalid {
                name: path.display().to_string(),
                problems: problems.into_sorted(),
            });
        };
        config.tls = Some(TlsAcceptor::from(server));
    } else if config.users.is_some() {
        config.warnings.push(
            "basic auth without TLS sends passwords in the clear; add tls_server_config".to_owned(),
        );
    }
    Ok(config)
}
