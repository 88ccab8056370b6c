//! Traefik's install (static) configuration, as far as it says where routes are to be had.
//!
//! Keys are compared without regard to case, as Traefik does.
//! <https://doc.traefik.io/traefik/reference/install-configuration/configuration-options/>

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Map, Value, json};

use crate::routes::admin::AdminAddress;
use crate::routes::draft::{members, split_port, text};
use crate::yaml;

/// Deepest nesting of keys.
const MAX_DEPTH: usize = 32;
/// Port of the entry point `traefik` where none is written.
const DEFAULT_PORT: u16 = 8080;

/// What matters of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it is written.
    pub origin: String,
    /// `api.insecure`: the API is open at the entry point `traefik`.
    pub insecure: bool,
    /// What stands before `/api`; empty, or begins with `/`.
    pub base_path: String,
    /// Address by entry point, as written.
    pub entry_points: BTreeMap<String, String>,
    /// `providers.file.filename`.
    pub provider_file: Option<String>,
    /// `providers.file.directory`.
    pub provider_directory: Option<String>,
    /// The providers besides `file`.
    pub other_providers: Vec<String>,
}

impl Settings {
    /// What `value` says, which is written at `origin`.
    #[must_use]
    pub fn new(value: &Value, origin: String) -> Self {
        let value = lower_case(value, 0);
        let null = Value::Null;
        let part = |key: &str| value.get(key).unwrap_or(&null);
        let api = part("api");
        let file = part("providers").get("file").unwrap_or(&null);
        let base = text(api, "basepath").unwrap_or("").trim_matches('/');
        let address = |point: &Value| text(point, "address").unwrap_or("").to_owned();
        Self {
            origin,
            insecure: truth(api.get("insecure")),
            base_path: match base {
                "" => String::new(),
                base => format!("/{base}"),
            },
            entry_points: members(&value, "entrypoints")
                .map(|(name, point)| (name.clone(), address(point)))
                .collect(),
            provider_file: text(file, "filename").map(str::to_owned),
            provider_directory: text(file, "directory").map(str::to_owned),
            other_providers: members(&value, "providers")
                .filter(|(name, what)| *name != "file" && (what.is_object() || truth(Some(what))))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// Where the API answers without a router of its own, or why it does not.
    pub fn api_address(&self) -> Result<AdminAddress, String> {
        if !self.insecure {
            return Err(format!(
                "{} does not open the API by itself (`api.insecure` is false; an API behind a \
                 router or a password is not asked)",
                self.origin
            ));
        }
        let written = self.entry_points.get("traefik").map_or("", String::as_str);
        let (host, port) = split_port(written.split('/').next().unwrap_or(""));
        let port = match port.filter(|port| !port.is_empty()) {
            None => Some(DEFAULT_PORT),
            Some(digits) => digits.parse().ok(),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = match host {
            "" | "localhost" => Ok(IpAddr::from(Ipv4Addr::LOCALHOST)),
            host => host.parse(),
        };
        match (address, port) {
            (Ok(address), Some(port)) => Ok(AdminAddress::Tcp(SocketAddr::new(address, port))),
            _ => Err(format!(
                "{}: entry point `traefik`: `{written}` is no address and port",
                self.origin
            )),
        }
    }

    /// The entry points as the API would list them.
    #[must_use]
    pub fn entry_points_list(&self) -> Vec<Value> {
        if self.entry_points.keys().all(|name| name == "traefik") {
            return vec![json!({ "name": "http", "address": ":80" })];
        }
        self.entry_points
            .iter()
            .filter(|(name, _)| *name != "traefik")
            .map(|(name, address)| json!({ "name": name, "address": address }))
            .collect()
    }
}

/// The value of YAML or TOML.
pub fn document(text: &str, toml: bool) -> Result<Value, String> {
    if toml {
        return toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        });
    }
    yaml::parse(text).map_err(|problem| problem.to_string())
}

/// The configuration file that command line or environment name.
#[must_use]
pub fn file_name(arguments: &[String], environment: &[String]) -> Option<String> {
    let named = |value: Option<Value>| {
        let value = lower_case(&value?, 0);
        text(&value, "configfile").map(str::to_owned)
    };
    named(from_arguments(arguments)).or_else(|| named(Some(from_environment(environment))))
}

/// The directories in which a configuration file is looked for, in their order.
pub fn directories<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let mut directories = vec!["/etc/traefik".to_owned()];
    match (variable("XDG_CONFIG_HOME"), variable("HOME")) {
        (Some(config), _) => directories.push(config.to_owned()),
        (None, Some(home)) => directories.push(format!("{home}/.config")),
        (None, None) => {}
    }
    directories.push(".".to_owned());
    directories
}

/// The command line as a tree: `--a.b=value`, `--a.b value`, `--a.b` for true. `None` if it has no
/// option.
#[must_use]
pub fn from_arguments(arguments: &[String]) -> Option<Value> {
    let mut tree = Value::Null;
    let mut rest = arguments.iter().skip(1).peekable();
    while let Some(argument) = rest.next() {
        let Some(option) = argument.strip_prefix("--") else {
            continue;
        };
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => match rest.next_if(|next| !next.starts_with('-')) {
                Some(value) => (option, value.clone()),
                None => (option, "true".to_owned()),
            },
        };
        insert(&mut tree, key.split('.'), value);
    }
    (!tree.is_null()).then_some(tree)
}

/// The variables `TRAEFIK_A_B=value` as a tree.
#[must_use]
pub fn from_environment(environment: &[String]) -> Value {
    let mut tree = Value::Null;
    for entry in environment {
        if let Some((key, value)) = entry.split_once('=')
            && let Some(key) = key.strip_prefix("TRAEFIK_")
        {
            insert(&mut tree, key.split('_'), value.to_owned());
        }
    }
    tree
}

/// Puts `value` below `keys`. A key that has a value already keeps it beside what is below.
fn insert<'a>(tree: &mut Value, keys: impl Iterator<Item = &'a str>, value: String) {
    let mut place = tree;
    for key in keys.take(MAX_DEPTH) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(members) = place else {
            return;
        };
        place = members.entry(key.to_lowercase()).or_insert(Value::Null);
    }
    if !place.is_object() {
        *place = Value::String(value);
    }
}

fn lower_case(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth < MAX_DEPTH => members
            .iter()
            .map(|(key, value)| (key.to_lowercase(), lower_case(value, depth + 1)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn shown(address: Result<AdminAddress, String>) -> String {
        address.map_or_else(|error| error, |address| address.to_string())
    }

    #[test]
    fn the_same_in_four_spellings() {
        let yaml = "api: {insecure: true}\nentryPoints:\n  traefik: {address: '127.0.0.1:9090'}\n  web: {address: ':80'}\n\
                    providers:\n  docker: {}\n  file: {filename: /d.yml}\n";
        let toml = "[api]\ninsecure = true\n[entryPoints.traefik]\naddress = \"127.0.0.1:9090\"\n\
                    [entryPoints.web]\naddress = \":80\"\n[providers.docker]\n[providers.file]\nfilename = \"/d.yml\"\n";
        let arguments = line(
            "traefik --api.insecure --entryPoints.traefik.address=127.0.0.1:9090 \
             --entrypoints.web.address :80 --providers.docker=true --providers.file.filename=/d.yml",
        );
        let environment: Vec<String> = [
            "TRAEFIK_API_INSECURE=true",
            "TRAEFIK_ENTRYPOINTS_TRAEFIK_ADDRESS=127.0.0.1:9090",
            "TRAEFIK_ENTRYPOINTS_WEB_ADDRESS=:80",
            "TRAEFIK_PROVIDERS_DOCKER=true",
            "TRAEFIK_PROVIDERS_FILE_FILENAME=/d.yml",
            "PATH=/bin",
        ]
        .map(str::to_owned)
        .to_vec();
        for value in [
            document(yaml, false).unwrap(),
            document(toml, true).unwrap(),
            from_arguments(&arguments).unwrap(),
            from_environment(&environment),
        ] {
            let settings = Settings::new(&value, String::new());
            assert_eq!(shown(settings.api_address()), "127.0.0.1:9090", "{value}");
            assert_eq!(settings.provider_file.as_deref(), Some("/d.yml"));
            assert_eq!(settings.provider_directory, None);
            assert_eq!(settings.other_providers, ["docker"]);
            let points = settings.entry_points_list();
            assert_eq!(points, [json!({ "name": "web", "address": ":80" })]);
        }
    }

    #[test]
    fn addresses_of_the_api() {
        for (arguments, expected) in [
            ("traefik --api.insecure=true", "127.0.0.1:8080"),
            ("traefik --api.insecure=false", "o does not open the API"),
            ("traefik --api=true --api.insecure", "127.0.0.1:8080"),
            ("traefik --api.dashboard=true", "o does not open the API"),
            (
                "traefik --api.insecure --entrypoints.traefik.address=[::1]:9000",
                "[::1]:9000",
            ),
            (
                "traefik --api.insecure --entrypoints.traefik.address=:9000/tcp",
                "127.0.0.1:9000",
            ),
            (
                "traefik --api.insecure --entrypoints.traefik.address=host:9000",
                "o: entry point `traefik`: `host:9000` is no address",
            ),
        ] {
            let value = from_arguments(&line(arguments)).unwrap();
            let shown = shown(Settings::new(&value, "o".to_owned()).api_address());
            assert!(shown.starts_with(expected), "{arguments}: {shown}");
        }
    }

    #[test]
    fn base_paths() {
        for (written, expected) in [
            ("", ""),
            ("/", ""),
            ("/traefik", "/traefik"),
            ("a/b/", "/a/b"),
        ] {
            let value = json!({ "api": { "basePath": written } });
            assert_eq!(Settings::new(&value, String::new()).base_path, expected);
        }
    }

    #[test]
    fn where_the_file_is() {
        let none: &[String] = &[];
        assert_eq!(
            file_name(&line("traefik --configFile=/a"), none).as_deref(),
            Some("/a")
        );
        assert_eq!(
            file_name(&line("traefik --configfile /a"), none).as_deref(),
            Some("/a")
        );
        let variable = ["TRAEFIK_CONFIGFILE=/b".to_owned()];
        assert_eq!(
            file_name(&line("traefik"), &variable).as_deref(),
            Some("/b")
        );
        assert_eq!(file_name(&line("traefik --log.level=DEBUG"), none), None);
        let home = |name: &str| (name == "HOME").then_some("/root");
        assert_eq!(directories(home), ["/etc/traefik", "/root/.config", "."]);
        assert_eq!(directories(|_| Some("/x")), ["/etc/traefik", "/x", "."]);
    }

    #[test]
    fn faults_have_their_line() {
        let error = document("[a]\nb = \n", true).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
        let error = document("a:\n\t- b: [", false).unwrap_err();
        assert!(error.starts_with("2:"), "{error}");
    }
}
