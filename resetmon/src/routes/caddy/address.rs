//! Caddy's network addresses: `[network/]host:port[-port]`.
//!
//! <https://caddyserver.com/docs/conventions#network-addresses>

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::routes::address::{Endpoint, Listener};
use crate::routes::draft;

/// Most ports of one range.
const MAX_PORTS: u16 = 1000;

/// An address as Caddy takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp {
        /// Name or address without brackets; empty for every address, or this host.
        host: String,
        /// One port or several.
        ports: RangeInclusive<u16>,
    },
    /// A unix socket, by its path.
    Unix(String),
    /// UDP or an inherited descriptor: no TCP to be seen.
    Other,
}

/// The address in `text`, or why it is none.
pub fn parse(text: &str) -> Result<Address, String> {
    let (network, rest) = match text.split_once('/') {
        Some((network, rest)) if !network.contains([':', '[']) => (network, rest),
        _ => ("tcp", text),
    };
    match network {
        "tcp" | "tcp4" | "tcp6" => {}
        // Permissions may follow the path: unix//run/caddy.sock|0222.
        "unix" | "unixgram" | "unixpacket" | "unix+h2c" => {
            let path = rest.split('|').next().unwrap_or(rest);
            return Ok(Address::Unix(path.to_owned()));
        }
        "udp" | "udp4" | "udp6" | "fd" | "fdgram" => return Ok(Address::Other),
        _ => return Err(format!("`{text}`: the network `{network}` is unknown")),
    }
    let (host, ports) = draft::split_port(rest);
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let Some(ports) = ports else {
        return Err(format!("`{text}` has no port"));
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port != 0);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && last - first < MAX_PORTS => {
            Ok(Address::Tcp {
                host: host.to_owned(),
                ports: first..=last,
            })
        }
        _ => Err(format!(
            "`{text}`: the port must be 1 to 65535, or a range of at most {MAX_PORTS}"
        )),
    }
}

/// The listeners that `text` of `listen` makes: none for what is no TCP.
pub fn listeners(text: &str) -> Result<Vec<Listener>, String> {
    let Address::Tcp { host, ports } = parse(text)? else {
        return Ok(Vec::new());
    };
    let address = match &*host {
        "" => None,
        // The resolver gives Go the IPv4 address first.
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => Some(
            host.parse::<IpAddr>()
                .map_err(|_| format!("`{text}`: the name is resolved by Caddy at start"))?
                .to_canonical(),
        ),
    };
    Ok(ports.map(|port| Listener { address, port }).collect())
}

/// The endpoints behind `text` of `dial`: none for a unix socket.
pub fn endpoints(text: &str) -> Result<Vec<Endpoint>, String> {
    let Address::Tcp { host, ports } = parse(text)? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for port in ports {
        all.extend(draft::endpoints(&host, port).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: std::fmt::Display>(values: Result<Vec<T>, String>) -> String {
        match values {
            Ok(values) => {
                let texts: Vec<String> = values.iter().map(T::to_string).collect();
                texts.join(" ")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn listens() {
        for (text, expected) in [
            (":443", ":443"),
            ("tcp/:443", ":443"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:80", "[::]:80"),
            ("tcp6/[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("localhost:80", "127.0.0.1:80"),
            (
                "127.0.0.1:8080-8082",
                "127.0.0.1:8080 127.0.0.1:8081 127.0.0.1:8082",
            ),
            ("unix//run/caddy.sock|0222", ""),
            ("udp/:443", ""),
            ("fd/3", ""),
        ] {
            assert_eq!(shown(listeners(text)), expected, "{text}");
        }
        for text in [
            "",
            ":",
            "443",
            ":0",
            ":9-8",
            ":1-65535",
            "a.example:80",
            "quic/:1",
        ] {
            assert!(shown(listeners(text)).starts_with("error: "), "{text}");
        }
    }

    #[test]
    fn dials() {
        for (text, expected) in [
            ("10.0.0.1:9001", "10.0.0.1:9001"),
            ("[::1]:9001", "[::1]:9001"),
            ("localhost:9001", "localhost:9001"),
            (":9001", "127.0.0.1:9001 [::1]:9001"),
            ("tcp/10.0.0.1:8000-8001", "10.0.0.1:8000 10.0.0.1:8001"),
            ("unix//run/app.sock", ""),
        ] {
            assert_eq!(shown(endpoints(text)), expected, "{text}");
        }
        for text in ["10.0.0.1", "{host}:80", "10.0.0.1:http", "10.0.0.0/8:80"] {
            assert!(shown(endpoints(text)).starts_with("error: "), "{text}");
        }
    }

    #[test]
    fn sockets_by_path() {
        let unix = |path: &str| Address::Unix(path.to_owned());
        assert_eq!(parse("unix//run/a.sock"), Ok(unix("/run/a.sock")));
        assert_eq!(parse("unix/run/a.sock|0220"), Ok(unix("run/a.sock")));
    }
}
