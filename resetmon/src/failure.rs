//! The finished value of a connection that failed without a RST.

use std::sync::Arc;

use jiff::Timestamp;

use crate::kernel::observation::{Ended, Observation};
use crate::reset::{Evidence, FailureKind, Leg, Owner, ResetId, RouteMatch, Stage};

/// One connection that failed without a RST, attributed.
///
/// Where there was a RST, the [`Reset`](crate::reset::Reset) says how the connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name; resets and failures of one run share the numbers.
    pub id: ResetId,
    /// Wall-clock time.
    pub time: Timestamp,
    /// What the kernel showed. Its direction is `sent` where this end gave up, else `received`.
    pub observation: Observation,
    /// Whose socket it is.
    pub owner: Option<Owner>,
    /// Who closed it, where that is another process or a dying one.
    pub closer: Option<Owner>,
    /// Name of the peer: from the configuration, else its address.
    pub peer: Arc<str>,
    /// Gateway, route, upstream, leg.
    pub route: Option<RouteMatch>,
    /// How it failed, as its user saw it.
    pub kind: FailureKind,
    /// How far the connection had come.
    pub stage: Stage,
    /// Which event showed it.
    pub ended: Ended,
    /// Bytes of the request that had no answer, where that is the failure.
    pub unanswered: u32,
    /// The facts, the deciding one last.
    pub evidence: Evidence,
    /// How many connections it stands for: over 1 where the programs reported several of one
    /// kind together, because there were too many; this is then the first of them.
    pub count: u64,
}

impl Failure {
    /// The leg, [`Leg::None`] without a gateway.
    #[must_use]
    pub fn leg(&self) -> Leg {
        self.route.as_ref().map_or(Leg::None, |route| route.leg)
    }
}
