//! Which events a reader wants to see.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::event::{Context, Event};
use crate::failure::Failure;
use crate::kernel::observation::Direction;
use crate::reset::{Cause, FailureKind, Reset};

/// Which events a reader wants, failures among them or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Connections that failed without a reset too.
    pub failures: bool,
    /// Conditions on each event.
    pub filter: Filter,
}

impl Selection {
    /// Whether this event is among them.
    #[must_use]
    pub fn has(&self, event: &Event) -> bool {
        let wanted = self.failures || matches!(event, Event::Reset(_));
        wanted && self.filter.matches_event(event)
    }
}

/// Conditions on an event; those that are set must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sent or received.
    pub direction: Option<Direction>,
    /// Name or `comm` of the owner or the closer.
    pub process: Option<String>,
    /// Process id of the owner or the closer.
    pub pid: Option<u32>,
    /// Local or remote port.
    pub port: Option<u16>,
    /// The other end.
    pub peer: Option<PeerFilter>,
    /// One of these causes.
    pub causes: Option<Causes>,
    /// The connection failed in one of these ways.
    pub failures: Option<Failures>,
    /// Name of the route.
    pub route: Option<String>,
    /// Inode number of the network namespace.
    pub netns: Option<u32>,
}

/// A peer by address or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFilter {
    /// An address, as a network of one, or a network.
    Net(IpNet),
    /// The name that the configuration gives it, whatever the case of its letters.
    Name(String),
}

/// A list of causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Causes(pub Vec<Cause>);

/// A list of ways to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(pub Vec<FailureKind>);

/// A condition that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither sent nor received.
    #[error("`{}` is not a direction: use `sent` or `received`", .0.escape_debug())]
    Direction(String),
    /// Not one of the causes.
    #[error("`{}` is not a cause: use one or more of {}, separated by commas", .0.escape_debug(), every_cause())]
    Cause(String),
    /// Not one of the failures.
    #[error("`{}` is not a failure: use one or more of {}, separated by commas", .0.escape_debug(), every_failure())]
    Failure(String),
    /// Looks like an address and is none.
    #[error(
        "`{}` is neither an address nor a network: write `10.0.0.7`, `10.0.0.0/8` or `2001:db8::/32`",
        .0.escape_debug()
    )]
    Address(String),
    /// A condition that there is not.
    #[error(
        "`{}` is not a condition: use direction, process, pid, port, peer, cause, failure, route \
         or netns",
        .0.escape_debug()
    )]
    Condition(String),
    /// A condition that says nothing.
    #[error("{0}= has no value")]
    Value(&'static str),
    /// Not a number, or too large a one.
    #[error("{name}=`{}` is not a number that is possible there", .value.escape_debug())]
    Number {
        /// Of the condition.
        name: &'static str,
        /// As written.
        value: String,
    },
    /// An address with a port.
    #[error("`{}` has a port: give the address alone, and the port with --port", .0.escape_debug())]
    Port(String),
    /// Nothing, or a name that no peer can have.
    #[error("`{}` is not a peer: give an address, a network or a name without blanks", .0.escape_debug())]
    Name(String),
    /// Not the number of a network namespace.
    #[error(
        "`{}` is not a network namespace: give its inode number, as `readlink /proc/PID/ns/net` shows it",
        .0.escape_debug()
    )]
    Netns(String),
}

impl Filter {
    /// Sets the condition of this name, which is that of the option of `resetmon watch`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FilterError> {
        const NAMES: [&str; 9] = [
            "direction",
            "process",
            "pid",
            "port",
            "peer",
            "cause",
            "failure",
            "route",
            "netns",
        ];
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            return Err(FilterError::Condition(name.to_owned()));
        };
        if value.is_empty() {
            return Err(FilterError::Value(name));
        }
        let number = || FilterError::Number {
            name,
            value: value.to_owned(),
        };
        match name {
            "direction" => self.direction = Some(direction(value)?),
            "process" => self.process = Some(value.to_owned()),
            "pid" => self.pid = Some(value.parse().map_err(|_| number())?),
            "port" => self.port = Some(value.parse().map_err(|_| number())?),
            "peer" => self.peer = Some(value.parse()?),
            "cause" => self.causes = Some(value.parse()?),
            "failure" => self.failures = Some(value.parse()?),
            "route" => self.route = Some(value.to_owned()),
            _ => self.netns = Some(netns(value)?),
        }
        Ok(())
    }

    /// Whether the event meets every condition.
    #[must_use]
    pub fn matches_event(&self, event: &Event) -> bool {
        match event {
            Event::Reset(reset) => self.matches(reset),
            Event::Failure(failure) => self.matches_failure(failure),
        }
    }

    /// Whether the reset meets every condition.
    #[must_use]
    pub fn matches(&self, reset: &Reset) -> bool {
        holds(self.direction.as_ref(), |direction| {
            *direction == reset.observation.direction
        }) && holds(self.causes.as_ref(), |causes| {
            causes.0.contains(&reset.diagnosis.cause)
        }) && holds(self.failures.as_ref(), |failures| {
            let failure = reset.failure();
            failure.is_some_and(|failure| failures.0.contains(&failure))
        }) && self.matches_context(Context::from(reset))
    }

    /// Whether the failure meets every condition; it has neither direction nor cause.
    #[must_use]
    pub fn matches_failure(&self, failure: &Failure) -> bool {
        self.direction.is_none()
            && self.causes.is_none()
            && holds(self.failures.as_ref(), |failures| {
                failures.0.contains(&failure.kind)
            })
            && self.matches_context(Context::from(failure))
    }

    fn matches_context(&self, context: Context<'_>) -> bool {
        let observation = context.observation;
        let processes = || {
            let owners = [context.owner, context.closer];
            owners.into_iter().flatten().map(|owner| &*owner.process)
        };
        holds(self.process.as_ref(), |name| {
            processes().any(|process| *process.name == **name || *process.comm == **name)
        }) && holds(self.pid.as_ref(), |pid| {
            processes().any(|process| process.pid == *pid)
        }) && holds(self.port.as_ref(), |port| {
            [observation.local.port(), observation.remote.port()].contains(port)
        }) && holds(self.peer.as_ref(), |peer| peer.matches(context))
            && holds(self.route.as_ref(), |name| {
                context.route.is_some_and(|route| *route.route == **name)
            })
            && holds(self.netns.as_ref(), |netns| *netns == observation.netns)
    }
}

/// A condition that is not set holds.
fn holds<T>(condition: Option<&T>, test: impl FnOnce(&T) -> bool) -> bool {
    condition.is_none_or(test)
}

impl PeerFilter {
    fn matches(&self, context: Context<'_>) -> bool {
        match self {
            Self::Net(net) => net.contains(&context.observation.remote.ip().to_canonical()),
            Self::Name(name) => context.peer.eq_ignore_ascii_case(name),
        }
    }
}

impl FromStr for PeerFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(address.to_canonical())));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net));
        }
        if text.parse::<std::net::SocketAddr>().is_ok() {
            return Err(FilterError::Port(text.to_owned()));
        }
        let digits = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !text.is_empty() && (digits || text.contains(['/', ':', '[', ']'])) {
            return Err(FilterError::Address(text.to_owned()));
        }
        if text.is_empty()
            || text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        {
            return Err(FilterError::Name(text.to_owned()));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl FromStr for Causes {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        list(text, Cause::from_name, FilterError::Cause).map(Self)
    }
}

impl FromStr for Failures {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        list(text, FailureKind::from_name, FilterError::Failure).map(Self)
    }
}

/// Words separated by commas, each once.
fn list<T: PartialEq>(
    text: &str,
    named: impl Fn(&str) -> Option<T>,
    unknown: impl Fn(String) -> FilterError,
) -> Result<Vec<T>, FilterError> {
    let mut values = Vec::new();
    for word in text.split(',').map(str::trim) {
        let value = named(word).ok_or_else(|| unknown(word.to_owned()))?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Ok(values)
}

/// `sent` or `received`.
pub fn direction(text: &str) -> Result<Direction, FilterError> {
    [Direction::Sent, Direction::Received]
        .into_iter()
        .find(|direction| direction.name() == text)
        .ok_or_else(|| FilterError::Direction(text.to_owned()))
}

/// The inode number of a network namespace: `4026531840`, or `net:[4026531840]` as a link shows it.
pub fn netns(text: &str) -> Result<u32, FilterError> {
    let number = text
        .strip_prefix("net:[")
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    // A sign is legal to the parser and not to a reader.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { number.parse().ok() } else { None };
    parsed.ok_or_else(|| FilterError::Netns(text.to_owned()))
}

fn every_failure() -> String {
    let names: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

fn every_cause() -> String {
    let names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
