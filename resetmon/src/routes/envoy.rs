//! Routes of Envoy: what its admin interface says is in force.
//!
//! An upstream is a cluster, a route one of a virtual host's, by its own name or as `HOST:MATCH`;
//! a TCP listener is one route. Works for Istio's proxies and those of Envoy Gateway, too. Without
//! the admin interface the static part of the bootstrap configuration has to do.
//!
//! Nothing short of asking tells one configuration from the next: counters of updates do not show
//! every change of hosts, and Istio leaves most of them out (`stats_matcher`).

use serde_json::Value;

use self::resources::Resources;
use super::admin::{Admin, AdminAddress, AdminError};
use super::instance::{Instance, option};
use super::notes::Notes;
use super::source::{Reading, ReadingFuture, Source, SourceError};

mod actions;
mod address;
mod bootstrap;
mod clusters;
mod json;
mod listeners;
mod reading;
mod resources;

/// What is in force, with the hosts that were sent to it.
const DUMP: &str = "/config_dump?include_eds";
/// Hosts of all clusters, as resolved.
const CLUSTERS: &str = "/clusters?format=json";

/// The source for Envoy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envoy;

impl Source for Envoy {
    fn kind(&self) -> &'static str {
        "envoy"
    }

    fn claims(&self, instance: &Instance) -> bool {
        let arguments = &instance.arguments;
        matches!(
            instance.program(),
            "envoy" | "envoy-contrib" | "cilium-envoy"
        ) && option(arguments, &["--mode"]).is_none_or(|mode| mode == "serve")
            && !arguments.iter().any(|argument| argument == "--version")
    }

    fn generation(&self, _: &Instance) -> Option<u64> {
        None
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(async move {
            let mut started = bootstrap::read(
                &instance.arguments,
                instance.config.as_deref(),
                &instance.files()?,
            );
            // What the operator says is asked alone: credentials are meant for that one.
            if let Some(address) = &instance.admin {
                started.admin = vec![address.clone()];
            }
            let mut failed = Vec::new();
            for address in &started.admin {
                match ask(instance, address).await {
                    Ok((dump, clusters)) => {
                        let mut reading = read_answers(&dump, &clusters)?;
                        reading.origin = address.to_string();
                        return Ok(reading);
                    }
                    Err(error) => failed.push(error.to_string()),
                }
            }
            if failed.is_empty() {
                failed.push("it has no admin interface".to_owned());
            }
            failed.extend(started.problems.iter().cloned());
            without_admin(&started, &failed.join("; "))
        })
    }
}

async fn ask(instance: &Instance, address: &AdminAddress) -> Result<(String, String), AdminError> {
    let admin = Admin::new(instance, address.clone());
    let dump = admin.get(DUMP).await?;
    let clusters = admin.get(CLUSTERS).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&dump), text(&clusters)))
}

/// Reads the answers to `/config_dump?include_eds` and `/clusters?format=json`.
///
/// Errors: one of them is no JSON.
pub fn read_answers(dump: &str, clusters: &str) -> Result<Reading, SourceError> {
    let json = |path: &str, text: &str| {
        let value: Result<Value, _> = serde_json::from_str(text);
        value.map_err(|error| {
            SourceError::Invalid(format!("the answer to {path} is no JSON: {error}"))
        })
    };
    let dump = json(DUMP, dump)?;
    let clusters = json(CLUSTERS, clusters)?;
    let mut notes = Notes::default();
    let mut resources = Resources::of_dump(&dump, &mut notes);
    resources.with_statuses(&clusters);
    Ok(reading::reading(&resources, notes))
}

/// Reads the static part of a bootstrap configuration, YAML or JSON, called `name`.
///
/// Errors: it is neither.
pub fn read_bootstrap(name: &str, text: &str) -> Result<Reading, SourceError> {
    let value: Value = crate::yaml::parse(text)
        .map_err(|problem| SourceError::Invalid(crate::yaml::listed(name, &[problem])))?;
    Ok(reading::reading(
        &Resources::of_bootstrap(&value),
        Notes::default(),
    ))
}

/// What the configuration says, where nobody answers.
fn without_admin(started: &bootstrap::Bootstrap, reason: &str) -> Result<Reading, SourceError> {
    if started.parts.is_empty() {
        return Err(SourceError::NotFound(format!(
            "{reason}; let the bootstrap configuration set `admin.address`"
        )));
    }
    let mut all = Resources::default();
    let mut notes = Notes::default();
    for part in &started.parts {
        let one = Resources::of_bootstrap(part);
        all.name = all.name.or(one.name);
        all.listeners.extend(one.listeners);
        all.clusters.extend(one.clusters);
        if bootstrap::is_dynamic(part) {
            notes.add(
                &started.origin,
                "dynamic_resources are not known without the admin interface",
            );
        }
    }
    let what = format!(
        "{reason}; only what is static is known: let the bootstrap configuration set `admin.address`"
    );
    notes.add("admin", what);
    let mut reading = reading::reading(&all, notes);
    reading.origin.clone_from(&started.origin);
    Ok(reading)
}
