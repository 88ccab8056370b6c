//! Traefik: its API, else the files of its file provider.

use std::path::Path;

use hyper::StatusCode;
use serde_json::Value;

use super::admin::{Admin, AdminAddress, AdminError};
use super::draft;
use super::files::Files;
use super::instance::{Instance, absolute};
use super::source::{Reading, ReadingFuture, Source, SourceError};

pub mod model;
pub mod settings;

use model::Lists;
use settings::Settings;

/// Objects asked for at once.
const PER_PAGE: usize = 1000;
/// Most pages of one list.
const MAX_PAGES: usize = 100;
/// Most files of the file provider.
const MAX_FILES: usize = 1000;
/// Deepest directory of the file provider.
const MAX_DEPTH: usize = 8;

/// The source `traefik`.
#[derive(Clone, Copy, Debug)]
pub struct Traefik;

impl Source for Traefik {
    fn kind(&self) -> &'static str {
        "traefik"
    }

    fn claims(&self, instance: &Instance) -> bool {
        let other = ["healthcheck", "version"];
        let command = instance.arguments.get(1).map_or("", String::as_str);
        instance.program() == "traefik" && !other.contains(&command)
    }

    /// Its providers change the routes of the running process.
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
    let trouble = match address.map_or_else(|| settings.api_address(), Ok) {
        Ok(address) => match by_api(instance, &settings, address).await {
            Ok(reading) => return Ok(reading),
            Err(error) => error.to_string(),
        },
        Err(trouble) => trouble,
    };
    by_files(instance, &files, &settings, &trouble)
}

/// The install configuration: a file, else the command line, else the environment.
///
/// <https://doc.traefik.io/traefik/getting-started/configuration-overview/>
fn settings(instance: &Instance, files: &Files) -> Result<Settings, SourceError> {
    let set = instance
        .config
        .as_ref()
        .map(|path| path.display().to_string());
    let named = set.or_else(|| settings::file_name(&instance.arguments, &instance.environment));
    let mut candidates = Vec::new();
    if let Some(path) = named {
        candidates.push(absolute(&instance.directory, &path));
    } else {
        for directory in settings::directories(|name| instance.variable(name)) {
            let directory = absolute(&instance.directory, &directory);
            for name in ["traefik.toml", "traefik.yaml", "traefik.yml"] {
                let path = directory.join(name);
                if files.exists(&path) {
                    candidates.push(path);
                }
            }
        }
    }
    if let Some(path) = candidates.first() {
        let value = document(files, path).map_err(SourceError::Invalid)?;
        return Ok(Settings::new(&value, path.display().to_string()));
    }
    if let Some(value) = settings::from_arguments(&instance.arguments) {
        return Ok(Settings::new(&value, "the command line".to_owned()));
    }
    let value = settings::from_environment(&instance.environment);
    Ok(Settings::new(&value, "the environment".to_owned()))
}

async fn by_api(
    instance: &Instance,
    settings: &Settings,
    address: AdminAddress,
) -> Result<Reading, AdminError> {
    let admin = Admin::new(instance, address);
    let mut lists = Lists::default();
    for (path, list) in [
        ("entrypoints", &mut lists.entry_points),
        ("http/routers", &mut lists.http_routers),
        ("http/services", &mut lists.http_services),
        ("tcp/routers", &mut lists.tcp_routers),
        ("tcp/services", &mut lists.tcp_services),
    ] {
        let path = format!("{}/api/{path}", settings.base_path);
        *list = pages(&admin, &path, &mut lists.complaints).await?;
    }
    let origin = format!("{}{}/api", admin.address.base(), settings.base_path);
    Ok(lists.draft().finish(origin))
}

/// All pages of a list. One that is not full is the last; Traefik answers the page after a full
/// last one with 400.
async fn pages(
    admin: &Admin<'_>,
    path: &str,
    complaints: &mut Vec<(String, String)>,
) -> Result<Vec<Value>, AdminError> {
    let mut all = Vec::new();
    for page in 1..=MAX_PAGES {
        let question = format!("{path}?page={page}&per_page={PER_PAGE}");
        let bytes = match admin.get(&question).await {
            Err(AdminError::Status {
                status: StatusCode::BAD_REQUEST,
                ..
            }) if page > 1 => return Ok(all),
            answer => answer?,
        };
        match draft::json(&bytes, path) {
            Ok(Value::Array(mut found)) => {
                let full = found.len() >= PER_PAGE;
                all.append(&mut found);
                if !full {
                    return Ok(all);
                }
            }
            Ok(_) => {
                complaints.push((path.to_owned(), "the answer is no list".to_owned()));
                return Ok(all);
            }
            Err(error) => {
                complaints.push((path.to_owned(), error));
                return Ok(all);
            }
        }
    }
    let what = format!("pages after the first {MAX_PAGES} are left out");
    complaints.push((path.to_owned(), what));
    Ok(all)
}

fn by_files(
    instance: &Instance,
    files: &Files,
    settings: &Settings,
    trouble: &str,
) -> Result<Reading, SourceError> {
    let remedy = "set `api: {insecure: true}` with the entry point `traefik` at 127.0.0.1:8080";
    let mut paths = Vec::new();
    let mut lists = Lists {
        entry_points: settings.entry_points_list(),
        ..Lists::default()
    };
    if let Some(path) = &settings.provider_file {
        paths.push(absolute(&instance.directory, path));
    } else if let Some(directory) = &settings.provider_directory {
        let directory = absolute(&instance.directory, directory);
        collect(files, &directory, 0, &mut paths, &mut lists.complaints);
    } else {
        return Err(SourceError::NotFound(format!(
            "{trouble}, and {} names no file provider; {remedy}",
            settings.origin
        )));
    }
    let what = format!("{trouble}; only the file provider is read; {remedy}");
    lists.complaints.push((settings.origin.clone(), what));
    if !settings.other_providers.is_empty() {
        let what = format!(
            "routes of the providers {} are not known without the API",
            settings.other_providers.join(", ")
        );
        lists.complaints.push((settings.origin.clone(), what));
    }
    for path in &paths {
        match document(files, path) {
            Ok(value) => lists.add_file(&value),
            Err(error) => lists.complaints.push((path.display().to_string(), error)),
        }
    }
    let origin = match (&settings.provider_file, &settings.provider_directory) {
        (Some(path), _) | (None, Some(path)) => path.clone(),
        (None, None) => settings.origin.clone(),
    };
    Ok(lists.draft().finish(origin))
}

/// The files of a directory and those below, as the file provider takes them.
fn collect(
    files: &Files,
    directory: &Path,
    depth: usize,
    paths: &mut Vec<std::path::PathBuf>,
    complaints: &mut Vec<(String, String)>,
) {
    let place = directory.display().to_string();
    let names = match files.list(directory) {
        Ok(names) => names,
        // A file in a directory is asked for its entries, too.
        Err(_) if depth > 0 => return,
        Err(error) => return complaints.push((place, error.to_string())),
    };
    for name in names {
        let path = directory.join(&name);
        let extension = path.extension().and_then(std::ffi::OsStr::to_str);
        if paths.len() >= MAX_FILES {
            let what = format!("files after the first {MAX_FILES} are left out");
            return complaints.push((place, what));
        }
        match extension {
            Some("yml" | "yaml" | "toml") => paths.push(path),
            _ if depth < MAX_DEPTH => collect(files, &path, depth + 1, paths, complaints),
            _ => {}
        }
    }
}

/// A YAML or TOML file.
fn document(files: &Files, path: &Path) -> Result<Value, String> {
    let text = files.read(path).map_err(|error| error.to_string())?;
    let place = path.display();
    let toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let parsed = settings::document(&text, toml);
    parsed.map_err(|error| {
        let template = if text.contains("{{") {
            " (templates are not worked out)"
        } else {
            ""
        };
        format!("{place}: {error}{template}")
    })
}

#[cfg(test)]
mod tests;
