//! Where a gateway listens and what it connects to, as written by an operator.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// Longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
/// Longest label of a host name (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// An address that cannot be used, and the forms that can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a place to listen.
    #[error(
        "`{}` is no listener: {reason}; write ip:port (10.0.0.1:443, [2001:db8::1]:443), \
         0.0.0.0:port, [::]:port, or :port for every address",
        .text.escape_debug()
    )]
    Listener {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not an endpoint.
    #[error(
        "`{}` is no endpoint: {reason}; write ip:port, a CIDR with or without a port (10.1.0.0/16, \
         10.1.0.0/16:9000, [2001:db8::/48]:9000), or host:port; without a port it means every port",
        .text.escape_debug()
    )]
    Endpoint {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a prefix.
    #[error("`{}` is no CIDR: {reason}; write 10.1.0.0/16, 2001:db8::/48 or one address", .text.escape_debug())]
    Cidr {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A local address at which a gateway accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// The address; `None` for every address of both families.
    pub address: Option<IpAddr>,
    /// The port, never 0.
    pub port: u16,
}

impl FromStr for Listener {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |reason: String| AddressError::Listener {
            text: text.to_owned(),
            reason,
        };
        let any = text.strip_prefix(':').or_else(|| text.strip_prefix("*:"));
        // `::1` is an address, not a port.
        if let Some(digits) = any.filter(|digits| !digits.contains(':')) {
            let port = port(digits).map_err(error)?;
            return Ok(Self {
                address: None,
                port,
            });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            if address.port() == 0 {
                return Err(error("the port must be 1 to 65535".to_owned()));
            }
            return Ok(Self {
                address: Some(address.ip().to_canonical()),
                port: address.port(),
            });
        }
        let reason = if text.parse::<IpAddr>().is_ok() {
            "the port is missing"
        } else if text.contains('/') {
            "a gateway listens on an address, not on a prefix or path"
        } else {
            "not an IP address with a port"
        };
        Err(error(reason.to_owned()))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => SocketAddr::new(address, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// What a gateway connects to: a backend's address, a prefix of them, or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An address (as a prefix of full length) or a prefix.
    Network {
        /// The prefix, host bits zero, IPv4 never mapped into IPv6.
        network: IpNet,
        /// The port; `None` for every port.
        port: Option<u16>,
    },
    /// A name that the resolver turns into addresses.
    Host {
        /// Lower case, without a final dot.
        name: Arc<str>,
        /// The port; `None` for every port.
        port: Option<u16>,
    },
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        endpoint(text).map_err(|reason| AddressError::Endpoint {
            text: text.to_owned(),
            reason,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = match self {
            Self::Network { network, port } => {
                let full = network.prefix_len() == network.max_prefix_len();
                let bracket = port.is_some() && network.addr().is_ipv6();
                let (open, close) = if bracket { ("[", "]") } else { ("", "") };
                if full {
                    write!(f, "{open}{}{close}", network.addr())?;
                } else {
                    write!(f, "{open}{network}{close}")?;
                }
                port
            }
            Self::Host { name, port } => {
                f.write_str(name)?;
                port
            }
        };
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest
            .split_once(']')
            .ok_or_else(|| "the closing ] is missing".to_owned())?;
        if !inside.contains(':') {
            return Err("only IPv6 stands in brackets".to_owned());
        }
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if after.is_empty() => None,
            None => return Err("after ] comes :port or nothing".to_owned()),
        };
        let network = prefix(inside)?;
        return Ok(Endpoint::Network { network, port });
    }
    if text.parse::<IpAddr>().is_ok() {
        return prefix(text).map(|network| Endpoint::Network {
            network,
            port: None,
        });
    }
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 prefix has colons of its own and ends in its length.
        Some((_, tail)) if tail.contains('/') => (text, None),
        Some((host, digits)) if !host.contains(':') => (host, Some(port(digits)?)),
        Some(_) => return Err("not an address; IPv6 with a port needs brackets".to_owned()),
        None => (text, None),
    };
    // What ends in a number is meant as an address: no top-level domain is one, dot or not.
    let numeric = host
        .strip_suffix('.')
        .unwrap_or(host)
        .rsplit('.')
        .next()
        .is_some_and(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()));
    if host.contains('/') || host.contains(':') || numeric {
        return prefix(host).map(|network| Endpoint::Network { network, port });
    }
    host_name(host).map(|name| Endpoint::Host { name, port })
}

/// A CIDR or one address; host bits are an error because they show that something else was meant.
pub fn cidr(text: &str) -> Result<IpNet, AddressError> {
    prefix(text).map_err(|reason| AddressError::Cidr {
        text: text.to_owned(),
        reason,
    })
}

fn prefix(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let Some((address, length)) = text.split_once('/') else {
        return Err("not an IP address".to_owned());
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| "not an IP address before the /".to_owned())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let network = length
        .parse::<u8>()
        .ok()
        .filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|length| IpNet::new(address, length).ok())
        .ok_or_else(|| format!("the prefix length must be 0 to {most}"))?;
    if network.addr() != network.network() {
        return Err(format!(
            "it has host bits set, the prefix is {}",
            network.trunc()
        ));
    }
    Ok(unmapped(network))
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8.
fn unmapped(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len()) {
        (address @ IpAddr::V4(_), length) if network.addr().is_ipv6() => length
            .checked_sub(96)
            .and_then(|length| IpNet::new(address, length).ok())
            .unwrap_or(network),
        _ => network,
    }
}

fn port(digits: &str) -> Result<u16, String> {
    digits
        .parse()
        .ok()
        .filter(|port| *port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| "the port must be 1 to 65535".to_owned())
}

fn host_name(text: &str) -> Result<Arc<str>, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("it is empty".to_owned());
    }
    if name.len() > MAX_HOST {
        return Err(format!("a host name has at most {MAX_HOST} characters"));
    }
    for label in name.split('.') {
        let edge = label.starts_with('-') || label.ends_with('-');
        let odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'_';
        if label.is_empty() || label.len() > MAX_LABEL || edge || label.bytes().any(odd) {
            return Err("not a host name".to_owned());
        }
    }
    Ok(Arc::from(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners() {
        for (text, shown) in [
            ("10.0.0.1:443", "10.0.0.1:443"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:443", "[::]:443"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            (":8080", ":8080"),
            ("*:8080", ":8080"),
        ] {
            assert_eq!(text.parse::<Listener>().unwrap().to_string(), shown);
        }
        for (text, part) in [
            ("", "not an IP address with a port"),
            ("443", "not an IP address with a port"),
            (":0", "1 to 65535"),
            (":65536", "1 to 65535"),
            (":+80", "1 to 65535"),
            (": 80", "1 to 65535"),
            ("10.0.0.1:0", "1 to 65535"),
            ("10.0.0.1", "the port is missing"),
            ("::1", "the port is missing"),
            ("::1:", "not an IP address with a port"),
            ("10.0.0.0/8:80", "not on a prefix"),
            ("/run/nginx.sock", "not on a prefix or path"),
            ("localhost:80", "not an IP address with a port"),
            ("10.0.0.1:80\u{1b}[2J", "\\u{1b}"),
        ] {
            let error = text.parse::<Listener>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn endpoints() {
        for (text, shown) in [
            ("10.0.0.1:9000", "10.0.0.1:9000"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("10.1.0.0/16:9000", "10.1.0.0/16:9000"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::/48", "2001:db8::/48"),
            ("[2001:db8::1]:9000", "[2001:db8::1]:9000"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::/48]:9000", "[2001:db8::/48]:9000"),
            ("[::ffff:10.0.0.1]:9", "10.0.0.1:9"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("Payments.Internal.:8080", "payments.internal:8080"),
            ("payments", "payments"),
            ("_srv.k8s-1:1", "_srv.k8s-1:1"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for (text, part) in [
            ("", "it is empty"),
            (":9000", "it is empty"),
            ("10.0.0.300:80", "not an IP address"),
            ("10.0.0:80", "not an IP address"),
            ("10.0.0.1.:80", "not an IP address"),
            ("0.10.", "not an IP address"),
            (".", "it is empty"),
            ("10.0.0.1:99999", "1 to 65535"),
            ("10.0.0.1:http", "1 to 65535"),
            ("10.0.0.0/33", "0 to 32"),
            ("10.0.0.0/+8", "0 to 32"),
            ("2001:db8::/129", "0 to 128"),
            ("10.1.2.3/16", "the prefix is 10.1.0.0/16"),
            ("2001:db8::1/48:80", "brackets"),
            ("2001:db8:::80", "brackets"),
            ("[2001:db8::1", "closing ]"),
            ("[10.0.0.1]:80", "only IPv6"),
            ("[2001:db8::1]9000", "after ]"),
            ("[zz::1]:80", "not an IP address"),
            ("unix:/run/php.sock", "not an IP address"),
            ("http://a:80", "brackets"),
            ("a:80/path", "not an IP address"),
            ("a..b:80", "not a host name"),
            ("-a:80", "not a host name"),
            ("pay ments:80", "not a host name"),
            ("zahlung.größe:80", "not a host name"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let long = format!("{}.a:80", "a".repeat(64));
        assert!(long.parse::<Endpoint>().is_err());
        let long = format!("{}b:80", "a.".repeat(127));
        assert!(long.parse::<Endpoint>().is_err());
    }

    #[test]
    fn prefixes() {
        assert_eq!(cidr("192.0.2.0/24").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(cidr("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        for (text, part) in [
            ("192.0.2.1/24", "192.0.2.0/24"),
            ("192.0.2.0/24:80", "0 to 32"),
            ("office", "not an IP address"),
            ("192.0.2.0/", "0 to 32"),
        ] {
            let error = cidr(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
