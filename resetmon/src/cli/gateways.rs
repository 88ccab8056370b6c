//! What the routes and names of a running command follow: gateways that come and go, host names,
//! the cluster, and the container runtime.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caps::Capability;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::attribution::cri;
use crate::config::Config;
use crate::kernel::privilege;
use crate::pipeline::Pipeline;
use crate::routes::discovery::Found;
use crate::routes::finder::Finder;
use crate::routes::kubernetes::names::PodNames;
use crate::routes::kubernetes::{self, Cluster, ClusterView};
use crate::routes::resolve::{Addresses, resolve};
use crate::routes::table::RouteTable;

/// How often host names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How long one look-up may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);
/// How long the first look for gateways may delay a start.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Keeps the routes of a pipeline up to date.
pub(super) struct Gateways {
    finder: Option<Finder>,
    resolver: Resolver,
    cluster: Option<Cluster>,
    containers: Option<cri::Runtime>,
    found: Arc<Vec<Found>>,
    /// What was said of the gateway with this main process.
    told: HashMap<u32, String>,
}

/// What has changed.
pub(super) enum Change {
    /// The gateways that were found.
    Found(Arc<Vec<Found>>),
    /// What host names resolve to.
    Addresses(Addresses),
    /// What the API server says.
    Cluster(Arc<ClusterView>),
    /// What the container runtime calls its containers.
    Containers(Arc<PodNames>),
}

impl Gateways {
    /// Starts to look for gateways, where the configuration wants it.
    ///
    /// To be called before the capabilities are given up that entering a network namespace takes.
    pub(super) fn start(config: &Config) -> Self {
        Self {
            finder: finder(config),
            resolver: Resolver::idle(),
            cluster: None,
            containers: None,
            found: Arc::default(),
            told: HashMap::new(),
        }
    }

    /// Takes over what the first look finds, unless that takes long, and starts to follow host
    /// names, cluster and container runtime; needs a running event loop.
    pub(super) async fn first_look(&mut self, config: &Config, pipeline: &mut Pipeline) {
        if config.kubernetes.enabled {
            let runtime = Handle::current();
            self.cluster = Some(kubernetes::spawn(&runtime, cluster(config)));
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
            addresses = self.resolver.next() => Change::Addresses(addresses),
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
            Change::Addresses(addresses) => pipeline.set_addresses(&addresses),
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

    /// Follows the host names of the routes as they are now.
    pub(super) fn reload(&mut self, pipeline: &Pipeline) {
        self.resolver = Resolver::start(pipeline.routes());
    }

    /// Asks for a look soon if `pipeline` has seen a process that may be a new gateway.
    pub(super) fn nudge(&self, pipeline: &mut Pipeline) {
        if pipeline.take_newcomer()
            && let Some(finder) = &self.finder
        {
            finder.nudge();
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

/// How to reach the cluster, if there is one.
fn cluster(config: &Config) -> kubernetes::Settings {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    kubernetes::Settings::from_environment(
        config.kubernetes.node.as_deref(),
        |name| std::env::var(name).ok(),
        &host,
    )
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
    let more: &[Capability] = if settings.enter_network_namespaces {
        &[Capability::CAP_SYS_ADMIN]
    } else {
        &[]
    };
    let give_up = move || {
        if let Err(error) = privilege::reduce_to(more) {
            tracing::warn!("capabilities that are not needed to read routes are kept: {error}");
        }
    };
    match Finder::start(PathBuf::from("/proc"), settings, give_up) {
        Ok(finder) => Some(finder),
        Err(error) => {
            tracing::warn!("gateways are not found by themselves: {error}");
            None
        }
    }
}

/// Looks host names up now and then, in the background.
struct Resolver {
    answers: Option<Receiver<Addresses>>,
    task: Option<AbortHandle>,
}

impl Resolver {
    /// Looks nothing up.
    const fn idle() -> Self {
        Self {
            answers: None,
            task: None,
        }
    }

    /// For the host names of `routes`; needs a running event loop.
    fn start(routes: &RouteTable) -> Self {
        let names = routes.host_names();
        if names.is_empty() {
            return Self::idle();
        }
        let (send, answers) = channel(1);
        let task = tokio::spawn(async move {
            loop {
                let resolution = resolve(names.clone(), RESOLVE_LIMIT).await;
                for (name, reason) in &resolution.failed {
                    tracing::warn!(
                        "the host name {name} of the configuration has no address: {reason}"
                    );
                }
                if send.send(resolution.addresses).await.is_err() {
                    return;
                }
                tokio::time::sleep(RESOLVE_EVERY).await;
            }
        });
        Self {
            answers: Some(answers),
            task: Some(task.abort_handle()),
        }
    }

    /// Waits for the next answers; for ever if there is nothing to look up.
    ///
    /// Dropping the future before it is done loses nothing.
    async fn next(&mut self) -> Addresses {
        if let Some(answers) = &mut self.answers
            && let Some(addresses) = answers.recv().await
        {
            return addresses;
        }
        std::future::pending().await
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
