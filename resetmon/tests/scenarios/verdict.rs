//! What was reported of a row against what is due: pure.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::row::{End, Expected, Kind, Who};

/// Label of nothing in the confusion matrix.
pub(crate) const NOTHING: &str = "(nothing)";

/// What is true of a row, found out apart from resetmon.
pub(crate) struct Truth {
    /// Where the gateway listens.
    pub(crate) front: SocketAddr,
    /// Where the backend is.
    pub(crate) back: SocketAddr,
    /// The kind of gateway, with which its name begins.
    pub(crate) gateway: &'static str,
    /// Its route.
    pub(crate) route: String,
    /// Its upstream.
    pub(crate) upstream: String,
    /// Processes of the gateway that may hold the connections, and their name.
    pub(crate) workers: (Vec<u32>, &'static str),
    /// Its first process, which opened the listeners.
    pub(crate) main: u32,
    /// Process id and executable of the script's processes.
    pub(crate) people: HashMap<&'static str, (u32, String)>,
    /// resetmon sees what a packet filter rejects.
    pub(crate) sees_rejects: bool,
}

/// How a row ended.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What was wrong, a line each; empty for a right row.
    pub(crate) wrong: Vec<String>,
    /// What went over the wire, where that is to be shown.
    pub(crate) wire: Vec<String>,
    /// Expected and reported cause or failure.
    pub(crate) pairs: Vec<(String, String)>,
    /// Events with a process that was not concerned.
    pub(crate) wrong_processes: usize,
    /// Events with a gateway, route, upstream or leg that was not concerned.
    pub(crate) wrong_routes: usize,
}

/// Compares. Further packets of a reset already reported need not be expected, but their process
/// and route must be right.
pub(crate) fn judge(expect: &[Expected], events: &[Value], truth: &Truth) -> Verdict {
    let mut verdict = Verdict::default();
    if expect.is_empty() {
        verdict.pairs.push((NOTHING.into(), NOTHING.into()));
    }
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    let mut left = Vec::new();
    for event in events {
        let origin = &event["propagated_from"]["id"];
        if origin.is_string() && !ids.contains(&origin) {
            verdict.wrong_routes += 1;
            let line = format!("{} is said to follow from another row's reset", text(event));
            verdict.wrong.push(line);
        }
        match truth.end(event) {
            None => verdict.wrong.push(format!("not of this row: {event}")),
            Some(end) if event["repeat_of"].is_null() => left.push((end, event)),
            Some(end) => truth.check_place(end, event, &mut verdict),
        }
    }
    for (one, found) in paired(expect, &mut left, truth) {
        let why = one.why;
        let Some(event) = found else {
            if !one.optional {
                let line = format!("missing: {:?} {:?} {why}", one.at, one.kind);
                verdict.wrong.push(line);
                verdict.pairs.push((why.to_owned(), NOTHING.into()));
            }
            continue;
        };
        let reported = said(event);
        let why = one.or.filter(|other| *other == reported).unwrap_or(why);
        verdict.pairs.push((why.to_owned(), reported));
        let what = format!("{:?} {:?}", one.at, one.kind);
        let differences = one.differences(event, truth);
        let lines = differences.iter().map(|line| format!("{what}: {line}"));
        verdict.wrong.extend(lines);
        truth.check_place(one.at, event, &mut verdict);
    }
    for (end, event) in left {
        let line = format!("not expected: {end:?} {}", text(event));
        verdict.wrong.push(line);
        verdict.pairs.push((NOTHING.into(), said(event)));
        truth.check_place(end, event, &mut verdict);
    }
    verdict
}

/// What each one due has become, those that fit best first; what is left over stays in `left`.
fn paired<'a>(
    expect: &'a [Expected],
    left: &mut Vec<(End, &'a Value)>,
    truth: &Truth,
) -> Vec<(&'a Expected, Option<&'a Value>)> {
    let mut pairs: Vec<(&Expected, Option<&Value>)> = Vec::new();
    let mut open: Vec<&Expected> = expect.iter().filter(|one| one.is_due(truth)).collect();
    let same = |one: &Expected, end: End, event: &Value| one.at == end && one.kind == kind(event);
    for exactly in [true, false] {
        // What must come takes what there is before what may come.
        open.sort_by_key(|one| one.optional);
        open.retain(|one| {
            let fits = |(end, event): &(End, &Value)| {
                same(one, *end, event) && (!exactly || one.differences(event, truth).is_empty())
            };
            let mut found = false;
            while let Some(at) = left.iter().position(fits) {
                pairs.push((one, Some(left.remove(at).1)));
                found = true;
                if !one.repeated {
                    break;
                }
            }
            !found
        });
    }
    pairs.extend(open.into_iter().map(|one| (one, None)));
    pairs
}

impl Expected {
    /// Whether it must come.
    pub(crate) fn must_come(&self, truth: &Truth) -> bool {
        self.is_due(truth) && !self.optional
    }

    fn is_due(&self, truth: &Truth) -> bool {
        self.seeing_rejects
            .is_none_or(|seen| seen == truth.sees_rejects)
    }

    /// The members that differ, but for place and process.
    fn differences(&self, event: &Value, truth: &Truth) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut due: Vec<(&str, Value)> = Vec::new();
        if self.kind != Kind::Failed && self.or.is_none_or(|other| event["cause"] != other) {
            due.push(("/cause", json!(self.why)));
        }
        due.push(("/failure", json!(self.failure)));
        if !event["role"].is_null() {
            due.push(("/role", json!(self.at.role())));
        }
        for (pointer, value) in self.more {
            match serde_json::from_str(value) {
                Ok(value) => due.push((pointer, value)),
                Err(error) => wrong.push(format!("the table's {value} is not JSON: {error}")),
            }
        }
        if let Some(words) = self.says {
            let facts = event["evidence"].as_array().into_iter().flatten();
            let mut facts = facts.filter_map(Value::as_str);
            if !facts.any(|fact| fact.contains(words)) {
                wrong.push(format!("evidence says nothing of {words:?}"));
            }
        }
        if let (Some(leg), false) = (self.at.leg(), self.process == Who::Nobody) {
            due.push(("/leg", json!(leg)));
            due.push(("/route", json!(truth.route)));
            due.push(("/upstream", truth.upstream_at(self.at)));
        }
        for (pointer, expected) in due {
            let seen = event.pointer(pointer).unwrap_or(&Value::Null);
            if *seen != expected {
                wrong.push(format!("{} is {seen}, not {expected}", &pointer[1..]));
            }
        }
        let closer = self.closer.unwrap_or(self.process);
        for (key, who) in [("process", self.process), ("closer", closer)] {
            let seen = &event[key];
            // A closer is named where it is not the owner, or where it was dying.
            let must = key == "process" || self.closer.is_some();
            let none = seen.is_null();
            if none && must && who != Who::Nobody || !none && !truth.is(who, seen) {
                wrong.push(format!("{key} is {}, not {who:?}", process(seen)));
            }
        }
        wrong
    }
}

impl Truth {
    /// Which end an event is of, by its addresses.
    fn end(&self, event: &Value) -> Option<End> {
        let is = |key: &str, address: SocketAddr| event[key] == address.to_string();
        Some(if is("local", self.front) {
            End::Downstream
        } else if is("remote", self.front) {
            End::Client
        } else if is("local", self.back) {
            End::Backend
        } else if is("remote", self.back) {
            End::Upstream
        } else {
            return None;
        })
    }

    /// Whether an event is of this row.
    pub(crate) fn has(&self, event: &Value) -> bool {
        self.end(event).is_some()
    }

    fn upstream_at(&self, end: End) -> Value {
        match end {
            End::Upstream => json!(self.upstream),
            _ => Value::Null,
        }
    }

    /// Counts a process or a place that is named and is not concerned, whatever was expected: the other
    /// end's too.
    fn check_place(&self, end: End, event: &Value, verdict: &mut Verdict) {
        let sides = [
            (end, event.pointer("/process")),
            (end.other(), event.pointer("/twin/process")),
        ];
        for (end, seen) in sides {
            if let Some(seen) = seen.filter(|seen| !seen.is_null())
                && !self.may_be(end, seen)
            {
                verdict.wrong_processes += 1;
                let line = format!("wrong process at {end:?}: {}", process(seen));
                verdict.wrong.push(line);
            }
        }
        let named = |key: &str, right: &Value| event[key].is_null() || event[key] == *right;
        let is_right = match end.leg() {
            None => ["leg", "gateway", "route", "upstream"]
                .iter()
                .all(|key| event[*key].is_null()),
            Some(leg) => {
                let gateway = event["gateway"].as_str();
                gateway.is_none_or(|name| name.starts_with(self.gateway))
                    && named("leg", &json!(leg))
                    && named("route", &json!(self.route))
                    && named("upstream", &self.upstream_at(end))
            }
        };
        if !is_right {
            verdict.wrong_routes += 1;
            let [gateway, leg, route, upstream] =
                ["gateway", "leg", "route", "upstream"].map(|key| &event[key]);
            let line = format!("wrong place of {end:?}: {gateway} {leg} {route} {upstream}");
            verdict.wrong.push(line);
        }
    }

    /// Whether a process may have the socket of an end: the gateway's its workers, the others' those that
    /// the script has.
    fn may_be(&self, end: End, seen: &Value) -> bool {
        match end {
            End::Downstream | End::Upstream => self.is(Who::Gateway, seen),
            End::Client | End::Backend => self
                .people
                .keys()
                .any(|name| self.is(Who::Named(name), seen)),
        }
    }

    fn is(&self, who: Who, seen: &Value) -> bool {
        let named = |name: &str| {
            self.people
                .get(name)
                .is_some_and(|(pid, exe)| seen["pid"] == *pid && seen["name"] == **exe)
        };
        match who {
            Who::Gateway => {
                let (pids, name) = &self.workers;
                // Where the kernel does not show who accepted, resetmon names the listener's owner, and
                // says so, until the connection is read from.
                let listener = seen["pid"] == self.main && seen["known_by"] == "listener";
                (listener || pids.iter().any(|pid| seen["pid"] == *pid)) && seen["name"] == *name
            }
            Who::Client => named("client"),
            Who::Backend => named("backend"),
            Who::Named(name) => named(name),
            Who::Nobody => seen.is_null(),
        }
    }
}

fn kind(event: &Value) -> Kind {
    if event["event"] == "failure" {
        Kind::Failed
    } else if event["direction"] == "sent" {
        Kind::Sent
    } else {
        Kind::Received
    }
}

/// Cause or failure, for the matrix.
fn said(event: &Value) -> String {
    let key = match kind(event) {
        Kind::Failed => "failure",
        _ => "cause",
    };
    event[key].as_str().unwrap_or("(no word)").to_owned()
}

fn process(seen: &Value) -> String {
    format!("{} (pid {})", seen["name"], seen["pid"])
}

fn text(event: &Value) -> String {
    format!(
        "{:?} {} failure {} of {}",
        kind(event),
        said(event),
        event["failure"],
        process(&event["process"])
    )
}
