//! One name asked for as a [`Resolver`] says: files and name servers in its order, search list and
//! all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;

use super::hosts_file::is_localhost;
use super::name_switch::Service;
use super::resolver::Resolver;

/// Port of name servers that `resolv.conf` names.
const PORT: u16 = 53;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Sorted, each once, at least one.
    pub addresses: Vec<IpAddr>,
    /// How long they hold; `None` where no name server said so.
    pub ttl: Option<Duration>,
}

/// Asks for names as one resolver does; its sockets are of the network namespace of the thread
/// that polls it.
pub(super) struct Lookup {
    resolver: Arc<Resolver>,
    system: Servers,
    program: Servers,
}

/// Name servers that are asked one after the other, each by a client of its own: within one, the
/// first that is silent would take the time of all.
struct Servers {
    clients: Vec<TokioResolver>,
    /// For all questions on one name to one server.
    timeout: Duration,
    attempts: u8,
}

impl Lookup {
    /// Errors: the name servers make no valid configuration.
    pub(super) fn new(resolver: Arc<Resolver>) -> Result<Self, String> {
        let servers = resolver.conf.servers.iter();
        let servers: Vec<_> = servers.map(|ip| SocketAddr::new(*ip, PORT)).collect();
        Ok(Self {
            system: Servers::new(&servers, &search(&resolver), &resolver)?,
            // Programs that ask by themselves take names as they are written.
            program: Servers::new(&resolver.program_servers, &[], &resolver)?,
            resolver,
        })
    }

    /// The addresses of `name`: what the system gives, and what the program's own name servers say.
    /// Which of them a gateway asks for which of its names, its configuration does not always tell.
    ///
    /// Errors: nobody knows an address; why.
    pub(super) async fn addresses(&self, name: &str) -> Result<Found, String> {
        let patience = self.resolver.patience();
        let system = within(patience, self.by_system(name));
        let whole = format!("{name}.");
        let program = async {
            if self.program.clients.is_empty() {
                return None;
            }
            Some(within(patience, self.program.ask(&whole)).await)
        };
        match tokio::join!(system, program) {
            (system, None) => system,
            (Ok(system), Some(Ok(program))) => Ok(system.and(program)),
            (Ok(one), Some(Err(_))) | (Err(_), Some(Ok(one))) => Ok(one),
            (Err(system), Some(Err(program))) if system == program => Err(system),
            (Err(system), Some(Err(program))) => Err(format!(
                "{system}; the name servers of the gateway's configuration: {program}"
            )),
        }
    }

    /// The first service that knows the name decides.
    async fn by_system(&self, name: &str) -> Result<Found, String> {
        let mut reason = None;
        for service in &self.resolver.switch.services {
            match service {
                Service::Files => {
                    let written = self.resolver.hosts.addresses(name).to_vec();
                    if let Some(found) = Found::new(written, None) {
                        return Ok(found);
                    }
                }
                Service::Dns => match self.system.ask(name).await {
                    Ok(found) => return Ok(found),
                    Err(why) => reason = Some(why),
                },
            }
        }
        Err(reason.unwrap_or_else(|| "it is not in /etc/hosts".to_owned()))
    }
}

impl Found {
    fn new(mut addresses: Vec<IpAddr>, ttl: Option<Duration>) -> Option<Self> {
        addresses.sort_unstable();
        addresses.dedup();
        (!addresses.is_empty()).then_some(Self { addresses, ttl })
    }

    /// What both know, as long as both hold.
    fn and(mut self, other: Self) -> Self {
        self.addresses.extend(other.addresses);
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.ttl = self.ttl.into_iter().chain(other.ttl).min();
        self
    }
}

/// The search list; a domain that is no name finds nothing in the gateway either.
fn search(resolver: &Resolver) -> Vec<Name> {
    let domains = resolver.conf.search.iter();
    let names = domains.map(|domain| Name::from_utf8(format!("{domain}.")));
    names.filter_map(Result::ok).collect()
}

async fn within(
    limit: Duration,
    answer: impl Future<Output = Result<Found, String>>,
) -> Result<Found, String> {
    let none = |_| Err(format!("no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(none)
}

impl Servers {
    fn new(servers: &[SocketAddr], search: &[Name], resolver: &Resolver) -> Result<Self, String> {
        let clients = servers
            .iter()
            .map(|server| client(*server, search, resolver));
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            timeout: resolver.conf.timeout,
            attempts: resolver.conf.attempts,
        })
    }

    /// The answer of the first server that has one, be it that there is no such name.
    async fn ask(&self, name: &str) -> Result<Found, String> {
        if is_localhost(name) {
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Found::new(both.to_vec(), None).ok_or_else(String::new);
        }
        let mut last = "no name server to ask".to_owned();
        for _ in 0..self.attempts {
            for client in &self.clients {
                let answer = tokio::time::timeout(self.timeout, client.lookup_ip(name)).await;
                match answer.unwrap_or(Err(NetError::Timeout)) {
                    Ok(answer) => {
                        let ttl = answer.valid_until().duration_since(Instant::now());
                        let addresses = answer.iter().map(|address| address.to_canonical());
                        return Found::new(addresses.collect(), Some(ttl))
                            .ok_or_else(|| "no address".to_owned());
                    }
                    Err(error) if error.is_nx_domain() => {
                        return Err("no such name (NXDOMAIN)".to_owned());
                    }
                    Err(error) if error.is_no_records_found() => {
                        return Err("no address".to_owned());
                    }
                    Err(NetError::Timeout) => {
                        "no answer from its name servers".clone_into(&mut last);
                    }
                    Err(error) => last = error.to_string(),
                }
            }
        }
        Err(last)
    }
}

fn client(
    server: SocketAddr,
    search: &[Name],
    resolver: &Resolver,
) -> Result<TokioResolver, String> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_parts(None, search.to_vec(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.ndots = resolver.conf.ndots.into();
    options.timeout = resolver.conf.timeout;
    // Other servers come before another attempt with the same.
    options.attempts = 0;
    // The gateway's file is read instead, and who asks follows the TTL itself.
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.edns0 = false;
    builder
        .build()
        .map_err(|error| format!("the name servers cannot be asked: {error}"))
}

#[cfg(test)]
mod tests;
