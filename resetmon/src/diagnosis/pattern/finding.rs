//! From problems to findings: which are enough to speak of, which belong together, which come first.

use std::collections::BTreeMap;

use super::evidence::{self, rfc3339};
use super::fold;
use super::health_check;
use super::observed::Observed;
use super::problem::{Key, Problem, Side};
use super::remedy;
use super::traits::Traits;
use super::wording::{Words, duration};
use crate::diagnosis::report::{Certainty, Finding, FindingPlace};
use crate::diagnosis::sample::Name;
use crate::reset::{Cause, Leg};
use crate::text::counted;

/// Peers of one client that share a trouble, at least, and events of it.
const SPREAD: (usize, u64) = (2, 5);
/// Routes named in a finding.
const ROUTES: usize = 3;

/// Everything that is to be said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What was seen and is no trouble, or too little to speak of.
    pub notes: Vec<String>,
}

/// A problem with what came of it.
pub(super) struct Case {
    pub(super) key: Key,
    pub(super) problem: Problem,
    /// What followed from it: in words, and how often.
    pub(super) followed: BTreeMap<&'static str, u64>,
}

/// Looks at everything that was seen.
#[must_use]
pub fn all(observed: &Observed) -> Findings {
    let mut out = Findings::default();
    let mut cases: Vec<Case> = Vec::new();
    let mut small: Vec<Case> = Vec::new();
    // In a fixed order, so that the same events give the same report.
    let mut problems: Vec<(&Key, &Problem)> = observed.problems.iter().collect();
    problems.sort_unstable_by_key(|(key, _)| **key);
    for (key, problem) in problems {
        if let Some(period) = health_check::look(key, problem) {
            out.notes.push(format!(
                "{} connections to port {} that are reset at once, every {}: health checks",
                problem.events,
                key.service.port,
                duration(period)
            ));
            continue;
        }
        let case = Case {
            key: *key,
            problem: problem.clone(),
            followed: BTreeMap::new(),
        };
        if problem.events < fewest(key) {
            small.push(case);
        } else {
            cases.push(case);
        }
    }
    let few = gather(small, &mut cases);
    unite(&mut cases);
    cases.sort_by(|a, b| rank(b).cmp(&rank(a)).then(a.key.cmp(&b.key)));
    fold::consequences(&mut cases);
    fold::cancellations(observed, &mut cases);
    out.findings = cases.iter().map(|case| finding(observed, case)).collect();
    if few > 0 {
        out.notes.push(format!(
            "{} of kinds that are too few to conclude from",
            counted(few, "failure")
        ));
    }
    if observed.forgotten > 0 {
        out.notes.push(format!(
            "{} of kinds that were too many to tell apart",
            counted(observed.forgotten, "failure")
        ));
    }
    out
}

/// Events from which on a problem is spoken of: one where the kernel names a death or a want, more
/// where single ones are everyday life.
fn fewest(key: &Key) -> u64 {
    let of = |cause| match cause {
        Cause::ProcessKilled | Cause::MemoryPressure => 1,
        // A gateway that closed while its backend was still answering.
        Cause::Timewait if key.leg == Leg::Upstream => 3,
        Cause::StraySegment | Cause::Timewait | Cause::Mptcp | Cause::Unknown => 10,
        Cause::NoListener | Cause::ProtocolError | Cause::ResetAfterClose => 5,
        Cause::AbortedDuringSetup | Cause::KeepaliveTimeout if key.service.side == Side::Server => {
            5
        }
        _ => 3,
    };
    match (key.by, key.cause) {
        (Some(by), Some(cause)) => of(by).min(of(cause)),
        (Some(cause), None) | (None, Some(cause)) => of(cause),
        (None, None) => 3,
    }
}

/// How much it matters: what breaks answers before what clients do of themselves, then the number.
fn rank(case: &Case) -> (u8, u64) {
    let everyday = matches!(
        case.key.cause,
        Some(
            Cause::ClientCanceled
                | Cause::StraySegment
                | Cause::Timewait
                | Cause::Mptcp
                | Cause::NoListener
                | Cause::Unknown
        )
    ) || case.key.service.side == Side::Server
        && case.key.cause == Some(Cause::AbortedDuringSetup);
    let grave = case.key.is_of_a_death() || case.key.cause == Some(Cause::MemoryPressure);
    let class = match (grave, everyday) {
        (true, _) => 2,
        (false, false) => 1,
        (false, true) => 0,
    };
    (class, case.problem.events)
}

/// Gives what is too little of its own to what it belongs to: the same trouble seen from one end
/// only, or the same with several peers. Returns how many events remain.
fn gather(small: Vec<Case>, cases: &mut Vec<Case>) -> u64 {
    let mut rest: BTreeMap<Key, Vec<Case>> = BTreeMap::new();
    for case in small {
        if let Some(other) = cases
            .iter_mut()
            .find(|other| is_same(&other.key, &case.key))
        {
            other.problem.absorb(&case.problem);
        } else {
            let wider = Key {
                by: None,
                ..case.key.without_peer()
            };
            rest.entry(wider).or_default().push(case);
        }
    }
    let mut few = 0_u64;
    for (key, group) in rest {
        let events: u64 = group.iter().map(|case| case.problem.events).sum();
        let roams = key.service.side == Side::Client && key.service.upstream.is_none();
        let mut group = group.into_iter();
        if !roams || group.len() < SPREAD.0 || events < SPREAD.1.max(fewest(&key)) {
            few = few.saturating_add(events);
            continue;
        }
        let Some(mut first) = group.next() else {
            continue;
        };
        group.for_each(|case| first.problem.absorb(&case.problem));
        cases.push(Case { key, ..first });
    }
    few
}

/// The same trouble, whatever is known of the other end.
fn is_same(a: &Key, b: &Key) -> bool {
    (a.failure, a.cause, a.process, a.leg, a.service)
        == (b.failure, b.cause, b.process, b.leg, b.service)
}

/// Makes one of a trouble of which the other end was seen now and then. Troubles with different
/// makers stay apart.
fn unite(cases: &mut Vec<Case>) {
    let (known, unknown): (Vec<Case>, Vec<Case>) =
        cases.drain(..).partition(|case| case.key.by.is_some());
    *cases = known;
    for case in unknown {
        let mut same = cases
            .iter_mut()
            .filter(|other| is_same(&other.key, &case.key));
        match (same.next(), same.next()) {
            // A few that are known say nothing of many that are not.
            (Some(other), None)
                if other.problem.events.saturating_mul(4) >= case.problem.events =>
            {
                other.problem.absorb(&case.problem);
            }
            _ => cases.push(case),
        }
    }
}

fn finding(observed: &Observed, case: &Case) -> Finding {
    let (key, problem) = (&case.key, &case.problem);
    let traits = Traits::of(observed, key, problem);
    let words = Words {
        names: &observed.names,
        key,
        problem,
        traits: &traits,
    };
    Finding {
        kinds: traits.kinds(key),
        title: words.title(),
        failure: key.failure.name(),
        cause: key.cause.map(Cause::name),
        place: place(&words),
        events: problem.events,
        passed_on: problem.passed_on,
        first: rfc3339(problem.first),
        last: rfc3339(problem.last),
        certainty: certainty(key, &traits),
        chance: traits.chance(),
        evidence: evidence::lines(&words, case),
        examples: problem
            .examples
            .iter()
            .map(|id| format!("{id:016x}"))
            .collect(),
        advice: remedy::advise(&words),
    }
}

fn place(words: &Words<'_>) -> FindingPlace {
    let service = &words.key.service;
    let text = |name: Name| (!name.is_none()).then(|| words.text(name).to_owned());
    let routes = words.problem.routes.sorted().into_iter().take(ROUTES);
    FindingPlace {
        process: text(words.key.process),
        gateway: text(service.gateway),
        leg: words.leg(),
        routes: routes
            .map(|(route, _)| words.text(route).to_owned())
            .collect(),
        upstream: text(service.upstream),
        peer: text(service.peer),
        port: (service.port != 0).then_some(service.port),
    }
}

fn certainty(key: &Key, traits: &Traits) -> Certainty {
    if traits.throttling.is_some() {
        return Certainty::Possible;
    }
    // What both ends, or the kernel of the end that did it, tell is no guess.
    let told = key.by.is_some()
        || !matches!(
            key.cause,
            Some(
                Cause::IdleTimeout
                    | Cause::AbortedDuringSetup
                    | Cause::ClientCanceled
                    | Cause::Injected
                    | Cause::Unknown
                    | Cause::AbortedBeforeResponse
                    | Cause::AbortedMidResponse
                    | Cause::KeepaliveRace
                    | Cause::StraySegment
            )
        );
    match key.cause {
        Some(Cause::Unknown | Cause::Injected | Cause::StraySegment) if key.by.is_none() => {
            Certainty::Possible
        }
        _ if told => Certainty::Certain,
        _ => Certainty::Likely,
    }
}
