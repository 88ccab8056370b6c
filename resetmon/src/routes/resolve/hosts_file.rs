//! `/etc/hosts` (hosts(5)).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Most names that are kept: lists that block advertisements have a hundred thousand.
const MAX_NAMES: usize = 500_000;

/// The addresses of names in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostsFile(BTreeMap<Box<str>, Vec<IpAddr>>);

impl HostsFile {
    /// Reads the text of a file; lines that are no entries are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut names: BTreeMap<Box<str>, Vec<IpAddr>> = BTreeMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words {
                if names.len() >= MAX_NAMES {
                    return Self(names);
                }
                let addresses = names.entry(normal(name)).or_default();
                let address = address.to_canonical();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(names)
    }

    /// The addresses of `name`, in the order of the file; empty if it has none.
    #[must_use]
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        self.0.get(&normal(name)).map_or(&[], Vec::as_slice)
    }
}

fn normal(name: &str) -> Box<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}

/// An address that a name stands for in every file, written or not (RFC 6761, 6.3).
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    let name: Arc<str> = Arc::from(normal(name));
    *name == *"localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_of_every_line() {
        let hosts = HostsFile::parse(
            "127.0.0.1\tlocalhost\n\
             ::1 localhost ip6-localhost # loopback\n\
             10.0.0.1 Payments.Internal. payments\n\
             #10.0.0.9 payments\n\
             10.0.0.2  payments#10.0.0.9\r\n\
             10.0.0.2 payments\n\
             ::ffff:10.0.0.3 mapped\n\
             10.0.0.4\n\
             fe80::1%lo0 zoned\n\
             10.0.0.300 wrong\n\
             payments 10.0.0.5\n",
        );
        for (name, expected) in [
            ("localhost", "127.0.0.1 ::1"),
            ("ip6-localhost", "::1"),
            ("payments", "10.0.0.1 10.0.0.2"),
            ("PAYMENTS.", "10.0.0.1 10.0.0.2"),
            ("payments.internal", "10.0.0.1"),
            ("payments.internal.corp", ""),
            ("internal", ""),
            ("mapped", "10.0.0.3"),
            ("zoned", ""),
            ("wrong", ""),
            ("10.0.0.5", ""),
            ("10.0.0.9", ""),
            ("", ""),
        ] {
            let found: Vec<_> = hosts
                .addresses(name)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn local_host_by_any_spelling() {
        for (name, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("a.localhost", true),
            ("localhost.example", false),
            ("mylocalhost", false),
            ("", false),
        ] {
            assert_eq!(is_localhost(name), expected, "{name}");
        }
    }
}
