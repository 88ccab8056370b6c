//! Kong's own settings, as far as routes need them: where it listens and who knows its routes.
//!
//! <https://developer.konghq.com/gateway/configuration/>

use std::net::SocketAddr;

use crate::routes::address::Listener;
use crate::routes::admin::AdminAddress;

/// `admin_listen` where none is written.
const DEFAULT_ADMIN: &str = "127.0.0.1:8001";
/// `proxy_listen` where none is written.
const DEFAULT_PROXY: &str = "0.0.0.0:8000, 0.0.0.0:8443 ssl";

/// What matters of them, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where they were read.
    pub origin: String,
    /// `admin_listen`.
    pub admin_listen: Option<String>,
    /// `proxy_listen`.
    pub proxy_listen: Option<String>,
    /// `stream_listen`.
    pub stream_listen: Option<String>,
    /// `declarative_config`: a path.
    pub declarative_config: Option<String>,
    /// `declarative_config_string`: what would be in the file.
    pub declarative_text: Option<String>,
    /// `dns_resolver`.
    pub dns_resolver: Option<String>,
}

impl Settings {
    /// What `kong.conf`, or the copy of all settings in the prefix, says.
    #[must_use]
    pub fn of_file(text: &str, origin: &str) -> Self {
        let mut settings = Self {
            origin: origin.to_owned(),
            ..Self::default()
        };
        for line in text.lines() {
            if let Some((key, value)) = line.split_once('=')
                && !line.trim_start().starts_with('#')
            {
                settings.set(key.trim(), uncommented(value));
            }
        }
        settings
    }

    /// What the variables `KONG_…` say, which come before the file.
    pub fn add_environment(&mut self, environment: &[String]) {
        for entry in environment {
            if let Some((key, value)) = entry.split_once('=')
                && let Some(key) = key.strip_prefix("KONG_")
            {
                self.set(&key.to_lowercase(), value.to_owned());
            }
        }
    }

    /// What the generated `nginx-kong.conf` says where nothing else has.
    pub fn add_nginx(&mut self, text: &str) {
        let mut listens: Vec<&str> = Vec::new();
        let mut admin = false;
        let mut keep = |listens: &mut Vec<&str>, admin: bool| {
            let whole = (!listens.is_empty()).then(|| listens.join(", "));
            listens.clear();
            if admin {
                self.admin_listen = self.admin_listen.take().or(whole);
            } else {
                self.proxy_listen = self.proxy_listen.take().or(whole);
            }
        };
        let mut known = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("server_name ") || line == "server {" {
                if known {
                    keep(&mut listens, admin);
                }
                known = false;
                listens.clear();
            }
            match line.strip_suffix(';').unwrap_or(line) {
                "server_name kong" => (known, admin) = (true, false),
                "server_name kong_admin" => (known, admin) = (true, true),
                directive => listens.extend(directive.strip_prefix("listen ")),
            }
        }
        if known {
            keep(&mut listens, admin);
        }
    }

    fn set(&mut self, key: &str, value: String) {
        let slot = match key {
            "admin_listen" => &mut self.admin_listen,
            "proxy_listen" => &mut self.proxy_listen,
            "stream_listen" => &mut self.stream_listen,
            "declarative_config" => &mut self.declarative_config,
            "declarative_config_string" => &mut self.declarative_text,
            "dns_resolver" => &mut self.dns_resolver,
            _ => return,
        };
        *slot = Some(value).filter(|value| !value.is_empty());
    }

    /// Where the Admin API answers without TLS, or why it does not.
    pub fn admin_address(&self) -> Result<AdminAddress, String> {
        let listens = self.admin_listen.as_deref().unwrap_or(DEFAULT_ADMIN);
        if listens == "off" {
            return Err("the Admin API is off (admin_listen)".to_owned());
        }
        let mut tls = false;
        for listen in listens.split(',').map(str::trim) {
            let (address, flags) = listen.split_once(' ').unwrap_or((listen, ""));
            if flags.split_whitespace().any(|flag| flag == "ssl") {
                tls = true;
            } else if let Some(path) = address.strip_prefix("unix:") {
                return Ok(AdminAddress::Unix(path.into()));
            } else if let Ok(address) = address.replace("localhost", "127.0.0.1").parse() {
                return Ok(AdminAddress::Tcp(address));
            }
        }
        Err(if tls {
            format!("the Admin API speaks TLS only (admin_listen = {listens})")
        } else {
            format!("admin_listen = {listens}: no address is understood")
        })
    }

    /// Where clients of HTTP are accepted, and what of it is not understood.
    #[must_use]
    pub fn proxy_listeners(&self) -> (Vec<Listener>, Vec<String>) {
        listeners(self.proxy_listen.as_deref().unwrap_or(DEFAULT_PROXY))
    }

    /// Where clients of TCP and TLS are accepted, and what of it is not understood.
    #[must_use]
    pub fn stream_listeners(&self) -> (Vec<Listener>, Vec<String>) {
        listeners(self.stream_listen.as_deref().unwrap_or("off"))
    }

    /// The name servers that Kong asks.
    #[must_use]
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        let servers = self.dns_resolver.as_deref().unwrap_or("");
        let parsed = |text: &str| {
            let address = text
                .parse()
                .ok()
                .map(|address| SocketAddr::new(address, 53));
            address.or_else(|| text.parse().ok())
        };
        servers
            .split(',')
            .map(str::trim)
            .filter_map(parsed)
            .collect()
    }
}

/// A value without its comment; `\#` is no comment.
fn uncommented(value: &str) -> String {
    let mut text = String::new();
    let mut signs = value.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '#' => break,
            '\\' if signs.next_if_eq(&'#').is_some() => text.push('#'),
            sign => text.push(sign),
        }
    }
    let text = text.trim();
    let unquoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    unquoted('"')
        .or_else(|| unquoted('\''))
        .unwrap_or(text)
        .to_owned()
}

fn listeners(listens: &str) -> (Vec<Listener>, Vec<String>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    if listens == "off" {
        return (found, unknown);
    }
    for listen in listens.split(',').map(str::trim) {
        let (address, flags) = listen.split_once(' ').unwrap_or((listen, ""));
        let udp = flags.split_whitespace().any(|flag| flag == "udp");
        if udp || address.is_empty() || address.starts_with("unix:") {
            continue;
        }
        match address.parse() {
            Ok(listener) => found.push(listener),
            Err(error) => unknown.push(format!("{error}")),
        }
    }
    (found, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "\
# *************************
# * DO NOT EDIT THIS FILE *
# *************************
admin_listen = 127.0.0.1:8001 reuseport backlog=16384,127.0.0.1:8444 http2 ssl reuseport backlog=16384
database = off
declarative_config = /kong/declarative/kong.yml
dns_resolver = 172.29.0.1:8600,[::1],10.0.0.2
pg_password = a\\#b
prefix = /usr/local/kong
proxy_listen = 0.0.0.0:8000 reuseport backlog=16384,[::]:8000,0.0.0.0:8443 http2 ssl
stream_listen = 0.0.0.0:9000,0.0.0.0:9001 udp
";

    fn shown(values: &[impl std::fmt::Display]) -> String {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        texts.join(" ")
    }

    #[test]
    fn settings_of_the_prefix() {
        let settings = Settings::of_file(WRITTEN, "o");
        assert_eq!(
            settings.admin_address().unwrap().to_string(),
            "127.0.0.1:8001"
        );
        assert_eq!(
            settings.declarative_config.as_deref(),
            Some("/kong/declarative/kong.yml")
        );
        let (proxy, unknown) = settings.proxy_listeners();
        assert_eq!(shown(&proxy), "0.0.0.0:8000 [::]:8000 0.0.0.0:8443");
        assert_eq!(unknown, [""; 0]);
        assert_eq!(shown(&settings.stream_listeners().0), "0.0.0.0:9000");
        assert_eq!(
            shown(&settings.name_servers()),
            "172.29.0.1:8600 10.0.0.2:53"
        );
    }

    #[test]
    fn environment_before_file() {
        let mut settings = Settings::of_file(
            "admin_listen = 127.0.0.1:8001 # the default\n#proxy_listen = 1.1.1.1:1\n",
            "o",
        );
        assert_eq!(settings.admin_listen.as_deref(), Some("127.0.0.1:8001"));
        assert_eq!(settings.proxy_listen, None);
        let environment = [
            "KONG_ADMIN_LISTEN=[::1]:9001",
            "KONG_PROXY_LISTEN=off",
            "X=1",
        ];
        settings.add_environment(&environment.map(str::to_owned));
        assert_eq!(settings.admin_address().unwrap().to_string(), "[::1]:9001");
        assert_eq!(settings.proxy_listeners(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn admin_addresses() {
        for (listens, expected) in [
            ("off", "the Admin API is off"),
            ("0.0.0.0:8444 ssl", "the Admin API speaks TLS only"),
            ("0.0.0.0:8444 http2 ssl, 0.0.0.0:8001", "0.0.0.0:8001"),
            ("localhost:8001", "127.0.0.1:8001"),
            ("unix:/run/kong.sock", "unix:/run/kong.sock"),
            ("nowhere", "admin_listen = nowhere: no address"),
        ] {
            let settings = Settings {
                admin_listen: Some(listens.to_owned()),
                ..Settings::default()
            };
            let shown = settings
                .admin_address()
                .map_or_else(|error| error, |address| address.to_string());
            assert!(shown.starts_with(expected), "{listens}: {shown}");
        }
        let default = Settings::default();
        assert_eq!(
            default.admin_address().unwrap().to_string(),
            "127.0.0.1:8001"
        );
        assert_eq!(
            shown(&default.proxy_listeners().0),
            "0.0.0.0:8000 0.0.0.0:8443"
        );
    }

    #[test]
    fn generated_nginx_configuration() {
        let text = "\
server {
    server_name kong;
    listen 0.0.0.0:18000 reuseport backlog=16384;
    listen 0.0.0.0:18443 ssl http2;
    location / { }
}
server {
    server_name kong_admin;
    listen 127.0.0.1:18001;
}
server {
    server_name kong_gui;
    listen 127.0.0.1:18002;
}
";
        let mut settings = Settings::default();
        settings.add_nginx(text);
        assert_eq!(settings.admin_listen.as_deref(), Some("127.0.0.1:18001"));
        assert_eq!(
            shown(&settings.proxy_listeners().0),
            "0.0.0.0:18000 0.0.0.0:18443"
        );
    }
}
