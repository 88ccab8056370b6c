//! One event as the patterns over many see it: small, with every name interned.

use std::net::SocketAddr;
use std::time::Duration;

use crate::event::{Context, Event};
use crate::failure::Failure;
use crate::kernel::observation::{Direction, Exit, Observation, Role};
use crate::reset::{Cause, FailureKind, Leg, Owner, Reset, Sender};

pub mod names;
#[cfg(test)]
mod tests;

pub use names::{Name, Names};

/// A process that an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name of the program.
    pub name: Name,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Pod, else container, else unit; [`Name::NONE`] if it runs in none.
    pub home: Name,
    /// How it was dying, if it was.
    pub death: Option<Death>,
}

/// How a process was dying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Death {
    /// It exited with this status.
    Status(u8),
    /// A signal ended it; its name.
    Signal(Name),
    /// The kernel killed it for want of memory.
    OutOfMemory,
}

/// Where an event stands in a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Gateway.
    pub gateway: Name,
    /// Route; [`Name::NONE`] where it cannot be told.
    pub route: Name,
    /// Upstream; [`Name::NONE`] on the downstream leg.
    pub upstream: Name,
    /// Leg.
    pub leg: Leg,
}

/// What an event says of time, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Since the connection was established.
    pub age: Option<Duration>,
    /// Since payload last came in.
    pub idle_in: Option<Duration>,
    /// Since payload last went out.
    pub idle_out: Option<Duration>,
    /// Since the peer's FIN.
    pub since_fin_received: Option<Duration>,
    /// Since this end's FIN.
    pub since_fin_sent: Option<Duration>,
    /// One tick: the uncertainty of the two idle times.
    pub tick: Duration,
}

impl Times {
    /// How long no payload had moved, either way.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        self.idle_in.into_iter().chain(self.idle_out).min()
    }

    /// How long the connection had been silent when the end came that `cause` speaks of.
    ///
    /// What brought a reset on, such as the request that met a closed connection, does not break
    /// the silence before it; nor does what came after the FIN that was the real end.
    #[must_use]
    pub fn silence(&self, cause: Option<Cause>) -> Option<Duration> {
        let before = |long: Option<Duration>, end: Option<Duration>| {
            Some(long?.saturating_sub(end.unwrap_or_default()))
        };
        match cause {
            Some(Cause::KeepaliveRace) => before(self.idle_in, self.since_fin_received),
            Some(Cause::IdleTimeout) => self.idle_in.or(self.idle_out),
            Some(Cause::DataAfterClose | Cause::Timewait) => {
                before(self.idle_out, self.since_fin_sent)
            }
            _ => self.idle(),
        }
    }

    /// Since the request of the exchange under way: for a client its own, for a server the peer's.
    #[must_use]
    pub fn waiting(&self, role: Option<Role>) -> Option<Duration> {
        match role? {
            Role::Client => self.idle_out,
            Role::Server => self.idle_in,
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub id: u64,
    /// Microseconds since 1970.
    pub time: i64,
    /// How its user saw it.
    pub failure: FailureKind,
    /// The connection failed by it: nobody misses what was over, was a health check, or came for a
    /// connection that this end had given up before.
    pub failed: bool,
    /// Sent or received; `None` where no RST is concerned.
    pub direction: Option<Direction>,
    /// Who made the RST.
    pub sender: Option<Sender>,
    /// Why.
    pub cause: Option<Cause>,
    /// Who opened the connection.
    pub role: Option<Role>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Local end.
    pub local: SocketAddr,
    /// Remote end.
    pub remote: SocketAddr,
    /// Whose socket it is.
    pub owner: Option<Actor>,
    /// Who closed it, where that is another process or a dying one.
    pub closer: Option<Actor>,
    /// Name of the peer, else its address.
    pub peer: Name,
    /// Where it stands in a gateway.
    pub place: Option<Place>,
    /// What is known of time.
    pub times: Times,
    /// How many events of its kind it stands for.
    pub packets: u64,
    /// It is a further packet of an event that was reported.
    pub repeat: bool,
    /// The event of a gateway's other leg that led to it.
    pub passed_on_from: Option<u64>,
    /// The event of the other end of this connection, which is on this node too.
    pub twin: Option<u64>,
}

impl Sample {
    /// The sample of a finished event.
    #[must_use]
    pub fn of(event: &Event, names: &mut Names) -> Self {
        match event {
            Event::Reset(reset) => Self::of_reset(reset, names),
            Event::Failure(failure) => Self::of_failure(failure, names),
        }
    }

    fn of_reset(reset: &Reset, names: &mut Names) -> Self {
        let common = Self::common(&Context::from(reset), names);
        Self {
            id: reset.id.0,
            time: reset.time.as_microsecond(),
            failure: reset
                .failure()
                .unwrap_or_else(|| failure_of(reset.diagnosis.cause)),
            // A further packet says nothing of its own.
            failed: reset.failure().is_some() || reset.repeat_of.is_some(),
            direction: Some(reset.observation.direction),
            sender: Some(reset.diagnosis.sender),
            cause: Some(reset.diagnosis.cause),
            packets: reset.packets.max(1),
            repeat: reset.repeat_of.is_some(),
            passed_on_from: reset.propagated_from.as_ref().map(|from| from.id.0),
            twin: reset.twin.as_ref().map(|twin| twin.id.0),
            ..common
        }
    }

    fn of_failure(failure: &Failure, names: &mut Names) -> Self {
        let common = Self::common(&Context::from(failure), names);
        Self {
            id: failure.id.0,
            time: failure.time.as_microsecond(),
            failure: failure.kind,
            packets: failure.count.max(1),
            ..common
        }
    }

    /// What every event says of its connection.
    fn common(context: &Context<'_>, names: &mut Names) -> Self {
        let o = context.observation;
        Self {
            id: 0,
            time: 0,
            failure: FailureKind::Reset,
            failed: true,
            direction: None,
            sender: None,
            cause: None,
            role: o.role,
            netns: o.netns,
            local: o.local,
            remote: o.remote,
            owner: context.owner.map(|owner| actor(owner, o, names)),
            closer: context.closer.map(|closer| actor(closer, o, names)),
            peer: names.intern(context.peer),
            place: context.route.map(|route| Place {
                gateway: names.intern(&route.gateway),
                route: names.intern(&route.route),
                upstream: names.intern(&route.upstream),
                leg: route.leg,
            }),
            times: Times {
                age: o.age,
                idle_in: o.since_data_in,
                idle_out: o.since_data_out,
                since_fin_received: o.since_fin_received,
                since_fin_sent: o.since_fin_sent,
                tick: o.tick,
            },
            packets: 1,
            repeat: false,
            passed_on_from: None,
            twin: None,
        }
    }

    /// The leg, [`Leg::None`] without a gateway.
    #[must_use]
    pub fn leg(&self) -> Leg {
        self.place.map_or(Leg::None, |place| place.leg)
    }

    /// True if nobody waited for anything any more.
    #[must_use]
    pub fn is_benign(&self) -> bool {
        !self.failed || self.cause.is_some_and(Cause::benign)
    }
}

/// How the user of a connection sees a reset of this cause.
#[must_use]
pub const fn failure_of(cause: Cause) -> FailureKind {
    match cause {
        Cause::Refused => FailureKind::Refused,
        _ => FailureKind::Reset,
    }
}

fn actor(owner: &Owner, observation: &Observation, names: &mut Names) -> Actor {
    let process = &*owner.process;
    let tasks = [&observation.closer, &observation.owner];
    let mut same = tasks
        .into_iter()
        .flatten()
        .filter(|task| task.pid == process.pid);
    let container = process.container.as_ref();
    let pod = container.and_then(|container| container.names.as_deref());
    let home = pod
        .map(|names| &*names.pod)
        .or_else(|| container.map(|container| &*container.id))
        .or(process.unit.as_deref());
    Actor {
        name: names.intern(&process.name),
        pid: process.pid,
        home: home.map_or(Name::NONE, |home| names.intern(home)),
        death: same.find_map(|task| task.exit).map(|exit| match exit {
            Exit::Status(status) => Death::Status(status),
            Exit::OutOfMemory => Death::OutOfMemory,
            Exit::Signal(number) => {
                Death::Signal(names.intern(&crate::kernel::names::signal(number)))
            }
        }),
    }
}
