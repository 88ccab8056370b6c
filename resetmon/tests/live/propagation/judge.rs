//! Whether the links that were reported are right, and how many are missing.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::traffic::{Truth, UNREAD};

/// Least share of the resets passed on that is to be linked.
const PERCENT: usize = 95;
/// Longest wait for a processor that is not held against the links.
const SOON: Duration = Duration::from_millis(10);

/// What a gateway's legs have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Legs {
    /// One request a connection on both.
    Paired,
    /// Many requests on one connection upstream: nothing has to be linked.
    Multiplexed,
}

/// Every link is right, and most of those are there that should be.
pub(super) fn judge(events: &[Value], truth: &Truth, legs: Legs) -> Result<()> {
    let first = |event: &&Value| event["repeat_of"].is_null() && event["gateway"] == "edge";
    let events: Vec<&Value> = events.iter().filter(first).collect();
    let of: Vec<Vec<u64>> = events.iter().map(|event| truth.of(event)).collect();
    // Reset before the backend had read which request it was: nothing can be said of it.
    let unread = |requests: &&Vec<u64>| requests.contains(&UNREAD);
    let unread = of.iter().filter(unread).count();
    let all = events.len();
    ensure!(
        unread * 20 <= all,
        "{unread} of {all} events have no request"
    );
    let together = |one: usize, other: usize| {
        of[one].contains(&UNREAD) || of[one].iter().any(|request| of[other].contains(request))
    };
    let mut all = Share::default();
    let mut prompt = Share::default();
    for (index, event) in events.iter().enumerate() {
        let origin = &event["propagated_from"]["id"];
        if let Some(origin) = events.iter().position(|other| other["id"] == *origin) {
            ensure!(
                together(index, origin),
                "{event} is not of the same request as {}",
                events[origin]
            );
        } else {
            ensure!(
                origin.is_null(),
                "{event} names a reset that was not reported"
            );
        }
        let led = |(other, reset): &(usize, &&Value)| {
            reset["direction"] == "received"
                && reset["leg"] != event["leg"]
                && together(index, *other)
        };
        let known = !of[index].contains(&UNREAD);
        if known && event["direction"] == "sent" {
            let mut origins = events.iter().enumerate().filter(led).peekable();
            let is_linked = !origin.is_null();
            if origins.peek().is_some() {
                all.add(is_linked);
            }
            if origins.any(|(_, origin)| was_prompt(origin, event)) {
                prompt.add(is_linked);
            }
        }
    }
    if std::env::var_os("RESETMON_TEST_LINKS").is_some() {
        tell(&events, &of);
    }
    println!("    {all} resets passed on are linked, {prompt} of the prompt ones, none wrongly");
    // On a shared connection there is no telling when a request of its came.
    let judged = match legs {
        Legs::Multiplexed => &all,
        Legs::Paired => &prompt,
    };
    ensure!(
        judged.expected >= 50,
        "only {} resets were passed on: {} events",
        judged.expected,
        events.len()
    );
    ensure!(
        legs == Legs::Multiplexed || prompt.linked * 100 >= prompt.expected * PERCENT,
        "only {prompt} are linked"
    );
    Ok(())
}

/// How many of the resets that were passed on are linked.
#[derive(Debug, Default)]
struct Share {
    expected: usize,
    linked: usize,
}

impl Share {
    fn add(&mut self, linked: bool) {
        self.expected += 1;
        self.linked += usize::from(linked);
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.linked, self.expected)
    }
}

/// The gateway had a processor when the client came and when one leg broke. One that waits for it
/// longer than others come and go leaves no evidence.
fn was_prompt(origin: &Value, end: &Value) -> bool {
    let moment = |event: &Value, before: &str| -> Option<f64> {
        let time: Timestamp = event["time"].as_str()?.parse().ok()?;
        let before = event[before].as_f64().unwrap_or_default();
        Some(time.as_duration().as_secs_f64() - before)
    };
    let soon = |earlier: Option<f64>, later: Option<f64>| {
        earlier
            .zip(later)
            .is_some_and(|(earlier, later)| (later - earlier).abs() <= SOON.as_secs_f64())
    };
    let ended = moment(end, "since_fin_sent_s");
    soon(moment(origin, "age_s"), moment(end, "age_s")) && soon(moment(origin, "none"), ended)
}

/// Every event of the gateway in a line, for whoever looks for what is missed.
fn tell(events: &[&Value], of: &[Vec<u64>]) {
    for (event, requests) in events.iter().zip(of) {
        println!("{requests:?} {event}");
    }
}
