//! The addresses of host names, and when they were valid.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::index::{Index, Place};
use crate::routes::resolve::{Answer, HostKey};
use crate::routes::table::{Gateway, ProcessPattern};

/// Former addresses kept for one host name. Connections outlive a change in DNS; providers that
/// rotate through large pools would otherwise grow the table for ever.
const FORMER_ADDRESSES: usize = 256;

/// Every name of a table, and which upstreams its addresses stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    names: HashMap<HostKey, HostAddresses>,
    targets: HashMap<IpAddr, BTreeMap<Option<u16>, Vec<HostTarget>>>,
}

/// An upstream that an address stands for, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostTarget {
    pub(super) place: Place,
    /// The name that has the address.
    pub(super) name: Arc<str>,
    pub(super) validity: Validity,
}

/// When an address belonged to a name, since boot. Where the moment of a change is not known, the
/// time in which it lies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Validity {
    since: Duration,
    /// `None`: it still does.
    until: Option<Duration>,
}

/// How well an address stands for a name: the smaller the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It did when the connection was opened.
    Then,
    /// It does now. The gateway may have asked before.
    Now,
    /// It did at some time. The gateway may not have asked since.
    Once,
}

impl Validity {
    /// For a connection opened at `opened`; now if that is not known.
    pub(super) fn at(self, opened: Option<Duration>) -> Standing {
        let then = match (opened, self.until) {
            (Some(opened), until) => {
                self.since <= opened && until.is_none_or(|until| opened <= until)
            }
            (None, until) => until.is_none(),
        };
        match self.until {
            _ if then => Standing::Then,
            None => Standing::Now,
            Some(_) => Standing::Once,
        }
    }
}

impl Hosts {
    /// The names of `index`, without addresses.
    pub(super) fn of(index: &Index) -> Self {
        let names = index.hosts.keys();
        Self {
            names: names
                .map(|key| (key.clone(), HostAddresses::default()))
                .collect(),
            targets: HashMap::new(),
        }
    }

    /// Every name, sorted by it.
    pub(super) fn keys(&self) -> Vec<HostKey> {
        let mut keys: Vec<_> = self.names.keys().cloned().collect();
        let rank = |key: &HostKey| key.resolver.as_ref().map(|resolver| resolver.rank());
        keys.sort_by(|one, other| (&one.name, rank(one)).cmp(&(&other.name, rank(other))));
        keys
    }

    /// Why `key` has no address, or why those that it has are not the latest; `None` where all is
    /// well.
    pub(super) fn trouble(&self, key: &HostKey) -> Option<String> {
        let host = self.names.get(key)?;
        let resolved = host.current().next().is_some();
        match (&host.failure, resolved) {
            (None, true) => None,
            (None, false) => Some("is not resolved: it matches nothing".to_owned()),
            (Some(why), false) => Some(format!("is not resolved ({why}): it matches nothing")),
            (Some(why), true) => Some(format!("keeps the addresses that it had: {why}")),
        }
    }

    /// What of the look-ups of `key` was done otherwise than its gateway does it.
    pub(super) fn notes(&self, key: &HostKey) -> &[String] {
        self.names.get(key).map_or(&[], |host| &host.notes)
    }

    /// Takes over answers got `at` (since boot). A name without an address keeps those that it had.
    pub(super) fn answer(&mut self, index: &Index, answers: &[Answer], at: Duration) {
        let mut changed = false;
        for answer in answers {
            let Some(host) = self.names.get_mut(&answer.host) else {
                continue;
            };
            host.notes = Arc::clone(&answer.notes);
            host.failure = answer.found.as_ref().err().map(|why| Arc::from(&**why));
            if let Ok(found) = &answer.found
                && !found.is_empty()
            {
                changed |= host.replace(found, at);
            }
        }
        if changed {
            self.aim(index);
        }
    }

    /// Takes over what `earlier` knew. A gateway whose files have changed keeps what its names
    /// stood for before.
    pub(super) fn inherit(&mut self, index: &Index, earlier: &Self, of: &Index) {
        for (key, host) in &mut self.names {
            let known = earlier.names.get(key).or_else(|| {
                let places = index.hosts.get(key)?.iter();
                let mut gateways = places.map(|(_, place)| &index.gateways[place.gateway]);
                gateways.find_map(|gateway| {
                    let same = of.gateways.iter().find(|other| is_same(gateway, other))?;
                    earlier.names.get(&HostKey {
                        resolver: same.resolver.clone(),
                        name: Arc::clone(&key.name),
                    })
                })
            });
            if let Some(known) = known {
                host.clone_from(known);
            }
        }
        self.aim(index);
    }

    /// Upstreams that `address` stands for, by port.
    pub(super) fn at(&self, address: IpAddr) -> Option<&BTreeMap<Option<u16>, Vec<HostTarget>>> {
        self.targets.get(&address)
    }

    /// Every address that stands for an upstream now, with the upstreams, by port.
    pub(super) fn current(&self) -> impl Iterator<Item = (IpAddr, Option<u16>, Vec<Place>)> {
        self.targets.iter().flat_map(|(address, ports)| {
            ports.iter().map(|(port, targets)| {
                let current = targets
                    .iter()
                    .filter(|target| target.validity.until.is_none());
                (
                    *address,
                    *port,
                    current.map(|target| target.place).collect(),
                )
            })
        })
    }

    /// Finds out anew which upstreams the addresses stand for.
    fn aim(&mut self, index: &Index) {
        self.targets.clear();
        for (key, host) in &self.names {
            for (port, place) in index.hosts.get(key).into_iter().flatten() {
                for (address, validity) in &host.addresses {
                    let ports = self.targets.entry(*address).or_default();
                    ports.entry(*port).or_default().push(HostTarget {
                        place: *place,
                        name: Arc::clone(&key.name),
                        validity: *validity,
                    });
                }
            }
        }
    }
}

/// True if two descriptions, one of them later, are of one gateway.
fn is_same(one: &Gateway, other: &Gateway) -> bool {
    let tree = |gateway: &Gateway| {
        let mut patterns = gateway.processes.iter();
        patterns.find_map(|pattern| match pattern {
            ProcessPattern::Tree(pid) => Some(*pid),
            _ => None,
        })
    };
    match (tree(one), tree(other)) {
        (None, None) => one.name == other.name && one.processes == other.processes,
        (one, other) => one == other,
    }
}

/// The addresses of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HostAddresses {
    addresses: BTreeMap<IpAddr, Validity>,
    /// When the latest answer came.
    asked: Option<Duration>,
    /// Why there has been none since.
    failure: Option<Arc<str>>,
    notes: Arc<[String]>,
}

impl HostAddresses {
    fn current(&self) -> impl Iterator<Item = &IpAddr> {
        let current = |(_, validity): &(_, &Validity)| validity.until.is_none();
        self.addresses.iter().filter(current).map(|(ip, _)| ip)
    }

    /// Takes over an answer got `at`; true if that makes a difference.
    ///
    /// What has changed did so at some time since the answer before. An address that comes back
    /// counts as if it had stayed: pools that rotate show only a part of themselves at a time.
    fn replace(&mut self, found: &[IpAddr], at: Duration) -> bool {
        let found: BTreeSet<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
        let since = self.asked.replace(at).unwrap_or_default();
        if self.current().eq(&found) {
            return false;
        }
        for (address, validity) in &mut self.addresses {
            validity.until = match validity.until {
                _ if found.contains(address) => None,
                None => Some(at),
                gone => gone,
            };
        }
        for address in found {
            let fresh = Validity { since, until: None };
            self.addresses.entry(address).or_insert(fresh);
        }
        self.forget();
        true
    }

    /// Forgets the addresses that went first, where there are too many.
    fn forget(&mut self) {
        let mut gone: Vec<Duration> = self.addresses.values().filter_map(|v| v.until).collect();
        let Some(surplus) = gone.len().checked_sub(FORMER_ADDRESSES + 1) else {
            return;
        };
        gone.sort_unstable();
        let (latest, mut surplus) = (gone[surplus], surplus + 1);
        self.addresses.retain(|_, validity| {
            let forget = surplus > 0 && validity.until.is_some_and(|until| until <= latest);
            surplus -= usize::from(forget);
            !forget
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn former_addresses_are_bounded() {
        let mut host = HostAddresses::default();
        for number in 0..2000_u32 {
            host.replace(
                &[IpAddr::V4(Ipv4Addr::from_bits(number))],
                at(number.into()),
            );
        }
        let expected = 2000 - 1 - u32::try_from(FORMER_ADDRESSES).unwrap()..2000;
        let expected = expected.map(|number| IpAddr::V4(Ipv4Addr::from_bits(number)));
        assert!(host.addresses.keys().copied().eq(expected));
        assert_eq!(host.current().count(), 1);
        let many: Vec<_> = (0..5000_u32)
            .map(Ipv4Addr::from_bits)
            .map(IpAddr::V4)
            .collect();
        host.replace(&many, at(3000));
        assert_eq!(host.addresses.len(), 5000, "an answer counts whole");
        host.replace(&many[..1], at(3001));
        assert_eq!(host.addresses.len(), FORMER_ADDRESSES + 1);
    }

    #[test]
    fn what_was_valid_when() {
        use Standing::{Now, Once, Then};
        let address = |number| IpAddr::V4(Ipv4Addr::from_bits(number));
        let mut host = HostAddresses::default();
        host.replace(&[address(1), address(2)], at(10));
        host.replace(&[address(2), address(3)], at(20));
        host.replace(&[address(3), address(4)], at(30));
        for (number, opened, expected) in [
            // Before the first answer nothing else is known.
            (1, Some(5), Then),
            (1, Some(15), Then),
            // It went at some time up to the answer that lacked it.
            (1, Some(20), Then),
            (1, Some(21), Once),
            (1, None, Once),
            (2, Some(30), Then),
            (2, Some(31), Once),
            // It came at some time since the answer that still lacked it.
            (3, Some(9), Now),
            (3, Some(10), Then),
            (4, Some(19), Now),
            (4, Some(25), Then),
            (4, Some(99), Then),
            (4, None, Then),
        ] {
            let standing = host.addresses[&address(number)].at(opened.map(at));
            assert_eq!(standing, expected, "{number} {opened:?}");
        }
        // One that comes back was never gone.
        host.replace(&[address(1)], at(40));
        assert_eq!(host.addresses[&address(1)].at(Some(at(25))), Then);
    }
}
