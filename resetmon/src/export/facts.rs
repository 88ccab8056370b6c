//! What several exporters derive from a reset in the same way.

use std::time::Duration;

use crate::event::Event;
use crate::kernel::observation::{Exit, Observation};
use crate::reset::FailureKind;

/// How much an event matters to who reads logs by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// No connection failed by it that somebody wanted, or another event has said it already.
    Info,
    /// A connection broke that somebody wanted.
    Warning,
}

/// The severity of an event.
pub(super) fn severity(event: &Event) -> Severity {
    let failed = match event {
        Event::Reset(reset) => reset.failure(),
        Event::Failure(failure) => Some(failure.kind),
    };
    match failed {
        None | Some(FailureKind::Canceled) => Severity::Info,
        Some(_) => Severity::Warning,
    }
}

/// How long no payload had moved, either way; `None` where neither direction is known.
pub(super) fn idle(observation: &Observation) -> Option<Duration> {
    let both = [observation.since_data_in, observation.since_data_out];
    both.into_iter().flatten().min()
}

/// How a process was dying: the kernel says it of the closer, and of the owner where it saw it.
pub(super) fn exit(pid: u32, observation: &Observation) -> Option<Exit> {
    let tasks = [&observation.closer, &observation.owner];
    let mut same = tasks.into_iter().flatten().filter(|task| task.pid == pid);
    same.find_map(|task| task.exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;
    use crate::reset::{Cause, ResetId};

    #[test]
    fn what_is_harmless_warns_of_nothing() {
        let reset = |change: fn(&mut crate::reset::Reset)| {
            let mut reset = sample::received();
            change(&mut reset);
            Event::Reset(reset)
        };
        let failure = |kind| {
            let mut failure = sample::failure();
            failure.kind = kind;
            Event::Failure(failure)
        };
        for (event, expected) in [
            (reset(|_| {}), Severity::Warning),
            (
                reset(|reset| reset.diagnosis.cause = Cause::ResetAfterClose),
                Severity::Info,
            ),
            (
                reset(|reset| reset.diagnosis.cause = Cause::Unknown),
                Severity::Warning,
            ),
            (
                reset(|reset| reset.repeat_of = Some(ResetId(1))),
                Severity::Info,
            ),
            (
                reset(|reset| reset.diagnosis.cause = Cause::StraySegment),
                Severity::Info,
            ),
            (failure(FailureKind::TimedOut), Severity::Warning),
            (failure(FailureKind::Canceled), Severity::Info),
        ] {
            assert_eq!(severity(&event), expected, "{event:?}");
        }
    }

    #[test]
    fn idle_is_the_shorter_silence() {
        let seconds = |secs: u64| Some(Duration::from_secs(secs));
        for (data_in, data_out, expected) in [
            (seconds(5), seconds(9), seconds(5)),
            (seconds(9), seconds(5), seconds(5)),
            (None, seconds(5), seconds(5)),
            (seconds(5), None, seconds(5)),
            (None, None, None),
        ] {
            let mut observation = sample::received().observation;
            observation.since_data_in = data_in;
            observation.since_data_out = data_out;
            assert_eq!(idle(&observation), expected);
        }
    }
}
