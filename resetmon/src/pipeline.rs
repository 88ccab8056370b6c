//! The way of an event through the agent: record → observation → attribution → diagnosis → [`Event`].
//!
//! [`Pipeline`] does no input or output but for the /proc entries of processes, what else
//! [`Surroundings`] reads, and what it asks a [`Nat`]; [`pump`] drives it from the ring buffer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_ebpf_common::tally::Aggregate;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use crate::attribution::nat::Nat;
use crate::attribution::peer::PeerNames;
use crate::attribution::process::Processes;
use crate::config::Config;
use crate::diagnosis::cause::{acquit_peer, diagnose, stage};
use crate::diagnosis::failure::judge;
use crate::diagnosis::merge::Merge;
use crate::diagnosis::outlived::Outlived;
use crate::diagnosis::propagation::Propagation;
use crate::diagnosis::reject::Rejects;
use crate::diagnosis::repeat::Repeats;
use crate::diagnosis::twin::Twins;
use crate::event::Event;
use crate::failure::Failure;
use crate::kernel::clock::{Anchor, Clock};
use crate::kernel::counters::namespaces::Readings;
use crate::kernel::decode::{DecodeError, Record, decode, ending};
use crate::kernel::observation::{Failed, Observation, TcpState};
use crate::kernel::reasons::Reasons;
use crate::kernel::ring::Ring;
use crate::reset::{Reset, ResetId, Twin};
use crate::routes::discovery::Found;
use crate::routes::kubernetes::ClusterView;
use crate::routes::kubernetes::names::PodNames;
use crate::routes::precedence;
use crate::routes::resolve::Answer;
use crate::routes::source::PROGRAMS;
use crate::routes::table::{Gateway, RouteTable};
use crate::surroundings::Surroundings;
use attributed::Attributed;

mod attributed;

/// How often the wall clock is compared again, in resets' own time: it may be set.
const ANCHOR_AGE: Duration = Duration::from_secs(10);

/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Everything between a record and a finished [`Event`].
#[derive(Debug)]
pub struct Pipeline {
    clock: Clock,
    anchored: Duration,
    reasons: Reasons,
    merge: Merge,
    rejects: Rejects,
    outlived: Outlived,
    repeats: Repeats,
    twins: Twins,
    propagation: Propagation,
    surroundings: Surroundings,
    processes: Processes,
    /// Gateways described by hand, and those found.
    by_hand: Vec<Gateway>,
    found: Vec<Found>,
    /// Their pods by process, remembered past its end.
    found_pods: HashMap<u32, Option<Arc<str>>>,
    /// Gateways as the cluster describes them.
    by_cluster: Vec<Gateway>,
    routes: RouteTable,
    peers: PeerNames,
    /// Tells where translated connections lead.
    nat: Option<Nat>,
    /// A process has appeared that may be a gateway.
    newcomer: bool,
    next_id: u64,
    malformed: u64,
}

impl Pipeline {
    /// A pipeline for one run of the agent.
    #[must_use]
    pub fn new(clock: Clock, reasons: Reasons, processes: Processes, config: &Config) -> Self {
        Self {
            clock,
            anchored: Duration::ZERO,
            reasons,
            merge: Merge::default(),
            rejects: Rejects::default(),
            outlived: Outlived::default(),
            repeats: Repeats::default(),
            twins: Twins::default(),
            propagation: Propagation::default(),
            surroundings: Surroundings::new(processes.proc_root().to_owned(), CGROUPS.into()),
            processes,
            by_hand: config.gateways.clone(),
            found: Vec::new(),
            found_pods: HashMap::new(),
            by_cluster: Vec::new(),
            routes: RouteTable::new(config.gateways.clone()),
            peers: peer_names(config),
            nat: None,
            newcomer: false,
            next_id: first_id(Anchor::now().wall.as_second()),
            malformed: 0,
        }
    }

    /// Takes over a new configuration; what host names resolved to is kept.
    pub fn configure(&mut self, config: &Config) {
        self.by_hand.clone_from(&config.gateways);
        self.peers = peer_names(config).with_cluster(Arc::clone(self.peers.cluster()));
        self.build_routes();
    }

    /// Takes over the gateways that were found by themselves.
    pub fn set_found(&mut self, found: &[Found]) {
        self.found = found.to_vec();
        let known = std::mem::take(&mut self.found_pods);
        self.found_pods = found
            .iter()
            .map(|found| {
                let known = known.get(&found.pid).cloned().flatten();
                (
                    found.pid,
                    known.or_else(|| self.processes.pod_uid(found.pid)),
                )
            })
            .collect();
        self.build_routes();
    }

    /// True if a process that may be a gateway has appeared since the last call.
    pub fn take_newcomer(&mut self) -> bool {
        std::mem::take(&mut self.newcomer)
    }

    /// Takes over the cluster's names of peers, pods and containers; its gateways are the caller's.
    pub fn set_cluster(&mut self, cluster: Arc<ClusterView>) {
        self.processes.learn_names(&cluster.pods);
        self.by_cluster.clone_from(&cluster.gateways);
        self.peers = self.peers.clone().with_cluster(cluster);
        self.build_routes();
    }

    /// Takes over what the container runtime calls pods and containers.
    pub fn set_containers(&mut self, pods: &PodNames) {
        self.processes.learn_names(pods);
    }

    /// Takes over whom to ask where translated connections lead.
    pub fn set_nat(&mut self, nat: Option<Nat>) {
        self.nat = nat;
    }

    /// Told when a container of a pod has no name yet, so that its runtime can be asked.
    #[must_use]
    pub fn names_wanted(&self) -> Arc<Notify> {
        self.processes.names_wanted()
    }

    fn build_routes(&mut self) {
        let pod_of = |pid| self.found_pods.get(&pid).cloned().flatten();
        let gateways = precedence::merged(&self.by_hand, &self.by_cluster, &self.found, pod_of);
        self.routes = RouteTable::new(gateways).with_addresses_of(&self.routes);
    }

    /// Takes over the kernel's counters of every network namespace, as they are now.
    pub fn learn_counters(&mut self, readings: &Readings) {
        self.surroundings.learn(readings, since_boot());
    }

    /// The routes in force.
    #[must_use]
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// Takes over what host names resolve to now.
    pub fn set_addresses(&mut self, answers: &[Answer]) {
        let routes = std::mem::take(&mut self.routes);
        self.routes = routes.with_addresses(answers, since_boot());
    }

    /// Records that could not be decoded so far.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Takes one record and hands over the events that it completes, in order.
    pub fn feed(&mut self, record: &[u8], mut out: impl FnMut(Event)) {
        let reasons = &self.reasons;
        match decode(record, self.clock.tick(), |number| reasons.name(number)) {
            Ok(Record::Process { sighting, .. }) => {
                self.newcomer |= is_gateway(&sighting.exe_name);
                self.processes.observe(&sighting);
            }
            Ok(Record::Reset(observation)) => {
                let standing = self.merge.push(observation);
                self.hand_over(standing, &mut out);
            }
            Ok(Record::Failure(failed)) => {
                if let Some(failure) = self.fail(failed, 1) {
                    out(Event::Failure(failure));
                }
            }
            Err(error) => self.skip(&error, 1),
        }
    }

    fn skip(&mut self, error: &DecodeError, records: u64) {
        self.malformed = self.malformed.saturating_add(records);
        tracing::warn!("a record of the eBPF programs was skipped: {error}");
    }

    /// Takes resets or failures of one kind that the programs reported together.
    pub fn feed_aggregate(&mut self, aggregate: &Aggregate, mut out: impl FnMut(Event)) {
        let reasons = &self.reasons;
        let first = ending(&aggregate.first, self.clock.tick(), |n| reasons.name(n));
        match first {
            Ok(Record::Reset(observation)) => {
                out(Event::Reset(self.finish(observation, aggregate.count)));
            }
            Ok(Record::Failure(failed)) => {
                if let Some(failure) = self.fail(failed, aggregate.count) {
                    out(Event::Failure(failure));
                }
            }
            // There are none of processes.
            Ok(Record::Process { .. }) => {}
            Err(error) => self.skip(&error, aggregate.count),
        }
    }

    /// Hands over what was held back and is due at `now`, since boot.
    pub fn expire(&mut self, now: Duration, mut out: impl FnMut(Event)) {
        let standing = self.merge.expire(now);
        self.hand_over(standing, &mut out);
        let mut joined = Vec::new();
        self.twins.expire(now, &mut joined);
        self.link(&mut joined, &mut out);
        let known = self.twins.waits_since().map_or(now, |since| since.min(now));
        self.propagation.expire(known, &mut joined);
        joined.into_iter().map(Event::Reset).for_each(out);
    }

    /// Hands over everything held back, at the end of a run.
    pub fn end(&mut self, mut out: impl FnMut(Event)) {
        let standing = self.merge.finish();
        self.hand_over(standing, &mut out);
        let mut joined = Vec::new();
        self.twins.finish(&mut joined);
        self.link(&mut joined, &mut out);
        self.propagation.finish(&mut joined);
        joined.into_iter().map(Event::Reset).for_each(out);
    }

    /// When [`Self::expire`] has something to do next, since boot.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        // What waits for its twin comes first.
        let first = self.twins.waits_since();
        let is_next = |deadline: &Duration| first.is_none_or(|first| *deadline <= first);
        let deadlines = [
            self.merge.next_deadline(),
            self.twins.next_deadline(),
            self.propagation.next_deadline().filter(is_next),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn hand_over(&mut self, observations: Vec<Observation>, mut out: impl FnMut(Event)) {
        let mut joined = Vec::new();
        for observation in observations {
            let reset = self.finish(observation, 1);
            self.twins.push(reset, &mut joined);
            self.link(&mut joined, &mut out);
        }
    }

    /// The last steps, for those that have met their twin or have none.
    fn link(&mut self, joined: &mut Vec<Reset>, mut out: impl FnMut(Event)) {
        let mut linked = Vec::new();
        for mut reset in joined.drain(..) {
            let twin = reset.twin.as_ref().and_then(Twin::name);
            let host = reset.route.as_ref().and_then(|route| route.host.as_ref());
            if let Some(name) = twin
                && host.is_none()
                && self.peers.given(reset.observation.remote.ip()).is_none()
            {
                reset.peer = name;
            }
            if let Some(state) = self.surroundings.other_end(&reset, since_boot()) {
                acquit_peer(&mut reset.diagnosis, not_sent_here(state));
            }
            self.propagation.push(reset, &mut linked);
            linked.drain(..).map(Event::Reset).for_each(&mut out);
        }
    }

    fn finish(&mut self, mut observation: Observation, packets: u64) -> Reset {
        let id = self.name();
        self.rejects.mark(&mut observation);
        self.outlived.mark(&mut observation);
        let repeat_of = self.repeats.mark(id, &mut observation);
        let Attributed {
            owner,
            closer,
            route,
            peer,
            translated,
        } = self.attribute(&observation);
        let mut diagnosis = diagnose(&observation);
        let overload = (packets == 1).then(|| self.overload(&observation, diagnosis.cause));
        for fact in translated.into_iter().chain(overload.into_iter().flatten()) {
            diagnosis.evidence.say(fact);
        }
        Reset {
            id,
            time: self.wall(observation.time),
            diagnosis,
            owner,
            closer,
            peer,
            route,
            packets,
            repeat_of,
            propagated_from: None,
            twin: None,
            observation,
        }
    }

    /// The failure that `failed` is, if it is one.
    fn fail(&mut self, failed: Failed, count: u64) -> Option<Failure> {
        let (kind, mut evidence) = judge(&failed)?;
        let Failed {
            ended,
            unanswered,
            observation,
        } = failed;
        let Attributed {
            owner,
            closer,
            route,
            peer,
            translated,
        } = self.attribute(&observation);
        if let Some(translated) = translated {
            evidence.say(translated);
        }
        Some(Failure {
            id: self.name(),
            time: self.wall(observation.time),
            owner,
            closer,
            peer,
            route,
            kind,
            stage: stage(&observation),
            ended,
            unanswered,
            evidence,
            count,
            observation,
        })
    }

    fn name(&mut self) -> ResetId {
        let id = ResetId(self.next_id);
        self.next_id += 1;
        id
    }

    fn wall(&mut self, time: Duration) -> jiff::Timestamp {
        if time.saturating_sub(self.anchored) >= ANCHOR_AGE {
            self.clock = Clock::new(self.clock.hz(), Anchor::now());
            self.anchored = time;
        }
        self.clock.wall(time)
    }
}

/// True for an executable by whose name gateways go; the sources then judge by more.
fn is_gateway(exe_name: &[u8]) -> bool {
    PROGRAMS
        .iter()
        .any(|program| program.as_bytes() == exe_name)
}

/// Ids of one run begin with the second in which it started, so that no two runs share one.
fn first_id(unix_seconds: i64) -> u64 {
    u64::from(u32::try_from(unix_seconds).unwrap_or(u32::MAX)) << 32
}

fn peer_names(config: &Config) -> PeerNames {
    let networks = config.peers.iter().flat_map(|peer| {
        peer.networks
            .iter()
            .map(|network| (*network, Arc::clone(&peer.name)))
    });
    PeerNames::new(
        networks,
        config.metrics.peer_prefix_v4,
        config.metrics.peer_prefix_v6,
    )
}

/// Of a received reset whose sender's socket lives.
fn not_sent_here(state: TcpState) -> String {
    format!(
        "nobody on this node sent it: the other end's socket is here and still in {}, so a packet \
         filter or an injector made the RST",
        state.name()
    )
}

/// `CLOCK_MONOTONIC` now, as records have it.
#[must_use]
pub fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// Waits for what comes next, records or a deadline, and hands over the events it completes.
///
/// Dropping the future between two calls loses nothing.
pub async fn pump(
    ring: &mut Ring,
    pipeline: &mut Pipeline,
    mut out: impl FnMut(Event),
) -> std::io::Result<()> {
    let deadline = pipeline.next_deadline();
    let held = async {
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline.saturating_sub(since_boot())).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = held => {
            // What the ring holds already may retract what is due.
            ring.catch_up(|record| pipeline.feed(record, &mut out)).await;
            pipeline.expire(since_boot(), out);
            Ok(())
        }
        read = ring.read(|record| pipeline.feed(record, &mut out)) => read,
    }
}
