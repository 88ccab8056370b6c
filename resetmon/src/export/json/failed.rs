//! The layout of a failure's JSON line.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::Serialize;

use super::line::{ProcessPart, VitalsPart};
use super::{VERSION, dying_or_not, seconds, vitals};
use crate::failure::Failure;
use crate::kernel::names;
use crate::kernel::observation::{Role, TcpState};

/// The keys of the line of a connection that failed without a RST, in their order.
///
/// Keys that a reset's [`Line`](super::line::Line) has too mean the same.
#[derive(Debug, Serialize)]
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
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Socket cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// 4 or 6.
    pub ip_version: u8,
    /// Local `ip:port`.
    pub local: SocketAddr,
    /// Remote `ip:port`.
    pub remote: SocketAddr,
    /// Who opened the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whose socket it is.
    pub process: Option<ProcessPart<'a>>,
    /// Who closed it, where that is another process or a dying one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closer: Option<ProcessPart<'a>>,
    /// Name of the peer, else its address.
    pub peer: &'a str,
    /// Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<&'a str>,
    /// Route of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// Upstream of the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// `downstream` or `upstream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<&'static str>,
    /// Since `connect()` or the SYN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_s: Option<f64>,
    /// Since the connection was established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<f64>,
    /// Since payload last came in, or the handshake if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_in_s: Option<f64>,
    /// Since payload last went out, or the handshake if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_out_s: Option<f64>,
    /// Since the peer last acknowledged anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_s: Option<f64>,
    /// Uncertainty of the three before.
    pub tick_s: f64,
    /// Bytes of the request that had no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<u32>,
    /// The connection's counters.
    #[serde(flatten)]
    pub vitals: Option<VitalsPart>,
    /// The peer had sent its FIN.
    pub fin_received: bool,
    /// This end had closed or shut down its sending side.
    pub fin_sent: bool,
    /// Since the peer's FIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_fin_received_s: Option<f64>,
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
        let route = failure.route.as_ref();
        let named = |name: &'a str| (!name.is_empty()).then_some(name);
        Self {
            v: VERSION,
            event: "failure",
            id: failure.id.to_string(),
            time: format!("{:.6}", failure.time),
            failure: failure.kind.name(),
            stage: failure.stage.name(),
            state_before: observation.state_before.map(TcpState::name),
            netns: observation.netns,
            cookie: observation.cookie.map(|cookie| cookie.to_string()),
            ip_version: if observation.local.is_ipv4() { 4 } else { 6 },
            local: observation.local,
            remote: observation.remote,
            role: observation.role.map(Role::name),
            process: failure
                .owner
                .as_ref()
                .map(|owner| dying_or_not(owner, observation)),
            closer: failure
                .closer
                .as_ref()
                .map(|closer| dying_or_not(closer, observation)),
            peer: &failure.peer,
            gateway: route.map(|route| &*route.gateway),
            route: route.and_then(|route| named(&route.route)),
            upstream: route.and_then(|route| named(&route.upstream)),
            leg: route.map(|route| route.leg.name()),
            opened_s: observation.since_opened.map(seconds),
            age_s: observation.age.map(seconds),
            idle_in_s: observation.since_data_in.map(seconds),
            idle_out_s: observation.since_data_out.map(seconds),
            ack_s: observation.since_ack_in.map(seconds),
            tick_s: seconds(observation.tick),
            unanswered: (failure.unanswered > 0).then_some(failure.unanswered),
            vitals: observation.vitals.as_ref().map(vitals),
            fin_received: observation.fin_received,
            fin_sent: observation.fin_sent,
            since_fin_received_s: observation.since_fin_received.map(seconds),
            socket_error: names::errno(observation.socket_error),
            uid: observation.uid,
            evidence: &failure.evidence,
            connections: (failure.count > 1).then_some(failure.count),
        }
    }
}
