//! What the agent hands to its exporters.

use crate::failure::Failure;
use crate::kernel::observation::Observation;
use crate::reset::{Owner, Reset, RouteMatch};

/// A reset, or a connection that failed without one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "events are handed on one by one, not kept; nearly all are resets"
)]
pub enum Event {
    /// A RST sent or received.
    Reset(Reset),
    /// A failure without a RST.
    Failure(Failure),
}

impl Event {
    /// The reset, if it is one.
    #[must_use]
    pub fn into_reset(self) -> Option<Reset> {
        match self {
            Self::Reset(reset) => Some(reset),
            Self::Failure(_) => None,
        }
    }
}

/// What every event says of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the kernel showed.
    pub observation: &'a Observation,
    /// Whose socket it is.
    pub owner: Option<&'a Owner>,
    /// Who closed it, where that is another process or a dying one.
    pub closer: Option<&'a Owner>,
    /// Name of the peer.
    pub peer: &'a str,
    /// Gateway, route, upstream, leg.
    pub route: Option<&'a RouteMatch>,
}

impl<'a> From<&'a Event> for Context<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Reset(reset) => Self::from(reset),
            Event::Failure(failure) => Self::from(failure),
        }
    }
}

impl<'a> From<&'a Reset> for Context<'a> {
    fn from(reset: &'a Reset) -> Self {
        Self {
            observation: &reset.observation,
            owner: reset.owner.as_ref(),
            closer: reset.closer.as_ref(),
            peer: &reset.peer,
            route: reset.route.as_ref(),
        }
    }
}

impl<'a> From<&'a Failure> for Context<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            observation: &failure.observation,
            owner: failure.owner.as_ref(),
            closer: failure.closer.as_ref(),
            peer: &failure.peer,
            route: failure.route.as_ref(),
        }
    }
}
