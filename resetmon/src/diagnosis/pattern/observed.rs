//! Everything that was seen, summed up while it comes: memory does not grow with the events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use super::lives::Lives;
use super::pairs::Pairs;
use super::problem::{Instance, Joined, Key, Problem, Service, Side};
use super::series::Series;
use super::spread::Spread;
use super::top::Top;
use crate::diagnosis::sample::{Actor, Name, Names, Sample};
use crate::kernel::observation::Direction;
use crate::reset::{Cause, FailureKind, Leg};

/// Problems told apart at most; of more, the small ones are forgotten.
const PROBLEMS: usize = 512;
/// Services whose endpoints are remembered.
const SERVICES: usize = 512;
/// Endpoints of one service.
const ENDPOINTS: usize = 64;
/// Names in the lists of the most frequent.
const NAMES: usize = 512;
/// Names told apart.
const INTERNED: usize = 32_768;
/// Events of which the effects on the other leg can be attributed.
const RECENT: usize = 8192;

/// Everything that was seen.
#[derive(Debug)]
pub struct Observed {
    /// Names that samples use.
    pub names: Names,
    pub(super) problems: HashMap<Key, Problem>,
    /// Events of problems that were forgotten.
    pub(super) forgotten: u64,
    pub(super) services: HashMap<Service, Top<SocketAddr>>,
    pub(super) lives: Lives,
    /// Events by gateway and route, harmless ones too.
    pub(super) traffic: Top<(Name, Name)>,
    /// Events by program and instance, harmless ones too.
    pub(super) instances: Top<(Name, Instance)>,
    pub(super) series: Series,
    pub(super) benign_series: Series,
    pub(super) span: Option<(i64, i64)>,
    pub(in crate::diagnosis) totals: Sums,
    pub(in crate::diagnosis) age: Spread,
    pub(in crate::diagnosis) idle: Spread,
    pub(in crate::diagnosis) top: Tops,
    taken: u64,
    pairs: Pairs,
    ready: Vec<Joined>,
    recent: Recent,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnosis) struct Sums {
    pub(in crate::diagnosis) events: u64,
    pub(in crate::diagnosis) benign: u64,
    pub(in crate::diagnosis) passed_on: u64,
    pub(in crate::diagnosis) repeats: u64,
    pub(in crate::diagnosis) failures: BTreeMap<FailureKind, u64>,
    pub(in crate::diagnosis) sent: u64,
    pub(in crate::diagnosis) received: u64,
    pub(in crate::diagnosis) legs: BTreeMap<Leg, u64>,
    pub(in crate::diagnosis) causes: BTreeMap<Cause, u64>,
}

/// Names with most events that are not harmless.
#[derive(Clone, Debug)]
pub(in crate::diagnosis) struct Tops {
    pub(in crate::diagnosis) routes: Top<(Name, Name)>,
    pub(in crate::diagnosis) upstreams: Top<(Name, Name)>,
    pub(in crate::diagnosis) processes: Top<Name>,
    pub(in crate::diagnosis) peers: Top<Name>,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            names: Names::new(INTERNED),
            problems: HashMap::new(),
            forgotten: 0,
            services: HashMap::new(),
            lives: Lives::default(),
            traffic: Top::new(NAMES),
            instances: Top::new(NAMES),
            series: Series::default(),
            benign_series: Series::default(),
            span: None,
            totals: Sums::default(),
            age: Spread::default(),
            idle: Spread::default(),
            top: Tops {
                routes: Top::new(NAMES),
                upstreams: Top::new(NAMES),
                processes: Top::new(NAMES),
                peers: Top::new(NAMES),
            },
            taken: 0,
            pairs: Pairs::default(),
            ready: Vec::new(),
            recent: Recent::default(),
        }
    }
}

impl Observed {
    /// Takes an event; in the order of their times, as far as possible.
    pub fn add(&mut self, sample: Sample) {
        self.taken = self.taken.saturating_add(sample.packets);
        if sample.repeat {
            self.totals.repeats = self.totals.repeats.saturating_add(sample.packets);
            return;
        }
        self.cover(sample.time);
        let mut ready = std::mem::take(&mut self.ready);
        self.pairs.push(sample, &mut ready);
        for joined in ready.drain(..) {
            self.count(&joined);
        }
        self.ready = ready;
    }

    /// The watch lasted from one time to another, microseconds since 1970, whatever was seen.
    pub fn watched(&mut self, from: i64, to: i64) {
        self.cover(from);
        self.cover(to);
    }

    /// `endpoint` serves `upstream` of `gateway`, whether or not something happens to it.
    pub fn expect_endpoint(&mut self, gateway: &str, upstream: &str, endpoint: SocketAddr) {
        let service = Service {
            side: Side::Client,
            gateway: self.names.intern(gateway),
            upstream: self.names.intern(upstream),
            peer: Name::NONE,
            port: 0,
        };
        self.know(service, endpoint);
    }

    /// Takes in what was held back, at the end.
    pub fn finish(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        self.pairs.finish(&mut ready);
        for joined in ready.drain(..) {
            self.count(&joined);
        }
    }

    /// Events taken so far, further packets too.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Connections of which both ends were seen.
    #[must_use]
    pub fn both_ends(&self) -> u64 {
        self.pairs.joined()
    }

    /// First and last moment covered, microseconds since 1970.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Events over time: those that are not harmless, and those that are.
    #[must_use]
    pub fn series(&self) -> (&Series, &Series) {
        (&self.series, &self.benign_series)
    }

    fn cover(&mut self, time: i64) {
        let (from, to) = self.span.unwrap_or((time, time));
        self.span = Some((from.min(time), to.max(time)));
    }

    fn know(&mut self, service: Service, endpoint: SocketAddr) {
        if let Some(endpoints) = self.services.get_mut(&service) {
            endpoints.add(endpoint, 0);
        } else if self.services.len() < SERVICES {
            let mut endpoints = Top::new(ENDPOINTS);
            endpoints.add(endpoint, 0);
            self.services.insert(service, endpoints);
        }
    }

    fn count(&mut self, joined: &Joined) {
        let sample = &joined.sample;
        let by = joined.by.as_deref();
        let events = sample.packets;
        for end in std::iter::once(sample).chain(by) {
            for actor in [end.owner, end.closer].into_iter().flatten() {
                self.meet(&actor, end.time);
            }
        }
        let origin = sample
            .passed_on_from
            .or(by.and_then(|by| by.passed_on_from));
        if let Some(origin) = origin {
            self.totals.passed_on = self.totals.passed_on.saturating_add(events);
            if let Some(key) = self.recent.get(origin)
                && let Some(problem) = self.problems.get_mut(&key)
            {
                problem.passed_on = problem.passed_on.saturating_add(events);
            }
            return;
        }
        self.sum(sample);
        let service = Service::of(sample);
        if service.side == Side::Client && !service.upstream.is_none() {
            self.know(service, sample.remote);
        }
        if let Some(place) = sample.place
            && !place.route.is_none()
        {
            self.traffic.add((place.gateway, place.route), events);
        }
        let program = sample.owner.map_or(Name::NONE, |owner| owner.name);
        self.instances.add((program, Instance::of(sample)), events);
        if sample.is_benign() {
            self.benign_series.add(sample.time, events);
            return;
        }
        self.series.add(sample.time, events);
        self.rank(sample);
        let key = Key::of(sample, by.and_then(|by| by.cause));
        if self.problems.len() >= PROBLEMS && !self.problems.contains_key(&key) {
            self.forget();
        }
        self.problems.entry(key).or_default().add(joined);
        self.recent.insert(sample.id, key);
        if let Some(by) = by {
            self.recent.insert(by.id, key);
        }
    }

    fn meet(&mut self, actor: &Actor, time: i64) {
        self.lives.meet(actor, time);
    }

    fn sum(&mut self, sample: &Sample) {
        let events = sample.packets;
        let add = |sum: &mut u64| *sum = sum.saturating_add(events);
        let totals = &mut self.totals;
        add(&mut totals.events);
        if sample.is_benign() {
            add(&mut totals.benign);
        }
        add(totals.failures.entry(sample.failure).or_default());
        add(totals.legs.entry(sample.leg()).or_default());
        match sample.direction {
            Some(Direction::Sent) => add(&mut totals.sent),
            Some(Direction::Received) => add(&mut totals.received),
            None => {}
        }
        if let Some(cause) = sample.cause {
            add(totals.causes.entry(cause).or_default());
        }
        if let Some(age) = sample.times.age {
            self.age.add(age, events);
        }
        if let Some(idle) = sample.times.silence(sample.cause) {
            self.idle.add(idle, events);
        }
    }

    fn rank(&mut self, sample: &Sample) {
        let events = sample.packets;
        if let Some(place) = sample.place {
            if !place.route.is_none() {
                self.top.routes.add((place.gateway, place.route), events);
            }
            if !place.upstream.is_none() {
                self.top
                    .upstreams
                    .add((place.gateway, place.upstream), events);
            }
        }
        if let Some(owner) = sample.owner {
            self.top.processes.add(owner.name, events);
        }
        self.top.peers.add(sample.peer, events);
    }

    /// Makes room: half of the problems, the smallest ones, go.
    fn forget(&mut self) {
        let mut sizes: Vec<u64> = self
            .problems
            .values()
            .map(|problem| problem.events)
            .collect();
        let middle = sizes.len() / 2;
        let (_, median, _) = sizes.select_nth_unstable(middle);
        let median = *median;
        let mut room = middle.max(1);
        let forgotten = &mut self.forgotten;
        self.problems.retain(|_, problem| {
            let goes = problem.events <= median && room > 0;
            if goes {
                room -= 1;
                *forgotten = forgotten.saturating_add(problem.events);
            }
            !goes
        });
    }
}

/// Which problem recent events belong to.
#[derive(Debug, Default)]
struct Recent {
    keys: HashMap<u64, Key>,
    order: VecDeque<u64>,
}

impl Recent {
    fn insert(&mut self, id: u64, key: Key) {
        if self.keys.insert(id, key).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    fn get(&self, id: u64) -> Option<Key> {
        self.keys.get(&id).copied()
    }
}
