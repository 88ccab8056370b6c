//! Caddy: its admin interface, else its configuration file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::admin::{Admin, AdminAddress, AdminError};
use super::draft::{self, Draft};
use super::files::Files;
use super::instance::{Instance, absolute, option};
use super::source::{Reading, ReadingFuture, Source, SourceError};

pub mod address;
pub mod caddyfile;
pub mod config;

use address::Address;

/// Where the admin interface is unless something else is said.
const DEFAULT_ADMIN: &str = "localhost:2019";

/// The source `caddy`.
#[derive(Clone, Copy, Debug)]
pub struct Caddy;

impl Source for Caddy {
    fn kind(&self) -> &'static str {
        "caddy"
    }

    fn claims(&self, instance: &Instance) -> bool {
        let serving = ["run", "start", "reverse-proxy"];
        let command = instance.arguments.get(1).map_or("", String::as_str);
        instance.program() == "caddy" && serving.contains(&command)
    }

    /// A new configuration comes by the admin interface, into the same process.
    fn generation(&self, _: &Instance) -> Option<u64> {
        None
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(read(instance))
    }
}

/// The file that Caddy was started with.
struct File {
    path: PathBuf,
    /// As JSON, and what was not understood on the way there.
    config: Result<(Value, Vec<String>), String>,
}

async fn read(instance: &Instance) -> Result<Reading, SourceError> {
    let files = instance.files()?;
    let file = file(instance, &files);
    let said = file
        .as_ref()
        .and_then(|file| file.config.as_ref().ok())
        .and_then(|(config, _)| config.get("admin"));
    if let Some(address) = &instance.admin {
        return by_admin(instance, vec![address.clone()]).await;
    }
    let off = said.and_then(|admin| admin.get("disabled")) == Some(&Value::Bool(true));
    let trouble = if off {
        "the admin interface is off".to_owned()
    } else {
        let listen = said.and_then(|admin| draft::text(admin, "listen"));
        let listen = listen
            .or_else(|| instance.variable("CADDY_ADMIN"))
            .filter(|listen| !listen.is_empty())
            .unwrap_or(DEFAULT_ADMIN);
        match admin_addresses(listen) {
            Ok(addresses) => match by_admin(instance, addresses).await {
                Ok(reading) => return Ok(reading),
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        }
    };
    by_file(instance, file, &trouble)
}

async fn by_admin(
    instance: &Instance,
    addresses: Vec<AdminAddress>,
) -> Result<Reading, SourceError> {
    let mut refused = None;
    for address in addresses {
        let mut admin = Admin::new(instance, address);
        if matches!(admin.address, AdminAddress::Unix(_)) {
            // The only host that every version lets through on a socket.
            admin.host = Some(String::new());
        }
        match admin.get("/config/").await {
            Ok(bytes) => return by_answer(instance, &admin, &bytes).await,
            Err(error @ AdminError::Connect { .. }) => refused = refused.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(
        || SourceError::NotFound("the admin interface is neither at TCP nor a socket".to_owned()),
        SourceError::from,
    ))
}

async fn by_answer(
    instance: &Instance,
    admin: &Admin<'_>,
    bytes: &[u8],
) -> Result<Reading, SourceError> {
    let config = draft::json(bytes, "/config/").map_err(SourceError::Invalid)?;
    let mut draft = config::draft(&config, &|name| variable(instance, name));
    // Upstreams in use that no configuration names: those found by plugins.
    match admin.get("/reverse_proxy/upstreams").await {
        Ok(bytes) => upstreams_in_use(&mut draft, &bytes),
        Err(error) => draft.complain("/reverse_proxy/upstreams", &error.to_string()),
    }
    Ok(draft.finish(format!("{}/config/", admin.address.base())))
}

fn upstreams_in_use(draft: &mut Draft, bytes: &[u8]) {
    let place = "/reverse_proxy/upstreams";
    let Some(answer) = draft.keep(place, draft::json(bytes, place)) else {
        return;
    };
    for upstream in answer.as_array().into_iter().flatten() {
        let Some(dial) = draft::text(upstream, "address") else {
            continue;
        };
        if dial.contains('{') || draft.has_upstream(dial) {
            continue;
        }
        if let Some(endpoints) = draft.keep(place, address::endpoints(dial)) {
            draft.upstream(dial, endpoints);
        }
    }
}

/// What a file says that is not what is in force for certain.
fn by_file(instance: &Instance, file: Option<File>, trouble: &str) -> Result<Reading, SourceError> {
    let Some(File { path, config }) = file else {
        return Err(SourceError::NotFound(format!(
            "{trouble}, and the command line names no configuration file; \
             give Caddy an admin interface (`admin localhost:2019`)"
        )));
    };
    let place = path.display().to_string();
    let (config, complaints) =
        config.map_err(|error| SourceError::Invalid(format!("{trouble}; {place}: {error}")))?;
    let mut draft = config::draft(&config, &|name| variable(instance, name));
    draft.complain(
        &place,
        &format!("{trouble}; the file is read instead, which may have changed since Caddy did"),
    );
    for complaint in complaints {
        draft.complain(&place, &complaint);
    }
    Ok(draft.finish(place))
}

/// The configuration file: as named, else the `Caddyfile` of the working directory.
fn file(instance: &Instance, files: &Files) -> Option<File> {
    let arguments = &instance.arguments;
    let set = instance.config.as_ref().and_then(|path| path.to_str());
    let named = set.or_else(|| option(arguments, &["--config", "-c"]));
    let path = match named {
        // From standard input.
        Some("-") => return None,
        Some(path) => absolute(&instance.directory, path),
        None if arguments
            .get(1)
            .is_some_and(|command| command == "reverse-proxy") =>
        {
            return None;
        }
        None => {
            let path = absolute(&instance.directory, "Caddyfile");
            files.exists(&path).then_some(path)?
        }
    };
    let adapter = option(arguments, &["--adapter", "-a"]);
    let config = files
        .read(&path)
        .map_err(|error| error.to_string())
        .and_then(|text| parsed(instance, files, &path, adapter, &text));
    Some(File { path, config })
}

fn parsed(
    instance: &Instance,
    files: &Files,
    path: &Path,
    adapter: Option<&str>,
    text: &str,
) -> Result<(Value, Vec<String>), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let caddyfile = name.starts_with("Caddyfile") || name.ends_with(".caddyfile");
    match adapter {
        Some("caddyfile") => {}
        None if caddyfile => {}
        None => {
            let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            return Ok((value, Vec::new()));
        }
        Some(other) => return Err(format!("configurations of `{other}` are not read")),
    }
    let outside = Outside {
        instance,
        files,
        directory: path.parent().unwrap_or(Path::new("/")),
    };
    caddyfile::adapt(text, &outside)
}

/// What a Caddyfile takes from elsewhere.
struct Outside<'a> {
    instance: &'a Instance,
    files: &'a Files,
    directory: &'a Path,
}

impl caddyfile::Outside for Outside<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        variable(self.instance, name)
    }

    fn import(&self, pattern: &str) -> Result<Vec<String>, String> {
        let pattern = absolute(self.directory, pattern);
        let paths = self.files.glob(&pattern.to_string_lossy());
        let paths = paths.map_err(|error| error.to_string())?;
        let read = |path: &PathBuf| self.files.read(path).map_err(|error| error.to_string());
        paths
            .iter()
            .take(caddyfile::MAX_IMPORTS)
            .map(read)
            .collect()
    }
}

fn variable(instance: &Instance, name: &str) -> Option<String> {
    instance.variable(name).map(str::to_owned)
}

/// Where to ask, by what `admin` says.
fn admin_addresses(listen: &str) -> Result<Vec<AdminAddress>, String> {
    let (host, port) = match address::parse(listen)? {
        Address::Unix(path) => return Ok(vec![AdminAddress::Unix(path.into())]),
        Address::Other => return Ok(Vec::new()),
        Address::Tcp { host, ports } => (host, *ports.start()),
    };
    let addresses: Vec<std::net::IpAddr> = match &*host {
        "" | "localhost" => vec![
            std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::Ipv6Addr::LOCALHOST.into(),
        ],
        host => vec![host.parse().map_err(|_| {
            format!("the admin interface at `{listen}` is named by a host; write its address")
        })?],
    };
    let tcp = |address| AdminAddress::Tcp(std::net::SocketAddr::new(address, port));
    Ok(addresses.into_iter().map(tcp).collect())
}

#[cfg(test)]
mod tests;
