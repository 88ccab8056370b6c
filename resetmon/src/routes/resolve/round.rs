//! Names looked up together, by a thread that is in the gateway's network namespace.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::lookup::Lookup;
use super::resolver::Resolver;
use super::{Answer, HostKey};
use crate::routes::files::Files;

/// Names of one resolver that are asked for at the same time.
const AT_ONCE: usize = 16;

/// Names to look up as one resolver does.
#[derive(Debug)]
pub(super) struct Round {
    /// Where `/proc` of the initial pid namespace is.
    pub(super) proc_root: PathBuf,
    /// `None`: the agent's own.
    pub(super) resolver: Option<Arc<Resolver>>,
    /// The names.
    pub(super) names: Vec<Arc<str>>,
    /// Processes that have the resolver's network namespace.
    pub(super) pids: Vec<u32>,
}

/// Where a thread asks from.
enum Place {
    /// Where the resolver does.
    There,
    /// The agent's own network namespace; why.
    Outside(Error),
    /// Nowhere: no process is left in the namespace.
    Gone,
}

impl Round {
    /// Looks every name up and hands each answer over as it comes, with its TTL.
    ///
    /// Leaves the calling thread in the resolver's network namespace: it has to end.
    pub(super) fn run(self, mut take: impl FnMut(Answer, Option<Duration>)) {
        if let Err(reason) = self.ask(&mut take) {
            for name in &self.names {
                take(Answer::failed(self.key(name), reason.clone()), None);
            }
        }
    }

    fn key(&self, name: &Arc<str>) -> HostKey {
        HostKey {
            resolver: self.resolver.clone(),
            name: Arc::clone(name),
        }
    }

    /// Errors: why no name can be asked for.
    fn ask(&self, take: &mut impl FnMut(Answer, Option<Duration>)) -> Result<(), String> {
        let (resolver, notes) = self.prepare()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no event loop: {error}"))?;
        runtime.block_on(async {
            let lookup = Arc::new(Lookup::new(resolver)?);
            let slots = Arc::new(Semaphore::new(AT_ONCE));
            let mut lookups = JoinSet::new();
            for name in &self.names {
                let (lookup, slots) = (Arc::clone(&lookup), Arc::clone(&slots));
                let name = Arc::clone(name);
                lookups.spawn(async move {
                    // It is never closed.
                    let _slot = slots.acquire().await;
                    let answer = lookup.addresses(&name).await;
                    (name, answer)
                });
            }
            while let Some(Ok((name, found))) = lookups.join_next().await {
                let ttl = found.as_ref().ok().and_then(|found| found.ttl);
                let answer = Answer {
                    host: self.key(&name),
                    found: found.map(|found| found.addresses),
                    notes: Arc::clone(&notes),
                };
                take(answer, ttl);
            }
            Ok(())
        })
    }

    /// Goes to where to ask from; whom to ask, and what an operator should know of it.
    fn prepare(&self) -> Result<(Arc<Resolver>, Arc<[String]>), String> {
        let Some(resolver) = &self.resolver else {
            let own = Arc::new(self.own()?);
            let notes = own.notes().into();
            return Ok((own, notes));
        };
        let mut notes = resolver.notes();
        let resolver = match self.enter(resolver) {
            Place::There => Arc::clone(resolver),
            Place::Gone => return Err("no process is left in its network namespace".to_owned()),
            Place::Outside(error) => {
                notes.push(format!(
                    "host names are looked up from resetmon's own network namespace, because the \
                     gateway's may not be entered: {error}; set \
                     discovery.enter_network_namespaces and give CAP_SYS_ADMIN"
                ));
                let own: Vec<IpAddr> = self.own().map(|own| own.conf.servers)?;
                Arc::new(resolver.from_outside(&own))
            }
        };
        Ok((resolver, notes.into()))
    }

    /// The agent's own resolver, as its files are now.
    fn own(&self) -> Result<Resolver, String> {
        let read = || {
            let files = Files::open(&self.proc_root.join("self/root"), Path::new("/"))?;
            Resolver::read(&files, None, Vec::new())
        };
        read().map_err(|error| error.to_string())
    }

    /// Moves this thread into the network namespace of `resolver`.
    fn enter(&self, resolver: &Resolver) -> Place {
        let Some(netns) = resolver.netns else {
            return Place::There;
        };
        let mut place = Place::Gone;
        for pid in &self.pids {
            let path = self.proc_root.join(pid.to_string()).join("ns/net");
            match enter(&path, netns) {
                Ok(()) => return Place::There,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => place = Place::Outside(error),
            }
        }
        place
    }
}

/// Moves this thread into the network namespace at `path`, which has the inode `netns`.
fn enter(path: &Path, netns: u32) -> Result<(), Error> {
    let namespace = File::open(path)?;
    // The process may be another one by now.
    if namespace.metadata()?.ino() != u64::from(netns) {
        return Err(ErrorKind::NotFound.into());
    }
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::resolve::hosts_file::HostsFile;
    use crate::routes::resolve::name_switch::NameSwitch;
    use crate::routes::resolve::resolv_conf::ResolvConf;

    fn resolver(netns: Option<u32>, hosts: &str) -> Arc<Resolver> {
        Arc::new(Resolver::new(
            netns,
            ResolvConf::default(),
            HostsFile::parse(hosts),
            NameSwitch::parse("hosts: files"),
            Vec::new(),
        ))
    }

    /// `name=addresses` or `name! reason`, sorted, and the notes of the last.
    fn run(resolver: Option<Arc<Resolver>>, names: &[&str], pids: &[u32]) -> (Vec<String>, String) {
        let round = Round {
            proc_root: "/proc".into(),
            resolver,
            names: names.iter().map(|name| Arc::from(*name)).collect(),
            pids: pids.to_vec(),
        };
        let (mut lines, mut notes) = (Vec::new(), String::new());
        let run = || {
            round.run(|answer, ttl| {
                assert_eq!(ttl, None);
                notes = answer.notes.join("; ");
                let name = &answer.host.name;
                lines.push(match answer.found {
                    Ok(found) => format!("{name}={found:?}"),
                    Err(reason) => format!("{name}! {reason}"),
                });
            });
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap());
        lines.sort();
        (lines, notes)
    }

    #[test]
    fn each_name_has_its_answer() {
        let hosts = "10.0.0.1 a\n10.0.0.2 b\n";
        let (lines, notes) = run(Some(resolver(None, hosts)), &["a", "b", "c"], &[]);
        let expected = ["a=[10.0.0.1]", "b=[10.0.0.2]", "c! it is not in /etc/hosts"];
        assert_eq!(
            (&lines[..], &*notes),
            (&expected.map(str::to_owned)[..], "")
        );
    }

    #[test]
    fn the_agents_own_files_where_no_gateway_is_known() {
        let (lines, _) = run(None, &["localhost"], &[]);
        assert!(lines[0].starts_with("localhost=[127.0.0.1"), "{lines:?}");
    }

    #[test]
    fn a_namespace_without_its_process_is_gone() {
        let own = std::process::id();
        for pids in [&[][..], &[u32::MAX], &[own]] {
            // This process is in another namespace than that of inode 1.
            let (lines, _) = run(Some(resolver(Some(1), "10.0.0.1 a\n")), &["a"], pids);
            assert_eq!(lines, ["a! no process is left in its network namespace"]);
        }
    }
}
