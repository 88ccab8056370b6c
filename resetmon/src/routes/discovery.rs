//! Gateways found by themselves: which processes are one, and what each says of itself now.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Endpoint;
use super::admin::AdminAddress;
use super::admin::access::Access;
use super::files::{FileError, Stamp};
use super::instance::{Family, Instance, Member};
use super::resolve::resolver::Resolver;
use super::source::{Reading, Source};
use super::table::{Gateway, ProcessPattern};

/// How long a gateway that is gone is kept: what its end reset is read a moment later.
const KEEP: Duration = Duration::from_secs(60);
/// Most gateways of one node.
const MAX_GATEWAYS: usize = 1024;

/// The gateways of a node and how to find them.
pub struct Discovery {
    proc_root: PathBuf,
    sources: Vec<Box<dyn Source>>,
    overrides: Vec<Override>,
    /// Processes that have been judged, by id.
    judged: HashMap<u32, Judged>,
    found: Vec<Known>,
}

/// What the operator says better than discovery finds out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Which processes it is about; `None`: every one of the kind.
    pub process: Option<ProcessPattern>,
    /// The kind of gateway they are ([`Source::kind`]).
    pub kind: Arc<str>,
    /// Name for the label `gateway`.
    pub name: Option<Arc<str>>,
    /// Path of the configuration, as the process sees it.
    pub config: Option<PathBuf>,
    /// Where its admin interface answers.
    pub admin: Option<AdminAddress>,
    /// How it is asked.
    pub access: Access,
}

/// A process that was looked at, as it was then: one that runs another program since, or has
/// another parent, is looked at again.
#[derive(Debug, PartialEq, Eq)]
struct Judged(Member);

/// A gateway that was found.
struct Known {
    instance: Instance,
    source: usize,
    name: Option<Arc<str>>,
    generation: Option<u64>,
    /// The last reading that succeeded.
    reading: Option<Reading>,
    /// Why the latest one did not.
    error: Option<String>,
    /// Since when it is known.
    since: Instant,
    /// Since when the process is gone.
    gone: Option<Instant>,
    /// How it resolves host names, or why that is not known.
    resolver: Option<Result<Arc<Resolver>, String>>,
    /// What [`Self::resolver`] was read from.
    stamps: [Option<Stamp>; 3],
}

/// A gateway as it stands, for the table and for `resetmon routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the table takes.
    pub gateway: Gateway,
    /// The kind.
    pub kind: &'static str,
    /// Its main process.
    pub pid: u32,
    /// Path of its executable.
    pub exe: PathBuf,
    /// Where its routes were read.
    pub origin: String,
    /// Why the latest reading failed; the gateway then stands as it was read before, if ever.
    pub error: Option<String>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> = self.sources.iter().map(|source| source.kind()).collect();
        f.debug_struct("Discovery")
            .field("proc_root", &self.proc_root)
            .field("sources", &kinds)
            .field("found", &self.found.len())
            .finish_non_exhaustive()
    }
}

impl Discovery {
    /// Looks below `proc_root`, `/proc` of the initial pid namespace, with these sources.
    #[must_use]
    pub fn new(
        proc_root: PathBuf,
        sources: Vec<Box<dyn Source>>,
        overrides: Vec<Override>,
    ) -> Self {
        Self {
            proc_root,
            sources,
            overrides,
            judged: HashMap::new(),
            found: Vec::new(),
        }
    }

    /// Looks for gateways that came or went and reads the ones that may have changed. True if
    /// [`Self::found`] has changed by it.
    ///
    /// Errors: the processes cannot be listed.
    pub async fn look(&mut self) -> std::io::Result<bool> {
        let family = Family::read(&self.proc_root)?;
        let before = self.found();
        self.bury(&family);
        self.find(&family);
        for known in &mut self.found {
            if known.gone.is_none() {
                known.read(self.sources[known.source].as_ref()).await;
                known.read_resolver();
            }
        }
        self.share_resolvers();
        Ok(before != self.found())
    }

    /// The gateways as they stand, by process id.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        let mut order: Vec<&Known> = self.found.iter().collect();
        order.sort_by_key(|known| known.instance.pid);
        let heirs: Vec<Option<u32>> = order.iter().map(|known| self.heir(known)).collect();
        let mut found: Vec<Found> = order.iter().map(|known| self.describe(known)).collect();
        let names: Vec<Arc<str>> = found
            .iter()
            .map(|found| found.gateway.name.clone())
            .collect();
        for (index, name) in names.iter().enumerate() {
            let twins: Vec<&Found> = (0..found.len())
                .filter(|other| heirs[*other].is_none() && names[*other] == *name)
                .map(|other| &found[other])
                .filter(|other| other.kind == found[index].kind)
                .collect();
            if heirs[index].is_none() && twins.len() > 1 {
                let own = twins
                    .iter()
                    .filter(|twin| twin.origin == found[index].origin);
                let suffix = match self.host_name(found[index].pid) {
                    Some(host) => host,
                    None if own.count() == 1 => found[index].origin.clone(),
                    None => found[index].pid.to_string(),
                };
                found[index].gateway.name = Arc::from(format!("{name}:{suffix}"));
            }
        }
        for (index, heir) in heirs.iter().enumerate() {
            let heir = found.iter().find(|other| Some(other.pid) == *heir);
            if let Some(name) = heir.map(|heir| Arc::clone(&heir.gateway.name)) {
                found[index].gateway.name = name;
            }
        }
        found
    }

    /// The gateway that took the place of one that is gone, by its process: its name is that of
    /// both, so that a restart changes no label.
    ///
    /// It runs the same executable in the same network, is younger, and serves a listener of the
    /// old one (or does not say yet where it listens, and has the same command line). One that was
    /// there before has to have the same configuration, too: it may be a neighbour.
    fn heir(&self, old: &Known) -> Option<u32> {
        let gone = old.gone?;
        let place = |known: &Known| (known.source, known.instance.netns);
        let listeners = |known: &Known| match &known.reading {
            Some(reading) => (reading.listeners.clone(), Some(reading.origin.clone())),
            None => (Vec::new(), None),
        };
        let (before, old_origin) = listeners(old);
        let fits = |new: &&Known| {
            let (now, origin) = listeners(new);
            let came_after = new.since >= gone;
            let same_place = if now.is_empty() || before.is_empty() {
                came_after && new.instance.arguments == old.instance.arguments
            } else {
                now.iter().any(|listener| before.contains(listener))
                    && (came_after || origin == old_origin)
            };
            new.gone.is_none()
                && place(new) == place(old)
                && new.instance.exe == old.instance.exe
                && new.instance.start >= old.instance.start
                && same_place
        };
        let mut heirs = self.found.iter().filter(fits);
        match (heirs.next(), heirs.next()) {
            (Some(heir), None) => Some(heir.instance.pid),
            // Of several none is told from the others.
            _ => None,
        }
    }

    fn describe(&self, known: &Known) -> Found {
        let kind = self.sources[known.source].kind();
        let mut reading = known.reading.clone().unwrap_or_default();
        if let Some(Err(why)) = &known.resolver {
            reading.not_understood.push(format!(
                "host names are looked up as resetmon itself does, not as the gateway: {why}"
            ));
        }
        let resolver = known.resolver.as_ref().and_then(|read| read.as_ref().ok());
        let exe = known.instance.exe.to_string_lossy().into_owned();
        let name = known.name.clone().or(reading.name);
        Found {
            gateway: Gateway {
                name: name.unwrap_or_else(|| Arc::from(kind)),
                processes: vec![
                    ProcessPattern::Tree(known.instance.pid),
                    ProcessPattern::new(&exe),
                ],
                netns: Some(known.instance.netns).filter(|netns| *netns != 0),
                listeners: reading.listeners,
                routes: reading.routes,
                upstreams: reading.upstreams,
                resolver: resolver.map(Arc::clone),
                not_understood: reading.not_understood,
            },
            kind,
            pid: known.instance.pid,
            exe: known.instance.exe.clone(),
            origin: reading.origin,
            error: known.error.clone(),
        }
    }

    /// What a container calls itself: the pod's or container's host name.
    fn host_name(&self, pid: u32) -> Option<String> {
        let known = self.found.iter().find(|known| known.instance.pid == pid)?;
        if known.instance.shares_root() {
            return None;
        }
        let name = ["POD_NAME", "HOSTNAME"];
        let mut names = name.iter().filter_map(|name| known.instance.variable(name));
        names.next().map(str::to_owned)
    }

    /// Makes equal resolvers one: they become keys of many tables.
    fn share_resolvers(&mut self) {
        let mut seen: HashSet<Arc<Resolver>> = HashSet::new();
        for known in &mut self.found {
            if let Some(Ok(resolver)) = &mut known.resolver {
                match seen.get(resolver) {
                    Some(equal) => *resolver = Arc::clone(equal),
                    None => _ = seen.insert(Arc::clone(resolver)),
                }
            }
        }
    }

    /// Notes who is gone, and forgets who has long been.
    fn bury(&mut self, family: &Family) {
        let alive = |pid, start| {
            family
                .member(pid)
                .is_some_and(|member| member.start == start)
        };
        for known in &mut self.found {
            if known.gone.is_none() && !alive(known.instance.pid, known.instance.start) {
                known.gone = Some(Instant::now());
            }
        }
        self.found
            .retain(|known| known.gone.is_none_or(|gone| gone.elapsed() < KEEP));
        self.judged
            .retain(|pid, judged| family.member(*pid) == Some(&judged.0));
    }

    /// Judges the processes that are new.
    fn find(&mut self, family: &Family) {
        for known in self.found.iter_mut().filter(|known| known.gone.is_none()) {
            if let Ok(instance) = Instance::of(&self.proc_root, family, known.instance.pid) {
                let old = std::mem::take(&mut known.instance);
                known.instance = instance.with(old.config, old.admin, old.access);
            }
        }
        for member in family.members() {
            if self.judged.contains_key(&member.pid) {
                continue;
            }
            self.judged.insert(member.pid, Judged(member.clone()));
            // Kernel threads have no executable, others may be gone.
            let Ok(exe) = executable(&self.proc_root, member.pid) else {
                continue;
            };
            let Ok(instance) = Instance::of(&self.proc_root, family, member.pid) else {
                continue;
            };
            let parent = Instance::of(&self.proc_root, family, member.parent).ok();
            let worker = parent
                .is_some_and(|parent| parent.exe == exe && parent.arguments == instance.arguments);
            if worker || self.is_known(&instance) || self.found.len() >= MAX_GATEWAYS {
                continue;
            }
            if let Some(known) = self.judge(instance) {
                self.found.push(known);
            }
        }
    }

    fn is_known(&self, instance: &Instance) -> bool {
        let key = (instance.pid, instance.start);
        let mut found = self.found.iter();
        found.any(|known| (known.instance.pid, known.instance.start) == key)
    }

    /// The gateway that `instance` is, if it is one.
    fn judge(&self, instance: Instance) -> Option<Known> {
        let by_operator = self.overrides.iter().find(|entry| {
            entry
                .process
                .as_ref()
                .is_some_and(|p| p.is_executable(&instance.exe))
        });
        let source = match by_operator {
            Some(entry) => self
                .sources
                .iter()
                .position(|source| *source.kind() == *entry.kind),
            None => self
                .sources
                .iter()
                .position(|source| source.claims(&instance)),
        }?;
        let kind = self.sources[source].kind();
        let entry = by_operator.or_else(|| {
            let mut overrides = self.overrides.iter();
            overrides.find(|entry| entry.process.is_none() && *entry.kind == *kind)
        });
        let entry = entry.cloned().unwrap_or_default();
        Some(Known {
            instance: instance.with(entry.config, entry.admin, entry.access),
            source,
            name: entry.name,
            generation: None,
            reading: None,
            error: None,
            since: Instant::now(),
            gone: None,
            resolver: None,
            stamps: [None; 3],
        })
    }
}

impl Known {
    async fn read(&mut self, source: &dyn Source) {
        let generation = source.generation(&self.instance);
        let done = self.reading.is_some() && self.error.is_none();
        if done && generation.is_some() && generation == self.generation {
            return;
        }
        match source.read(&self.instance).await {
            Ok(reading) => {
                self.reading = Some(reading);
                self.error = None;
            }
            Err(error) => self.error = Some(error.to_string()),
        }
        self.generation = generation;
    }
}

impl Known {
    /// Reads how the gateway resolves names, if it has names to resolve and something has changed.
    fn read_resolver(&mut self) {
        let Some(reading) = &self.reading else { return };
        let is_host = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Host { .. });
        let mut endpoints = reading.upstreams.iter().flat_map(|one| &one.endpoints);
        if !endpoints.any(is_host) {
            self.resolver = None;
            return;
        }
        let read = || {
            let files = self.instance.files()?;
            let stamps = Resolver::stamps(&files);
            let servers = &reading.name_servers;
            let netns = self.instance.other_netns();
            if let Some(Ok(known)) = &self.resolver
                && (known.netns, &known.program_servers, self.stamps) == (netns, servers, stamps)
            {
                return Ok((Arc::clone(known), stamps));
            }
            let resolver = Resolver::read(&files, netns, servers.clone())?;
            Ok((Arc::new(resolver), stamps))
        };
        match read() {
            Ok((resolver, stamps)) => {
                self.resolver = Some(Ok(resolver));
                self.stamps = stamps;
            }
            // What is known stays: a gateway that ends has no files any more.
            Err(_) if matches!(self.resolver, Some(Ok(_))) => {}
            Err::<_, FileError>(error) => self.resolver = Some(Err(error.to_string())),
        }
    }
}

fn executable(proc_root: &Path, pid: u32) -> std::io::Result<PathBuf> {
    let path = std::fs::read_link(proc_root.join(pid.to_string()).join("exe"))?;
    Ok(super::instance::without_mark(path))
}

#[cfg(test)]
mod tests;
