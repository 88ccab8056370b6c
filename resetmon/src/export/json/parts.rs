//! Keys that the lines of several events have, with one meaning in all of them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::event::Context;
use crate::export::facts::exit;
use crate::kernel::names;
use crate::kernel::observation::{Exit, Observation, Role, Vitals};
use crate::reset::{Container, Owner};

/// Whose connection it was, and where it stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionPart<'a> {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Socket cookie, as in `ss -e`; a string because it may exceed what JSON numbers hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// 4 or 6.
    pub ip_version: u8,
    /// Local `ip:port`.
    pub local: SocketAddr,
    /// Remote `ip:port`.
    pub remote: SocketAddr,
    /// Who opened the connection: `client` is this node, `server` the remote end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whose socket it is.
    pub process: Option<ProcessPart<'a>>,
    /// Who closed or reset it, where that is another process or a dying one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closer: Option<ProcessPart<'a>>,
    /// Name of the peer, else its address.
    pub peer: &'a str,
    /// Gateway by the name of the configuration; with it come `route`, `upstream` and `leg`.
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
}

/// How old a connection was, and how long it had been silent.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimesPart {
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
}

/// How far a connection had been closed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FinPart {
    /// The peer had sent its FIN.
    pub fin_received: bool,
    /// This end had closed or shut down its sending side.
    pub fin_sent: bool,
    /// Since the peer's FIN, where the moment was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_fin_received_s: Option<f64>,
}

/// `process` and `closer`, also those of a `twin`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProcessPart<'a> {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// File name of the executable, else `comm`.
    pub name: &'a str,
    /// Name of the main thread.
    pub comm: &'a str,
    /// Path of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<&'a str>,
    /// Command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<&'a str>,
    /// The container it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerPart<'a>>,
    /// systemd unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'a str>,
    /// How it is known to be concerned: `connect`, `accept`, …
    pub known_by: &'static str,
    /// The signal that was ending it: `SIGKILL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<Cow<'static, str>>,
    /// That signal came from the kernel, for want of memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
    /// The status with which it was exiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u8>,
}

/// The container of a process.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContainerPart<'a> {
    /// Full id.
    pub id: &'a str,
    /// `docker`, `containerd`, `cri-o`, `podman`, …
    pub runtime: &'static str,
    /// uid of the Kubernetes pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<&'a str>,
    /// Namespace of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a str>,
    /// Name of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<&'a str>,
    /// Name of the container in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// What made the pod: `Deployment/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<&'a str>,
}

/// Counters of the connection; a FIN or SYN is not counted as payload.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VitalsPart {
    /// Received.
    pub bytes_received: u64,
    /// Sent and acknowledged by the peer.
    pub bytes_acked: u64,
    /// Sent, retransmits included.
    pub bytes_sent: u64,
    /// Segments received.
    pub segs_in: u32,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments with payload received.
    pub data_segs_in: u32,
    /// Segments with payload sent.
    pub data_segs_out: u32,
    /// Received and not read by the application, bytes.
    pub unread: u32,
    /// Written and not acknowledged by the peer, bytes.
    pub unacked: u32,
    /// Smoothed round-trip time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtt_s: Option<f64>,
    /// Retransmits over the connection's life.
    pub retransmits: u32,
    /// Unanswered keep-alive or zero-window probes.
    pub probes_out: u8,
}

impl<'a> From<Context<'a>> for ConnectionPart<'a> {
    fn from(context: Context<'a>) -> Self {
        let Context {
            observation,
            owner,
            closer,
            peer,
            route,
        } = context;
        let process =
            |owner: &'a Owner| ProcessPart::of(owner, exit(owner.process.pid, observation));
        Self {
            netns: observation.netns,
            cookie: observation.cookie.map(|cookie| cookie.to_string()),
            ip_version: if observation.local.is_ipv4() { 4 } else { 6 },
            local: observation.local,
            remote: observation.remote,
            role: observation.role.map(Role::name),
            process: owner.map(process),
            closer: closer.map(process),
            peer,
            gateway: route.map(|route| &*route.gateway),
            route: route.and_then(|route| named(&route.route)),
            upstream: route.and_then(|route| named(&route.upstream)),
            leg: route.map(|route| route.leg.name()),
        }
    }
}

impl From<&Observation> for TimesPart {
    fn from(observation: &Observation) -> Self {
        Self {
            age_s: observation.age.map(seconds),
            idle_in_s: observation.since_data_in.map(seconds),
            idle_out_s: observation.since_data_out.map(seconds),
            ack_s: observation.since_ack_in.map(seconds),
            tick_s: seconds(observation.tick),
        }
    }
}

impl From<&Observation> for FinPart {
    fn from(observation: &Observation) -> Self {
        Self {
            fin_received: observation.fin_received,
            fin_sent: observation.fin_sent,
            since_fin_received_s: observation.since_fin_received.map(seconds),
        }
    }
}

impl<'a> ProcessPart<'a> {
    /// Of a process that was ending so, if it was.
    pub(super) fn of(owner: &'a Owner, exit: Option<Exit>) -> Self {
        let process = &*owner.process;
        Self {
            pid: process.pid,
            name: &process.name,
            comm: &process.comm,
            exe: process.exe.as_deref(),
            cmdline: process.cmdline.as_deref(),
            container: process.container.as_ref().map(ContainerPart::from),
            unit: process.unit.as_deref(),
            known_by: owner.known_by.name(),
            exit_signal: exit.and_then(Exit::signal).map(names::signal),
            out_of_memory: exit == Some(Exit::OutOfMemory),
            exit_status: match exit {
                Some(Exit::Status(status)) => Some(status),
                _ => None,
            },
        }
    }
}

impl<'a> From<&'a Container> for ContainerPart<'a> {
    fn from(container: &'a Container) -> Self {
        let names = container.names.as_deref();
        Self {
            id: &container.id,
            runtime: container.runtime,
            pod_uid: container.pod_uid.as_deref(),
            namespace: names.map(|names| &*names.namespace),
            pod: names.map(|names| &*names.pod),
            name: names.and_then(|names| names.container.as_deref()),
            workload: names.and_then(|names| names.workload.as_deref()),
        }
    }
}

impl From<&Vitals> for VitalsPart {
    fn from(vitals: &Vitals) -> Self {
        Self {
            bytes_received: vitals.bytes_received,
            bytes_acked: vitals.bytes_acked,
            bytes_sent: vitals.bytes_sent,
            segs_in: vitals.segs_in,
            segs_out: vitals.segs_out,
            data_segs_in: vitals.data_segs_in,
            data_segs_out: vitals.data_segs_out,
            unread: vitals.unread,
            unacked: vitals.unacked,
            srtt_s: vitals.srtt.map(seconds),
            retransmits: vitals.retransmits,
            probes_out: vitals.probes_out,
        }
    }
}

/// A name, where there is one.
pub(super) fn named(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}

/// Seconds with microseconds.
pub(super) fn seconds(duration: Duration) -> f64 {
    // The nearest double to a decimal of six places, which is what a reader sees.
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
