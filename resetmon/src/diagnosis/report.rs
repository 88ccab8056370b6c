//! What a report says: a value, so that each format only has to lay it out.

use serde::Serialize;

/// Version of the report's layout, for who reads it as JSON.
pub const VERSION: u32 = 1;

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// From when to when, and from what.
    pub span: Span,
    /// What was counted.
    pub totals: Totals,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What was seen and is no trouble, in words.
    pub harmless: Vec<String>,
    /// Where most of it was.
    pub top: Top,
    /// Events over time.
    pub timeline: Timeline,
    /// How old connections were that ended so.
    pub age: Distribution,
    /// How long they had been silent.
    pub idle: Distribution,
    /// What could not be seen, in words.
    pub unseen: Vec<String>,
}

/// The time that a report covers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Span {
    /// RFC 3339; `None` without an event and without a watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Between the two.
    pub seconds: f64,
    /// A file's name, `standard input` or `this node`.
    pub source: String,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Connections that failed or were reset; each once.
    pub events: u64,
    /// Of them harmless.
    pub benign: u64,
    /// Ends of a gateway's other leg, explained by the event that they were passed on from.
    pub passed_on: u64,
    /// Further packets of an event that was counted.
    pub repeats: u64,
    /// Both ends of a connection on this node were seen; the second end is not counted again.
    pub both_ends: u64,
    /// By failure.
    pub failures: Vec<Count>,
    /// By direction.
    pub directions: Vec<Count>,
    /// By leg.
    pub legs: Vec<Count>,
    /// By cause.
    pub causes: Vec<Count>,
}

/// How many of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Of what.
    pub name: String,
    /// How many.
    pub events: u64,
}

/// Names with most events that are not harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Top {
    /// Routes, as `gateway route`.
    pub routes: Vec<Count>,
    /// Upstreams, as `gateway upstream`.
    pub upstreams: Vec<Count>,
    /// Processes.
    pub processes: Vec<Count>,
    /// Peers.
    pub peers: Vec<Count>,
}

/// Events over time, in steps of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Start of the first step, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Length of a step.
    pub step_seconds: f64,
    /// Events that are not harmless, a step.
    pub events: Vec<u64>,
    /// Harmless ones, a step.
    pub benign: Vec<u64>,
}

/// How durations are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Events of which the duration is known.
    pub events: u64,
    /// Quantiles; `None` without an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
    /// The bars of a histogram, from short to long.
    pub bars: Vec<Bar>,
}

/// Quantiles of durations, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are shorter.
    pub p50: f64,
    /// Nine of ten are shorter.
    pub p90: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bar {
    /// From here, seconds.
    pub from: f64,
    /// To here; `None` in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// How many.
    pub events: u64,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// It fits, and other things would fit too.
    Possible,
    /// Chance hardly explains it.
    Likely,
    /// The kernel says so of each event.
    Certain,
}

impl Certainty {
    /// The word used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// What stands out in a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing but that it happens.
    Cause,
    /// Connections end at one age, after one silence or one wait.
    FixedTime,
    /// One endpoint is worse than its siblings.
    Endpoint,
    /// One route is worse than the others.
    Route,
    /// One client makes most of it.
    Client,
    /// It came in a burst.
    Burst,
    /// A process was replaced at that moment.
    Restart,
    /// A process died.
    Death,
    /// It grows.
    Growth,
    /// A provider lets no more requests in.
    Throttling,
}

impl Kind {
    /// The word used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::FixedTime => "fixed_time",
            Self::Endpoint => "endpoint",
            Self::Route => "route",
            Self::Client => "client",
            Self::Burst => "burst",
            Self::Restart => "restart",
            Self::Death => "death",
            Self::Growth => "growth",
            Self::Throttling => "throttling",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What stands out, the most telling first; never empty.
    pub kinds: Vec<Kind>,
    /// In words, one line.
    pub title: String,
    /// How the connections failed.
    pub failure: &'static str,
    /// Why, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// Where.
    pub place: FindingPlace,
    /// How many connections.
    pub events: u64,
    /// Ends on a gateway's other leg that it led to.
    pub passed_on: u64,
    /// First of them, RFC 3339.
    pub first: String,
    /// Last of them, RFC 3339.
    pub last: String,
    /// How sure.
    pub certainty: Certainty,
    /// How likely chance alone would look like it, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The facts, one a line.
    pub evidence: Vec<String>,
    /// Ids of some of the events.
    pub examples: Vec<String>,
    /// What to do, the most concrete first.
    pub advice: Vec<String>,
}

/// Where something is wrong; what does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FindingPlace {
    /// Program whose connections they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<&'static str>,
    /// Routes with most of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The other end's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Port of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}
