//! Events counted by what they have in common.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::event::Event;
use crate::export::terminal::Row;
use crate::reset::FailureKind;

/// Rows of one kind at most; what comes after them is counted as [`OTHER`].
pub const MOST: usize = 500;

/// Name of the row of what has none of its own.
pub const OTHER: &str = "other";

/// Name of the row of what is not known, such as the route of no gateway.
pub const NONE: &str = "-";

/// Before the kinds of failure.
const FAILED: &str = "failed: ";

/// By what events are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Route of a gateway.
    Route,
    /// Process by name.
    Process,
    /// Peer by name.
    Peer,
    /// Cause, or kind of failure.
    Cause,
}

impl By {
    /// Every value, in the order of the tabs.
    pub const ALL: [Self; 4] = [Self::Route, Self::Process, Self::Peer, Self::Cause];

    /// Its word in tabs and conditions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Process => "process",
            Self::Peer => "peer",
            Self::Cause => "cause",
        }
    }

    /// The row in which the event counts.
    fn key(self, event: &Event) -> String {
        let context = Row::from(event).context;
        let name = match self {
            Self::Route => context.route.map(|route| &*route.route),
            Self::Process => {
                let owner = context.owner.or(context.closer);
                owner.map(|owner| &*owner.process.name)
            }
            Self::Peer => Some(context.peer),
            Self::Cause => {
                return match event {
                    Event::Reset(reset) => reset.diagnosis.cause.name().to_owned(),
                    Event::Failure(failure) => Self::failed(failure.kind),
                };
            }
        };
        let name = name.filter(|name| !name.is_empty());
        name.unwrap_or(NONE).to_owned()
    }

    /// The row of a kind of failure among the causes: both have a `refused`.
    pub(super) fn failed(kind: FailureKind) -> String {
        format!("{FAILED}{}", kind.name())
    }

    /// The kind of failure, where such a row is meant.
    pub(super) fn failure(key: &str) -> Option<&str> {
        key.strip_prefix(FAILED)
    }

    /// The condition that selects a row's events, as [it is typed](super::typed::TypedFilter);
    /// `None` where there is none.
    #[must_use]
    pub fn condition(self, key: &str) -> Option<String> {
        if key == OTHER || key == NONE || key.contains('"') {
            return None;
        }
        Some(match (self, Self::failure(key)) {
            (Self::Cause, Some(kind)) => format!("failure={kind}"),
            _ if key.contains(char::is_whitespace) => format!("{}=\"{key}\"", self.name()),
            _ => format!("{}={key}", self.name()),
        })
    }
}

/// Seconds that a [`Minute`] holds.
const SECONDS: usize = 60;

/// Events of the last minute, by second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    counts: [u64; SECONDS],
    /// The second that the last count is of.
    second: u64,
}

impl Default for Minute {
    fn default() -> Self {
        Self {
            counts: [0; SECONDS],
            second: 0,
        }
    }
}

impl Minute {
    /// Forgets what is more than a minute before `second`.
    fn advance(&mut self, second: u64) {
        let passed = second.saturating_sub(self.second);
        let passed = usize::try_from(passed).map_or(SECONDS, |passed| passed.min(SECONDS));
        self.counts.rotate_left(passed % SECONDS);
        self.counts[SECONDS - passed..].fill(0);
        self.second = self.second.max(second);
    }

    /// Counts in `second`.
    pub fn add(&mut self, second: u64, count: u64) {
        self.advance(second);
        let last = &mut self.counts[SECONDS - 1];
        *last = last.saturating_add(count);
    }

    /// As seen in `second`, oldest first.
    #[must_use]
    pub fn at(&self, second: u64) -> [u64; SECONDS] {
        let mut seen = self.clone();
        seen.advance(second);
        seen.counts
    }

    /// All of the minute before `second`.
    #[must_use]
    pub fn sum(&self, second: u64) -> u64 {
        self.at(second).iter().copied().fold(0, u64::saturating_add)
    }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its events.
    pub count: u64,
    /// Time of the last one.
    pub latest: Timestamp,
    /// Those of the last minute.
    pub minute: Minute,
    /// Its causes and kinds of failure, of which there are few, each with its events.
    conclusions: Vec<(&'static str, u64)>,
}

impl Group {
    /// The cause or kind of failure that most of its events have, and how many have it.
    #[must_use]
    pub fn main(&self) -> Option<(&'static str, u64)> {
        let conclusions = self.conclusions.iter();
        // Of several that are as many, the first one seen stays.
        conclusions.copied().rev().max_by_key(|(_, count)| *count)
    }

    fn conclude(&mut self, name: &'static str, count: u64) {
        match self.conclusions.iter_mut().find(|(of, _)| *of == name) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.conclusions.push((name, count)),
        }
    }
}

/// The rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    rows: HashMap<String, Group>,
    total: u64,
}

impl Groups {
    /// Counts an event that came in `second`.
    pub fn add(&mut self, by: By, event: &Event, second: u64) {
        let row = Row::from(event);
        let mut key = by.key(event);
        if self.rows.len() >= MOST && !self.rows.contains_key(&key) {
            OTHER.clone_into(&mut key);
        }
        let count = row.count.max(1);
        let group = self.rows.entry(key).or_default();
        group.count = group.count.saturating_add(count);
        group.latest = group.latest.max(row.time);
        group.minute.add(second, count);
        group.conclude(row.conclusion, count);
        self.total = self.total.saturating_add(count);
    }

    /// Its rows in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.rows.iter().map(|(key, group)| (key.as_str(), group))
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Events of all rows.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}
