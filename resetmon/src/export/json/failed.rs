//! The layout of a failure's JSON line.

use std::borrow::Cow;

use serde::Serialize;

use super::VERSION;
use super::parts::{ConnectionPart, FinPart, TimesPart, VitalsPart, seconds};
use crate::event::Context;
use crate::failure::Failure;
use crate::kernel::names;
use crate::kernel::observation::TcpState;

/// The keys of the line of a connection that failed without a RST, in their order.
///
/// Keys that a reset's [`Line`](super::line::Line) has too mean the same.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailureLine<'a> {
    /// [`super::VERSION`].
    pub v: u32,
    /// `failure`.
    pub event: &'static str,
    /// Name of the failure within one run of the agent; no reset has the same.
    pub id: String,
    /// Wall-clock time, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// How the connection failed as its user saw it: `refused`, `timed_out`, `unreachable`,
    /// `empty_response`, `canceled`.
    pub failure: &'static str,
    /// `connecting`, `established`, `closing`.
    pub stage: &'static str,
    /// TCP state before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_before: Option<&'static str>,
    /// Whose connection it was, and where it stands.
    #[serde(flatten)]
    pub connection: ConnectionPart<'a>,
    /// Since `connect()` or the SYN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_s: Option<f64>,
    /// Its moments.
    #[serde(flatten)]
    pub times: TimesPart,
    /// Bytes of the request that had no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<u32>,
    /// The connection's counters.
    #[serde(flatten)]
    pub vitals: Option<VitalsPart>,
    /// How far it had been closed.
    #[serde(flatten)]
    pub fins: FinPart,
    /// What the program was told: `ETIMEDOUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_error: Option<Cow<'static, str>>,
    /// uid of the socket's creator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The facts that decided.
    pub evidence: &'a [String],
    /// How many connections of one kind this line stands for, where they were too many to report one
    /// by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
}

impl<'a> From<&'a Failure> for FailureLine<'a> {
    fn from(failure: &'a Failure) -> Self {
        let observation = &failure.observation;
        Self {
            v: VERSION,
            event: "failure",
            id: failure.id.to_string(),
            time: format!("{:.6}", failure.time),
            failure: failure.kind.name(),
            stage: failure.stage.name(),
            state_before: observation.state_before.map(TcpState::name),
            connection: ConnectionPart::from(Context::from(failure)),
            opened_s: observation.since_opened.map(seconds),
            times: TimesPart::from(observation),
            unanswered: (failure.unanswered > 0).then_some(failure.unanswered),
            vitals: observation.vitals.as_ref().map(VitalsPart::from),
            fins: FinPart::from(observation),
            socket_error: names::errno(observation.socket_error),
            uid: observation.uid,
            evidence: &failure.evidence,
            connections: (failure.count > 1).then_some(failure.count),
        }
    }
}
