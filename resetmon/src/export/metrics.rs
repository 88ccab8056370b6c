//! Prometheus metrics.
//!
//! Every counter of resets counts RST packets, so a logical reset of three packets counts three and
//! the sums equal the kernel's own counters; the histograms observe a connection once, and the
//! counters of failures count it once for each of its ends that is on this node.
//!
//! Series are kept by `bounded::Bounded` and not by the client library's families, which can
//! neither be capped nor tell when a series was last touched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::histogram::Histogram;

use super::facts::idle;
use super::process::Usage;
use crate::event::{Context, Event};
use crate::failure::Failure;
use crate::kernel::observation::Direction;
use crate::reset::{FailureKind, Reset, ResetId, Sender};

mod bounded;
mod labels;
mod page;
#[cfg(test)]
mod tests;

use bounded::Bounded;
use labels::{
    ConnectionLabels, FailureLabels, PeerLabels, ProcessLabels, ResetLabels, RouteFailureLabels,
    RouteLabels,
};

pub use page::Format;

/// Upper bounds of the buckets, seconds.
///
/// Among them are the time limits that proxies, clouds and the kernel come with: 60 (nginx, AWS
/// ALB), 75 (nginx keep-alive), 240 (Azure), 300 (Envoy, `HAProxy` tunnels), 350 (AWS NLB), 600
/// (Google), 3600, 7200 (`tcp_keepalive_time`) and 432000 (conntrack). A limit fires a moment after
/// its time, so its resets are in the bucket that *begins* there.
pub const BUCKETS: [f64; 27] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 75.0, 120.0, 180.0,
    240.0, 300.0, 350.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 28_800.0, 86_400.0, 432_000.0,
];

/// Lines of one histogram: its buckets, `+Inf`, sum and count.
const HISTOGRAM_LINES: usize = BUCKETS.len() + 3;

/// How far the metrics may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series of one family, without the few where `other` stands for what did not fit. A
    /// histogram counts with each of its lines.
    pub max_series: usize,
    /// A series that is idle for longer is removed once it was scraped; never one of
    /// `resetmon_resets_total`.
    pub max_idle: Duration,
    /// Characters of a label value; what is longer is cut and ends in `…`.
    pub max_label: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_series: 5000,
            max_idle: Duration::from_secs(3600),
            max_label: 128,
        }
    }
}

/// The exemplar of a route's counter: `id` of the last event, as in the JSON lines.
type ExemplarLabels = [(&'static str, String); 1];

#[derive(Debug)]
struct State {
    max_label: usize,
    resets: Bounded<ResetLabels, u64>,
    processes: Bounded<ProcessLabels, u64>,
    routes: Bounded<RouteLabels, CounterWithExemplar<ExemplarLabels>>,
    peers: Bounded<PeerLabels, u64>,
    failures: Bounded<FailureLabels, u64>,
    route_failures: Bounded<RouteFailureLabels, CounterWithExemplar<ExemplarLabels>>,
    age: Bounded<ConnectionLabels, Histogram>,
    idle: Bounded<ConnectionLabels, Histogram>,
    lost: BTreeMap<&'static str, KernelTotal>,
    refused: BTreeMap<String, KernelTotal>,
    probes: BTreeMap<String, bool>,
    kernel: BTreeMap<&'static str, u64>,
    unaccounted: Option<i64>,
    recursion: BTreeMap<&'static str, KernelTotal>,
    malformed: u64,
    process: Option<Usage>,
}

/// A total kept elsewhere, as a counter that only grows.
#[derive(Clone, Copy, Debug, Default)]
struct KernelTotal {
    counter: u64,
    seen: u64,
}

impl KernelTotal {
    /// A total below the last one seen began anew, and counts from zero.
    fn advance(&mut self, total: u64) {
        let growth = total.checked_sub(self.seen).unwrap_or(total);
        self.counter = self.counter.saturating_add(growth);
        self.seen = total;
    }
}

/// The metrics of one agent; a clone is a further handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    state: Arc<Mutex<State>>,
}

impl Metrics {
    /// Metrics without any reset yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let cap = limits.max_series;
        let idle = Some(limits.max_idle);
        let histograms = (cap / HISTOGRAM_LINES).max(1);
        let histogram = || Histogram::new(BUCKETS);
        Self {
            state: Arc::new(Mutex::new(State {
                max_label: limits.max_label,
                resets: Bounded::new(cap, None, u64::default),
                processes: Bounded::new(cap, idle, u64::default),
                routes: Bounded::new(cap, idle, CounterWithExemplar::default),
                peers: Bounded::new(cap, idle, u64::default),
                failures: Bounded::new(cap, idle, u64::default),
                route_failures: Bounded::new(cap, idle, CounterWithExemplar::default),
                age: Bounded::new(histograms, idle, histogram),
                idle: Bounded::new(histograms, idle, histogram),
                lost: BTreeMap::new(),
                refused: BTreeMap::new(),
                probes: BTreeMap::new(),
                kernel: BTreeMap::new(),
                unaccounted: None,
                recursion: BTreeMap::new(),
                malformed: 0,
                process: None,
            })),
        }
    }

    /// Counts one reset.
    pub fn record(&self, reset: &Reset) {
        self.record_at(reset, Instant::now());
    }

    fn record_at(&self, reset: &Reset, now: Instant) {
        let mut state = self.state();
        let most = state.max_label;
        *state.resets.at(ResetLabels::of(reset, most), now) += reset.packets;
        *state.processes.at(ProcessLabels::of(reset, most), now) += reset.packets;
        *state.peers.at(PeerLabels::of(reset, most), now) += reset.packets;
        if let Some(labels) = RouteLabels::of(reset, most) {
            let route = state.routes.at(labels, now);
            with_exemplar(route, reset.packets, reset.id, reset.time);
        }
        if let Some(kind) = reset.failure() {
            let named = (reset.id, reset.time);
            state.failed(Context::from(reset), kind, reset.packets, named, now);
        }
        if reset.repeat_of.is_some() {
            return;
        }
        let labels = ConnectionLabels::of(reset, most);
        if let Some(age) = reset.observation.age {
            let histogram = state.age.at(labels.clone(), now);
            histogram.observe(age.as_secs_f64());
        }
        if let Some(idle) = idle(&reset.observation) {
            state.idle.at(labels, now).observe(idle.as_secs_f64());
        }
    }

    /// Counts a connection that failed without a reset.
    pub fn record_failure(&self, failure: &Failure) {
        let named = (failure.id, failure.time);
        let now = Instant::now();
        let context = Context::from(failure);
        self.state()
            .failed(context, failure.kind, failure.count, named, now);
    }

    /// Counts one event.
    pub fn record_event(&self, event: &Event) {
        match event {
            Event::Reset(reset) => self.record(reset),
            Event::Failure(failure) => self.record_failure(failure),
        }
    }

    /// Counts `connections` that failed without a reset, of which nothing else is known.
    pub fn record_bare_failures(&self, connections: u64) {
        *self
            .state()
            .failures
            .at(FailureLabels::bare(), Instant::now()) += connections;
    }

    /// Counts `packets` resets of which nothing is known but the direction and who sent them.
    pub fn record_bare(&self, direction: Direction, sender: Sender, packets: u64) {
        *self
            .state()
            .resets
            .at(ResetLabels::bare(direction, sender), Instant::now()) += packets;
    }

    /// Takes over the total of events lost at `place` (`ring_buffer`, …), as its keeper counts it.
    pub fn set_events_lost(&self, place: &'static str, total: u64) {
        self.state().lost.entry(place).or_default().advance(total);
    }

    /// Takes over how many records could not be decoded so far.
    pub fn set_malformed(&self, records: u64) {
        let mut state = self.state();
        state.malformed = state.malformed.max(records);
    }

    /// Takes over the total of received resets that the kernel refused for `reason`.
    pub fn set_refused(&self, reason: &str, total: u64) {
        let mut state = self.state();
        if !state.refused.contains_key(reason) {
            state
                .refused
                .insert(reason.to_owned(), KernelTotal::default());
        }
        if let Some(counter) = state.refused.get_mut(reason) {
            counter.advance(total);
        }
    }

    /// Says whether a probe is attached.
    pub fn set_probe(&self, probe: &str, attached: bool) {
        self.state().probes.insert(probe.to_owned(), attached);
    }

    /// Takes over how far a counter of the kernel has grown, in all network namespaces together.
    pub fn set_kernel_resets(&self, counter: &'static str, total: u64) {
        let mut state = self.state();
        let growth = state.kernel.entry(counter).or_default();
        *growth = (*growth).max(total);
    }

    /// Takes over the difference between the kernel's count of resets sent and ours.
    pub fn set_unaccounted(&self, resets: i64) {
        self.state().unaccounted = Some(resets);
    }

    /// Takes over how often a probe's program was suppressed because it was running already.
    pub fn set_recursion_misses(&self, probe: &'static str, total: u64) {
        let mut state = self.state();
        state.recursion.entry(probe).or_default().advance(total);
    }

    /// Takes over what this process uses.
    pub fn set_process(&self, usage: Usage) {
        self.state().process = Some(usage);
    }

    /// Appends the page in `format`.
    ///
    /// Series idle for longer than [`Limits::max_idle`] are removed after they were written, so
    /// that their last value has been shown.
    pub fn encode(&self, format: Format, page: &mut String) -> std::fmt::Result {
        self.encode_at(format, page, Instant::now())
    }

    fn encode_at(&self, format: Format, page: &mut String, now: Instant) -> std::fmt::Result {
        page::encode(&self.state, format, page)?;
        self.state().sweep(now);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Adds to a counter and leaves the event's name with it.
fn with_exemplar(
    counter: &CounterWithExemplar<ExemplarLabels>,
    by: u64,
    id: ResetId,
    time: Timestamp,
) {
    // A clock that was never set may stand before 1970, which the client library cannot write.
    let time = (time >= Timestamp::UNIX_EPOCH).then(|| SystemTime::from(time));
    counter.inc_by(by, Some([("id", id.to_string())]), time);
}

impl State {
    /// Counts `count` connections that failed in the way `kind`.
    fn failed(
        &mut self,
        context: Context<'_>,
        kind: FailureKind,
        count: u64,
        (id, time): (ResetId, Timestamp),
        now: Instant,
    ) {
        let most = self.max_label;
        *self
            .failures
            .at(FailureLabels::of(context, kind, most), now) += count;
        if let Some(route) = context.route {
            let labels = RouteFailureLabels::of(route, kind, most);
            with_exemplar(self.route_failures.at(labels, now), count, id, time);
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.processes.sweep(now);
        self.routes.sweep(now);
        self.peers.sweep(now);
        self.failures.sweep(now);
        self.route_failures.sweep(now);
        self.age.sweep(now);
        self.idle.sweep(now);
    }
}

/// A panic elsewhere leaves plain counters behind: still the best there is.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
