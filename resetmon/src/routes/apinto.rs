//! Apinto, the gateway that `APIPark` runs: its admin API.

use std::path::{Path, PathBuf};

use hyper::StatusCode;
use serde_json::Value;

use super::admin::{Admin, AdminError};
use super::draft;
use super::files::Files;
use super::instance::{Instance, absolute, option};
use super::source::{Reading, ReadingFuture, Source, SourceError};
use crate::yaml;

pub mod model;
pub mod settings;

use model::Workers;
use settings::Settings;

/// Most objects of one kind that are asked for one by one.
const MAX_OBJECTS: usize = 10_000;
/// What the admin API calls the AI providers that `APIPark` sets up.
const PROVIDERS: &str = "ai-provider";

/// The source `apinto`.
#[derive(Clone, Copy, Debug)]
pub struct Apinto;

impl Source for Apinto {
    fn kind(&self) -> &'static str {
        "apinto"
    }

    /// `apinto start` becomes the main process and starts its workers from the same executable.
    fn claims(&self, instance: &Instance) -> bool {
        instance.program() == "apinto"
    }

    /// Routes come by the admin API, into the running workers.
    fn generation(&self, _: &Instance) -> Option<u64> {
        None
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(read(instance))
    }
}

async fn read(instance: &Instance) -> Result<Reading, SourceError> {
    let files = instance.files()?;
    let settings = settings(instance, &files)?;
    let address = instance.admin.clone();
    let address = address.map_or_else(|| settings.admin_address(), Ok);
    let admin = Admin::new(instance, address.map_err(SourceError::NotFound)?);
    let mut workers = Workers::default();
    for (profession, list) in [
        ("router", &mut workers.routers),
        ("service", &mut workers.services),
        ("discovery", &mut workers.discoveries),
    ] {
        *list = objects(&admin, profession, &mut workers.complaints).await?;
    }
    workers.providers = providers(&admin, &mut workers.complaints).await?;
    let origin = format!("{}/api/router", admin.address.base());
    Ok(workers.draft(&settings).finish(origin))
}

/// The AI providers, which versions before `APIPark` do not know.
async fn providers(
    admin: &Admin<'_>,
    complaints: &mut Vec<(String, String)>,
) -> Result<Vec<Value>, SourceError> {
    match objects(admin, PROVIDERS, complaints).await {
        Err(SourceError::Admin(AdminError::Status {
            status: StatusCode::NOT_FOUND,
            ..
        })) => Ok(Vec::new()),
        Err(error @ SourceError::Admin(AdminError::Status { .. })) => {
            complaints.push((format!("/api/{PROVIDERS}"), error.to_string()));
            Ok(Vec::new())
        }
        found => found,
    }
}

/// The objects of one kind, whole: the list names them, each tells its own configuration.
///
/// <https://github.com/eolinker/apinto-docs/tree/main/docs/apinto>
async fn objects(
    admin: &Admin<'_>,
    profession: &str,
    complaints: &mut Vec<(String, String)>,
) -> Result<Vec<Value>, SourceError> {
    let path = format!("/api/{profession}");
    let bytes = admin.get(&path).await?;
    let listed = draft::json(&bytes, &path).map_err(SourceError::Invalid)?;
    let Value::Array(listed) = listed else {
        return Err(SourceError::Invalid(format!("{path} gave no list")));
    };
    let mut whole = Vec::new();
    if listed.len() > MAX_OBJECTS {
        let what = format!("objects after the first {MAX_OBJECTS} are left out");
        complaints.push((path.clone(), what));
    }
    for object in listed.into_iter().take(MAX_OBJECTS) {
        let Some(name) = draft::text(&object, "name") else {
            complaints.push((path.clone(), "an object without a name".to_owned()));
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
        {
            complaints.push((path.clone(), format!("`{name}` is no name")));
            continue;
        }
        let path = format!("/api/{profession}/{name}");
        match admin.get(&path).await {
            Ok(bytes) => match draft::json(&bytes, &path) {
                Ok(found) => whole.push(found),
                Err(error) => complaints.push((path, error)),
            },
            // Deleted since the list was made, or not allowed.
            Err(error @ AdminError::Status { .. }) => complaints.push((path, error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(whole)
}

/// `config.yml`: where `APINTO_CONFIG` (or `config` in `apinto.yml`) says, else of the working
/// directory, else of `/etc/apinto`. Without one Apinto takes its defaults.
fn settings(instance: &Instance, files: &Files) -> Result<Settings, SourceError> {
    let set = instance
        .config
        .as_ref()
        .map(|path| path.display().to_string());
    let named = set
        .or_else(|| environment_file(instance, files))
        .or_else(|| instance.variable("APINTO_CONFIG").map(str::to_owned));
    let candidates: Vec<PathBuf> = match named.filter(|path| !path.is_empty()) {
        Some(path) => vec![absolute(&instance.directory, &path)],
        None => ["config.yml", "/etc/apinto/config.yml"]
            .map(|path| absolute(&instance.directory, path))
            .into(),
    };
    let Some(path) = candidates.iter().find(|path| files.exists(path)) else {
        return Ok(Settings::default());
    };
    let value: Value = yaml::parse(&files.read(path)?)
        .map_err(|problem| SourceError::Invalid(format!("{}:{problem}", path.display())))?;
    Ok(Settings::new(&value, &path.display().to_string()))
}

/// The path of `config.yml` that `apinto.yml` sets.
fn environment_file(instance: &Instance, files: &Files) -> Option<String> {
    let named = option(&instance.arguments, &["--env", "-env"]);
    let named = named.or_else(|| instance.variable("APINTO_ENV"));
    let candidates = match named {
        Some(path) => vec![path],
        None => vec!["apinto.yml", "/etc/apinto/apinto.yml"],
    };
    let found = candidates
        .into_iter()
        .find_map(|path| files.read(Path::new(path)).ok())?;
    let value: Value = yaml::parse(&found).ok()?;
    draft::text(&value, "config").map(str::to_owned)
}

#[cfg(test)]
mod tests;
