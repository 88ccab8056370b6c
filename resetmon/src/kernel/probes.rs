//! The probe table: what is attached where, what for, and what is lost without it.
//!
//! Loading is try-and-classify per probe; [`verdict`] turns the outcomes into what an operator
//! needs to know. It is pure, so that every kind of kernel can be tested on any.

/// Where a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachPoint {
    /// A BTF tracepoint of this name.
    Tracepoint(&'static str),
    /// The entry of a kernel function.
    FunctionEntry(&'static str),
    /// The exit of a kernel function.
    FunctionExit(&'static str),
    /// A BPF iterator, run at the start.
    Iterator(&'static str),
}

impl std::fmt::Display for AttachPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tracepoint(name) => write!(f, "tracepoint {name}"),
            Self::FunctionEntry(name) => write!(f, "fentry {name}"),
            Self::FunctionExit(name) => write!(f, "fexit {name}"),
            Self::Iterator(name) => write!(f, "iter/{name}"),
        }
    }
}

/// How much depends on a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// resetmon cannot do its work without it.
    Required,
    /// Used where the kernel has it.
    Preferred,
    /// Used only before Linux 6.10, where `tcp_send_reset` gives no reason and is silent without a
    /// full socket.
    WithoutReasons,
    /// Used only where the configuration asks for it (`refused_resets`).
    OnRequest,
    /// Takes the events that the kernel keeps from the named probe, because one interrupts another;
    /// attached after it, to run after it.
    StandInFor(&'static str),
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Probe {
    /// Name in metrics and reports, and of the program in the object.
    pub name: &'static str,
    /// Where it goes.
    pub at: AttachPoint,
    /// How much depends on it.
    pub need: Need,
    /// What it is for.
    pub purpose: &'static str,
    /// What is lost without it.
    pub without: &'static str,
}

/// Every probe, in the order in which they are attached.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "socket_state",
        at: AttachPoint::Tracepoint("inet_sock_set_state"),
        need: Need::Required,
        purpose: "owner, role and age of a connection; its state before the reset",
        without: "no reset can be put down to a process",
    },
    Probe {
        name: "socket_state_nested",
        at: AttachPoint::Tracepoint("inet_sock_set_state"),
        need: Need::StandInFor("socket_state"),
        purpose: "changes of state while socket_state is at work on the same CPU",
        without: "a connection that changes state while another does on the same CPU may have the wrong owner or cause",
    },
    Probe {
        name: "accept",
        at: AttachPoint::FunctionExit("inet_csk_accept"),
        need: Need::Preferred,
        purpose: "the worker that accepted a connection",
        without: "a connection reset before anybody read from it is put down to the process that called listen()",
    },
    Probe {
        name: "first_read",
        at: AttachPoint::Tracepoint("tcp_rcv_space_adjust"),
        need: Need::Preferred,
        purpose: "the worker that reads from a connection, and which request was unanswered then",
        without: "a request without an answer is found only where the connection never had one; \
                  where accept() is not seen, connections are put down to the process that called \
                  listen()",
    },
    Probe {
        name: "socket_destroyed",
        at: AttachPoint::Tracepoint("tcp_destroy_sock"),
        need: Need::Required,
        purpose: "owner of late packets of a connection that was reset",
        without: "late packets of a reset connection have no owner",
    },
    Probe {
        name: "reset_sent",
        at: AttachPoint::Tracepoint("tcp_send_reset"),
        need: Need::Required,
        purpose: "resets sent by this node",
        without: "sent resets are not seen",
    },
    Probe {
        name: "reset_sent_nested",
        at: AttachPoint::Tracepoint("tcp_send_reset"),
        need: Need::StandInFor("reset_sent"),
        purpose: "resets sent while reset_sent is at work on the same CPU",
        without: "a reset sent while another is on the same CPU may be left out: resetmon_unaccounted_resets shows it",
    },
    Probe {
        name: "untraced_v4",
        at: AttachPoint::FunctionEntry("tcp_v4_send_reset"),
        need: Need::WithoutReasons,
        purpose: "IPv4 resets that the kernel does not trace",
        without: "IPv4 resets of closed ports, late packets and TIME_WAIT are not seen",
    },
    Probe {
        name: "untraced_v6",
        at: AttachPoint::FunctionEntry("tcp_v6_send_reset"),
        need: Need::WithoutReasons,
        purpose: "IPv6 resets that the kernel does not trace",
        without: "IPv6 resets of closed ports, late packets and TIME_WAIT are not seen",
    },
    Probe {
        name: "reset_packet",
        at: AttachPoint::FunctionEntry("tcp_reset"),
        need: Need::Preferred,
        purpose: "the received RST itself: TTL, IP identification, sequence number",
        without: "whether the peer or a box in between made a RST cannot be told",
    },
    Probe {
        name: "handshake_client",
        at: AttachPoint::FunctionEntry("tcp_finish_connect"),
        need: Need::Preferred,
        purpose: "TTL of the peer of outgoing connections",
        without: "the TTL of a RST cannot be held against the peer's own",
    },
    Probe {
        name: "handshake_server",
        at: AttachPoint::FunctionEntry("tcp_child_process"),
        need: Need::Preferred,
        purpose: "TTL of the peer of accepted connections",
        without: "the TTL of a RST cannot be held against the peer's own",
    },
    Probe {
        name: "reset_received",
        at: AttachPoint::Tracepoint("tcp_receive_reset"),
        need: Need::Required,
        purpose: "resets received by this node",
        without: "received resets are not seen",
    },
    Probe {
        name: "reset_received_nested",
        at: AttachPoint::Tracepoint("tcp_receive_reset"),
        need: Need::StandInFor("reset_received"),
        purpose: "resets received while reset_received is at work on the same CPU",
        without: "a reset received while another is on the same CPU may be left out",
    },
    Probe {
        name: "firewall_reject",
        at: AttachPoint::FunctionEntry("nf_ct_attach"),
        need: Need::Preferred,
        purpose: "resets that a packet filter of this node makes",
        without: "resets by reject rules are not seen as sent, and those that this node gets from its own rules are put down to the peer",
    },
    Probe {
        name: "process_exit",
        at: AttachPoint::Tracepoint("sched_process_exit"),
        need: Need::Preferred,
        purpose: "how the owner of a socket ended that a kernel thread closes later",
        without: "sockets that a kernel thread closes after their owner's death have no closer",
    },
    Probe {
        name: "oom_victim",
        at: AttachPoint::Tracepoint("mark_victim"),
        need: Need::Preferred,
        purpose: "processes killed for want of memory",
        without: "a process killed for want of memory is not told from one killed otherwise",
    },
    Probe {
        name: "refused",
        at: AttachPoint::Tracepoint("kfree_skb"),
        need: Need::OnRequest,
        purpose: "received resets that the kernel refused, by its reason",
        without: "refused resets are not counted (Linux 5.17 and newer gives a reason)",
    },
    Probe {
        name: "existing_listeners",
        at: AttachPoint::Iterator("task_file"),
        need: Need::Preferred,
        purpose: "ports listened on before the start",
        without: "connections older than resetmon have no role",
    },
    Probe {
        name: "existing_sockets",
        at: AttachPoint::Iterator("task_file"),
        need: Need::Preferred,
        purpose: "owners of sockets open before the start",
        without: "connections older than resetmon have no owner until they are read from",
    },
];

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is attached (an iterator: it has run).
    Attached,
    /// A preferred probe stands in its place, the kernel tells without it, or nobody asked for it.
    NotNeeded,
    /// The kernel does not have the attach point.
    Missing,
    /// The kernel refused; the errno's text, and the last words of the verifier if any.
    Refused(String),
}

impl Probe {
    /// Why it is not attached where it is [`Outcome::NotNeeded`].
    #[must_use]
    pub const fn not_needed(&self) -> &'static str {
        match self.need {
            Need::OnRequest => "off: `refused_resets` is not set",
            _ => "not needed on this kernel",
        }
    }
}

/// What the outcomes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is attached.
    Ok,
    /// It works; what is lost, one line a probe.
    Degraded(Vec<String>),
    /// It cannot work; why, one line a probe.
    Unusable(Vec<String>),
}

/// The verdict over all probes, given each one's outcome.
#[must_use]
pub fn verdict<'a>(outcomes: impl IntoIterator<Item = (&'a Probe, &'a Outcome)>) -> Verdict {
    let mut lost = Vec::new();
    let mut fatal = Vec::new();
    for (probe, outcome) in outcomes {
        let why = match outcome {
            Outcome::Attached | Outcome::NotNeeded => continue,
            Outcome::Missing => "this kernel does not have it".to_owned(),
            Outcome::Refused(why) => why.clone(),
        };
        let line = format!("{} ({}): {why}; {}", probe.name, probe.at, probe.without);
        if probe.need == Need::Required {
            fatal.push(line);
        } else {
            lost.push(line);
        }
    }
    if !fatal.is_empty() {
        Verdict::Unusable(fatal)
    } else if lost.is_empty() {
        Verdict::Ok
    } else {
        Verdict::Degraded(lost)
    }
}

/// The row of a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Probe> {
    PROBES.iter().find(|probe| probe.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(outcome_of: impl Fn(&Probe) -> Outcome) -> Verdict {
        let outcomes: Vec<Outcome> = PROBES.iter().map(outcome_of).collect();
        verdict(PROBES.iter().zip(&outcomes))
    }

    #[test]
    fn everything_attached_is_ok() {
        assert_eq!(all(|_| Outcome::Attached), Verdict::Ok);
        assert_eq!(
            all(|p| if p.need == Need::OnRequest {
                Outcome::NotNeeded
            } else {
                Outcome::Attached
            }),
            Verdict::Ok
        );
    }

    #[test]
    fn a_preferred_probe_refused_degrades_and_names_the_loss() {
        let Verdict::Degraded(lost) = all(|p| match p.need {
            Need::Preferred if p.name == "accept" => Outcome::Refused("EPERM".into()),
            _ => Outcome::Attached,
        }) else {
            panic!("not degraded");
        };
        assert_eq!(lost.len(), 1);
        assert!(
            lost[0].contains("inet_csk_accept") && lost[0].contains("EPERM"),
            "{lost:?}"
        );
        assert!(lost[0].contains("listen()"), "{lost:?}");
    }

    #[test]
    fn each_required_probe_is_fatal_on_its_own() {
        for required in PROBES.iter().filter(|p| p.need == Need::Required) {
            let verdict = all(|p| {
                if p.name == required.name {
                    Outcome::Missing
                } else {
                    Outcome::Attached
                }
            });
            let Verdict::Unusable(why) = verdict else {
                panic!("{} missing must be fatal", required.name);
            };
            assert!(why[0].contains(required.name));
        }
    }

    #[test]
    fn fatal_outweighs_degraded() {
        assert!(matches!(all(|_| Outcome::Missing), Verdict::Unusable(_)));
    }

    #[test]
    fn names_are_unique_and_what_rests_on_another_comes_after_it() {
        for probe in PROBES {
            assert_eq!(PROBES.iter().filter(|p| p.name == probe.name).count(), 1);
            let Need::StandInFor(name) = probe.need else {
                continue;
            };
            let of = by_name(name).expect("a probe of the table");
            assert_eq!(of.need, Need::Required);
            assert_eq!(of.at, probe.at, "{name}");
            let position = |n| PROBES.iter().position(|p| p.name == n);
            assert!(position(name) < position(probe.name), "{name} comes first");
        }
    }
}
