//! What a report says: a value, so that each format only has to lay it out.

use serde::Serialize;

use super::pattern::evidence::rfc3339;
use super::pattern::finding::{self, Findings};
use super::pattern::numerics::float;
use super::pattern::observed::Observed;
use super::pattern::spread::{BARS, Spread};
use super::sample::Name;

/// Steps of the timeline at most.
const STEPS: i64 = 72;
/// Names in a list of the most frequent.
const TOP: usize = 5;
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
    /// What was seen and is no trouble, or too little to speak of, in words.
    pub notes: Vec<String>,
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
    /// One pod, container or network namespace of a program is worse than the others.
    Instance,
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
            Self::Instance => "instance",
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

/// The report of everything that was seen; `unseen` says what was not.
#[must_use]
pub fn report(observed: &Observed, source: &str, unseen: Vec<String>) -> Report {
    let Findings { findings, notes } = finding::all(observed);
    Report {
        version: VERSION,
        span: span(observed, source),
        totals: totals(observed),
        findings,
        notes,
        top: top(observed),
        timeline: timeline(observed),
        age: distribution(&observed.age),
        idle: distribution(&observed.idle),
        unseen,
    }
}

fn span(observed: &Observed, source: &str) -> Span {
    let span = observed.span();
    Span {
        from: span.map(|(from, _)| rfc3339(from)),
        to: span.map(|(_, to)| rfc3339(to)),
        seconds: span.map_or(0.0, |(from, to)| float(to.abs_diff(from)) / 1e6),
        source: source.to_owned(),
    }
}

fn totals(observed: &Observed) -> Totals {
    let sums = &observed.totals;
    let count = |name: &str, events: u64| Count {
        name: name.to_owned(),
        events,
    };
    let sorted = |mut counts: Vec<Count>| {
        counts.retain(|count| count.events > 0);
        counts.sort_by_key(|count| std::cmp::Reverse(count.events));
        counts
    };
    Totals {
        events: sums.events,
        benign: sums.benign,
        passed_on: sums.passed_on,
        repeats: sums.repeats,
        both_ends: observed.both_ends(),
        failures: sorted(
            sums.failures
                .iter()
                .map(|(f, n)| count(f.name(), *n))
                .collect(),
        ),
        directions: sorted(vec![
            count("sent", sums.sent),
            count("received", sums.received),
        ]),
        legs: sorted(
            sums.legs
                .iter()
                .map(|(leg, n)| count(leg.name(), *n))
                .collect(),
        ),
        causes: sorted(
            sums.causes
                .iter()
                .map(|(cause, n)| count(cause.name(), *n))
                .collect(),
        ),
    }
}

fn top(observed: &Observed) -> Top {
    let names = &observed.names;
    let one = |counts: Vec<(Name, u64)>| {
        let first = counts
            .into_iter()
            .filter(|(_, events)| *events > 0)
            .take(TOP);
        first
            .map(|(name, events)| Count {
                name: names.text(name).to_owned(),
                events,
            })
            .collect()
    };
    let two = |counts: Vec<((Name, Name), u64)>| {
        let first = counts
            .into_iter()
            .filter(|(_, events)| *events > 0)
            .take(TOP);
        first
            .map(|((gateway, name), events)| Count {
                name: format!("{} {}", names.text(gateway), names.text(name)),
                events,
            })
            .collect()
    };
    Top {
        routes: two(observed.top.routes.sorted()),
        upstreams: two(observed.top.upstreams.sorted()),
        processes: one(observed.top.processes.sorted()),
        peers: one(observed.top.peers.sorted()),
    }
}

fn timeline(observed: &Observed) -> Timeline {
    let (bad, benign) = observed.series();
    let Some((from, to)) = observed.span() else {
        return Timeline::default();
    };
    let mut length = bad.length().max(benign.length());
    while to.saturating_sub(from) / length >= STEPS {
        length = length.saturating_mul(2);
    }
    let (bad, benign) = (bad.coarser(length), benign.coarser(length));
    let numbers = from.div_euclid(length)..=to.div_euclid(length);
    Timeline {
        from: Some(rfc3339(numbers.start().saturating_mul(length))),
        step_seconds: float(length.unsigned_abs()) / 1e6,
        events: numbers.clone().map(|number| bad.at(number)).collect(),
        benign: numbers.map(|number| benign.at(number)).collect(),
    }
}

fn distribution(spread: &Spread) -> Distribution {
    let quantiles = match (
        spread.quantile(50),
        spread.quantile(90),
        spread.quantile(99),
    ) {
        (Some(p50), Some(p90), Some(p99)) => Some(Quantiles { p50, p90, p99 }),
        _ => None,
    };
    let seconds = |milliseconds: u64| float(milliseconds) / 1e3;
    let ends = BARS.iter().copied().map(Some).chain([None]);
    let starts = [0].into_iter().chain(BARS.iter().copied());
    let bars = starts.zip(ends).zip(spread.bars());
    let mut bars: Vec<Bar> = bars
        .map(|((from, to), events)| Bar {
            from: seconds(from),
            to: to.map(seconds),
            events: *events,
        })
        .collect();
    // What is empty at either end says nothing.
    while bars.last().is_some_and(|bar| bar.events == 0) {
        bars.pop();
    }
    let empty = bars.iter().take_while(|bar| bar.events == 0).count();
    bars.drain(..empty);
    Distribution {
        events: spread.total(),
        quantiles,
        bars,
    }
}
