//! What stands out in a problem: every pattern's answer.

use std::net::{IpAddr, SocketAddr};

use super::burst::{self, Burst};
use super::endpoint::{self, Worse};
use super::fixed_time::{self, FixedTime};
use super::growth::{self, Growth};
use super::lives::{Dead, Replaced};
use super::observed::Observed;
use super::problem::{Instance, Key, Problem};
use super::series::SECOND;
use super::throttling::{self, Throttling};
use crate::diagnosis::report::Kind;
use crate::diagnosis::sample::Name;

/// What stands out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    /// Connections end at one time.
    pub fixed: Option<FixedTime>,
    /// One endpoint is worse than its siblings.
    pub endpoint: Option<Worse<SocketAddr>>,
    /// One client makes most of it.
    pub client: Option<Worse<IpAddr>>,
    /// One route has most of it.
    pub route: Option<Worse<Name>>,
    /// One pod, container or network namespace of the program has most of it.
    pub instance: Option<Worse<Instance>>,
    /// It came all at once.
    pub burst: Option<Burst>,
    /// A program's processes were replaced as the burst began.
    pub replaced: Option<Replaced>,
    /// A process died as the burst began.
    pub died: Option<Dead>,
    /// It grows.
    pub growth: Option<Growth>,
    /// A provider lets no more in.
    pub throttling: Option<Throttling>,
}

/// A death may be seen as much before or after the burst that it makes, microseconds.
const NEAR: i64 = 2 * SECOND;

impl Traits {
    /// Of a problem.
    #[must_use]
    pub fn of(observed: &Observed, key: &Key, problem: &Problem) -> Self {
        let span = observed.span.unwrap_or_default();
        let burst = burst::look(problem, span);
        let replaced = burst.and_then(|burst| {
            let programs = problem.makers.sorted().into_iter().map(|(name, _)| name);
            let mut programs = programs.chain([key.process]).filter(|name| !name.is_none());
            programs.find_map(|program| observed.lives.replaced(program, burst.from))
        });
        let died = burst.and_then(|burst| {
            let from = burst.from.saturating_sub(NEAR);
            observed
                .lives
                .deaths(from, burst.from.saturating_add(NEAR))
                .next()
                .copied()
        });
        Self {
            fixed: fixed_time::look(key, problem),
            endpoint: endpoint::endpoint(observed, key, problem),
            client: endpoint::client(problem),
            route: endpoint::route(observed, key, problem),
            instance: endpoint::instance(observed, key, problem),
            replaced,
            died,
            growth: if burst.is_some() {
                None
            } else {
                growth::look(problem, span)
            },
            throttling: throttling::look(&observed.names, key, problem),
            burst,
        }
    }

    /// What stands out, the most telling first; never empty.
    #[must_use]
    pub fn kinds(&self, key: &Key) -> Vec<Kind> {
        let kinds = [
            (key.is_of_a_death(), Kind::Death),
            (self.fixed.is_some(), Kind::FixedTime),
            (self.throttling.is_some(), Kind::Throttling),
            (self.endpoint.is_some(), Kind::Endpoint),
            (self.route.is_some(), Kind::Route),
            (self.instance.is_some(), Kind::Instance),
            (self.client.is_some(), Kind::Client),
            (self.replaced.is_some(), Kind::Restart),
            (self.burst.is_some(), Kind::Burst),
            (self.growth.is_some(), Kind::Growth),
        ];
        let mut kinds: Vec<Kind> = kinds
            .into_iter()
            .filter_map(|(is, kind)| is.then_some(kind))
            .collect();
        kinds.push(Kind::Cause);
        kinds
    }

    /// The likelihood by chance of what stands out most.
    #[must_use]
    pub fn chance(&self) -> Option<f64> {
        let chances = [
            self.fixed.map(|fixed| fixed.chance),
            self.endpoint.map(|worse| worse.chance),
            self.route.map(|worse| worse.chance),
            self.instance.map(|worse| worse.chance),
            self.client.map(|worse| worse.chance),
            self.burst.map(|burst| burst.chance),
            self.growth.map(|growth| growth.chance),
        ];
        chances.into_iter().flatten().next()
    }
}
