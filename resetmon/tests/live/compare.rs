//! Events against expectations: the exact multiset, and every member that is asserted.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::expected::{Expected, Who};

/// What the names of a script stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Endpoints.
    pub(crate) endpoints: HashMap<&'static str, SocketAddr>,
    /// Processes.
    pub(crate) processes: HashMap<&'static str, u32>,
    /// File name of the actors' executable, where it must be known.
    pub(crate) program: Option<String>,
    /// Texts for `{name}` in the table's values.
    pub(crate) texts: HashMap<&'static str, String>,
}

/// Who reported the events, and so which members they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporter {
    /// resetmon: everything.
    Resetmon,
    /// Another tracer: only what its events have is compared.
    Tracer,
}

/// What the running kernel can say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// It gives reasons (Linux 6.10 and newer).
    pub(crate) reason: bool,
    /// It lets resets without a socket and in `TIME_WAIT` be seen: by the tracepoint (Linux 6.10 and
    /// newer) or by fentry.
    pub(crate) socketless: bool,
}

/// Every difference, a line each.
pub(crate) fn differences(
    expected: &[Expected],
    events: &[Value],
    names: &Names,
    reporter: Reporter,
    kernel: Kernel,
) -> Vec<String> {
    let mut left: Vec<&Value> = events.iter().collect();
    let mut differences = Vec::new();
    let mut unmatched = Vec::new();
    // Exact matches first, so that a wrong event does not take the place of a right one.
    for one in due(expected, reporter) {
        let exact = left
            .iter()
            .position(|event| members(one, event, names, reporter, kernel).is_empty());
        match exact {
            Some(at) => drop(left.remove(at)),
            None => unmatched.push(one),
        }
    }
    for one in unmatched {
        let word = one.failure.unwrap_or(one.direction);
        let what = format!("{word} {} -> {}", one.local, one.remote);
        let nearest = (0..left.len())
            .filter(|at| same_packet(one, left[*at], names))
            .min_by_key(|at| members(one, left[*at], names, reporter, kernel).len());
        match nearest {
            None => differences.push(format!("missing: {what} ({})", one.cause)),
            Some(at) => {
                let event = left.remove(at);
                for member in members(one, event, names, reporter, kernel) {
                    differences.push(format!("{what}: {member}"));
                }
            }
        }
    }
    differences.extend(left.iter().map(|event| {
        format!(
            "not expected: {} {} -> {} reason {} cause {} failure {}",
            event["direction"],
            event["local"],
            event["remote"],
            event["reason"],
            event["cause"],
            event["failure"]
        )
    }));
    differences
}

/// What `reporter` can have seen: another tracer knows only resets.
pub(crate) fn due(expected: &[Expected], reporter: Reporter) -> impl Iterator<Item = &Expected> {
    let all = reporter == Reporter::Resetmon;
    expected
        .iter()
        .filter(move |one| all || one.failure.is_none())
}

/// Same kind, direction and endpoints.
fn same_packet(one: &Expected, event: &Value, names: &Names) -> bool {
    let is = |key: &str, name: &str| {
        names
            .endpoints
            .get(name)
            .is_some_and(|address| event[key] == address.to_string())
    };
    let same_kind = match one.failure {
        Some(_) => event["event"] == "failure",
        None => event["direction"] == one.direction,
    };
    same_kind && is("local", one.local) && is("remote", one.remote)
}

/// The members that differ.
fn members(
    one: &Expected,
    event: &Value,
    names: &Names,
    reporter: Reporter,
    kernel: Kernel,
) -> Vec<String> {
    let mut check = Check {
        event,
        reporter,
        wrong: Vec::new(),
    };
    check.is("/event", &json!(one.failure.map_or("reset", |_| "failure")));
    match one.failure {
        Some(failure) => check.is("/failure", &json!(failure)),
        None => check.is("/direction", &json!(one.direction)),
    }
    for (pointer, name) in [("/local", one.local), ("/remote", one.remote)] {
        match names.endpoints.get(name) {
            Some(address) => check.is(pointer, &json!(address.to_string())),
            None => check
                .wrong
                .push(format!("the script has no endpoint {name}")),
        }
    }
    if kernel.reason && one.failure.is_none() {
        check.is("/reason", &json!(one.reason));
    }
    check.is("/state_before", &json!(one.before));
    if reporter == Reporter::Tracer {
        return check.wrong;
    }
    let in_table = |key| one.more.iter().any(|(pointer, _)| *pointer == key);
    if one.failure.is_none() {
        check.is("/cause", &json!(one.cause));
        if !in_table("/sender") {
            let local = one.direction == "sent";
            check.is("/sender", &json!(if local { "local" } else { "peer" }));
        }
    }
    check.is("/role", &json!(one.role));
    check.is("/fin_received", &json!(one.fin_received));
    check.is("/fin_sent", &json!(one.fin_sent));
    check.who("/process", one.process, names);
    check.who("/closer", one.closer, names);
    if let Some(program) = names
        .program
        .as_ref()
        .filter(|_| one.process.is_some() && !in_table("/process/name"))
    {
        check.is("/process/name", &json!(program));
    }
    if event["repeat_of"].is_string() != one.repeat {
        check
            .wrong
            .push(format!("repeat_of is {}", event["repeat_of"]));
    }
    for (pointer, value) in one.more {
        let mut value = (*value).to_owned();
        for (name, text) in &names.texts {
            value = value.replace(&format!("{{{name}}}"), text);
        }
        match serde_json::from_str(&value) {
            Ok(value) => check.is(pointer, &value),
            Err(error) => check
                .wrong
                .push(format!("the table's {value} is not JSON: {error}")),
        }
    }
    let evidence = event["evidence"].to_string();
    let unsaid = one.said.iter().filter(|part| !evidence.contains(**part));
    check
        .wrong
        .extend(unsaid.map(|part| format!("{part:?} is not in the evidence {evidence}")));
    check.wrong
}

struct Check<'a> {
    event: &'a Value,
    reporter: Reporter,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn is(&mut self, pointer: &str, expected: &Value) {
        let seen = match self.event.pointer(pointer) {
            None if self.reporter == Reporter::Tracer => return,
            seen => seen.unwrap_or(&Value::Null),
        };
        if seen != expected {
            self.wrong
                .push(format!("{} is {seen}, not {expected}", &pointer[1..]));
        }
    }

    fn who(&mut self, pointer: &str, expected: Option<Who>, names: &Names) {
        let Some(who) = expected else {
            // An owner that is not named must not be claimed.
            self.is(pointer, &Value::Null);
            return;
        };
        match names.processes.get(who.name) {
            Some(pid) => self.is(&format!("{pointer}/pid"), &json!(pid)),
            None => self
                .wrong
                .push(format!("the script has no process {}", who.name)),
        }
        let known_by = &self.event[&pointer[1..]]["known_by"];
        if !who.known_by.iter().any(|word| known_by == word) {
            self.wrong.push(format!(
                "{}/known_by is {known_by}, not {}",
                &pointer[1..],
                who.known_by.join(" or ")
            ));
        }
    }
}
