//! A row of the bench: one gateway, one fault, and all that may be reported of it.

use anyhow::Result;

use crate::scene::Scene;

/// One gateway and one fault.
pub(crate) struct Row {
    /// Its name, unique within the gateway: the fault and its leg, in letters, digits and `_`. The gateway's
    /// configuration names the row's route and upstream by it.
    pub(crate) name: &'static str,
    /// What the row's route is like in the gateway's configuration.
    pub(crate) setting: Setting,
    /// It has a gateway of its own: the fault hits the whole program.
    pub(crate) alone: bool,
    /// Makes the fault, and checks by other means than resetmon that it was made.
    pub(crate) fault: fn(&Scene<'_>) -> Result<()>,
    /// What must be reported, in any order, and nothing else; empty where nothing may be.
    pub(crate) expect: &'static [Expected],
}

impl Row {
    /// One with a plain route, at a gateway that others share.
    pub(crate) const fn new(
        name: &'static str,
        fault: fn(&Scene<'_>) -> Result<()>,
        expect: &'static [Expected],
    ) -> Self {
        Self {
            name,
            setting: Setting::Plain,
            alone: false,
            fault,
            expect,
        }
    }

    /// With such a route.
    pub(crate) const fn with(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }

    /// At a gateway of its own.
    pub(crate) const fn alone(self) -> Self {
        Self {
            alone: true,
            ..self
        }
    }
}

/// What a route is like. Unless said otherwise a route keeps connections on both legs for long,
/// waits long for answers and speaks HTTP/1.1 without TLS; no request is tried twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Nothing in particular.
    #[default]
    Plain,
    /// A connection to the backend for every request, closed by the gateway after the answer.
    Fresh,
    /// The gateway waits [`PATIENCE`] for a connection to the backend and for its answer.
    Impatient,
    /// The gateway closes a client's connection that is idle for a second.
    Brief,
    /// The gateway takes request bodies of at most 1 KiB.
    Small,
    /// The gateway speaks TLS with clients.
    TlsFront,
    /// The gateway speaks TLS with the backend and trusts only its own certificate authority.
    TlsBack,
}

/// How long a gateway waits with [`Setting::Impatient`], milliseconds.
pub(crate) const PATIENCE: u64 = 1500;

/// One end of a connection of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    /// The client's, to the gateway.
    Client,
    /// The gateway's, to the client: downstream.
    Downstream,
    /// The gateway's, to the backend: upstream.
    Upstream,
    /// The backend's, to the gateway.
    Backend,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A reset sent.
    Sent,
    /// A reset received.
    Received,
    /// A failure without a reset.
    Failed,
}

/// A process of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The gateway's process that holds the connection; any of its workers where the script did not say
    /// which ([`Scene::held_by`]).
    Gateway,
    /// Process `client`.
    Client,
    /// Process `backend`.
    Backend,
    /// Nobody has, or had, a socket for it.
    Nobody,
    /// A process that the script named ([`Scene::name`]).
    Named(&'static str),
}

/// One event that is due. Its end gives leg, role, route and upstream: see [`Expected::at`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Whose end of which connection.
    pub(crate) at: End,
    /// What kind of event.
    pub(crate) kind: Kind,
    /// The cause of a reset, the kind of a failure.
    pub(crate) why: &'static str,
    /// Another cause that is as right: the kernel has two ways to the same.
    pub(crate) or: Option<&'static str>,
    /// It is due only where resetmon sees what the packet filter rejects (fentry), or only where it does
    /// not.
    pub(crate) seeing_rejects: Option<bool>,
    /// How the connection failed, as its user saw it; `None` where it had not.
    pub(crate) failure: Option<&'static str>,
    /// Whose socket it is.
    pub(crate) process: Who,
    /// Who closed it or was dying, where that is to be named.
    pub(crate) closer: Option<Who>,
    /// It may as well not come: the fault and the schedule of a busy machine decide.
    pub(crate) optional: bool,
    /// It may come any number of times.
    pub(crate) repeated: bool,
    /// Words of its evidence.
    pub(crate) says: Option<&'static str>,
    /// Further members: JSON pointer and value as JSON.
    pub(crate) more: &'static [(&'static str, &'static str)],
}

impl End {
    /// `end` sends a reset for `cause`; the connection has failed by it.
    pub(crate) const fn sends(self, cause: &'static str) -> Expected {
        Expected::new(self, Kind::Sent, cause)
    }

    /// `end` receives a reset for `cause`; the connection has failed by it.
    pub(crate) const fn receives(self, cause: &'static str) -> Expected {
        Expected::new(self, Kind::Received, cause)
    }

    /// The connection of `end` fails without a reset.
    pub(crate) const fn fails(self, failure: &'static str) -> Expected {
        Expected {
            failure: Some(failure),
            ..Expected::new(self, Kind::Failed, failure)
        }
    }

    /// The leg that is to be reported; `None` for ends that are not the gateway's.
    pub(crate) const fn leg(self) -> Option<&'static str> {
        match self {
            Self::Downstream => Some("downstream"),
            Self::Upstream => Some("upstream"),
            Self::Client | Self::Backend => None,
        }
    }

    /// The other end of its connection.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Downstream,
            Self::Downstream => Self::Client,
            Self::Upstream => Self::Backend,
            Self::Backend => Self::Upstream,
        }
    }

    /// The role that is to be reported where there is a socket.
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Client | Self::Upstream => "client",
            Self::Downstream | Self::Backend => "server",
        }
    }
}

impl Expected {
    const fn new(at: End, kind: Kind, why: &'static str) -> Self {
        let process = match at {
            End::Client => Who::Client,
            End::Backend => Who::Backend,
            End::Downstream | End::Upstream => Who::Gateway,
        };
        Self {
            at,
            kind,
            why,
            or: None,
            seeing_rejects: None,
            failure: Some("reset"),
            process,
            closer: None,
            optional: false,
            repeated: false,
            says: None,
            more: &[],
        }
    }

    /// The connection failed in this way.
    pub(crate) const fn failing(self, failure: &'static str) -> Self {
        Self {
            failure: Some(failure),
            ..self
        }
    }

    /// The connection had not failed.
    pub(crate) const fn harmless(self) -> Self {
        Self {
            failure: None,
            ..self
        }
    }

    /// Another process than the end's own, or none.
    pub(crate) const fn of(self, process: Who) -> Self {
        Self { process, ..self }
    }

    /// Closed by this process, or while it was dying.
    pub(crate) const fn closed_by(self, closer: Who) -> Self {
        Self {
            closer: Some(closer),
            ..self
        }
    }

    /// This cause is as right.
    pub(crate) const fn or(self, cause: &'static str) -> Self {
        Self {
            or: Some(cause),
            ..self
        }
    }

    /// Due only where resetmon sees what the packet filter rejects, or only where it does not.
    pub(crate) const fn if_rejects_are_seen(self, seen: bool) -> Self {
        Self {
            seeing_rejects: Some(seen),
            ..self
        }
    }

    /// A fact of the evidence has these words.
    pub(crate) const fn saying(self, words: &'static str) -> Self {
        Self {
            says: Some(words),
            ..self
        }
    }

    /// It may come any number of times, or not at all.
    pub(crate) const fn repeated(self) -> Self {
        Self {
            optional: true,
            repeated: true,
            ..self
        }
    }

    /// With these members: JSON pointer and value as JSON.
    pub(crate) const fn with(self, more: &'static [(&'static str, &'static str)]) -> Self {
        Self { more, ..self }
    }
}
