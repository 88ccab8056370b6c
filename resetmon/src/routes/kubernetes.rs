//! Kubernetes: gateways, routes and names by watch.
//!
//! Gateway API and Ingress objects become gateways of the table, Services and `EndpointSlices`
//! their upstreams; nodes, Services and pods name addresses, and the pods of this node name
//! containers. Everything but pods is watched in the whole cluster, since the backends of a node's
//! gateways are anywhere; of pods only this node's.
//!
//! [`Objects`](objects::Objects) → [`ClusterView`] is pure; [`start`] is the edge. What the API
//! server last said stays in force while it does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{mpsc, watch as slot};
use tokio::task::JoinSet;

use self::kind::Kind;
use self::names::{AddressNames, PodNames};
use self::objects::{Change, Objects};
use self::services::Services;
use self::watch::{Step, Trouble, Watch};
use super::table::Gateway;

mod data_plane;
mod gateway_api;
mod ingress;
pub mod kind;
pub mod model;
pub mod names;
pub mod objects;
mod services;
mod watch;

/// Lines of what was not understood that are kept.
const MAX_NOTES: usize = 200;
/// Steps of watches that may wait to be taken over.
const QUEUE: usize = 256;
/// Which API servers hang, rather than fail.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest silence of an answer: more than a quiet watch has.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// What the cluster says at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Gateways and ingress classes with pods on this node.
    pub gateways: Vec<Gateway>,
    /// Names of other ends.
    pub names: AddressNames,
    /// Names of this node's pods and containers.
    pub pods: PodNames,
    /// What could not be read, and why, for `resetmon routes`; what belongs to one gateway is there.
    pub not_understood: Vec<String>,
    /// Every kind has been listed, or the API server said that it cannot be.
    pub complete: bool,
}

impl ClusterView {
    /// The view of `objects`.
    #[must_use]
    pub fn of(objects: &Objects) -> Self {
        let mut notes: BTreeSet<String> = objects.misshapen().collect();
        let services = Services::new(objects);
        let mut gateways = gateway_api::gateways(objects, &services, &mut notes);
        gateways.extend(ingress::gateways(objects, &services, &mut notes));
        for gateway in &mut gateways {
            bound(&mut gateway.not_understood);
        }
        let mut not_understood = notes.into_iter().collect();
        bound(&mut not_understood);
        Self {
            gateways,
            names: AddressNames::of(objects),
            pods: PodNames::of(objects),
            not_understood,
            complete: false,
        }
    }
}

/// Keeps the first lines and counts the others.
fn bound(notes: &mut Vec<String>) {
    if notes.len() > MAX_NOTES {
        let more = notes.len() - MAX_NOTES;
        notes.truncate(MAX_NOTES);
        notes.push(format!("and {more} more"));
    }
}

/// How to reach the API server, and as what.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// This node's name in the cluster.
    pub node: Arc<str>,
    /// Which API server.
    pub access: Access,
    /// How often.
    pub timing: Timing,
}

/// Where the API server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// There is none: nothing is started.
    #[default]
    None,
    /// As the pod's service account.
    InCluster,
    /// As a kubeconfig file says, in its current context.
    Kubeconfig(PathBuf),
}

/// Times; the defaults suit everybody but tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A view is made when nothing has changed for so long …
    pub quiet: Duration,
    /// … or this long after the first change.
    pub latest: Duration,
    /// Pause after a failed request; it doubles with each further one …
    pub retry_first: Duration,
    /// … up to this.
    pub retry_last: Duration,
    /// A watch that has not failed for so long is well again.
    pub settled: Duration,
    /// When a kind that the API server does not have is looked for again the first time …
    pub absent_first: Duration,
    /// … and later.
    pub absent_later: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(500),
            latest: Duration::from_secs(5),
            retry_first: Duration::from_secs(1),
            retry_last: Duration::from_secs(60),
            settled: Duration::from_secs(10),
            absent_first: Duration::from_secs(15),
            absent_later: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// From the environment as `variable` reads it: `KUBECONFIG`, else the service account
    /// (`KUBERNETES_SERVICE_HOST`), else nothing; the node by `node`, else `NODE_NAME`, else the
    /// host's name.
    #[must_use]
    pub fn from_environment(
        node: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
        host_name: &str,
    ) -> Self {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let access = if let Some(path) = variable("KUBECONFIG") {
            // A list of files: the first one decides.
            let path = path.split(':').find(|path| !path.is_empty());
            path.map_or(Access::None, |path| Access::Kubeconfig(path.into()))
        } else if variable("KUBERNETES_SERVICE_HOST").is_some() {
            Access::InCluster
        } else {
            Access::None
        };
        let node = node.map(str::to_owned).or_else(|| variable("NODE_NAME"));
        // The kubelet takes the host's name in lower case.
        let node = node.unwrap_or_else(|| host_name.to_ascii_lowercase());
        Self {
            node: node.into(),
            access,
            timing: Timing::default(),
        }
    }
}

/// Why the API server is not even asked.
#[derive(Debug, thiserror::Error)]
enum AccessError {
    #[error(
        "the kubeconfig {} cannot be used: {source}; correct it, or unset KUBECONFIG",
        .path.display()
    )]
    Kubeconfig {
        path: PathBuf,
        source: kube::config::KubeconfigError,
    },
    #[error(
        "the kubeconfig {} gets its credentials from a command, and resetmon runs none: give the \
         user a token, a tokenFile or a client certificate",
        .0.display()
    )]
    Command(PathBuf),
    #[error("the service account cannot be used: {0}; is its token mounted?")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("no client can be made for the API server: {0}")]
    Client(#[from] kube::Error),
}

/// The watches, on a thread of their own that ends when this is dropped: a long first list holds
/// up neither resets nor scrapes.
#[derive(Debug)]
pub struct Cluster {
    views: slot::Receiver<Arc<ClusterView>>,
}

impl Cluster {
    /// The view at the moment; empty without Kubernetes and before its first answers.
    #[must_use]
    pub fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.views.borrow())
    }

    /// Waits for the next view; for ever without Kubernetes.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn next(&mut self) -> Arc<ClusterView> {
        if self.views.changed().await.is_ok() {
            return Arc::clone(&self.views.borrow_and_update());
        }
        std::future::pending().await
    }
}

/// Starts the watches; without an API server nothing is started.
///
/// Errors: no thread can be started.
pub fn start(settings: Settings) -> std::io::Result<Cluster> {
    let (views, receiver) = slot::channel(Arc::default());
    if settings.access != Access::None {
        std::thread::Builder::new()
            .name("kubernetes".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => runtime.block_on(async {
                        tokio::select! {
                            () = views.closed() => {}
                            () = run(settings, &views) => {}
                        }
                    }),
                    Err(error) => tracing::error!("Kubernetes: no event loop: {error}"),
                }
            })?;
    }
    Ok(Cluster { views: receiver })
}

async fn run(settings: Settings, views: &slot::Sender<Arc<ClusterView>>) {
    let client = match connect(&settings.access).await {
        Ok(Some(client)) => client,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!("Kubernetes: {error}");
            views.send_replace(Arc::new(ClusterView {
                not_understood: vec![format!("Kubernetes: {error}")],
                complete: true,
                ..ClusterView::default()
            }));
            return;
        }
    };
    let (out, mut steps) = mpsc::channel(QUEUE);
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        let watch = Watch {
            client: client.clone(),
            kind,
            node: Arc::clone(&settings.node),
            timing: settings.timing,
            out: out.clone(),
        };
        watches.spawn(watch.run());
    }
    drop(out);
    let mut state = State::default();
    while let Some((kind, step)) = steps.recv().await {
        state.take(kind, step);
        let latest = tokio::time::Instant::now() + settings.timing.latest;
        loop {
            tokio::select! {
                step = steps.recv() => match step {
                    Some((kind, step)) => state.take(kind, step),
                    None => return,
                },
                () = tokio::time::sleep(settings.timing.quiet) => break,
                () = tokio::time::sleep_until(latest) => break,
            }
        }
        let view = state.view(&settings.node);
        views.send_if_modified(|known| {
            let changed = **known != view;
            if changed {
                *known = Arc::new(view);
            }
            changed
        });
    }
}

async fn connect(access: &Access) -> Result<Option<Client>, AccessError> {
    let mut config = match access {
        Access::None => return Ok(None),
        Access::InCluster => Config::incluster()?,
        Access::Kubeconfig(path) => {
            let failed = |source| AccessError::Kubeconfig {
                path: path.clone(),
                source,
            };
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            let config = config.map_err(failed)?;
            if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
                return Err(AccessError::Command(path.clone()));
            }
            config
        }
    };
    // The client asks for the process's default; an error means that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.connect_timeout = Some(CONNECT_LIMIT);
    config.read_timeout = Some(READ_LIMIT);
    config.reset_reader_on_write = true;
    Ok(Some(Client::try_from(config)?))
}

/// Everything that the watches have told.
#[derive(Default)]
struct State {
    objects: Objects,
    troubles: BTreeMap<Kind, Trouble>,
    /// Kinds that were listed, or cannot be.
    answered: BTreeSet<Kind>,
}

impl State {
    fn take(&mut self, kind: Kind, step: Step) {
        match step {
            Step::Change(change) => {
                if matches!(change, Change::InitDone) {
                    self.answered.insert(kind);
                }
                self.objects.apply(kind, change);
            }
            Step::Trouble(trouble) => {
                self.answered.insert(kind);
                let before = self.troubles.get(&kind);
                if let Some(trouble) = trouble {
                    if before != Some(&trouble)
                        && let Some(text) = trouble.shown(kind)
                    {
                        tracing::warn!("Kubernetes: {text}");
                    }
                    self.troubles.insert(kind, trouble);
                } else {
                    if before.is_some_and(|before| *before != Trouble::Absent) {
                        tracing::info!("Kubernetes: {kind} is watched again");
                    }
                    self.troubles.remove(&kind);
                }
            }
        }
    }

    fn view(&self, node: &str) -> ClusterView {
        let mut view = ClusterView::of(&self.objects);
        let troubles = self.troubles.iter();
        let mut notes: Vec<String> = troubles
            .filter_map(|(kind, trouble)| trouble.shown(*kind))
            .collect();
        let mut known = self.objects.nodes().peekable();
        if known.peek().is_some() && !known.any(|(key, _)| *key.name == *node) {
            notes.push(format!(
                "no Node is called {node}, so that no pod counts as this node's: set NODE_NAME to \
                 the node's name (in a pod by the downward API, spec.nodeName)"
            ));
        }
        notes.append(&mut view.not_understood);
        view.not_understood = notes;
        view.complete = self.answered.len() == Kind::ALL.len();
        view
    }
}

#[cfg(test)]
mod tests;
