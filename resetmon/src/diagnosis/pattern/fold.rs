//! What belongs to a problem although it looks like one of its own: what a death makes, and what a
//! gateway drops after its client.

use super::finding::Case;
use super::numerics::float;
use super::observed::Observed;
use super::series::SECOND;
use crate::reset::{Cause, FailureKind, Leg};

/// After a death, what the dead one's absence makes follows within this time, microseconds.
const ABSENCE: i64 = 60 * SECOND;

/// What follows from a death is not a trouble of its own: connections refused while nobody listens,
/// answers that stay out.
pub(super) fn consequences(cases: &mut Vec<Case>) {
    let mut index = 0;
    while index < cases.len() {
        if !cases[index].key.is_of_a_death() {
            index += 1;
            continue;
        }
        let (head, tail) = cases.split_at_mut(index + 1);
        let death = &mut head[index];
        let mut followed = Vec::new();
        for (offset, other) in tail.iter().enumerate() {
            if follows(death, other) {
                followed.push(index + 1 + offset);
            }
        }
        for other in followed.into_iter().rev() {
            let other = cases.remove(other);
            let what = other
                .key
                .cause
                .map_or(other.key.failure.name(), Cause::name);
            let death = &mut cases[index];
            *death.followed.entry(what).or_default() += other.problem.events;
            death.problem.passed_on = death
                .problem
                .passed_on
                .saturating_add(other.problem.passed_on);
        }
        index += 1;
    }
}

fn follows(death: &Case, other: &Case) -> bool {
    let kind = match other.key.cause {
        Some(cause) => matches!(
            cause,
            Cause::Refused
                | Cause::NoListener
                | Cause::AbortedBeforeResponse
                | Cause::AbortedMidResponse
                | Cause::AbortedDuringSetup
                | Cause::StraySegment
                | Cause::ListenerClosed
                | Cause::ProcessExit
                | Cause::ProcessKilled
        ),
        None => matches!(
            other.key.failure,
            FailureKind::EmptyResponse | FailureKind::Refused
        ),
    };
    let (from, to) = (
        death.problem.first.saturating_sub(SECOND),
        death.problem.last.saturating_add(ABSENCE),
    );
    let in_time = other.problem.first >= from && other.problem.last <= to;
    let ends = death.problem.endpoints.sorted();
    let same_end = other.problem.endpoints.sorted().iter().all(|(end, _)| {
        ends.iter()
            .any(|(dead, _)| dead == end || dead.ip().is_unspecified() && dead.port() == end.port())
    });
    kind && in_time && same_end
}

/// A gateway whose client has left gives up on the backend, and resets what that still sends. Where
/// the agent has not linked the two, their time does.
pub(super) fn cancellations(observed: &Observed, cases: &mut Vec<Case>) {
    let mut index = 0;
    while index < cases.len() {
        let origin = (0..cases.len())
            .find(|other| *other != index && canceled(observed, &cases[*other], &cases[index]));
        match origin {
            Some(origin) => {
                let events = cases[index].problem.events;
                let sum = &mut cases[origin].problem.passed_on;
                *sum = sum.saturating_add(events);
                cases.remove(index);
            }
            None => index += 1,
        }
    }
}

fn canceled(observed: &Observed, origin: &Case, end: &Case) -> bool {
    /// From the client's reset to the backend's next piece, microseconds.
    const PIECE: i64 = SECOND / 2;
    let causes = origin.key.cause == Some(Cause::ClientCanceled)
        && (matches!(end.key.cause, Some(Cause::Timewait | Cause::DataAfterClose))
            || end.key.failure == FailureKind::Canceled && end.key.cause.is_none());
    let legs = origin.key.leg == Leg::Downstream && end.key.leg == Leg::Upstream;
    let same = origin.key.service.gateway == end.key.service.gateway
        && origin.key.process == end.key.process;
    if !causes || !legs || !same || end.problem.events > origin.problem.events {
        return false;
    }
    let mut starts: Vec<i64> = origin
        .problem
        .moments
        .moments()
        .iter()
        .map(|m| m.time)
        .collect();
    starts.sort_unstable();
    let ends = end.problem.moments.moments();
    let follows = |time: i64| {
        let before = starts.partition_point(|start| *start <= time);
        before > 0 && time.saturating_sub(starts[before - 1]) <= PIECE
    };
    // Where clients leave all the time, everything follows one that did.
    let (from, to) = observed.span.unwrap_or_default();
    let covered = float(starts.len() as u64) * float(PIECE.unsigned_abs())
        / float(to.abs_diff(from)).max(1.0);
    let number = i32::try_from(ends.len()).unwrap_or(i32::MAX);
    let complete = origin.problem.moments.is_complete();
    complete && ends.iter().all(|end| follows(end.time)) && covered.min(1.0).powi(number) < 0.05
}
