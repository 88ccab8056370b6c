//! What a scenario must make the program say, in the script's own names.

/// One expected event. Endpoints and processes are names that the script gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// `sent` or `received`; without meaning where there is a failure.
    pub(crate) direction: &'static str,
    /// How the connection failed, if the event is not a reset.
    pub(crate) failure: Option<&'static str>,
    /// Local endpoint.
    pub(crate) local: &'static str,
    /// Remote endpoint.
    pub(crate) remote: &'static str,
    /// The kernel's reason; `None` for received resets.
    pub(crate) reason: Option<&'static str>,
    /// State before the reset; `None` without a socket.
    pub(crate) before: Option<&'static str>,
    /// What must be concluded.
    pub(crate) cause: &'static str,
    /// Whose socket it is.
    pub(crate) process: Option<Who>,
    /// Who closed it, if not the owner.
    pub(crate) closer: Option<Who>,
    /// Who opened the connection.
    pub(crate) role: Option<&'static str>,
    /// The peer's FIN had come.
    pub(crate) fin_received: bool,
    /// Our FIN had been sent.
    pub(crate) fin_sent: bool,
    /// A further packet of a reset already reported.
    pub(crate) repeat: bool,
    /// Further members: JSON pointer and value as JSON.
    pub(crate) more: &'static [(&'static str, &'static str)],
    /// Parts of facts that the evidence has.
    pub(crate) said: &'static [&'static str],
}

/// A process and how it must be known, by any of the words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    /// Its name in the script.
    pub(crate) name: &'static str,
    /// Words of `known_by`.
    pub(crate) known_by: &'static [&'static str],
}

/// It connected.
pub(crate) const CONNECT: &[&str] = &["connect"];
/// The socket itself listens.
pub(crate) const LISTEN: &[&str] = &["listen"];
/// Nobody has accepted the connection.
pub(crate) const LISTENER: &[&str] = &["listener"];
/// Accepted by the listener's process and never read: seen as `accept()` where the kernel allows it.
pub(crate) const ACCEPTED: &[&str] = &["accept", "listener"];
/// Accepted and read from.
pub(crate) const READ: &[&str] = &["accept", "first_read"];
/// At work on the socket.
pub(crate) const CURRENT: &[&str] = &["current"];
/// Died with the socket under way between processes: a kernel thread closes it, or (before Linux
/// 6.10) the dying process itself.
pub(crate) const DEAD: &[&str] = &["exited", "current"];
/// Known from the reset that this one repeats.
pub(crate) const EARLIER: &[&str] = &["earlier_reset"];
/// Open when the agent started.
pub(crate) const BEFORE_START: &[&str] = &["open_before_start"];
/// Open when the agent started, in several processes.
pub(crate) const BEFORE_START_SHARED: &[&str] = &["open_before_start_shared"];

/// A reset sent from `local` to `remote`.
pub(crate) const fn sent(local: &'static str, remote: &'static str) -> Expected {
    Expected {
        direction: "sent",
        failure: None,
        local,
        remote,
        reason: None,
        before: None,
        cause: "unknown",
        process: None,
        closer: None,
        role: None,
        fin_received: false,
        fin_sent: false,
        repeat: false,
        more: &[],
        said: &[],
    }
}

/// A reset that `local` received from `remote`.
pub(crate) const fn received(local: &'static str, remote: &'static str) -> Expected {
    Expected {
        direction: "received",
        ..sent(local, remote)
    }
}

/// A connection from `local` to `remote` that failed without a reset.
pub(crate) const fn failed(
    failure: &'static str,
    local: &'static str,
    remote: &'static str,
) -> Expected {
    Expected {
        failure: Some(failure),
        ..sent(local, remote)
    }
}

impl Expected {
    /// With this kernel reason.
    pub(crate) const fn reason(self, reason: &'static str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// In this state before.
    pub(crate) const fn before(self, state: &'static str) -> Self {
        Self {
            before: Some(state),
            ..self
        }
    }

    /// With this conclusion.
    pub(crate) const fn cause(self, cause: &'static str) -> Self {
        Self { cause, ..self }
    }

    /// The client's socket, owned by process `name`.
    pub(crate) const fn client(self, name: &'static str) -> Self {
        Self {
            role: Some("client"),
            ..self.owner(name, CONNECT)
        }
    }

    /// A server's socket, owned by process `name`.
    pub(crate) const fn server(
        self,
        name: &'static str,
        known_by: &'static [&'static str],
    ) -> Self {
        Self {
            role: Some("server"),
            ..self.owner(name, known_by)
        }
    }

    /// Owned by process `name`, whatever its role.
    pub(crate) const fn owner(self, name: &'static str, known_by: &'static [&'static str]) -> Self {
        Self {
            process: Some(Who { name, known_by }),
            ..self
        }
    }

    /// With this role.
    pub(crate) const fn role(self, role: &'static str) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }

    /// Closed by process `name`, which is another or a dying one.
    pub(crate) const fn closer(self, name: &'static str) -> Self {
        Self {
            closer: Some(Who {
                name,
                known_by: CURRENT,
            }),
            ..self
        }
    }

    /// Closed on behalf of process `name`, known by any of these words.
    pub(crate) const fn closed_for(
        self,
        name: &'static str,
        known_by: &'static [&'static str],
    ) -> Self {
        Self {
            closer: Some(Who { name, known_by }),
            ..self
        }
    }

    /// After the peer's FIN.
    pub(crate) const fn fin_received(self) -> Self {
        Self {
            fin_received: true,
            ..self
        }
    }

    /// After our FIN.
    pub(crate) const fn fin_sent(self) -> Self {
        Self {
            fin_sent: true,
            ..self
        }
    }

    /// A further packet of a reset already reported.
    pub(crate) const fn repeat(self) -> Self {
        Self {
            repeat: true,
            ..self
        }
    }

    /// With these members: JSON pointer and value as JSON.
    pub(crate) const fn with(self, more: &'static [(&'static str, &'static str)]) -> Self {
        Self { more, ..self }
    }

    /// With these parts of facts in its evidence.
    pub(crate) const fn saying(self, said: &'static [&'static str]) -> Self {
        Self { said, ..self }
    }
}
