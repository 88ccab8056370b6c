//! Whether the links that were reported are right, and how many are missing.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::traffic::{Truth, UNREAD};

/// Least share of the resets passed on that is to be linked.
const PERCENT: usize = 95;
/// Fewer resets passed on than these say nothing of a share.
const ENOUGH: usize = 50;

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
    let mut share = Share::default();
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
        let was_passed_on = || events.iter().enumerate().any(|other| led(&other));
        if known && event["direction"] == "sent" && was_passed_on() {
            share.add(!origin.is_null());
        }
    }
    if std::env::var_os("RESETMON_TEST_LINKS").is_some() {
        tell(&events, &of);
    }
    println!("    {share} resets passed on are linked, none wrongly");
    ensure!(
        share.expected >= ENOUGH,
        "only {} resets were passed on: {} events",
        share.expected,
        events.len()
    );
    // On a shared connection there is no telling when a request of its came.
    ensure!(
        legs == Legs::Multiplexed || share.linked * 100 >= share.expected * PERCENT,
        "only {share} are linked"
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

/// Every event of the gateway in a line, for whoever looks for what is missed.
fn tell(events: &[&Value], of: &[Vec<u64>]) {
    for (event, requests) in events.iter().zip(of) {
        println!("{requests:?} {event}");
    }
}
