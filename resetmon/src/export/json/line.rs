//! The layout of a JSON line.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::Serialize;

use super::parts::{ConnectionPart, FinPart, ProcessPart, TimesPart, VitalsPart};

/// The keys of a line, in their order.
///
/// What is not known is left out; only `process` is then `null`, so that every line answers whose
/// socket it was. Times end in `_s` and are seconds with microseconds, sizes are bytes of payload.
/// Directions are seen from this node.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Line<'a> {
    /// [`super::VERSION`].
    pub v: u32,
    /// `reset`.
    pub event: &'static str,
    /// Name of the reset within one run of the agent, as in the metrics' exemplars.
    pub id: String,
    /// Wall-clock time, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// `sent` or `received`.
    pub direction: &'static str,
    /// Who made the RST: `local`, `peer`, `firewall`, `middlebox`.
    pub sender: &'static str,
    /// What resetmon concludes.
    pub cause: &'static str,
    /// The cause is harmless: nothing to alarm about.
    pub benign: bool,
    /// How the connection failed as its user saw it: `reset`, `refused`, `timed_out`; nothing where
    /// it had not failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'static str>,
    /// The kernel's reason, for sent resets from Linux 6.10 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// `connecting`, `established`, `closing`, `none`.
    pub stage: &'static str,
    /// TCP state before the reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_before: Option<&'static str>,
    /// What the kernel had for a socket: `none`, `full`, `time_wait`, `request`.
    pub socket: &'static str,
    /// Whose connection it was, and where it stands.
    #[serde(flatten)]
    pub connection: ConnectionPart<'a>,
    /// Its moments.
    #[serde(flatten)]
    pub times: TimesPart,
    /// The connection's counters, where the socket had any.
    #[serde(flatten)]
    pub vitals: Option<VitalsPart>,
    /// How far it had been closed.
    #[serde(flatten)]
    pub fins: FinPart,
    /// Since our FIN, where the moment was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_fin_sent_s: Option<f64>,
    /// `SO_LINGER` time, where set; 0 asks for an abort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger_s: Option<f64>,
    /// Pending error of the socket: `ECONNRESET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_error: Option<Cow<'static, str>>,
    /// uid of the socket's creator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Connections waiting for `accept()`, if the socket listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_queue: Option<u32>,
    /// How many may wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_limit: Option<u32>,
    /// The packet that this reset answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerPart>,
    /// The RST received, where the kernel lets it be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rst: Option<RstPart>,
    /// TTL or hop limit of the peer's packet in the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_ttl: Option<u8>,
    /// A packet filter of this node made the RST: in this hook, `input`, `forward` or `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_hook: Option<&'static str>,
    /// Sides of the socket that were shut down: `receive`, `send`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shutdown: Vec<&'static str>,
    /// What else held of the socket: `orphaned` (the application had let go of it), `has_file`,
    /// `locked_by_task` (the closer is who did it), `keepalive`, `linger2_abort`, `mptcp`,
    /// `open_before_start`, `listener_closed` (never accepted), `owner_by_cookie`; of
    /// a reset without a socket `peer_went_on` (it answers new data after a RST in the peer's name).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
    /// The facts that decided the cause.
    pub evidence: &'a [String],
    /// How many RSTs of one kind this line stands for, where they were too many to report one by
    /// one; it then shows the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// `id` of the reset of which this is a further packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_of: Option<String>,
    /// The reset of the gateway's other leg that led to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagated_from: Option<PropagatedPart<'a>>,
    /// The sent reset that this received one is: this node sent it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinPart<'a>>,
}

/// `twin`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TwinPart<'a> {
    /// `id` of the sent reset.
    pub id: String,
    /// Inode number of the network namespace that sent it.
    pub netns: u32,
    /// Why it was sent.
    pub cause: &'static str,
    /// Whose socket sent it, else who closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessPart<'a>>,
}

/// `propagated_from`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PropagatedPart<'a> {
    /// `id` of that reset.
    pub id: String,
    /// `downstream` or `upstream`: its leg.
    pub leg: &'static str,
    /// Remote `ip:port` of its connection.
    pub remote: SocketAddr,
    /// Name of its peer, else its address.
    pub peer: &'a str,
    /// Its route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// Its upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// What resetmon concludes of it.
    pub cause: &'static str,
}

/// The RST received.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RstPart {
    /// TTL or hop limit.
    pub ttl: u8,
    /// IP identification; 0 for IPv6.
    pub ip_id: u16,
    /// Its sequence number less the one expected.
    pub seq_offset: i32,
    /// `RST|ACK`.
    pub flags: String,
}

/// The packet answered by a reset.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TriggerPart {
    /// `PSH|ACK`.
    pub flags: String,
    /// Payload, bytes.
    pub len: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// TTL or hop limit.
    pub ttl: u8,
}
