//! Kong: its Admin API, else its declarative file.

use std::path::{Path, PathBuf};

use hyper::StatusCode;
use serde_json::Value;

use super::admin::{Admin, AdminAddress, AdminError};
use super::draft;
use super::files::Files;
use super::instance::{Instance, absolute, option};
use super::source::{Reading, ReadingFuture, Source, SourceError};
use crate::yaml;

pub mod model;
pub mod settings;

use model::Entities;
use settings::Settings;

/// Objects asked for at once; the most that Kong gives.
const PER_PAGE: usize = 1000;
/// Most pages of one list.
const MAX_PAGES: usize = 200;
/// Most upstreams whose targets are asked for.
const MAX_UPSTREAMS: usize = 5000;
/// Where Kong keeps its files unless something else is said.
const DEFAULT_PREFIX: &str = "/usr/local/kong";
/// Begins the title of an nginx main process.
const MASTER: &str = "nginx: master process ";

/// The source `kong`.
#[derive(Clone, Copy, Debug)]
pub struct Kong;

impl Source for Kong {
    fn kind(&self) -> &'static str {
        "kong"
    }

    /// An nginx (of `OpenResty`) whose prefix is Kong's, as `kong start` and Kong's images run it:
    /// a part of the prefix's path has `kong` in its name.
    fn claims(&self, instance: &Instance) -> bool {
        let nginx = matches!(instance.program(), "nginx" | "openresty");
        // Not the calls that `kong reload` makes.
        let call = instance
            .arguments
            .iter()
            .any(|argument| matches!(&**argument, "-s" | "-t" | "-T" | "-v" | "-V"));
        nginx
            && !call
            && prefix(instance).is_some_and(|prefix| prefix.to_lowercase().contains("kong"))
    }

    /// Routes come by the Admin API or the database, into the running workers.
    fn generation(&self, _: &Instance) -> Option<u64> {
        None
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(read(instance))
    }
}

/// The option `-p` of nginx; its title is one argument.
fn prefix(instance: &Instance) -> Option<String> {
    let words: Vec<String> = match instance.arguments.first()?.strip_prefix(MASTER) {
        Some(line) => line.split_whitespace().map(str::to_owned).collect(),
        None => instance.arguments.clone(),
    };
    option(&words, &["-p"]).map(str::to_owned)
}

async fn read(instance: &Instance) -> Result<Reading, SourceError> {
    let files = instance.files()?;
    let prefix = prefix(instance).unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
    let mut settings = settings(instance, &files, &absolute(&instance.directory, &prefix));
    if let Some(path) = &instance.config {
        // What the operator names is the declarative file, unless it is Kong's settings.
        if path
            .extension()
            .is_some_and(|extension| extension == "conf")
        {
            let text = files.read(path)?;
            settings = Settings::of_file(&text, &path.display().to_string());
        } else {
            settings.declarative_config = Some(path.display().to_string());
        }
    }
    let address = instance.admin.clone();
    let trouble = match address.map_or_else(|| settings.admin_address(), Ok) {
        Ok(address) => match by_admin(instance, &settings, address).await {
            Ok(reading) => return Ok(reading),
            Err(error) => error.to_string(),
        },
        Err(trouble) => trouble,
    };
    by_file(instance, &files, &settings, &trouble)
}

/// The settings in force: those that `kong start` wrote into its prefix, which the environment
/// is part of, else the generated nginx configuration, else the environment and `kong.conf`.
fn settings(instance: &Instance, files: &Files, prefix: &Path) -> Settings {
    let written = prefix.join(".kong_env");
    if let Ok(text) = files.read(&written) {
        return Settings::of_file(&text, &written.display().to_string());
    }
    let mut settings = Settings::default();
    for path in ["/etc/kong/kong.conf", "/etc/kong.conf"] {
        if let Ok(text) = files.read(Path::new(path)) {
            settings = Settings::of_file(&text, path);
            break;
        }
    }
    settings.add_environment(&instance.environment);
    if let Ok(text) = files.read(&prefix.join("nginx-kong.conf")) {
        settings.add_nginx(&text);
    }
    settings
}

async fn by_admin(
    instance: &Instance,
    settings: &Settings,
    address: AdminAddress,
) -> Result<Reading, AdminError> {
    let admin = Admin::new(instance, address);
    let mut entities = Entities::default();
    for workspace in workspaces(&admin, &mut entities).await? {
        read_workspace(&admin, &workspace, &mut entities).await?;
    }
    let origin = format!("{}/routes", admin.address.base());
    Ok(entities.draft(settings).finish(origin))
}

/// The workspaces of Kong Enterprise; Kong Gateway without them has one that needs no name.
async fn workspaces(admin: &Admin<'_>, entities: &mut Entities) -> Result<Vec<String>, AdminError> {
    match pages(admin, "/workspaces", entities).await {
        Ok(found) => {
            let names = found.iter().filter_map(|one| draft::text(one, "name"));
            let mut names: Vec<String> = names
                .map(|name| match name {
                    "default" => String::new(),
                    name => name.to_owned(),
                })
                .collect();
            if names.is_empty() {
                names.push(String::new());
            }
            Ok(names)
        }
        Err(AdminError::Status {
            status: StatusCode::NOT_FOUND,
            ..
        }) => Ok(vec![String::new()]),
        Err(error) => Err(error),
    }
}

async fn read_workspace(
    admin: &Admin<'_>,
    workspace: &str,
    entities: &mut Entities,
) -> Result<(), AdminError> {
    let base = match workspace {
        "" => String::new(),
        name => format!("/{name}"),
    };
    let services = pages(admin, &format!("{base}/services"), entities).await?;
    let routes = pages(admin, &format!("{base}/routes"), entities).await?;
    let mut upstreams = pages(admin, &format!("{base}/upstreams"), entities).await?;
    let plugins = pages(admin, &format!("{base}/plugins"), entities).await?;
    if upstreams.len() > MAX_UPSTREAMS {
        let what = format!("targets of upstreams after the first {MAX_UPSTREAMS} are left out");
        entities
            .complaints
            .push((format!("{base}/upstreams"), what));
    }
    for upstream in upstreams.iter_mut().take(MAX_UPSTREAMS) {
        let Some(id) = draft::text(upstream, "id") else {
            continue;
        };
        let path = format!("{base}/upstreams/{id}/targets");
        match pages(admin, &path, entities).await {
            Ok(targets) => {
                if let Value::Object(members) = upstream {
                    members.insert("targets".to_owned(), Value::Array(targets));
                }
            }
            Err(error) => entities.complaints.push((path, error.to_string())),
        }
    }
    entities.add(workspace, services, routes, upstreams, plugins);
    Ok(())
}

/// All pages of a list: `next` is the path of the next.
///
/// <https://developer.konghq.com/admin-api/>
async fn pages(
    admin: &Admin<'_>,
    path: &str,
    entities: &mut Entities,
) -> Result<Vec<Value>, AdminError> {
    let mut all = Vec::new();
    let mut question = format!("{path}?size={PER_PAGE}");
    for _ in 0..MAX_PAGES {
        let bytes = admin.get(&question).await?;
        let mut answer = match draft::json(&bytes, &question) {
            Ok(answer) => answer,
            Err(error) => {
                entities.complaints.push((path.to_owned(), error));
                return Ok(all);
            }
        };
        if let Some(Value::Array(found)) = answer.get_mut("data") {
            all.append(found);
        }
        match draft::text(&answer, "next") {
            // Only paths of this interface are followed.
            Some(next) if next.starts_with('/') => {
                question = if next.contains("size=") {
                    next.to_owned()
                } else {
                    format!("{next}&size={PER_PAGE}")
                };
            }
            _ => return Ok(all),
        }
    }
    let what = format!("pages after the first {MAX_PAGES} are left out");
    entities.complaints.push((path.to_owned(), what));
    Ok(all)
}

fn by_file(
    instance: &Instance,
    files: &Files,
    settings: &Settings,
    trouble: &str,
) -> Result<Reading, SourceError> {
    let (place, text) = match (&settings.declarative_config, &settings.declarative_text) {
        (Some(path), _) => {
            let path: PathBuf = absolute(&instance.directory, path);
            let text = files.read(&path).map_err(|error| {
                SourceError::NotFound(format!("{trouble}, and the declarative file: {error}"))
            })?;
            (path.display().to_string(), text)
        }
        (None, Some(text)) => ("declarative_config_string".to_owned(), text.clone()),
        (None, None) => {
            return Err(SourceError::NotFound(format!(
                "{trouble}, and there is no declarative file; \
                 open the Admin API at the loopback: `admin_listen = 127.0.0.1:8001`"
            )));
        }
    };
    let value: Value = yaml::parse(&text)
        .map_err(|error| SourceError::Invalid(format!("{trouble}; {place}:{error}")))?;
    let mut entities = Entities::default();
    entities.add_declarative(&value);
    let mut draft = entities.draft(settings);
    draft.complain(
        &place,
        &format!("{trouble}; the file is read instead, which may not be what Kong has loaded"),
    );
    Ok(draft.finish(place))
}

#[cfg(test)]
mod tests;
