//! What the routes and names of a running command follow: gateways that come and go, host names,
//! the cluster, the container runtime, and connections that are translated on their way.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caps::Capability;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::session;
use crate::attribution::cri;
use crate::attribution::nat::{self, Nat};
use crate::config::Config;
use crate::kernel::privilege;
use crate::pipeline::Pipeline;
use crate::routes::discovery::Found;
use crate::routes::finder::Finder;
use crate::routes::kubernetes::names::PodNames;
use crate::routes::kubernetes::{self, Cluster, ClusterView};
use crate::routes::resolve::follower::{Follower, Wanted};
use crate::routes::resolve::{Answer, HostKey};
use crate::routes::table::RouteTable;

/// How long the first look for gateways may delay a start.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Keeps the routes of a pipeline up to date.
pub(super) struct Gateways {
    finder: Option<Finder>,
    /// Looks host names up.
    names: Option<Follower>,
    cluster: Option<Cluster>,
    containers: Option<cri::Runtime>,
    /// Until the pipeline has it.
    nat: Option<Nat>,
    nat_status: Option<Arc<nat::Status>>,
    found: Arc<Vec<Found>>,
    /// What was said of the gateway with this main process.
    told: HashMap<u32, String>,
    /// Host names of which was said that they have no address.
    unresolved: HashSet<HostKey>,
}

/// What has changed.
pub(super) enum Change {
    /// The gateways that were found.
    Found(Arc<Vec<Found>>),
    /// What host names resolve to.
    Addresses(Vec<Answer>),
    /// What the API server says.
    Cluster(Arc<ClusterView>),
    /// What the container runtime calls its containers.
    Containers(Arc<PodNames>),
}

impl Gateways {
    /// Starts to look for gateways and for translated connections, where the configuration wants it.
    ///
    /// To be called before the capabilities are given up that these take.
    pub(super) fn start(config: &Config) -> Self {
        let nat = follow_nat(config);
        Self {
            finder: finder(config),
            names: names(config),
            cluster: None,
            containers: None,
            nat_status: nat.as_ref().map(Nat::status),
            nat,
            found: Arc::default(),
            told: HashMap::new(),
            unresolved: HashSet::new(),
        }
    }

    /// Takes over what the first look finds, unless that takes long, and starts to follow host
    /// names, cluster and container runtime; needs a running event loop.
    pub(super) async fn first_look(&mut self, config: &Config, pipeline: &mut Pipeline) {
        pipeline.set_nat(self.nat.take());
        if config.kubernetes.enabled {
            let runtime = Handle::current();
            self.cluster = start_cluster(config);
            let sockets = cri::SOCKETS.iter().map(PathBuf::from).collect();
            let wanted = pipeline.names_wanted();
            self.containers = Some(cri::spawn(
                &runtime,
                sockets,
                wanted,
                cri::Timing::default(),
            ));
        }
        let end = Instant::now() + FIRST_LOOK;
        while self.finder.is_some()
            && let Ok(change) = tokio::time::timeout_at(end, self.next()).await
        {
            let found = matches!(change, Change::Found(_));
            self.apply(change, pipeline);
            if found {
                break;
            }
        }
        self.reload(pipeline);
    }

    /// Waits for the next change.
    ///
    /// Dropping the future before it is done loses nothing.
    pub(super) async fn next(&mut self) -> Change {
        let found = async {
            match &mut self.finder {
                Some(finder) => finder.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            found = found => Change::Found(found),
            answers = async {
                match &mut self.names {
                    Some(names) => names.next().await,
                    None => std::future::pending().await,
                }
            } => Change::Addresses(answers),
            view = async {
                match &mut self.cluster {
                    Some(cluster) => cluster.next().await,
                    None => std::future::pending().await,
                }
            } => Change::Cluster(view),
            names = async {
                match &mut self.containers {
                    Some(containers) => containers.next().await,
                    None => std::future::pending().await,
                }
            } => Change::Containers(names),
        }
    }

    /// Takes over a change.
    pub(super) fn apply(&mut self, change: Change, pipeline: &mut Pipeline) {
        match change {
            Change::Found(found) => {
                pipeline.set_found(&found);
                self.tell(&found);
                self.found = found;
                self.reload(pipeline);
            }
            Change::Addresses(answers) => {
                self.tell_of_names(&answers);
                pipeline.set_addresses(&answers);
            }
            Change::Cluster(view) => {
                pipeline.set_cluster(view);
                self.reload(pipeline);
            }
            Change::Containers(names) => pipeline.set_containers(&names),
        }
    }

    /// The gateways as they were found last.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// What the cluster does not say, and why.
    pub(super) fn notes(&self) -> Vec<String> {
        let view = self.cluster.as_ref().map(Cluster::view);
        view.map_or_else(Vec::new, |view| view.not_understood.clone())
    }

    /// What is seen, for the first lines of the log, and where to look next.
    pub(super) fn seen(&self) -> String {
        let routes: usize = self
            .found
            .iter()
            .map(|found| found.gateway.routes.len())
            .sum();
        let gateways = match self.found.len() {
            0 => "no gateway is found yet, so resets have no route: `resetmon routes` says more"
                .to_owned(),
            count => format!(
                "gateways found: {count}, with {routes} routes, listed by `resetmon routes`"
            ),
        };
        format!(
            "sees the resets of all processes and network namespaces of this node; {gateways}; \
             `resetmon watch` shows them as they come, the page /status what is not seen"
        )
    }

    /// How following translated connections goes; `None` where it is not wanted.
    pub(super) fn nat_status(&self) -> Option<Arc<nat::Status>> {
        self.nat_status.clone()
    }

    /// Follows the host names of the routes as they are now.
    pub(super) fn reload(&mut self, pipeline: &Pipeline) {
        if let Some(names) = &self.names {
            let wanted = wanted(pipeline.routes(), &self.found);
            let hosts: HashSet<&HostKey> = wanted.hosts.iter().collect();
            self.unresolved.retain(|host| hosts.contains(host));
            names.want(wanted);
        }
    }

    /// Asks for a look soon if `pipeline` has seen a process that may be a new gateway.
    pub(super) fn nudge(&self, pipeline: &mut Pipeline) {
        if pipeline.take_newcomer()
            && let Some(finder) = &self.finder
        {
            finder.nudge();
        }
    }

    /// Says which names have no address, once until they have one.
    fn tell_of_names(&mut self, answers: &[Answer]) {
        for answer in answers {
            match &answer.found {
                Ok(_) => _ = self.unresolved.remove(&answer.host),
                Err(why) if self.unresolved.insert(answer.host.clone()) => {
                    let name = &answer.host.name;
                    tracing::warn!("the host name {name} of a gateway has no address: {why}");
                }
                Err(_) => {}
            }
        }
    }

    /// Says of each gateway what has not been said of it.
    fn tell(&mut self, found: &[Found]) {
        self.told
            .retain(|pid, _| found.iter().any(|found| found.pid == *pid));
        for found in found {
            let text = summary(found);
            let before = self.told.insert(found.pid, text.clone());
            if before.as_ref() == Some(&text) {
                continue;
            }
            if found.error.is_some() {
                tracing::warn!("{text}");
            } else {
                tracing::info!("{text}");
            }
        }
    }
}

/// The host names of `routes`, and by which of the gateways' processes to get to their networks.
pub(super) fn wanted(routes: &RouteTable, found: &[Found]) -> Wanted {
    let mut pids: HashMap<u32, Vec<u32>> = HashMap::new();
    for found in found {
        if let Some(netns) = found.gateway.netns {
            pids.entry(netns).or_default().push(found.pid);
        }
    }
    Wanted {
        hosts: routes.host_names(),
        pids,
    }
}

/// Starts to follow the cluster.
fn start_cluster(config: &Config) -> Option<Cluster> {
    match kubernetes::start(session::cluster(config)) {
        Ok(cluster) => Some(cluster),
        Err(error) => {
            tracing::warn!("Kubernetes is not asked: {error}");
            None
        }
    }
}

/// One line on a gateway.
fn summary(found: &Found) -> String {
    let gateway = &found.gateway;
    let of = format!("gateway {} (process {})", gateway.name, found.pid);
    if let Some(error) = &found.error {
        return format!("{of}: its routes cannot be read: {error}");
    }
    let (routes, upstreams) = (gateway.routes.len(), gateway.upstreams.len());
    let mut text = format!(
        "{of}: routes {routes}, upstreams {upstreams}, from {}",
        found.origin
    );
    if !gateway.not_understood.is_empty() {
        text.push_str("; `resetmon routes` says what was not understood");
    }
    text
}

fn finder(config: &Config) -> Option<Finder> {
    let settings = config.discovery.clone();
    if !settings.enabled {
        return None;
    }
    let give_up = give_up(entering(config), "read routes");
    match Finder::start(PathBuf::from("/proc"), settings, give_up) {
        Ok(finder) => Some(finder),
        Err(error) => {
            tracing::warn!("gateways are not found by themselves: {error}");
            None
        }
    }
}

fn names(config: &Config) -> Option<Follower> {
    let give_up = give_up(entering(config), "look names up");
    match Follower::start(PathBuf::from("/proc"), give_up) {
        Ok(follower) => Some(follower),
        Err(error) => {
            tracing::warn!("host names of upstreams are not looked up: {error}");
            None
        }
    }
}

fn follow_nat(config: &Config) -> Option<Nat> {
    if !config.conntrack {
        return None;
    }
    let enter = config.discovery.enter_network_namespaces;
    let more: &[Capability] = if enter {
        &[Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN]
    } else {
        &[Capability::CAP_NET_ADMIN]
    };
    let give_up = give_up(more, "ask conntrack");
    match Nat::start(PathBuf::from("/proc"), enter, give_up) {
        Ok(nat) => Some(nat),
        Err(error) => {
            tracing::warn!("translated connections (nat.conntrack) are not followed: {error}");
            None
        }
    }
}

/// What entering a network namespace takes, where that is wanted.
fn entering(config: &Config) -> &'static [Capability] {
    if config.discovery.enter_network_namespaces {
        &[Capability::CAP_SYS_ADMIN]
    } else {
        &[]
    }
}

/// Leaves a thread, whose work is `what`, with `more` than every thread keeps.
fn give_up(more: &'static [Capability], what: &'static str) -> impl FnOnce() + Send {
    move || {
        if let Err(error) = privilege::reduce_to(more) {
            tracing::warn!("capabilities that are not needed to {what} are kept: {error}");
        }
    }
}
