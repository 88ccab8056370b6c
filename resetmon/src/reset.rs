//! The finished value: one reset, attributed and diagnosed. Every exporter takes it.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::kernel::observation::{KnownBy, Observation};

pub mod evidence;
pub mod words;

pub use evidence::Evidence;
pub use words::{Cause, FailureKind, Leg, Sender, Stage};

/// A container, as its cgroup path or the runtime names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Full id.
    pub id: Arc<str>,
    /// `docker`, `containerd`, `cri-o`, `podman`, …
    pub runtime: &'static str,
    /// uid of the Kubernetes pod, with dashes.
    pub pod_uid: Option<Arc<str>>,
    /// What Kubernetes or the runtime calls it, once known.
    pub names: Option<Arc<ContainerNames>>,
}

/// Names of a container in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerNames {
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Name of the pod.
    pub pod: Arc<str>,
    /// Name of the container within the pod; `None` while only the pod is known.
    pub container: Option<Arc<str>>,
    /// What made the pod, independent of its image, as `Deployment/web`.
    pub workload: Option<Arc<str>>,
}

/// What is known of a process beyond what the kernel's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Its parent when it was first seen, where `/proc` said so.
    pub parent: Option<u32>,
    /// The name to show and label with: the executable's file name, else `comm`.
    pub name: Arc<str>,
    /// Name of the main thread.
    pub comm: Arc<str>,
    /// Path of the executable.
    pub exe: Option<Arc<str>>,
    /// Command line, arguments separated by blanks.
    pub cmdline: Option<Arc<str>>,
    /// The container it runs in.
    pub container: Option<Container>,
    /// systemd unit, where there is no container.
    pub unit: Option<Arc<str>>,
}

/// A process and how it is known to be concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub process: Arc<Process>,
    /// How that is known.
    pub known_by: KnownBy,
}

/// Where the connection stands in a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// Gateway by the name of the configuration.
    pub gateway: Arc<str>,
    /// Route, empty where it cannot be told.
    pub route: Arc<str>,
    /// Upstream, empty on the downstream leg.
    pub upstream: Arc<str>,
    /// Host name by which the upstream's configuration has the remote end, where it is one.
    pub host: Option<Arc<str>>,
    /// Which leg.
    pub leg: Leg,
}

/// What was concluded, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Why.
    pub cause: Cause,
    /// Who made the RST.
    pub sender: Sender,
    /// How far the connection had come.
    pub stage: Stage,
    /// The facts, the deciding one last.
    pub evidence: Evidence,
}

/// Name of a reset or failure within one run of the agent, in exemplars and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResetId(pub u64);

impl std::fmt::Display for ResetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The reset of a gateway's other leg that led to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagated {
    /// Its name.
    pub id: ResetId,
    /// The leg on which it happened: the other one.
    pub leg: Leg,
    /// The other end of that connection.
    pub remote: SocketAddr,
    /// Name of that end.
    pub peer: Arc<str>,
    /// Where that connection stood in the gateway.
    pub route: Option<RouteMatch>,
    /// Why it was reset.
    pub cause: Cause,
}

/// The other end's side of a reset received: the sent reset that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Name of the sent reset.
    pub id: ResetId,
    /// Inode number of the network namespace that sent it.
    pub netns: u32,
    /// Whose socket sent it, else who closed it.
    pub owner: Option<Owner>,
    /// Why it was sent.
    pub cause: Cause,
    /// The fact that decided this.
    pub fact: Option<String>,
    /// The sender had all that it wanted and nothing was left to pass: its reset broke nothing, whatever
    /// its receiver knew of that.
    pub is_settled: bool,
}

impl Twin {
    /// What the other end is called: its pod as `namespace/pod`, else its process.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        let process = &self.owner.as_ref()?.process;
        let container = process.container.as_ref();
        Some(
            match container.and_then(|container| container.names.as_ref()) {
                Some(names) => Arc::from(format!("{}/{}", names.namespace, names.pod)),
                None => Arc::clone(&process.name),
            },
        )
    }

    /// What it adds to the evidence: `the other end, nginx (pid 12) in pod shop/web-0, sent it:
    /// linger_abort (closed with SO_LINGER set to 0)`.
    #[must_use]
    pub fn told(&self) -> String {
        let who = self.owner.as_ref().map_or_else(
            || "the other end is on this node and sent it".to_owned(),
            |owner| {
                let process = &owner.process;
                let container = process.container.as_ref();
                let names = container.and_then(|container| container.names.as_ref());
                let pod = names.map_or(String::new(), |names| {
                    format!(" in pod {}/{}", names.namespace, names.pod)
                });
                let (name, pid) = (&process.name, process.pid);
                format!("the other end, {name} (pid {pid}){pod}, sent it")
            },
        );
        let fact = self.fact.as_ref();
        let fact = fact.map_or(String::new(), |fact| format!(" ({fact})"));
        format!("{who}: {}{fact}", self.cause)
    }
}

/// One reset, finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Its name.
    pub id: ResetId,
    /// Wall-clock time.
    pub time: Timestamp,
    /// What the kernel showed.
    pub observation: Observation,
    /// Whose socket it is.
    pub owner: Option<Owner>,
    /// Who closed or reset it, where that is another process or a dying one.
    pub closer: Option<Owner>,
    /// Name of the peer: from the configuration, the cluster or the route, else its pod or process
    /// if it is on this node ([`Twin::name`]), else its address.
    pub peer: Arc<str>,
    /// Gateway, route, upstream, leg.
    pub route: Option<RouteMatch>,
    /// Cause and evidence.
    pub diagnosis: Diagnosis,
    /// How many RSTs it stands for: over 1 where the programs reported several of one kind
    /// together, because there were too many; this is then the first of them.
    pub packets: u64,
    /// Set if it is a further packet of a logical reset already reported.
    pub repeat_of: Option<ResetId>,
    /// Set if a gateway passed a reset of its other leg on.
    pub propagated_from: Option<Propagated>,
    /// The sent reset that this received one is, if this node sent it too.
    pub twin: Option<Twin>,
}

impl Reset {
    /// The leg, [`Leg::None`] without a gateway.
    #[must_use]
    pub fn leg(&self) -> Leg {
        self.route.as_ref().map_or(Leg::None, |route| route.leg)
    }
}
