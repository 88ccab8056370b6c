//! `/etc/resolv.conf` as the C library reads it (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Name servers that count (`MAXNS` of the C library).
const MAX_SERVERS: usize = 3;
/// Most domains of the search list that are tried; nobody waits for more.
const MAX_SEARCH: usize = 32;
/// Largest values of the options, as the C library caps them.
const MAX_NDOTS: u8 = 15;
const MAX_TIMEOUT: u8 = 30;
const MAX_ATTEMPTS: u8 = 5;

/// Which name servers are asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The name servers, in the order in which they are asked; the local host where the file
    /// names none.
    pub servers: Vec<IpAddr>,
    /// Domains that are tried behind a name, lower case.
    pub search: Vec<Arc<str>>,
    /// A name with so many dots is first tried as it is.
    pub ndots: u8,
    /// How long one question to one server may take.
    pub timeout: Duration,
    /// How often each server is asked.
    pub attempts: u8,
    /// Name servers that cannot be asked, as written: an IPv6 address with a zone, say.
    pub unusable: Vec<String>,
}

impl Default for ResolvConf {
    /// What holds without a file.
    fn default() -> Self {
        Self {
            servers: vec![Ipv4Addr::LOCALHOST.into()],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            unusable: Vec::new(),
        }
    }
}

impl ResolvConf {
    /// Reads the text of a file. What the C library would pass over is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            ..Self::default()
        };
        for line in text.lines() {
            // A keyword stands at the very beginning; comments begin with `#` or `;`.
            if line.starts_with(['#', ';', ' ', '\t']) {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.add_server(words.next()),
                // Of several, whichever keyword, the last one holds.
                Some("domain") => conf.search = domains(words.take(1)),
                Some("search") => conf.search = domains(words),
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        if conf.servers.is_empty() && conf.unusable.is_empty() {
            conf.servers = Self::default().servers;
        }
        conf
    }

    fn add_server(&mut self, word: Option<&str>) {
        let Some(word) = word else { return };
        if self.servers.len() + self.unusable.len() >= MAX_SERVERS {
            return;
        }
        match word.parse::<IpAddr>() {
            Ok(address) => self.servers.push(address.to_canonical()),
            Err(_) => self.unusable.push(word.to_owned()),
        }
    }

    fn set(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else {
            return;
        };
        let Ok(value) = value.parse::<u32>() else {
            return;
        };
        let capped = |most: u8| u8::try_from(value).unwrap_or(most).min(most);
        match name {
            "ndots" => self.ndots = capped(MAX_NDOTS),
            // 0 means the default, as an unset option does.
            "timeout" if value > 0 => {
                self.timeout = Duration::from_secs(capped(MAX_TIMEOUT).into());
            }
            "attempts" if value > 0 => self.attempts = capped(MAX_ATTEMPTS),
            _ => {}
        }
    }
}

/// Domains without a final dot; the root, which adds nothing, is left out.
fn domains<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut domains: Vec<Arc<str>> = Vec::new();
    for word in words {
        let domain = word.trim_end_matches('.').to_ascii_lowercase();
        if !domain.is_empty() && !domains.iter().any(|known| **known == *domain) {
            domains.push(Arc::from(domain));
        }
    }
    domains.truncate(MAX_SEARCH);
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `servers | search | ndots timeout attempts | unusable`
    fn shown(text: &str) -> String {
        let conf = ResolvConf::parse(text);
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        let shown = format!(
            "{} | {} | {} {:?} {}",
            servers.join(" "),
            conf.search.join(" "),
            conf.ndots,
            conf.timeout,
            conf.attempts
        );
        match conf.unusable.join(" ") {
            unusable if unusable.is_empty() => shown,
            unusable => format!("{shown} | {unusable}"),
        }
    }

    #[test]
    fn as_the_c_library_reads_it() {
        for (text, expected) in [
            ("", "127.0.0.1 |  | 1 5s 2"),
            ("nameserver 10.0.0.10\n", "10.0.0.10 |  | 1 5s 2"),
            ("nameserver\t10.0.0.10 # x\r\n", "10.0.0.10 |  | 1 5s 2"),
            (
                "nameserver 2001:db8::53\nnameserver ::ffff:10.0.0.1\n",
                "2001:db8::53 10.0.0.1 |  | 1 5s 2",
            ),
            // Only three count, and only at the beginning of a line.
            (
                "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4",
                "10.0.0.1 10.0.0.2 10.0.0.3 |  | 1 5s 2",
            ),
            (
                " nameserver 10.0.0.1\n#nameserver 10.0.0.2\n;nameserver 10.0.0.3\nnameservers 10.0.0.4",
                "127.0.0.1 |  | 1 5s 2",
            ),
            ("nameserver", "127.0.0.1 |  | 1 5s 2"),
            // A server that cannot be asked is not replaced by another.
            ("nameserver fe80::1%eth0", " |  | 1 5s 2 | fe80::1%eth0"),
            (
                "nameserver dns.example\nnameserver 10.0.0.1",
                "10.0.0.1 |  | 1 5s 2 | dns.example",
            ),
            // A pod's.
            (
                "search shop.svc.cluster.local svc.cluster.local Cluster.Local. \n\
                 nameserver 10.96.0.10\noptions ndots:5 edns0\n",
                "10.96.0.10 | shop.svc.cluster.local svc.cluster.local cluster.local | 5 5s 2",
            ),
            (
                "domain a.example b.example",
                "127.0.0.1 | a.example | 1 5s 2",
            ),
            (
                "domain a.example\nsearch b.example c.example b.example .",
                "127.0.0.1 | b.example c.example | 1 5s 2",
            ),
            (
                "search a.example\ndomain b.example",
                "127.0.0.1 | b.example | 1 5s 2",
            ),
            ("search a.example\nsearch", "127.0.0.1 |  | 1 5s 2"),
            (
                "options timeout:1 attempts:1\noptions ndots:0 rotate",
                "127.0.0.1 |  | 0 1s 1",
            ),
            (
                "options timeout:99 attempts:99999 ndots:400",
                "127.0.0.1 |  | 15 30s 5",
            ),
            (
                "options timeout:0 attempts:0 ndots:-1 ndots:x ndots",
                "127.0.0.1 |  | 1 5s 2",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_search_list_is_cut() {
        let long: Vec<_> = (0..1000).map(|n| format!("d{n}.example")).collect();
        let conf = ResolvConf::parse(&format!("search {}", long.join(" ")));
        assert_eq!(conf.search.len(), MAX_SEARCH);
        assert_eq!(&*conf.search[1], "d1.example");
    }
}
