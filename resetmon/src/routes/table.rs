//! The table of routes: from a connection's endpoints and process to gateway, route, upstream, leg.
//!
//! Pure: names are resolved outside (see [`super::resolve`]) and handed in. Nothing is guessed:
//! where several answers fit equally well, the label is the sorted set of them, joined by `|`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::address::{Endpoint, Listener};
use super::resolve::resolver::Resolver;
use super::resolve::{Answer, HostKey};
use crate::kernel::observation::Role;
use crate::reset::{Leg, Process, RouteMatch};

mod hosts;
mod index;
mod label;
mod pattern;
mod warnings;

pub use pattern::ProcessPattern;

use hosts::{Hosts, Standing};
use index::{Index, Place, Single};
use label::joined;
use pattern::Patterns as _;

/// A gateway as one source describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Value of the label `gateway`.
    pub name: Arc<str>,
    /// Which processes it is; empty: any process, told by addresses alone.
    pub processes: Vec<ProcessPattern>,
    /// Inode of the network namespace it runs in; `None`: connections of every namespace count.
    pub netns: Option<u32>,
    /// Where it accepts clients.
    pub listeners: Vec<Listener>,
    /// Its routes.
    pub routes: Vec<Route>,
    /// Its upstreams.
    pub upstreams: Vec<Upstream>,
    /// How it resolves the host names of its upstreams; `None`: as the agent does.
    pub resolver: Option<Arc<Resolver>>,
    /// What the source could not read, for the operator.
    pub not_understood: Vec<String>,
}

/// Where a gateway sends a class of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Value of the label `route`.
    pub name: Arc<str>,
    /// Which of the gateway's listeners lead to it; empty: any of them.
    pub listeners: Vec<Listener>,
    /// Names of the upstreams it may use.
    pub upstreams: Vec<Arc<str>>,
}

/// A group of backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Value of the label `upstream`.
    pub name: Arc<str>,
    /// Its backends.
    pub endpoints: Vec<Endpoint>,
}

/// A connection, as far as it is known, to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Whose it is.
    pub process: Option<&'a Process>,
    /// Inode of its network namespace.
    pub netns: u32,
    /// Who opened it.
    pub role: Option<Role>,
    /// Local endpoint.
    pub local: SocketAddr,
    /// Remote endpoint.
    pub remote: SocketAddr,
    /// When it was opened, since boot.
    pub opened: Option<Duration>,
}

/// What the routes of all sources say together.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    index: Arc<Index>,
    hosts: Hosts,
}

impl RouteTable {
    /// A table of these gateways. Host names match nothing before [`Self::with_addresses`].
    #[must_use]
    pub fn new(gateways: Vec<Gateway>) -> Self {
        let index = Arc::new(Index::new(gateways));
        let hosts = Hosts::of(&index);
        Self { index, hosts }
    }

    /// The gateways, as their sources describe them.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.index.gateways
    }

    /// The host names to resolve, sorted by name.
    #[must_use]
    pub fn host_names(&self) -> Vec<HostKey> {
        self.hosts.keys()
    }

    /// What goes wrong with host names, and what of them is looked up otherwise than the gateways
    /// do it: a sentence each, with the gateways' names.
    #[must_use]
    pub fn about_hosts(&self) -> Vec<String> {
        self.find_about_hosts()
    }

    /// What was not understood, and where the table cannot tell two things apart.
    ///
    /// Looks through the whole table: for a reload or a reader, not for every reset.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.find_warnings()
    }

    /// The table with new answers of the resolvers, got `at` (since boot).
    ///
    /// A name without an answer keeps its addresses. Addresses that a name no longer has stay
    /// valid for connections opened before, and for others behind every current one.
    #[must_use]
    pub fn with_addresses(mut self, answers: &[Answer], at: Duration) -> Self {
        self.hosts.answer(&self.index, answers, at);
        self
    }

    /// The table with the addresses that an earlier one knew, for a reload.
    #[must_use]
    pub fn with_addresses_of(mut self, earlier: &Self) -> Self {
        self.hosts
            .inherit(&self.index, &earlier.hosts, &earlier.index);
        self
    }

    /// Gateway, route, upstream and leg of a connection; `None` if it is no gateway's.
    ///
    /// Only gateways of the connection's network namespace count. With a process, those come first
    /// whose main process or its child it is, then those that name its program, then those that
    /// name no process. Without one (no socket, `TIME_WAIT`) addresses decide alone, if one
    /// gateway fits best. A gateway's process whose connection matches no address is still the
    /// gateway's, without a route.
    #[must_use]
    pub fn lookup(&self, connection: &Connection<'_>) -> Option<RouteMatch> {
        let ends = Ends {
            role: connection.role,
            local: (
                connection.local.ip().to_canonical(),
                connection.local.port(),
            ),
            remote: (
                connection.remote.ip().to_canonical(),
                connection.remote.port(),
            ),
            opened: connection.opened,
        };
        let gateways = &self.index.gateways;
        let here = |number: usize| {
            let netns = gateways[number].netns;
            netns.is_none_or(|netns| netns == connection.netns)
        };
        let Some(process) = connection.process else {
            return self.by_address(&ends, here, Ties::Unknown);
        };
        let of = |fit: &dyn Fn(&[ProcessPattern]) -> bool| -> Vec<usize> {
            let numbers = 0..gateways.len();
            numbers
                .filter(|number| here(*number) && fit(&gateways[*number].processes))
                .collect()
        };
        let own = of(&|patterns| patterns.tree_matches(process));
        // The process of one main process cannot be another's.
        let taken = !own.is_empty();
        let named =
            of(&|patterns| !(taken && patterns.has_tree()) && patterns.any_matches(process));
        self.by_address(&ends, |number| own.contains(&number), Ties::Joined)
            .or_else(|| self.by_address(&ends, |number| named.contains(&number), Ties::Joined))
            .or_else(|| {
                let open = |number: usize| here(number) && gateways[number].processes.is_empty();
                self.by_address(&ends, open, Ties::Joined)
            })
            .or_else(|| self.by_process(if taken { &own } else { &named }, ends.role))
    }

    /// A match of the connection's own addresses among the gateways that `fit`.
    fn by_address(
        &self,
        ends: &Ends,
        fit: impl Fn(usize) -> bool,
        ties: Ties,
    ) -> Option<RouteMatch> {
        // With the role unknown the listener decides first: the kernel gives no outgoing
        // connection a local port that a listener has bound.
        if ends.role != Some(Role::Client) {
            let gateways = self.listening(ends.local, &fit);
            if !gateways.is_empty() {
                let each = gateways
                    .iter()
                    .map(|(number, route)| self.downstream(&BTreeMap::from([(*number, *route)])));
                return agreed(each)
                    .or_else(|| (ties == Ties::Joined).then(|| self.downstream(&gateways)));
            }
        }
        if ends.role != Some(Role::Server) {
            let Serving { places, host } = self.serving(ends, &fit);
            let mut each = places.chunk_by(|one, other| one.gateway == other.gateway);
            let first = self.upstream(each.next()?, host.as_ref());
            let rest = each.map(|places| self.upstream(places, host.as_ref()));
            return agreed(std::iter::once(first).chain(rest))
                .or_else(|| (ties == Ties::Joined).then(|| self.upstream(&places, host.as_ref())));
        }
        None
    }

    /// The gateways of a process whose connection matched no address.
    fn by_process(&self, named: &[usize], role: Option<Role>) -> Option<RouteMatch> {
        let first = *named.first()?;
        let leg = match role {
            Some(Role::Server) => {
                // Where no listener is known, all of them lead to the only route.
                let route = match &self.index.gateways[first].routes[..] {
                    [route] if self.index.gateways[first].listeners.is_empty() => {
                        match route.listeners[..] {
                            [] => Single::Route(0),
                            _ => Single::None,
                        }
                    }
                    _ => Single::None,
                };
                let gateways = named.iter().map(|number| (*number, route)).collect();
                return Some(self.downstream(&gateways));
            }
            Some(Role::Client) => Leg::Upstream,
            None => Leg::None,
        };
        Some(RouteMatch {
            gateway: self.gateway_label(named.iter().copied()),
            route: Arc::default(),
            upstream: Arc::default(),
            host: None,
            leg,
        })
    }

    /// The gateways that listen at `local` most specifically, and where that leads.
    fn listening(
        &self,
        local: (IpAddr, u16),
        fit: &impl Fn(usize) -> bool,
    ) -> BTreeMap<usize, Single> {
        let (address, port) = local;
        let v6_any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let family_any = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => v6_any,
        };
        let mut found = BTreeMap::new();
        // Last the socket of both families, which accepts IPv4 as mapped addresses.
        for rank in [
            &[Some(address)][..],
            &[Some(family_any), None],
            &[Some(v6_any)],
        ] {
            let at = |address| self.index.listeners.get(&(address, port));
            let listening = rank.iter().filter_map(|address| at(*address)).flatten();
            for one in listening.filter(|one| fit(one.gateway)) {
                let route: &mut Single = found.entry(one.gateway).or_default();
                *route = route.and(one.route);
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }

    /// The upstreams that have `ends.remote` as an endpoint: by the longest prefix, with the port
    /// before without, by the address of a host name that was valid at the time before others.
    fn serving(&self, ends: &Ends, fit: &impl Fn(usize) -> bool) -> Serving {
        let (address, port) = ends.remote;
        let whole = IpNet::from(address);
        let mut covering: Vec<_> = self.index.networks.cover(&whole).collect();
        let exact = covering
            .pop_if(|(network, _)| network.prefix_len() == whole.prefix_len())
            .map(|(_, ports)| ports);
        let hosts = self.hosts.at(address);
        for key in [Some(port), None] {
            let written = exact.and_then(|ports| ports.get(&key));
            let written = written.into_iter().flatten();
            let named = hosts.and_then(|ports| ports.get(&key));
            let named = named.into_iter().flatten();
            let all = written
                .map(|place| (Standing::Then, *place, None))
                .chain(named.map(|target| {
                    let standing = target.validity.at(ends.opened);
                    (standing, target.place, Some(&target.name))
                }));
            let fitting: Vec<_> = all.filter(|(_, place, _)| fit(place.gateway)).collect();
            if let Some(best) = fitting.iter().map(|(standing, ..)| *standing).min() {
                let best = fitting.iter().filter(|(standing, ..)| *standing == best);
                let mut places: Vec<Place> = best.clone().map(|(_, place, _)| *place).collect();
                places.sort_unstable();
                places.dedup();
                let hosts: BTreeSet<_> = best.filter_map(|(.., name)| name.cloned()).collect();
                return Serving {
                    places,
                    host: (!hosts.is_empty()).then(|| joined(hosts)),
                };
            }
        }
        for (_, ports) in covering.into_iter().rev() {
            for key in [Some(port), None] {
                let places = ports.get(&key).into_iter().flatten();
                let fitting: Vec<_> = places.filter(|place| fit(place.gateway)).copied().collect();
                if !fitting.is_empty() {
                    return Serving {
                        places: fitting,
                        host: None,
                    };
                }
            }
        }
        Serving::default()
    }

    /// The client leg. A single route is known by there being no other.
    fn downstream(&self, gateways: &BTreeMap<usize, Single>) -> RouteMatch {
        let mut all = gateways.iter();
        let route = match (all.next(), all.next()) {
            (Some((gateway, Single::Route(route))), None) => {
                Arc::clone(&self.index.gateways[*gateway].routes[*route].name)
            }
            _ => Arc::default(),
        };
        RouteMatch {
            gateway: self.gateway_label(gateways.keys().copied()),
            route,
            upstream: Arc::default(),
            host: None,
            leg: Leg::Downstream,
        }
    }

    fn upstream(&self, places: &[Place], host: Option<&Arc<str>>) -> RouteMatch {
        let name =
            |place: &Place| &self.index.gateways[place.gateway].upstreams[place.upstream].name;
        let shared = |place: &Place| &self.index.shared[place.gateway][place.upstream];
        let route = match places {
            [one] => Arc::clone(&shared(one).label),
            _ => joined(
                places
                    .iter()
                    .flat_map(|place| shared(place).routes.iter().cloned()),
            ),
        };
        RouteMatch {
            gateway: self.gateway_label(places.iter().map(|place| place.gateway)),
            route,
            upstream: joined(places.iter().map(|place| Arc::clone(name(place)))),
            host: host.map(Arc::clone),
            leg: Leg::Upstream,
        }
    }

    fn gateway_label(&self, gateways: impl Iterator<Item = usize>) -> Arc<str> {
        joined(gateways.map(|number| Arc::clone(&self.index.gateways[number].name)))
    }
}

/// What all of them say, if they say the same: two generations of one gateway, for example.
fn agreed(mut all: impl Iterator<Item = RouteMatch>) -> Option<RouteMatch> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// A connection as the table sees it: no IPv4 mapped into IPv6.
struct Ends {
    role: Option<Role>,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    opened: Option<Duration>,
}

/// What a remote end serves.
#[derive(Default)]
struct Serving {
    /// The upstreams, sorted, each once.
    places: Vec<Place>,
    /// The host name by which they have it, if it is one.
    host: Option<Arc<str>>,
}

/// What becomes of a match that several gateways have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ties {
    /// The label names them all.
    Joined,
    /// Nothing is said.
    Unknown,
}

#[cfg(test)]
mod tests;
