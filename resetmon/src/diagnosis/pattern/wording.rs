//! Findings in words.

use super::fixed_time::{FixedTime, Measure};
use super::known::{self, Known, Limits};
use super::numerics::float;
use super::problem::{Instance, Key, Problem, Side};
use super::traits::Traits;
use crate::diagnosis::advice::advice;
use crate::diagnosis::sample::{Death, Name, Names};
use crate::reset::{Cause, FailureKind, Leg};

/// Names of things, to speak of one problem.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Names of everything.
    pub names: &'a Names,
    /// What the problem's events have in common.
    pub key: &'a Key,
    /// The problem.
    pub problem: &'a Problem,
    /// What stands out.
    pub traits: &'a Traits,
}

impl Words<'_> {
    /// The text of a name.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }

    /// The service that was asked for.
    #[must_use]
    pub fn service(&self) -> String {
        let service = &self.key.service;
        match service.side {
            Side::Client if !service.upstream.is_none() => {
                format!("upstream {}", self.text(service.upstream))
            }
            Side::Client if service.peer.is_none() => "several peers".to_owned(),
            Side::Client => {
                let peer = self.text(service.peer);
                if peer.contains(':') {
                    format!("[{peer}]:{}", service.port)
                } else {
                    format!("{peer}:{}", service.port)
                }
            }
            Side::Server => format!("port {}", service.port),
        }
    }

    /// The program whose connections they are.
    #[must_use]
    pub fn program(&self) -> &str {
        let key = self.key;
        let name = if key.process.is_none() {
            key.service.gateway
        } else {
            key.process
        };
        match self.text(name) {
            "" => "this node",
            name => name,
        }
    }

    /// Where an instance of the program runs.
    #[must_use]
    pub fn instance(&self, instance: Instance) -> String {
        if instance.home.is_none() {
            format!("network namespace {}", instance.netns)
        } else {
            self.text(instance.home).to_owned()
        }
    }

    /// The program at the other end, if that is on this node.
    #[must_use]
    pub fn maker(&self) -> Option<&str> {
        let (name, _) = self.problem.makers.first()?;
        Some(self.text(name))
    }

    /// The finding in one line.
    #[must_use]
    pub fn title(&self) -> String {
        let after = self.traits.fixed.as_ref().map_or(String::new(), after);
        let because = self
            .because()
            .map_or(String::new(), |why| format!(": {why}"));
        let mostly = self.traits.endpoint.as_ref();
        let mostly = mostly.map_or(String::new(), |worse| format!(", mostly {}", worse.which));
        let throttling = match &self.traits.throttling {
            Some(_) => ": this looks like throttling",
            None => "",
        };
        format!("{}{after}{because}{mostly}{throttling}", self.what())
    }

    fn what(&self) -> String {
        let (service, program) = (self.service(), self.program());
        match (self.key.failure, self.key.service.side) {
            (FailureKind::Refused, Side::Client) => format!("{service} refuses connections"),
            (FailureKind::Refused, Side::Server) => format!("nobody listens on {service}"),
            (FailureKind::TimedOut, Side::Client) => format!("{service} does not answer"),
            (FailureKind::TimedOut, Side::Server) => {
                format!("clients of {program} on {service} fall silent")
            }
            (FailureKind::Unreachable, _) => format!("no way leads to {service}"),
            (FailureKind::EmptyResponse, Side::Client) => {
                format!("{service} closes without an answer")
            }
            (FailureKind::EmptyResponse, Side::Server) => {
                format!("{program} on {service} closes without an answer")
            }
            (FailureKind::Canceled, Side::Client) => format!("{program} gives up on {service}"),
            (FailureKind::Canceled, Side::Server) => {
                format!("clients leave before {program} on {service} has answered")
            }
            (FailureKind::Reset, Side::Client) => self.reset_of_a_client(&service, program),
            (FailureKind::Reset, Side::Server) => self.reset_of_a_server(&service, program),
        }
    }

    fn reset_of_a_client(&self, service: &str, program: &str) -> String {
        let Some(cause) = self.key.cause else {
            return format!("connections to {service} are reset");
        };
        match cause {
            Cause::Refused => format!("{service} refuses connections"),
            Cause::KeepaliveRace => {
                format!("{service} closes idle connections that {program} still uses")
            }
            Cause::IdleTimeout => format!("connections to {service} are forgotten while idle"),
            Cause::AbortedBeforeResponse => format!("{service} resets before it answers"),
            Cause::AbortedMidResponse => format!("{service} breaks answers off in the middle"),
            Cause::AbortedDuringSetup => {
                format!("{service} drops new connections before anything is said")
            }
            Cause::Injected => format!("RSTs in the name of {service} are not its own (suspected)"),
            Cause::ClosedWithUnreadData => {
                format!("{program} closes connections to {service} with data unread")
            }
            Cause::LingerAbort => format!("{program} aborts connections to {service}"),
            Cause::DataAfterClose | Cause::Timewait => {
                format!("{service} still sends after {program} has closed")
            }
            Cause::KeepaliveTimeout | Cause::UserTimeout => format!("{service} falls silent"),
            Cause::ProcessExit => format!("{program} exits with connections to {service} open"),
            Cause::ProcessKilled => {
                format!("{program} is killed with connections to {service} open")
            }
            Cause::FirewallReject => {
                format!("this node's packet filter rejects connections to {service}")
            }
            Cause::SocketDestroyed => {
                format!("connections to {service} are destroyed from outside")
            }
            Cause::Unknown => format!("connections to {service} are reset, why is not known"),
            _ => format!("{}: {service}", advice(cause).summary),
        }
    }

    fn reset_of_a_server(&self, service: &str, program: &str) -> String {
        let Some(cause) = self.key.cause else {
            return format!("connections to {service} of {program} are reset");
        };
        match cause {
            Cause::ClientCanceled => format!("clients leave while {program} answers on {service}"),
            Cause::NoListener => format!("nobody listens on {service}"),
            Cause::ListenOverflow => format!("the accept queue of {program} on {service} is full"),
            Cause::ListenerClosed => {
                format!("{program} closes its listener on {service} with clients waiting")
            }
            Cause::ClosedWithUnreadData => {
                format!("{program} on {service} closes with its clients' data unread")
            }
            Cause::LingerAbort => format!("{program} on {service} aborts its clients' connections"),
            Cause::DataAfterClose | Cause::Timewait => {
                format!("clients still send after {program} on {service} has closed")
            }
            Cause::AbortedDuringSetup => {
                format!("clients connect to {program} on {service} and reset at once")
            }
            Cause::KeepaliveTimeout | Cause::UserTimeout => {
                format!("clients of {program} on {service} fall silent")
            }
            Cause::ProcessExit => format!("{program} on {service} exits with clients connected"),
            Cause::ProcessKilled => {
                format!("{program} on {service} is killed with clients connected")
            }
            Cause::FirewallReject => {
                format!("this node's packet filter rejects connections to {service}")
            }
            Cause::IdleTimeout | Cause::KeepaliveRace => {
                format!("idle clients of {program} on {service} are forgotten")
            }
            Cause::Injected => {
                format!(
                    "RSTs in the name of clients of {program} on {service} are not theirs (suspected)"
                )
            }
            Cause::Unknown => {
                format!("connections to {service} of {program} are reset, why is not known")
            }
            _ => format!("{}: {program} on {service}", advice(cause).summary),
        }
    }

    /// What the other end, which is on this node, did.
    fn because(&self) -> Option<String> {
        let maker = self.maker().unwrap_or("the other end");
        let death = self
            .problem
            .deaths
            .first()
            .map(|(death, _)| self.death(death));
        // A race has two ends, and this is the other one.
        let race = matches!(
            self.key.cause,
            Some(Cause::KeepaliveRace | Cause::IdleTimeout | Cause::ClientCanceled)
        );
        if race && !self.key.is_of_a_death() {
            return None;
        }
        Some(match (self.key.by, self.key.cause) {
            (Some(Cause::ProcessKilled), _) => {
                let how = death.unwrap_or_else(|| "killed".to_owned());
                format!("{maker} was {how}")
            }
            (Some(Cause::ProcessExit), _) => match death {
                Some(how) => format!("{maker} {how}"),
                None => format!("{maker} exited"),
            },
            (Some(Cause::ListenOverflow), _) => format!("the accept queue of {maker} is full"),
            (Some(Cause::ListenerClosed), _) => format!("{maker} closed its listener"),
            (Some(Cause::ClosedWithUnreadData), _) => format!("{maker} closes with data unread"),
            (Some(Cause::LingerAbort), _) => format!("{maker} aborts them"),
            (Some(Cause::DataAfterClose | Cause::Timewait), _) => {
                format!("{maker} had closed before")
            }
            (Some(Cause::FirewallReject), Some(cause)) if cause != Cause::FirewallReject => {
                "a packet filter rejects them".to_owned()
            }
            (Some(Cause::SocketDestroyed), _) => format!("{maker} destroyed them"),
            (None, Some(Cause::ProcessKilled | Cause::ProcessExit)) => death?,
            _ => return None,
        })
    }

    /// How a process died: it was …
    #[must_use]
    pub fn death(&self, death: Death) -> String {
        match death {
            Death::Status(status) => format!("exited with status {status}"),
            Death::Signal(signal) => format!("killed by {}", self.text(signal)),
            Death::OutOfMemory => "killed for want of memory".to_owned(),
        }
    }

    /// Defaults that the fixed time may be.
    pub fn defaults(&self) -> impl Iterator<Item = &'static Known> {
        const IDLE: &[Limits] = &[Limits::Idle, Limits::Silence];
        const WAIT: &[Limits] = &[Limits::Wait, Limits::Silence, Limits::Life];
        const ANY: &[Limits] = &[Limits::Idle, Limits::Silence, Limits::Wait, Limits::Life];
        let limits = match self.key.cause {
            Some(Cause::KeepaliveRace | Cause::IdleTimeout | Cause::KeepaliveTimeout) => IDLE,
            Some(Cause::AbortedBeforeResponse | Cause::ClientCanceled) => WAIT,
            _ => ANY,
        };
        self.traits
            .fixed
            .into_iter()
            .flat_map(|fixed| known::matching(fixed.low, fixed.high, fixed.tick, limits))
    }

    /// The leg's word, if a gateway is concerned.
    #[must_use]
    pub fn leg(&self) -> Option<&'static str> {
        (self.key.leg != Leg::None).then(|| self.key.leg.name())
    }
}

fn after(fixed: &FixedTime) -> String {
    let value = duration(fixed.configured());
    match fixed.measure {
        Measure::Silence => format!(" after {value} of silence"),
        Measure::Waiting => format!(" {value} after the request"),
        Measure::Age => format!(" at the age of {value}"),
    }
}

/// A duration in words, of about three digits.
#[must_use]
pub fn duration(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 3600.0;
    const DAY: f64 = 86_400.0;
    let digits = |value: f64, most: usize| {
        let text = format!("{value:.most$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    let seconds = if seconds.is_finite() {
        seconds.max(0.0)
    } else {
        0.0
    };
    if seconds < 0.001 {
        format!("{} µs", digits(seconds * 1e6, 0))
    } else if seconds < 1.0 {
        format!("{} ms", digits(seconds * 1e3, usize::from(seconds < 0.01)))
    } else if seconds < 10.0 {
        format!("{} s", digits(seconds, 2))
    } else if seconds < 10.0 * MINUTE {
        format!("{} s", digits(seconds, 1))
    } else if seconds < 2.0 * HOUR {
        format!("{} min", digits(seconds / MINUTE, 1))
    } else if seconds < 3.0 * DAY {
        format!("{} h", digits(seconds / HOUR, 1))
    } else {
        format!("{} days", digits(seconds / DAY, 1))
    }
}

/// A likelihood in words: `1 in 10^9`.
#[must_use]
pub fn likelihood(chance: f64) -> String {
    if chance <= 1e-12 {
        return "less than 1 in 10^12".to_owned();
    }
    let odds = 1.0 / chance.min(1.0);
    if odds < 10_000.0 {
        format!("1 in {odds:.0}")
    } else {
        format!("1 in 10^{:.0}", odds.log10().floor())
    }
}

/// `part` of `of` as a reader counts: `9 of 10`.
#[must_use]
pub fn of(part: u64, of: u64) -> String {
    if part >= of {
        return format!("all {of}");
    }
    format!(
        "{part} of {of} ({:.0} %)",
        100.0 * float(part) / float(of.max(1))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        for (seconds, expected) in [
            (0.0, "0 µs"),
            (0.000_25, "250 µs"),
            (0.004_2, "4.2 ms"),
            (0.25, "250 ms"),
            (5.0, "5 s"),
            (5.004, "5 s"),
            (5.25, "5.25 s"),
            (60.02, "60 s"),
            (350.0, "350 s"),
            (1200.0, "20 min"),
            (3600.0, "60 min"),
            (432_000.0, "5 days"),
            (f64::NAN, "0 µs"),
            (-3.0, "0 µs"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn likelihoods_in_words() {
        for (chance, expected) in [
            (0.5, "1 in 2"),
            (1e-3, "1 in 1000"),
            (2e-9, "1 in 10^8"),
            (0.0, "less than 1 in 10^12"),
        ] {
            assert_eq!(likelihood(chance), expected);
        }
    }

    #[test]
    fn parts() {
        assert_eq!(of(5, 5), "all 5");
        assert_eq!(of(9, 10), "9 of 10 (90 %)");
        assert_eq!(of(0, 0), "all 0");
    }
}
