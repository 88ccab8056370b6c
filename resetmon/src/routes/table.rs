//! The table of routes: from a connection's endpoints and process to gateway, route, upstream, leg.
//!
//! Pure: names are resolved outside (see [`super::resolve`]) and handed in. Nothing is guessed:
//! where several answers fit equally well, the label is the sorted set of them, joined by `|`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use super::address::{Endpoint, Listener};
use super::resolve::Addresses;
use crate::kernel::observation::Role;
use crate::reset::{Leg, Process, RouteMatch};

mod warnings;

/// Former addresses kept for one host name. Connections outlive a change in DNS; providers that
/// rotate through large pools would otherwise grow the table for ever.
const FORMER_ADDRESSES: usize = 256;
/// Bytes of a task's name that the kernel keeps (`TASK_COMM_LEN` without the NUL).
const COMM_LEN: usize = 15;

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

/// How a gateway's process is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessPattern {
    /// By the file name of its executable or by its name (`comm`).
    Name(Arc<str>),
    /// By the path of its executable.
    Exe(Arc<str>),
    /// By its main process: that one and its children.
    Tree(u32),
}

impl ProcessPattern {
    /// A pattern from text: a path if it begins with `/`, else a name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.starts_with('/') {
            Self::Exe(Arc::from(text))
        } else {
            Self::Name(Arc::from(text))
        }
    }

    /// True if processes of this executable are meant.
    #[must_use]
    pub fn is_executable(&self, exe: &Path) -> bool {
        match self {
            Self::Exe(path) => exe == Path::new(&**path),
            Self::Name(name) => exe.file_name() == Some(OsStr::new(&**name)),
            Self::Tree(_) => false,
        }
    }

    /// True if `process` is meant.
    #[must_use]
    pub fn matches(&self, process: &Process) -> bool {
        match (self, process.exe.as_deref()) {
            (Self::Exe(path), exe) => exe == Some(path),
            (Self::Tree(pid), _) => process.pid == *pid || process.parent == Some(*pid),
            (Self::Name(name), Some(exe)) => {
                *name == process.name
                    || *name == process.comm
                    || exe.rsplit('/').next() == Some(name)
            }
            // Without the executable there is only comm, which the kernel cuts off.
            (Self::Name(name), None) => {
                *name == process.name
                    || *name == process.comm
                    || process.comm.len() == COMM_LEN && name.starts_with(&*process.comm)
            }
        }
    }
}

/// What the routes of all sources say together.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    gateways: Arc<[Gateway]>,
    hosts: HashMap<Arc<str>, HostAddresses>,
    listeners: HashMap<(Option<IpAddr>, u16), Vec<usize>>,
    endpoints: JointPrefixMap<IpNet, BTreeMap<Option<u16>, Vec<Target>>>,
    /// By gateway and upstream: the label `route`.
    route_labels: Vec<Vec<Arc<str>>>,
    warnings: Vec<String>,
}

/// The addresses of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HostAddresses {
    current: Vec<IpAddr>,
    /// Earlier ones, the latest first.
    former: Vec<IpAddr>,
}

/// An upstream that an endpoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    gateway: usize,
    upstream: usize,
    /// By an address that its host name no longer has.
    former: bool,
}

impl RouteTable {
    /// A table of these gateways. Host names match nothing before [`Self::with_addresses`].
    #[must_use]
    pub fn new(gateways: Vec<Gateway>) -> Self {
        let mut hosts = HashMap::new();
        for (name, _) in gateways.iter().flat_map(host_endpoints) {
            hosts.insert(Arc::clone(name), HostAddresses::default());
        }
        Self::build(&gateways.into(), hosts)
    }

    /// The gateways, as their sources describe them.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// The host names to resolve, sorted.
    #[must_use]
    pub fn host_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.hosts.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// What was not understood, and where the table cannot tell two things apart.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The table with new answers of the resolver.
    ///
    /// A name without an answer keeps its addresses. Addresses that a name no longer has stay
    /// valid for connections that are still open, behind every current one.
    #[must_use]
    pub fn with_addresses(&self, addresses: &Addresses) -> Self {
        let mut hosts = self.hosts.clone();
        for (name, host) in &mut hosts {
            if let Some(found) = addresses.get(name).filter(|found| !found.is_empty()) {
                host.replace(found);
            }
        }
        Self::build(&self.gateways, hosts)
    }

    /// The table with the addresses that an earlier one knew, for a reload.
    #[must_use]
    pub fn with_addresses_of(&self, earlier: &Self) -> Self {
        let mut hosts = self.hosts.clone();
        for (name, host) in &mut hosts {
            if let Some(known) = earlier.hosts.get(name) {
                host.clone_from(known);
            }
        }
        Self::build(&self.gateways, hosts)
    }

    /// Gateway, route, upstream and leg of a connection; `None` if it is no gateway's.
    ///
    /// With a process, the gateways that name it come first, then those that name none. Without
    /// one (no socket, `TIME_WAIT`) addresses decide alone, if one gateway fits best. A gateway's
    /// process whose connection matches no address is still the gateway's, without a route.
    #[must_use]
    pub fn lookup(
        &self,
        process: Option<&Process>,
        role: Option<Role>,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<RouteMatch> {
        let ends = Ends {
            role,
            local: (local.ip().to_canonical(), local.port()),
            remote: (remote.ip().to_canonical(), remote.port()),
        };
        let Some(process) = process else {
            return self.by_address(&ends, |_| true, Ties::Unknown);
        };
        let named: Vec<usize> = (0..self.gateways.len())
            .filter(|&index| {
                let patterns = &self.gateways[index].processes;
                patterns.iter().any(|pattern| pattern.matches(process))
            })
            .collect();
        self.by_address(&ends, |index| named.contains(&index), Ties::Joined)
            .or_else(|| {
                let open = |index: usize| self.gateways[index].processes.is_empty();
                self.by_address(&ends, open, Ties::Joined)
            })
            .or_else(|| self.by_process(&named, role))
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
                return (gateways.len() == 1 || ties == Ties::Joined)
                    .then(|| self.downstream(&gateways, true));
            }
        }
        if ends.role != Some(Role::Server) {
            let targets = self.serving(ends.remote, &fit);
            let gateway = targets.first()?.gateway;
            let unique = targets.iter().all(|target| target.gateway == gateway);
            return (unique || ties == Ties::Joined).then(|| self.upstream(&targets));
        }
        None
    }

    /// The gateways of a process whose connection matched no address.
    fn by_process(&self, named: &[usize], role: Option<Role>) -> Option<RouteMatch> {
        let first = *named.first()?;
        let leg = match role {
            Some(Role::Server) => {
                let all = named.len() == 1 && self.gateways[first].listeners.is_empty();
                return Some(self.downstream(named, all));
            }
            Some(Role::Client) => Leg::Upstream,
            None => Leg::None,
        };
        Some(RouteMatch {
            gateway: self.gateway_label(named.iter().copied()),
            route: Arc::default(),
            upstream: Arc::default(),
            leg,
        })
    }

    /// The gateways that listen at `local` most specifically, in order.
    fn listening(&self, local: (IpAddr, u16), fit: &impl Fn(usize) -> bool) -> Vec<usize> {
        let (address, port) = local;
        let v6_any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let family_any = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => v6_any,
        };
        // Last the socket of both families, which accepts IPv4 as mapped addresses.
        for rank in [
            &[Some(address)][..],
            &[Some(family_any), None],
            &[Some(v6_any)],
        ] {
            let found: BTreeSet<usize> = rank
                .iter()
                .filter_map(|address| self.listeners.get(&(*address, port)))
                .flatten()
                .copied()
                .filter(|&gateway| fit(gateway))
                .collect();
            if !found.is_empty() {
                return found.into_iter().collect();
            }
        }
        Vec::new()
    }

    /// The upstreams that have `remote` as an endpoint: by the longest prefix, with the port
    /// before without, by a current address before a former one.
    fn serving(&self, remote: (IpAddr, u16), fit: &impl Fn(usize) -> bool) -> Vec<Target> {
        let (address, port) = remote;
        let covering: Vec<_> = self.endpoints.cover_values(&IpNet::from(address)).collect();
        for ports in covering.into_iter().rev() {
            for key in [Some(port), None] {
                let fitting = || {
                    let targets = ports.get(&key).into_iter().flatten();
                    targets.copied().filter(|target| fit(target.gateway))
                };
                let current: Vec<_> = fitting().filter(|target| !target.former).collect();
                if !current.is_empty() {
                    return current;
                }
                let former: Vec<_> = fitting().collect();
                if !former.is_empty() {
                    return former;
                }
            }
        }
        Vec::new()
    }

    /// The client leg; with `matched` a single route is known by there being no other.
    fn downstream(&self, gateways: &[usize], matched: bool) -> RouteMatch {
        let route = match gateways {
            [one] if matched => match &self.gateways[*one].routes[..] {
                [route] => Arc::clone(&route.name),
                _ => Arc::default(),
            },
            _ => Arc::default(),
        };
        RouteMatch {
            gateway: self.gateway_label(gateways.iter().copied()),
            route,
            upstream: Arc::default(),
            leg: Leg::Downstream,
        }
    }

    fn upstream(&self, targets: &[Target]) -> RouteMatch {
        let upstream = |target: &Target| {
            Arc::clone(&self.gateways[target.gateway].upstreams[target.upstream].name)
        };
        let route = match targets {
            [one] => Arc::clone(&self.route_labels[one.gateway][one.upstream]),
            _ => joined(targets.iter().flat_map(|target| {
                let gateway = &self.gateways[target.gateway];
                routes_of(gateway, &gateway.upstreams[target.upstream].name)
            })),
        };
        RouteMatch {
            gateway: self.gateway_label(targets.iter().map(|target| target.gateway)),
            route,
            upstream: joined(targets.iter().map(upstream)),
            leg: Leg::Upstream,
        }
    }

    fn gateway_label(&self, gateways: impl Iterator<Item = usize>) -> Arc<str> {
        joined(gateways.map(|index| Arc::clone(&self.gateways[index].name)))
    }

    fn build(gateways: &Arc<[Gateway]>, hosts: HashMap<Arc<str>, HostAddresses>) -> Self {
        let mut table = Self {
            gateways: Arc::clone(gateways),
            hosts,
            ..Self::default()
        };
        for (index, gateway) in gateways.iter().enumerate() {
            for listener in &gateway.listeners {
                let address = listener.address.map(|address| address.to_canonical());
                let slot = table.listeners.entry((address, listener.port)).or_default();
                if !slot.contains(&index) {
                    slot.push(index);
                }
            }
            let label = |upstream: &Upstream| joined(routes_of(gateway, &upstream.name));
            table
                .route_labels
                .push(gateway.upstreams.iter().map(label).collect());
            for (number, upstream) in gateway.upstreams.iter().enumerate() {
                let target = Target {
                    gateway: index,
                    upstream: number,
                    former: false,
                };
                for endpoint in &upstream.endpoints {
                    table.insert(endpoint, target);
                }
            }
        }
        table.warnings = table.find_warnings();
        table
    }

    fn insert(&mut self, endpoint: &Endpoint, target: Target) {
        let (keys, port): (Vec<(IpNet, bool)>, _) = match endpoint {
            Endpoint::Network { network, port } => (vec![(network.trunc(), false)], *port),
            Endpoint::Host { name, port } => {
                let host = self.hosts.get(name).cloned().unwrap_or_default();
                let key = |former| move |address: IpAddr| (IpNet::from(address), former);
                let current = host.current.into_iter().map(key(false));
                (
                    current
                        .chain(host.former.into_iter().map(key(true)))
                        .collect(),
                    *port,
                )
            }
        };
        for (network, former) in keys {
            let ports = self.endpoints.entry(network).or_default();
            let targets = ports.entry(port).or_default();
            // The same backend written twice in one upstream is one backend.
            let known = targets
                .iter_mut()
                .find(|known| (known.gateway, known.upstream) == (target.gateway, target.upstream));
            match known {
                Some(known) => known.former &= former,
                None => targets.push(Target { former, ..target }),
            }
        }
    }
}

impl HostAddresses {
    fn replace(&mut self, found: &[IpAddr]) {
        let found: BTreeSet<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
        let mut former = std::mem::take(&mut self.current);
        former.append(&mut self.former);
        former.retain(|address| !found.contains(address));
        former.truncate(FORMER_ADDRESSES);
        *self = Self {
            current: found.into_iter().collect(),
            former,
        };
    }
}

/// A connection as the table sees it: no IPv4 mapped into IPv6.
struct Ends {
    role: Option<Role>,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// What becomes of a match that several gateways have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ties {
    /// The label names them all.
    Joined,
    /// Nothing is said.
    Unknown,
}

/// `(name, port)` of every endpoint that is a host name.
fn host_endpoints(gateway: &Gateway) -> impl Iterator<Item = (&Arc<str>, Option<u16>)> {
    let endpoints = gateway
        .upstreams
        .iter()
        .flat_map(|upstream| &upstream.endpoints);
    endpoints.filter_map(|endpoint| match endpoint {
        Endpoint::Host { name, port } => Some((name, *port)),
        Endpoint::Network { .. } => None,
    })
}

/// Names of the routes that may use `upstream`.
fn routes_of<'a>(gateway: &'a Gateway, upstream: &'a str) -> impl Iterator<Item = Arc<str>> + 'a {
    let uses = move |route: &&Route| route.upstreams.iter().any(|name| **name == *upstream);
    gateway
        .routes
        .iter()
        .filter(uses)
        .map(|route| Arc::clone(&route.name))
}

/// The set of `names`, sorted and joined by `|`.
fn joined(names: impl Iterator<Item = Arc<str>>) -> Arc<str> {
    let names: BTreeSet<Arc<str>> = names.collect();
    if names.len() == 1 {
        return names.into_iter().next().unwrap_or_default();
    }
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    Arc::from(names.join("|"))
}

#[cfg(test)]
mod tests;
