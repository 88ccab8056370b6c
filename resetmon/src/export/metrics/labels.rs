//! The label sets of the families.
//!
//! Some labels take their values from a closed list (direction, cause, leg …), the others from the
//! workload (process, peer, reason …). Only the latter can grow without end, so only they are
//! bounded in length and folded into [`OTHER`] when a family is full.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use crate::event::Context;
use crate::kernel::observation::{Direction, Role};
use crate::reset::{Cause, Container, FailureKind, Leg, Process, Reset, RouteMatch, Sender, Stage};

/// What an open label becomes when its family is full.
pub(crate) const OTHER: &str = "other";

/// Value of `reason` where the kernel gives none: received resets, and before Linux 6.10.
const NO_REASON: &str = "none";

/// Letters of a container id that are shown, as `docker ps` and `crictl ps` do.
const SHORT_ID: usize = 12;

/// A label set that knows its open labels.
pub(crate) trait Labels: Clone + Eq + std::hash::Hash + EncodeLabelSet {
    /// The same with every open label replaced by [`OTHER`].
    #[must_use]
    fn folded(&self) -> Self;
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident {
        closed { $($closed:ident: $type:ty,)* }
        open { $($open:ident,)* }
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            $(pub(crate) $closed: $type,)*
            $(pub(crate) $open: Arc<str>,)*
        }

        impl Labels for $name {
            fn folded(&self) -> Self {
                Self {
                    $($closed: self.$closed,)*
                    $($open: Arc::from(OTHER),)*
                }
            }
        }

        impl EncodeLabelSet for $name {
            fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
                [
                    $((stringify!($closed), self.$closed.name()),)*
                    $((stringify!($open), &*self.$open),)*
                ]
                .encode(encoder)
            }
        }
    };
}

labels! {
    /// `resetmon_resets_total`.
    ResetLabels {
        closed { direction: Direction, sender: Sender, cause: Cause, stage: Stage, }
        open { reason, }
    }
}

labels! {
    /// `resetmon_process_resets_total`.
    ProcessLabels {
        closed { direction: Direction, cause: Cause, }
        open { process, namespace, pod, container, }
    }
}

labels! {
    /// `resetmon_route_resets_total`.
    RouteLabels {
        closed { direction: Direction, leg: Leg, cause: Cause, }
        open { gateway, route, upstream, }
    }
}

labels! {
    /// `resetmon_peer_resets_total`.
    PeerLabels {
        closed { direction: Direction, cause: Cause, }
        open { peer, }
    }
}

labels! {
    /// `resetmon_connection_failures_total`.
    FailureLabels {
        closed { failure: FailureLabel, role: RoleLabel, }
        open { process, namespace, pod, container, }
    }
}

labels! {
    /// `resetmon_route_connection_failures_total`.
    RouteFailureLabels {
        closed { failure: FailureKind, leg: Leg, }
        open { gateway, route, upstream, }
    }
}

/// How a connection failed, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FailureLabel(pub(super) Option<FailureKind>);

impl FailureLabel {
    const fn name(self) -> &'static str {
        match self.0 {
            Some(kind) => kind.name(),
            None => "unknown",
        }
    }
}

/// Who opened the connection, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoleLabel(Option<Role>);

impl RoleLabel {
    const fn name(self) -> &'static str {
        match self.0 {
            Some(role) => role.name(),
            None => "none",
        }
    }
}

labels! {
    /// The two histograms.
    ConnectionLabels {
        closed { direction: Direction, leg: Leg, }
        open { route, }
    }
}

impl ResetLabels {
    /// With label values of at most `most` characters, as everywhere here.
    pub(crate) fn of(reset: &Reset, most: usize) -> Self {
        Self {
            direction: reset.observation.direction,
            sender: reset.diagnosis.sender,
            cause: reset.diagnosis.cause,
            stage: reset.diagnosis.stage,
            reason: match &reset.observation.reason {
                Some(reason) => bounded(&reason.0, most),
                None => Arc::from(NO_REASON),
            },
        }
    }

    /// Of resets of which nothing else is known.
    pub(super) fn bare(direction: Direction, sender: Sender) -> Self {
        Self {
            direction,
            sender,
            cause: Cause::Unknown,
            stage: Stage::None,
            reason: Arc::from(NO_REASON),
        }
    }
}

impl ProcessLabels {
    /// See [`Named`].
    pub(crate) fn of(reset: &Reset, most: usize) -> Self {
        let Named {
            process,
            namespace,
            pod,
            container,
        } = Named::of(Context::from(reset), most);
        Self {
            direction: reset.observation.direction,
            cause: reset.diagnosis.cause,
            process,
            namespace,
            pod,
            container,
        }
    }
}

/// Whose socket it is, as labels.
#[derive(Default)]
struct Named {
    process: Arc<str>,
    namespace: Arc<str>,
    pod: Arc<str>,
    container: Arc<str>,
}

impl Named {
    /// The owner of the socket, else who closed it; every name is empty where neither is known.
    ///
    /// Where nobody has named the pod, `pod` is the uid of its cgroup and `namespace` is empty.
    /// `container` is its name in the pod, else the short container id, else the systemd unit.
    fn of(context: Context<'_>, most: usize) -> Self {
        let owner = context.owner.or(context.closer);
        let process = owner.map(|owner| &*owner.process);
        let container = process.and_then(|process| process.container.as_ref());
        let names = container.and_then(|container| container.names.as_deref());
        let pod = match (names, container) {
            (Some(names), _) => Some(&names.pod),
            (None, container) => container.and_then(|container| container.pod_uid.as_ref()),
        };
        let label = |value: Option<&Arc<str>>| match value {
            Some(value) => bounded(value, most),
            None => Arc::default(),
        };
        Self {
            process: label(process.map(|process| &process.name)),
            namespace: label(names.map(|names| &names.namespace)),
            pod: label(pod),
            container: process
                .and_then(|process| container_label(process, most))
                .unwrap_or_default(),
        }
    }
}

impl FailureLabels {
    /// Of a connection that failed in the way `kind`.
    pub(crate) fn of(context: Context<'_>, kind: FailureKind, most: usize) -> Self {
        let Named {
            process,
            namespace,
            pod,
            container,
        } = Named::of(context, most);
        Self {
            failure: FailureLabel(Some(kind)),
            role: RoleLabel(context.observation.role),
            process,
            namespace,
            pod,
            container,
        }
    }

    /// Of failures of which nothing is known.
    pub(super) fn bare() -> Self {
        let Named {
            process,
            namespace,
            pod,
            container,
        } = Named::default();
        Self {
            failure: FailureLabel(None),
            role: RoleLabel(None),
            process,
            namespace,
            pod,
            container,
        }
    }
}

impl RouteFailureLabels {
    pub(crate) fn of(route: &RouteMatch, kind: FailureKind, most: usize) -> Self {
        Self {
            failure: kind,
            leg: route.leg,
            gateway: bounded(&route.gateway, most),
            route: bounded(&route.route, most),
            upstream: bounded(&route.upstream, most),
        }
    }
}

impl RouteLabels {
    /// `None` where the connection is not a configured gateway's.
    pub(crate) fn of(reset: &Reset, most: usize) -> Option<Self> {
        let route = reset.route.as_ref()?;
        Some(Self {
            direction: reset.observation.direction,
            leg: route.leg,
            cause: reset.diagnosis.cause,
            gateway: bounded(&route.gateway, most),
            route: bounded(&route.route, most),
            upstream: bounded(&route.upstream, most),
        })
    }
}

impl PeerLabels {
    pub(crate) fn of(reset: &Reset, most: usize) -> Self {
        Self {
            direction: reset.observation.direction,
            cause: reset.diagnosis.cause,
            peer: bounded(&reset.peer, most),
        }
    }
}

impl ConnectionLabels {
    pub(crate) fn of(reset: &Reset, most: usize) -> Self {
        Self {
            direction: reset.observation.direction,
            leg: reset.leg(),
            route: match &reset.route {
                Some(route) => bounded(&route.route, most),
                None => Arc::from(""),
            },
        }
    }
}

/// Name of the container, else its short id, else the systemd unit.
fn container_label(process: &Process, most: usize) -> Option<Arc<str>> {
    let Some(Container { id, names, .. }) = &process.container else {
        return process.unit.as_ref().map(|unit| bounded(unit, most));
    };
    let name = names.as_ref().and_then(|names| names.container.as_ref());
    Some(match (name, id.get(..SHORT_ID)) {
        (Some(name), _) => bounded(name, most),
        (None, Some(short)) => bounded(&Arc::from(short), most),
        (None, None) => bounded(id, most),
    })
}

/// A label value of at most `most` characters that no terminal obeys; `…` ends what is cut.
///
/// The line feed stays, the exposition format escapes it; other control characters are legal there
/// and would reach whoever reads the page with curl.
pub(crate) fn bounded(value: &Arc<str>, most: usize) -> Arc<str> {
    let hostile = |letter: char| letter.is_control() && letter != '\n';
    // No text has more characters than bytes.
    let fits = value.len() <= most || value.chars().nth(most).is_none();
    if fits && !value.contains(hostile) {
        return value.clone();
    }
    let kept = if fits { most } else { most.saturating_sub(1) };
    let mut text: String = value
        .chars()
        .take(kept)
        .map(|letter| {
            if hostile(letter) {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        })
        .collect();
    if !fits {
        text.push('…');
    }
    Arc::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;
    use crate::reset::ContainerNames;

    const MOST: usize = 40;

    #[test]
    fn values_are_bounded_and_harmless() {
        let exact = "é".repeat(MOST);
        let cut = format!("{}…", "é".repeat(MOST - 1));
        let hostile = format!("{}…", "\u{fffd}".repeat(MOST - 1));
        let rows: &[(&str, &str)] = &[
            ("", ""),
            ("nginx", "nginx"),
            ("two\nlines", "two\nlines"),
            ("\u{1b}[31mred", "\u{fffd}[31mred"),
            ("a\0b\rc\u{9b}d", "a\u{fffd}b\u{fffd}c\u{fffd}d"),
            (&exact, &exact),
            (&"é".repeat(MOST + 1), &cut),
            (&"\u{7}".repeat(MOST + 1), &hostile),
        ];
        for (value, expected) in rows {
            let value = bounded(&Arc::from(*value), MOST);
            assert_eq!(&*value, *expected);
            assert!(value.chars().count() <= MOST, "{value}");
        }
        assert_eq!(&*bounded(&Arc::from("ab"), 0), "…");
    }

    #[test]
    fn where_a_process_runs() {
        let host = sample::nginx();
        let bare = Process {
            unit: None,
            ..sample::nginx()
        };
        let pod = Process {
            container: Some(sample::container()),
            ..sample::nginx()
        };
        let odd = Process {
            container: Some(Container {
                id: Arc::from("short"),
                ..sample::container()
            }),
            ..sample::nginx()
        };
        let named = |names: ContainerNames| Process {
            container: Some(Container {
                names: Some(Arc::new(names)),
                ..sample::container()
            }),
            ..sample::nginx()
        };
        let whole = ContainerNames {
            namespace: Arc::from("shop"),
            pod: Arc::from("web-0"),
            container: Some(Arc::from("proxy")),
            workload: None,
        };
        let half = named(ContainerNames {
            container: None,
            ..whole.clone()
        });
        let whole = named(whole);
        let hostile = Process {
            container: Some(Container {
                id: Arc::from("\u{1b}[31m\u{85}-long-enough"),
                ..sample::container()
            }),
            ..sample::nginx()
        };
        let uid = "11111111-2222-3333-4444-555555555555";
        let rows = [
            (host, "", "", "nginx.service"),
            (bare, "", "", ""),
            (pod, "", uid, "0123456789ab"),
            (odd, "", uid, "short"),
            (half, "shop", "web-0", "0123456789ab"),
            (whole, "shop", "web-0", "proxy"),
            (hostile, "", uid, "\u{fffd}[31m\u{fffd}-long"),
        ];
        for (process, namespace, pod, container) in rows {
            let mut reset = sample::received();
            reset.owner.as_mut().unwrap().process = Arc::new(process);
            let labels = ProcessLabels::of(&reset, MOST);
            assert_eq!((&*labels.pod, &*labels.container), (pod, container));
            assert_eq!((&*labels.process, &*labels.namespace), ("nginx", namespace));
        }
    }

    #[test]
    fn the_closer_stands_in_for_an_unknown_owner() {
        let mut reset = sample::received();
        reset.closer = reset.owner.take();
        assert_eq!(&*ProcessLabels::of(&reset, MOST).process, "nginx");
        reset.closer = None;
        assert_eq!(&*ProcessLabels::of(&reset, MOST).process, "");
    }
}
