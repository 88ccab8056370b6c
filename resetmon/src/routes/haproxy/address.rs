//! Addresses as `bind`, `server` and `stats socket` take them (manual, "Address formats").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where something listens or connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// TCP.
    Tcp {
        /// The host.
        host: Host,
        /// The ports.
        ports: Ports,
    },
    /// A unix socket's path.
    Unix(String),
    /// No TCP and nothing to complain about: datagrams, abstract sockets.
    Other,
    /// A descriptor handed down, or a connection that the other side opens: it may be TCP.
    Inherited,
}

/// The host of an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// `*`, `0.0.0.0`, `::` or nothing: every address of a family to listen at, the client's own
    /// destination to connect to.
    Any(IpAddr),
    /// An address.
    Ip(IpAddr),
    /// A name.
    Name(String),
}

/// The ports of an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// Not said: for a server the port that the client connected to.
    Unsaid,
    /// From one to the other, both included.
    Range(u16, u16),
    /// `+n` or `-n`: relative to the port that the client connected to.
    Relative,
}

/// Prefixes of TCP addresses, with what family they force.
const TCP: [(&str, Option<bool>); 10] = [
    ("ipv4@", Some(false)),
    ("ipv6@", Some(true)),
    ("ip@", None),
    ("tcp4@", Some(false)),
    ("tcp6@", Some(true)),
    ("tcp@", None),
    ("mptcp4@", Some(false)),
    ("mptcp6@", Some(true)),
    ("mptcp@", None),
    // `stream+ip@` and the like: the first part is cut off before.
    ("", None),
];

/// Reads one address.
///
/// Errors: what is wrong with it.
pub(super) fn read(text: &str) -> Result<Address, String> {
    let text = text.strip_prefix("stream+").unwrap_or(text);
    let any = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    if let Some(path) = any(&["unix@", "uxst@"]) {
        return Ok(Address::Unix(path.to_owned()));
    }
    if text.starts_with('/') {
        return Ok(Address::Unix(text.to_owned()));
    }
    let datagram = [
        "dgram+", "udp@", "udp4@", "udp6@", "quic4@", "quic6@", "uxdg@",
    ];
    if any(&datagram).or(any(&["abns@", "abnsz@"])).is_some() {
        return Ok(Address::Other);
    }
    if any(&["fd@", "sockpair@", "rhttp@", "rev@"]).is_some() {
        return Ok(Address::Inherited);
    }
    let prefix = TCP
        .iter()
        .find_map(|(prefix, v6)| Some((text.strip_prefix(prefix)?, *v6)));
    let (text, v6) = prefix.unwrap_or((text, None));
    // The port follows the last colon, also after an IPv6 address without brackets.
    let (host, digits) = match text.rfind([':', ']']) {
        Some(end) if text[end..].starts_with(':') => (&text[..end], &text[end + 1..]),
        _ => (text, ""),
    };
    Ok(Address::Tcp {
        host: read_host(host, v6)?,
        ports: read_ports(digits)?,
    })
}

fn read_host(text: &str, v6: Option<bool>) -> Result<Host, String> {
    let inside = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Ok(ip) = inside.unwrap_or(text).parse::<IpAddr>() {
        let ip = ip.to_canonical();
        return Ok(if ip.is_unspecified() {
            Host::Any(ip)
        } else {
            Host::Ip(ip)
        });
    }
    match text {
        "" | "*" => Ok(Host::Any(match v6 {
            Some(true) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        })),
        _ if text.contains([':', '[', ']', '@']) => Err(format!("`{text}` is no address")),
        _ => Ok(Host::Name(text.to_owned())),
    }
}

fn read_ports(text: &str) -> Result<Ports, String> {
    let number = |digits: &str| -> Result<u16, String> {
        let port = digits.parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| format!("`{digits}` is no port, which is 1 to 65535"))
    };
    if matches!(text, "" | "0") {
        return Ok(Ports::Unsaid);
    }
    if text.starts_with(['+', '-']) {
        return Ok(Ports::Relative);
    }
    match text.split_once('-') {
        None => number(text).map(|port| Ports::Range(port, port)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(format!("the range {text} ends before it begins"));
            }
            Ok(Ports::Range(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, expected) in [
            (
                "10.0.0.1:80",
                "Tcp { host: Ip(10.0.0.1), ports: Range(80, 80) }",
            ),
            (":80", "Tcp { host: Any(0.0.0.0), ports: Range(80, 80) }"),
            (
                "*:80-82",
                "Tcp { host: Any(0.0.0.0), ports: Range(80, 82) }",
            ),
            (":::443", "Tcp { host: Any(::), ports: Range(443, 443) }"),
            ("[::]:443", "Tcp { host: Any(::), ports: Range(443, 443) }"),
            ("ipv6@:443", "Tcp { host: Any(::), ports: Range(443, 443) }"),
            (
                "ipv6@*:443",
                "Tcp { host: Any(::), ports: Range(443, 443) }",
            ),
            ("0.0.0.0:0", "Tcp { host: Any(0.0.0.0), ports: Unsaid }"),
            ("ipv4@", "Tcp { host: Any(0.0.0.0), ports: Unsaid }"),
            (
                "2001:db8::1:80",
                "Tcp { host: Ip(2001:db8::1), ports: Range(80, 80) }",
            ),
            (
                "2001:db8::1:",
                "Tcp { host: Ip(2001:db8::1), ports: Unsaid }",
            ),
            (
                "[2001:db8::1]",
                "Tcp { host: Ip(2001:db8::1), ports: Unsaid }",
            ),
            (
                "[::ffff:10.0.0.1]:1",
                "Tcp { host: Ip(10.0.0.1), ports: Range(1, 1) }",
            ),
            (
                "stream+ipv4@10.0.0.1:1",
                "Tcp { host: Ip(10.0.0.1), ports: Range(1, 1) }",
            ),
            ("tcp6@[::1]:1", "Tcp { host: Ip(::1), ports: Range(1, 1) }"),
            ("app:+1000", r#"Tcp { host: Name("app"), ports: Relative }"#),
            ("app", r#"Tcp { host: Name("app"), ports: Unsaid }"#),
            ("/run/a.sock", r#"Unix("/run/a.sock")"#),
            ("unix@a.sock", r#"Unix("a.sock")"#),
            ("uxst@/a:b", r#"Unix("/a:b")"#),
            ("abns@a", "Other"),
            ("quic4@:443", "Other"),
            ("udp@127.0.0.1:53", "Other"),
            ("fd@3", "Inherited"),
            ("sockpair@4", "Inherited"),
        ] {
            let shown = format!("{:?}", read(text).unwrap());
            assert_eq!(shown, expected, "{text}");
        }
        for text in [
            ":65536",
            ":http",
            ":9-8",
            "2001:db8::x:80",
            "foo@bar:1",
            "[a]:1",
            "a:1-",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
