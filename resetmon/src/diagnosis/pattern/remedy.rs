//! What to do, made concrete: the advice of the cause, with the names and times at hand.

use super::fixed_time::Measure;
use super::problem::Side;
use super::wording::{Words, duration};
use crate::diagnosis::advice::{advice, failure_advice};
use crate::diagnosis::sample::Death;
use crate::reset::{Cause, FailureKind, Leg};

/// Programs whose settings are known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Nginx,
    Haproxy,
    Envoy,
    Other,
}

impl Program {
    fn of(name: &str) -> Self {
        match name {
            "nginx" | "openresty" | "kong" => Self::Nginx,
            "haproxy" => Self::Haproxy,
            "envoy" => Self::Envoy,
            _ => Self::Other,
        }
    }
}

/// What to do, the most concrete first.
#[must_use]
pub fn advise(words: &Words<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    concrete(words, &mut lines);
    if let Some(worse) = &words.traits.endpoint {
        lines.push(format!(
            "Take {} out of {} for a while and compare it with its siblings: its version, its \
             load, its node.",
            worse.which,
            words.service()
        ));
    }
    if let Some(replaced) = &words.traits.replaced {
        let what = if replaced.moved {
            "moved to another pod or container"
        } else {
            "was restarted"
        };
        lines.push(format!(
            "{} {what} as it began: let it drain its connections before it ends.",
            words.text(replaced.name)
        ));
    }
    // What the other end did says more than what this one saw, where it did it of itself.
    let by = words.key.by.filter(|by| {
        matches!(
            by,
            Cause::ProcessKilled
                | Cause::ProcessExit
                | Cause::ListenOverflow
                | Cause::ListenerClosed
                | Cause::FirewallReject
                | Cause::SocketDestroyed
                | Cause::MemoryPressure
                | Cause::LingerAbort
                | Cause::ClosedWithUnreadData
        )
    });
    let seen = words.key.cause;
    let race = matches!(seen, Some(Cause::KeepaliveRace | Cause::ClientCanceled));
    let cause = if race { seen.or(by) } else { by.or(seen) };
    let row = cause.map_or_else(|| failure_advice(words.key.failure), advice);
    lines.push(row.change.to_owned());
    lines.push(format!("To be sure: {}", row.check));
    lines
}

fn concrete(words: &Words<'_>, lines: &mut Vec<String>) {
    let key = words.key;
    if words.traits.throttling.is_some() {
        lines.push(format!(
            "Send less to {} at once, wait longer after each failure, and look at the quota that \
             its provider gives you.",
            words.service()
        ));
    }
    match (key.by, key.cause) {
        (Some(Cause::ProcessKilled | Cause::ProcessExit), _)
        | (None, Some(Cause::ProcessKilled | Cause::ProcessExit)) => deaths(words, lines),
        (_, Some(Cause::KeepaliveRace)) => give_up_first(words, lines),
        // The service itself does it, not a box in between: keeping its TCP busy would not help.
        (Some(Cause::LingerAbort | Cause::ClosedWithUnreadData), Some(Cause::IdleTimeout)) => {
            give_up_first(words, lines);
        }
        (_, Some(Cause::IdleTimeout)) => idle_timeout(words, lines),
        _ => waited(words, lines),
    }
}

fn deaths(words: &Words<'_>, lines: &mut Vec<String>) {
    let maker = words.maker().unwrap_or_else(|| words.program());
    let deaths = words.problem.deaths.sorted();
    if deaths.iter().any(|(death, _)| *death == Death::OutOfMemory) {
        lines.push(format!(
            "Give {maker} more memory, or find what uses it up: the kernel killed it for want of \
             memory."
        ));
    }
    for (death, _) in deaths {
        if let Death::Signal(signal) = death {
            let signal = words.text(signal);
            lines.push(match signal {
                "SIGSEGV" | "SIGABRT" | "SIGBUS" | "SIGILL" | "SIGFPE" => {
                    format!("{maker} crashed ({signal}): look at its core dump or its log.")
                }
                "SIGKILL" => format!(
                    "Find who killed {maker} with SIGKILL: the end of a pod's grace period, a \
                     supervisor, or a person."
                ),
                _ => format!("{maker} does not finish its requests when it gets {signal}: let it."),
            });
        }
    }
}

/// The service ends idle connections, so its clients have to do so before.
fn give_up_first(words: &Words<'_>, lines: &mut Vec<String>) {
    let (service, upstream) = (words.service(), words.text(words.key.service.upstream));
    // Without one time for all, the shortest one is what must be undercut.
    let limit = match &words.traits.fixed {
        Some(fixed) if fixed.measure != Measure::Age => fixed.configured().min(fixed.low),
        _ => shortest_silence(words),
    };
    let limit = duration(limit);
    lines.push(match Program::of(words.program()) {
        Program::Nginx if !upstream.is_empty() => format!(
            "nginx: in upstream {upstream}, set keepalive_timeout below {limit}, so that nginx \
             gives idle connections up before {service} does."
        ),
        Program::Haproxy if !upstream.is_empty() => format!(
            "HAProxy: in backend {upstream}, set pool-purge-delay below {limit}, or http-reuse \
             never; add retry-on empty-response for requests that may be repeated."
        ),
        Program::Envoy if !upstream.is_empty() => format!(
            "Envoy: in cluster {upstream}, set common_http_protocol_options.idle_timeout below \
             {limit}."
        ),
        _ => format!(
            "Let {} give up idle connections to {service} before {limit} have passed.",
            words.program()
        ),
    });
    lines.push(format!(
        "Or raise the keep-alive timeout of {service} above that of its clients."
    ));
}

fn shortest_silence(words: &Words<'_>) -> f64 {
    let moments = words.problem.moments.moments();
    let silences = moments.iter().filter_map(|moment| moment.silence);
    silences.fold(f64::INFINITY, f64::min)
}

fn idle_timeout(words: &Words<'_>, lines: &mut Vec<String>) {
    let service = words.service();
    let Some(fixed) = &words.traits.fixed else {
        return;
    };
    let (limit, half) = (
        duration(fixed.low),
        duration((fixed.low / 2.0).floor().max(1.0)),
    );
    let how = match (Program::of(words.program()), words.key.leg) {
        (Program::Nginx, Leg::Downstream) => "nginx: listen … so_keepalive=on",
        (Program::Nginx, _) => "nginx: proxy_socket_keepalive on",
        (Program::Haproxy, Leg::Downstream) => "HAProxy: option clitcpka",
        (Program::Haproxy, _) => "HAProxy: option srvtcpka",
        (Program::Envoy, _) => "Envoy: upstream_connection_options.tcp_keepalive",
        (Program::Other, _) => "SO_KEEPALIVE in the program",
    };
    lines.push(format!(
        "Something between here and {service} forgets connections after {limit}: send TCP \
         keep-alive sooner ({how}, with net.ipv4.tcp_keepalive_time at {half}), or close them \
         sooner."
    ));
}

fn waited(words: &Words<'_>, lines: &mut Vec<String>) {
    let Some(fixed) = &words.traits.fixed else {
        return;
    };
    let (service, program, value) = (
        words.service(),
        words.program(),
        duration(fixed.configured()),
    );
    let key = words.key;
    let ours = matches!(
        key.cause,
        Some(Cause::DataAfterClose | Cause::Timewait | Cause::LingerAbort)
    ) || key.failure == FailureKind::Canceled;
    lines.push(match (key.service.side, key.cause, ours) {
        (_, Some(Cause::ClientCanceled), _) => format!(
            "Clients of {program} give up after {value}: raise their timeout, or answer sooner."
        ),
        (Side::Client, _, true) => match Program::of(program) {
            Program::Nginx => format!(
                "nginx gives up on {service} after {value}: raise proxy_read_timeout above the \
                 slowest answer, or make that faster."
            ),
            Program::Haproxy => format!(
                "HAProxy gives up on {service} after {value}: raise timeout server above the \
                 slowest answer, or make that faster."
            ),
            Program::Envoy => format!(
                "Envoy gives up on {service} after {value}: raise the route's timeout above the \
                 slowest answer, or make that faster."
            ),
            Program::Other => format!(
                "{program} gives up on {service} after {value}: raise that timeout above the \
                 slowest answer, or make that faster."
            ),
        },
        (Side::Client, ..) => format!(
            "A timeout of {value} in {service}, or in what is before it, ends the connections: \
             raise it above the slowest answer."
        ),
        (Side::Server, ..) => format!(
            "A timeout of {value} in {program} ends the connections: raise it where it is too \
             short."
        ),
    });
}
