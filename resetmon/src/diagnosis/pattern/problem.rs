//! Events of one kind at one place: what a finding is made of.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::health_check::Rhythm;
use super::reservoir::{Moment, Reservoir};
use super::series::Series;
use super::top::Top;
use crate::diagnosis::sample::{Death, Name, Sample};
use crate::kernel::observation::{Direction, Role};
use crate::reset::{Cause, FailureKind, Leg, Sender};

/// Names of one sort remembered at most, a problem.
const NAMES: usize = 64;
/// Endpoints and clients remembered at most, a problem.
const ENDS: usize = 256;
/// Ids given as examples.
const EXAMPLES: usize = 3;
/// Clients whose rhythm is watched.
const RHYTHMS: usize = 8;

/// Which end of the connection this node's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// It opened the connection: the service is the other end.
    Client,
    /// It offers the service.
    Server,
}

impl Side {
    /// Of an event: its role, else, as for a port on which nobody listens, the leg, else the
    /// sender of a packet without a connection, which was meant for a service here.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let known = match (sample.role, sample.leg()) {
            (Some(Role::Client), _) | (None, Leg::Upstream) => Some(Self::Client),
            (Some(Role::Server), _) | (None, Leg::Downstream) => Some(Self::Server),
            (None, Leg::None) => None,
        };
        // Ephemeral ports are the high ones.
        let (local, remote) = (sample.local.port(), sample.remote.port());
        let ephemeral = local > remote && local >= 32768;
        known.unwrap_or(if sample.direction == Some(Direction::Sent) && !ephemeral {
            Self::Server
        } else {
            Self::Client
        })
    }
}

/// The service that a connection was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Which end it is.
    pub side: Side,
    /// Gateway, if one is concerned.
    pub gateway: Name,
    /// Upstream of it; [`Name::NONE`] on the downstream leg.
    pub upstream: Name,
    /// The other end, where no upstream names it.
    pub peer: Name,
    /// Port, where no upstream names it.
    pub port: u16,
}

impl Service {
    /// Of an event.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let side = Side::of(sample);
        let (gateway, upstream) = sample.place.map_or((Name::NONE, Name::NONE), |place| {
            (place.gateway, place.upstream)
        });
        let (peer, port) = match side {
            Side::Client if !upstream.is_none() => (Name::NONE, 0),
            Side::Client => (sample.peer, sample.remote.port()),
            Side::Server => (Name::NONE, sample.local.port()),
        };
        Self {
            side,
            gateway,
            upstream,
            peer,
            port,
        }
    }
}

/// What the events of a problem have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// How the connection failed.
    pub failure: FailureKind,
    /// Why, as this end saw it.
    pub cause: Option<Cause>,
    /// Why, as the other end on this node knows it.
    pub by: Option<Cause>,
    /// Who made the RST.
    pub sender: Option<Sender>,
    /// Sent or received.
    pub direction: Option<Direction>,
    /// Program whose connections they are.
    pub process: Name,
    /// Leg.
    pub leg: Leg,
    /// What the connections were for.
    pub service: Service,
}

impl Key {
    /// Of an event, which the other end of its connection explains as `by`.
    #[must_use]
    pub fn of(sample: &Sample, by: Option<Cause>) -> Self {
        Self {
            failure: sample.failure,
            cause: sample.cause,
            by: by.map(of_sender),
            sender: sample.sender,
            direction: sample.direction,
            process: sample.owner.map_or(Name::NONE, |owner| owner.name),
            leg: sample.leg(),
            service: Service::of(sample),
        }
    }

    /// The same for any peer: what a client meets wherever it goes.
    #[must_use]
    pub fn without_peer(self) -> Self {
        Self {
            service: Service {
                peer: Name::NONE,
                port: 0,
                ..self.service
            },
            ..self
        }
    }

    /// True if a process of this node that offers the service is known to have done it.
    #[must_use]
    pub fn is_of_a_death(&self) -> bool {
        let death = |cause| matches!(cause, Some(Cause::ProcessKilled | Cause::ProcessExit));
        death(self.by) || death(self.cause)
    }
}

/// The cause at the sender, as far as it makes a difference to the receiver: what a connection that
/// was closed leaves in the kernel, a socket or a `TIME_WAIT` entry, makes none.
const fn of_sender(cause: Cause) -> Cause {
    match cause {
        Cause::Timewait => Cause::DataAfterClose,
        cause => cause,
    }
}

/// One of several places where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// Pod, container or unit; [`Name::NONE`] without one.
    pub home: Name,
    /// Inode number of the network namespace, where nothing has a name.
    pub netns: u32,
}

impl Instance {
    /// Of an event.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let home = sample.owner.map_or(Name::NONE, |owner| owner.home);
        let netns = if home.is_none() { sample.netns } else { 0 };
        Self { home, netns }
    }
}

/// An event, with what the other end of its connection adds if it is on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// As seen from the end that tells more of the gateway.
    pub sample: Sample,
    /// The other end, which sent the RST.
    pub by: Option<Box<Sample>>,
    /// Both ends were seen.
    pub both: bool,
}

/// Events of one kind at one place.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How many.
    pub events: u64,
    /// RSTs on a gateway's other leg that they led to.
    pub passed_on: u64,
    /// First, microseconds since 1970.
    pub first: i64,
    /// Last.
    pub last: i64,
    /// Over time.
    pub series: Series,
    /// Some of them in detail.
    pub moments: Reservoir,
    /// Routes.
    pub routes: Top<Name>,
    /// Addresses and ports of the service.
    pub endpoints: Top<SocketAddr>,
    /// Addresses of clients; where this node is the client, there are none.
    pub clients: Top<IpAddr>,
    /// When the clients come; only of few.
    pub rhythms: HashMap<IpAddr, Rhythm>,
    /// Instances of the program.
    pub instances: Top<Instance>,
    /// Programs at the other end that did it.
    pub makers: Top<Name>,
    /// How the maker was dying, if it was.
    pub deaths: Top<Death>,
    /// Ids of the first ones.
    pub examples: Vec<u64>,
}

impl Problem {
    /// One without an event.
    #[must_use]
    pub fn new() -> Self {
        Self {
            events: 0,
            passed_on: 0,
            first: i64::MAX,
            last: i64::MIN,
            series: Series::default(),
            moments: Reservoir::default(),
            routes: Top::new(NAMES),
            endpoints: Top::new(ENDS),
            clients: Top::new(ENDS),
            rhythms: HashMap::new(),
            instances: Top::new(NAMES),
            makers: Top::new(NAMES),
            deaths: Top::new(NAMES),
            examples: Vec::new(),
        }
    }

    /// Takes an event.
    pub fn add(&mut self, joined: &Joined) {
        let sample = &joined.sample;
        let events = sample.packets;
        self.events = self.events.saturating_add(events);
        self.first = self.first.min(sample.time);
        self.last = self.last.max(sample.time);
        self.series.add(sample.time, events);
        self.moments.add(Moment {
            time: sample.time,
            age: sample.times.age.map(|age| age.as_secs_f64()),
            silence: sample
                .times
                .silence(sample.cause)
                .map(|time| time.as_secs_f64()),
            waiting: sample
                .times
                .waiting(sample.role)
                .map(|time| time.as_secs_f64()),
            tick: sample.times.tick.as_secs_f64(),
        });
        if let Some(place) = sample.place
            && !place.route.is_none()
        {
            self.routes.add(place.route, events);
        }
        match Side::of(sample) {
            Side::Client => self.endpoints.add(sample.remote, events),
            Side::Server => {
                self.endpoints.add(sample.local, events);
                self.clients.add(sample.remote.ip(), events);
                self.beat(sample);
            }
        }
        self.instances.add(Instance::of(sample), events);
        let maker = match &joined.by {
            Some(by) => by.closer.or(by.owner),
            None => sample.closer.or(sample.owner),
        };
        if let Some(maker) = maker {
            if joined.by.is_some() {
                self.makers.add(maker.name, events);
            }
            if let Some(death) = maker.death {
                self.deaths.add(death, events);
            }
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(sample.id);
        }
    }

    fn beat(&mut self, sample: &Sample) {
        let client = sample.remote.ip();
        if let Some(rhythm) = self.rhythms.get_mut(&client) {
            rhythm.beat(sample.time);
        } else if self.rhythms.len() < RHYTHMS {
            self.rhythms.insert(client, Rhythm::new(sample.time));
        }
    }

    /// Takes the events of `other`.
    pub fn absorb(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.passed_on = self.passed_on.saturating_add(other.passed_on);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.series.absorb(&other.series);
        self.moments.absorb(&other.moments);
        self.routes.absorb(&other.routes);
        self.endpoints.absorb(&other.endpoints);
        self.clients.absorb(&other.clients);
        // Of two, neither has the other's beats.
        self.rhythms.clear();
        self.instances.absorb(&other.instances);
        self.makers.absorb(&other.makers);
        self.deaths.absorb(&other.deaths);
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room));
    }
}

impl Default for Problem {
    fn default() -> Self {
        Self::new()
    }
}
