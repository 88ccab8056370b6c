//! The facts of a finding, one a line.

use super::finding::Case;
use super::fixed_time::{self, Measure};
use super::lives::Dead;
use super::numerics::float;
use super::problem::Side;
use super::wording::{Words, duration, likelihood, of};
use crate::text::counted;

/// All of them.
pub(super) fn lines(words: &Words<'_>, case: &Case) -> Vec<String> {
    let mut lines = vec![how_often(words)];
    let problem = &case.problem;
    times(words, &mut lines);
    one_of_many(words, &mut lines);
    over_time(words, &mut lines);
    if words.key.is_of_a_death() {
        for (death, events) in problem.deaths.sorted() {
            lines.push(format!(
                "{} by a process {}",
                of(events, problem.events),
                words.death(death)
            ));
        }
    }
    if !case.followed.is_empty() {
        let parts: Vec<String> = case
            .followed
            .iter()
            .map(|(what, events)| format!("{events} {what}"))
            .collect();
        lines.push(format!("with it came {}", parts.join(", ")));
    }
    if problem.passed_on > 0 {
        lines.push(format!(
            "{} of the gateway's other leg ended because of it",
            counted(problem.passed_on, "connection")
        ));
    }
    lines
}

fn how_often(words: &Words<'_>) -> String {
    let problem = words.problem;
    let mut parts = vec![match problem.events {
        1 => "once".to_owned(),
        events => format!("{events} times"),
    }];
    match problem.routes.sorted().as_slice() {
        [] => {}
        [(route, _)] => parts.push(format!("on route {}", words.text(*route))),
        [first, second, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            parts.push(format!(
                "on routes {} ({}), {} ({}){more}",
                words.text(first.0),
                first.1,
                words.text(second.0),
                second.1
            ));
        }
    }
    let (ends, clients) = (problem.endpoints.sorted(), problem.clients.sorted());
    parts.extend(match (words.key.service.side, &*ends, &*clients) {
        (Side::Client, [(end, _)], _) => Some(format!("by {end}")),
        (Side::Client, [_, _, ..], _) => Some(format!("by {} endpoints", ends.len())),
        (Side::Server, _, [(client, _)]) => Some(format!("with client {client}")),
        (Side::Server, _, [_, _, ..]) => Some(format!("with {} clients", clients.len())),
        _ => None,
    });
    if let [(instance, _)] = problem.instances.sorted().as_slice()
        && !instance.home.is_none()
    {
        parts.push(format!("in {}", words.instance(*instance)));
    }
    parts.join(", ")
}

fn times(words: &Words<'_>, lines: &mut Vec<String>) {
    if let Some(fixed) = &words.traits.fixed {
        let what = match fixed.measure {
            Measure::Silence => "silence before the end",
            Measure::Waiting => "time since the request",
            Measure::Age => "age of the connection",
        };
        lines.push(format!(
            "{what}: {} in {}, where chance would do it {}",
            range(fixed.low, fixed.high),
            of(fixed.events as u64, fixed.of as u64),
            likelihood(fixed.chance)
        ));
        let defaults: Vec<String> = words
            .defaults()
            .take(4)
            .map(|known| format!("{} {}", known.who, known.setting))
            .collect();
        if !defaults.is_empty() {
            lines.push(format!("by default that is: {}", defaults.join("; ")));
        }
        return;
    }
    let silences = words
        .problem
        .moments
        .moments()
        .iter()
        .filter_map(|moment| moment.silence);
    let mut silences: Vec<f64> = silences.collect();
    silences.sort_unstable_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (silences.first(), silences.last())
        && *high >= fixed_time::SHORTEST
    {
        lines.push(format!("silence before the end: {}", range(*low, *high)));
    }
}

/// From one duration to another; one alone where both read the same.
fn range(low: f64, high: f64) -> String {
    let (low, high) = (duration(low), duration(high));
    if low == high {
        low
    } else {
        format!("{low} to {high}")
    }
}

fn one_of_many(words: &Words<'_>, lines: &mut Vec<String>) {
    let traits = words.traits;
    let chance = |chance: f64| format!("chance would do it {}", likelihood(chance));
    if let Some(worse) = &traits.endpoint {
        lines.push(format!(
            "{} is one of {} endpoints and has {}; {}",
            worse.which,
            worse.siblings,
            of(worse.events, worse.of),
            chance(worse.chance)
        ));
    }
    if let Some(worse) = &traits.route {
        lines.push(format!(
            "route {} has {}, more than its part of what happens on {} routes; {}",
            words.text(worse.which),
            of(worse.events, worse.of),
            worse.siblings,
            chance(worse.chance)
        ));
    }
    if let Some(worse) = &traits.instance {
        lines.push(format!(
            "{} has {}, more than its part of what happens in {} such places; {}",
            words.instance(worse.which),
            of(worse.events, worse.of),
            worse.siblings,
            chance(worse.chance)
        ));
    }
    if let Some(worse) = &traits.client {
        lines.push(format!(
            "client {} has {}, of {} clients",
            worse.which,
            of(worse.events, worse.of),
            worse.siblings
        ));
    }
    if let Some(throttling) = &traits.throttling {
        lines.push(format!(
            "the connections were {} old, and {:.0} % of them ended within a second of another",
            duration(throttling.age),
            100.0 * throttling.quick
        ));
    }
}

fn over_time(words: &Words<'_>, lines: &mut Vec<String>) {
    let traits = words.traits;
    if let Some(burst) = &traits.burst {
        lines.push(format!(
            "{} came within {}, from {}",
            of(burst.events, burst.of),
            duration(burst.seconds),
            clock(burst.from)
        ));
    }
    if let Some(replaced) = &traits.replaced {
        lines.push(format!(
            "the processes of {} were replaced between {} and {}",
            words.text(replaced.name),
            clock(replaced.after),
            clock(replaced.before)
        ));
    }
    if let Some(Dead {
        name,
        pid,
        death,
        time,
    }) = traits.died
        && !words.key.is_of_a_death()
    {
        lines.push(format!(
            "{} (pid {pid}) was {} at {}",
            words.text(name),
            words.death(death),
            clock(time)
        ));
    }
    if let Some(growth) = &traits.growth {
        let [a, b, c, d] = growth.quarters;
        lines.push(format!(
            "it grows: {a}, {b}, {c} and {d} in the quarters of the time"
        ));
    }
}

/// A time of the report, RFC 3339 with milliseconds.
#[must_use]
pub fn rfc3339(micros: i64) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{:.3}", float(micros.unsigned_abs()) / 1e6),
    }
}

/// The time of day, UTC.
fn clock(micros: i64) -> String {
    let text = rfc3339(micros);
    match text.split_once('T') {
        Some((_, time)) => time.trim_end_matches('Z').chars().take(8).collect(),
        None => text,
    }
}
