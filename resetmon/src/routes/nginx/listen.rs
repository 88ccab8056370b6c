//! nginx's `listen`: the TCP sockets that it makes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::routes::address::Listener;
use crate::routes::directive::Directive;

/// Most ports of one range.
const MAX_PORTS: u16 = 1024;

/// The TCP listeners of one `listen`; none for a Unix socket and for UDP (QUIC too).
///
/// `default_port` is for an address alone. Errors: what is not understood.
pub(super) fn listeners(
    listen: &Directive,
    default_port: Option<u16>,
) -> Result<Vec<Listener>, String> {
    let parameters = listen.arguments.get(1..).unwrap_or_default();
    let has = |name: &str| parameters.iter().any(|parameter| parameter == name);
    let text = listen.argument(0);
    if text.starts_with("unix:") || has("quic") || has("udp") {
        return Ok(Vec::new());
    }
    let (host, ports) = split(text);
    let mut addresses = match host {
        "" | "*" => vec![Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))],
        "localhost" => vec![
            Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ],
        host => {
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let address = bare.unwrap_or(host).parse::<IpAddr>();
            vec![Some(address.map_err(|_| {
                format!("`{host}` is no IP address: its listener is not known")
            })?)]
        }
    };
    // Such a socket takes IPv4 too.
    if has("ipv6only=off") && addresses == [Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))] {
        addresses = vec![None];
    }
    let unclear = || format!("`{text}` is no port");
    let port = |text: &str| text.parse::<u16>().map_err(|_| unclear());
    let (first, last) = if let Some(ports) = ports {
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        (port(first)?, port(last)?)
    } else {
        let port = default_port.ok_or_else(unclear)?;
        (port, port)
    };
    if first == 0 || last < first {
        return Err(unclear());
    }
    if last - first >= MAX_PORTS {
        return Err(format!("more than {MAX_PORTS} ports in one listener"));
    }
    let listeners = addresses.into_iter().flat_map(|address| {
        (first..=last).map(move |port| Listener {
            address: address.map(|address| address.to_canonical()),
            port,
        })
    });
    Ok(listeners.collect())
}

/// `(host, ports)` of `80`, `8000-8010`, `*:80`, `10.0.0.1`, `10.0.0.1:80`, `[::]:80`, `[::]`.
fn split(text: &str) -> (&str, Option<&str>) {
    let ports = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    match text.rsplit_once(':') {
        Some((host, after)) if !after.contains(']') => (host, Some(after)),
        None if ports(text) => ("", Some(text)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::routes::nginx::parser::parse;
    use crate::routes::notes::Notes;

    fn of(text: &str) -> Result<String, String> {
        let tree = parse(text, Path::new("n"), None, &mut Notes::default()).unwrap();
        let listeners = listeners(&tree[0], Some(80))?;
        let shown: Vec<_> = listeners.iter().map(ToString::to_string).collect();
        Ok(shown.join(" "))
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("listen 8080;", "0.0.0.0:8080"),
            ("listen *:8080;", "0.0.0.0:8080"),
            ("listen 10.0.0.1;", "10.0.0.1:80"),
            ("listen 10.0.0.1:81 default_server ssl;", "10.0.0.1:81"),
            ("listen [::]:443 ssl http2;", "[::]:443"),
            ("listen [::]:443 ipv6only=on;", "[::]:443"),
            ("listen [::]:443 ipv6only=off;", ":443"),
            ("listen [2001:db8::1];", "[2001:db8::1]:80"),
            (
                "listen [2001:db8::1]:8443 ipv6only=off;",
                "[2001:db8::1]:8443",
            ),
            ("listen localhost:81;", "127.0.0.1:81 [::1]:81"),
            (
                "listen 8000-8002;",
                "0.0.0.0:8000 0.0.0.0:8001 0.0.0.0:8002",
            ),
            ("listen 127.0.0.1:9-9;", "127.0.0.1:9"),
            ("listen unix:/run/n.sock;", ""),
            ("listen 443 quic reuseport;", ""),
            ("listen 53 udp;", ""),
        ] {
            assert_eq!(of(text).unwrap(), expected, "{text}");
        }
        for text in [
            "listen;",
            "listen 0;",
            "listen 65536;",
            "listen 9-8;",
            "listen 1-65535;",
            "listen [::;",
            "listen 10.0.0.300:80;",
            "listen gw.example.com:80;",
            "listen 127.0.0.1:http;",
            "listen $port;",
        ] {
            assert!(of(text).is_err(), "{text}: {:?}", of(text));
        }
    }
}
