//! JSON lines read back, for looking at saved events.
//!
//! Only what the patterns need is taken; strings stay where they lie in the line. What cannot be
//! read is counted and passed over.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::VERSION;
use crate::diagnosis::sample::{Actor, Death, Name, Names, Place, Sample, Times, failure_of};
use crate::kernel::observation::{Direction, Role};
use crate::reset::{Cause, FailureKind, Leg, Sender};
use crate::text::counted;

/// Longest line that is looked at, bytes. An event's line has some thousand.
const LONGEST: usize = 1 << 20;

/// What came of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Events.
    pub events: u64,
    /// Lines that are none.
    pub malformed: u64,
    /// The first of them: its number, from 1, and why.
    pub first_malformed: Option<(u64, String)>,
    /// Lines in another version of the layout.
    pub other_version: u64,
    /// The last line has no end and is no event: the writer was at work, or was killed.
    pub cut_off: bool,
}

impl Read {
    /// What was not read, one line each, in words; nothing if all was.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((number, why)) = &self.first_malformed {
            lines.push(match self.malformed {
                1 => format!(
                    "1 line is no event of resetmon and was passed over: line {number}: {why}"
                ),
                many => format!(
                    "{many} lines are no events of resetmon and were passed over; the first is \
                     line {number}: {why}"
                ),
            });
        }
        if self.other_version > 0 {
            lines.push(format!(
                "{} of another version of resetmon passed over (layout {VERSION} is understood)",
                counted(self.other_version, "line")
            ));
        }
        if self.cut_off {
            lines.push("the last line is cut off".to_owned());
        }
        lines
    }
}

/// Why a line is no event.
#[derive(Debug, Error)]
pub enum LineError {
    /// It is no JSON, or a key has a value of another kind.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A value is none of those that the key has.
    #[error("`{key}` is `{value}`, which it cannot be")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value, cut where it is long.
        value: String,
    },
    /// Another version of the layout.
    #[error("layout {0} is not understood")]
    Version(u64),
}

/// Reads events until the end of `input`.
///
/// # Errors
/// When `input` cannot be read.
pub fn read(
    mut input: impl BufRead,
    names: &mut Names,
    mut event: impl FnMut(Sample),
) -> io::Result<Read> {
    let mut read = Read::default();
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        let limit = LONGEST as u64 + 1;
        if io::Read::take(&mut input, limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(read);
        }
        number = number.saturating_add(1);
        let ended = line.ends_with(b"\n");
        if !ended && line.len() > LONGEST {
            skip_line(&mut input)?;
            read.refuse(number, format!("it is longer than {LONGEST} bytes"));
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match parse(&line, names) {
            Ok(sample) => {
                read.events = read.events.saturating_add(1);
                event(sample);
            }
            Err(LineError::Version(_)) => {
                read.other_version = read.other_version.saturating_add(1);
            }
            Err(_) if !ended => read.cut_off = true,
            Err(error) => read.refuse(number, error.to_string()),
        }
    }
}

impl Read {
    fn refuse(&mut self, number: u64, why: String) {
        self.malformed = self.malformed.saturating_add(1);
        self.first_malformed.get_or_insert((number, why));
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = input.fill_buf()?;
        let (used, done) = match held.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (held.len(), held.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Reads one line.
///
/// # Errors
/// When it is no event in this version's layout.
pub fn parse(line: &[u8], names: &mut Names) -> Result<Sample, LineError> {
    let event: Event<'_> = match serde_json::from_slice(line) {
        Ok(event) => event,
        Err(error) => {
            // A layout that changed is not damage.
            let version = serde_json::from_slice::<Versioned>(line)
                .ok()
                .and_then(|line| line.v);
            return Err(match version {
                Some(version) if version != u64::from(VERSION) => LineError::Version(version),
                _ => error.into(),
            });
        }
    };
    if event.v != u64::from(VERSION) {
        return Err(LineError::Version(event.v));
    }
    event.sample(names)
}

#[derive(Deserialize)]
struct Versioned {
    v: Option<u64>,
}

/// A string of the line.
#[derive(Debug, Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Borrow).map(Text)
    }
}

/// The keys of a line that are needed.
#[derive(Deserialize)]
struct Event<'a> {
    v: u64,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(rename = "event")]
    kind: Option<IgnoredAny>,
    #[serde(borrow)]
    failure: Option<Text<'a>>,
    #[serde(borrow)]
    direction: Option<Text<'a>>,
    #[serde(borrow)]
    sender: Option<Text<'a>>,
    #[serde(borrow)]
    cause: Option<Text<'a>>,
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(default)]
    netns: u32,
    #[serde(borrow)]
    local: Text<'a>,
    #[serde(borrow)]
    remote: Text<'a>,
    #[serde(borrow)]
    process: Option<ProcessPart<'a>>,
    #[serde(borrow)]
    closer: Option<ProcessPart<'a>>,
    #[serde(borrow)]
    peer: Option<Text<'a>>,
    #[serde(borrow)]
    gateway: Option<Text<'a>>,
    #[serde(borrow)]
    route: Option<Text<'a>>,
    #[serde(borrow)]
    upstream: Option<Text<'a>>,
    #[serde(borrow)]
    leg: Option<Text<'a>>,
    age_s: Option<f64>,
    idle_in_s: Option<f64>,
    idle_out_s: Option<f64>,
    since_fin_received_s: Option<f64>,
    since_fin_sent_s: Option<f64>,
    tick_s: Option<f64>,
    packets: Option<u64>,
    connections: Option<u64>,
    repeat_of: Option<IgnoredAny>,
    #[serde(borrow)]
    propagated_from: Option<Reference<'a>>,
    #[serde(borrow)]
    twin: Option<Reference<'a>>,
}

#[derive(Deserialize)]
struct ProcessPart<'a> {
    pid: u32,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    container: Option<ContainerPart<'a>>,
    #[serde(borrow)]
    unit: Option<Text<'a>>,
    #[serde(borrow)]
    exit_signal: Option<Text<'a>>,
    #[serde(default)]
    out_of_memory: bool,
    exit_status: Option<u8>,
}

#[derive(Deserialize)]
struct ContainerPart<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    pod: Option<Text<'a>>,
}

/// Another event.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

impl Event<'_> {
    fn sample(self, names: &mut Names) -> Result<Sample, LineError> {
        let cause = word("cause", self.cause.as_ref(), Cause::from_name)?;
        let leg = word("leg", self.leg.as_ref(), Leg::from_name)?;
        let failure = word("failure", self.failure.as_ref(), FailureKind::from_name)?;
        let mut name = |text: &Option<Text<'_>>| {
            text.as_ref()
                .map_or(Name::NONE, |text| names.intern(&text.0))
        };
        let place = self.gateway.is_some().then(|| Place {
            gateway: name(&self.gateway),
            route: name(&self.route),
            upstream: name(&self.upstream),
            leg: leg.unwrap_or(Leg::None),
        });
        let peer = name(&self.peer);
        Ok(Sample {
            id: id("id", &self.id)?,
            time: time(&self.time)?,
            // Lines without `event` are older than the key `failure`.
            failed: failure.is_some() || self.kind.is_none() || self.repeat_of.is_some(),
            failure: failure.unwrap_or_else(|| cause.map_or(FailureKind::Reset, failure_of)),
            direction: word("direction", self.direction.as_ref(), direction)?,
            sender: word("sender", self.sender.as_ref(), Sender::from_name)?,
            cause,
            role: word("role", self.role.as_ref(), role)?,
            netns: self.netns,
            local: address("local", &self.local)?,
            remote: address("remote", &self.remote)?,
            owner: self.process.map(|process| process.actor(names)),
            closer: self.closer.map(|process| process.actor(names)),
            peer,
            place,
            times: Times {
                age: duration(self.age_s),
                idle_in: duration(self.idle_in_s),
                idle_out: duration(self.idle_out_s),
                since_fin_received: duration(self.since_fin_received_s),
                since_fin_sent: duration(self.since_fin_sent_s),
                tick: duration(self.tick_s).unwrap_or_default(),
            },
            packets: self.packets.or(self.connections).unwrap_or(1).max(1),
            repeat: self.repeat_of.is_some(),
            passed_on_from: reference("propagated_from", self.propagated_from.as_ref())?,
            twin: reference("twin", self.twin.as_ref())?,
        })
    }
}

impl ProcessPart<'_> {
    fn actor(self, names: &mut Names) -> Actor {
        let home = match (&self.container, &self.unit) {
            (Some(container), _) => Some(container.pod.as_ref().unwrap_or(&container.id)),
            (None, unit) => unit.as_ref(),
        };
        let death = match (&self.exit_signal, self.exit_status) {
            _ if self.out_of_memory => Some(Death::OutOfMemory),
            (Some(signal), _) => Some(Death::Signal(names.intern(&signal.0))),
            (None, status) => status.map(Death::Status),
        };
        Actor {
            name: names.intern(&self.name.0),
            pid: self.pid,
            home: home.map_or(Name::NONE, |home| names.intern(&home.0)),
            death,
        }
    }
}

/// The value that a word stands for; a word that is not known is an error, a key left out none.
fn word<T>(
    key: &'static str,
    text: Option<&Text<'_>>,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, LineError> {
    match text {
        None => Ok(None),
        Some(text) => from_name(&text.0)
            .map(Some)
            .ok_or_else(|| wrong(key, &text.0)),
    }
}

fn wrong(key: &'static str, value: &str) -> LineError {
    LineError::Value {
        key,
        value: crate::text::printable_bytes(value.as_bytes(), 40),
    }
}

fn direction(name: &str) -> Option<Direction> {
    [Direction::Sent, Direction::Received]
        .into_iter()
        .find(|value| value.name() == name)
}

fn role(name: &str) -> Option<Role> {
    [Role::Client, Role::Server]
        .into_iter()
        .find(|value| value.name() == name)
}

fn id(key: &'static str, text: &Text<'_>) -> Result<u64, LineError> {
    u64::from_str_radix(&text.0, 16).map_err(|_| wrong(key, &text.0))
}

fn reference(key: &'static str, to: Option<&Reference<'_>>) -> Result<Option<u64>, LineError> {
    to.map(|to| id(key, &to.id)).transpose()
}

fn address(key: &'static str, text: &Text<'_>) -> Result<SocketAddr, LineError> {
    text.0.parse().map_err(|_| wrong(key, &text.0))
}

fn time(text: &Text<'_>) -> Result<i64, LineError> {
    let time: Timestamp = text.0.parse().map_err(|_| wrong("time", &text.0))?;
    Ok(time.as_microsecond())
}

/// A time that nobody can have measured is none.
fn duration(seconds: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds?).ok()
}

#[cfg(test)]
mod tests;
