//! One of several is worse than its siblings: an endpoint of an upstream, a client, a route, a pod.

use std::net::{IpAddr, SocketAddr};

use super::numerics::{binomial_tail, float, hypergeometric_tail};
use super::observed::Observed;
use super::problem::{Instance, Key, Problem, Side};
use super::top::Top;
use crate::diagnosis::sample::Name;

/// One that is worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worse<T> {
    /// Which.
    pub which: T,
    /// Its events.
    pub events: u64,
    /// All events.
    pub of: u64,
    /// How many siblings there are, itself included.
    pub siblings: usize,
    /// Likelihood by chance.
    pub chance: f64,
}

/// Likelihood by chance, over all siblings, from which on nothing is said.
const CHANCE: f64 = 1e-3;
/// The same for clients, of which some are always busier than others.
const CHANCE_OF_CLIENTS: f64 = 1e-6;
/// Share of the worst one, at least.
const SHARE: f64 = 0.6;
/// Events at least.
const FEWEST: u64 = 5;
/// Clients at least.
const FEWEST_CLIENTS: usize = 3;
/// Events on one route, or of one instance, at least.
const FEWEST_OF_PART: u64 = 10;

/// The endpoint of an upstream that is worse than the others, if all take the same part of the load.
#[must_use]
pub fn endpoint(observed: &Observed, key: &Key, problem: &Problem) -> Option<Worse<SocketAddr>> {
    if key.service.side != Side::Client {
        return None;
    }
    let known = observed.services.get(&key.service).map_or(0, Top::len);
    worst(&problem.endpoints, known, CHANCE)
}

/// The client that makes most of it.
#[must_use]
pub fn client(problem: &Problem) -> Option<Worse<IpAddr>> {
    if problem.clients.len() < FEWEST_CLIENTS {
        return None;
    }
    worst(&problem.clients, 0, CHANCE_OF_CLIENTS)
}

fn worst<T: Copy + Eq + std::hash::Hash + Ord>(
    counts: &Top<T>,
    known: usize,
    limit: f64,
) -> Option<Worse<T>> {
    let (which, events) = counts.first()?;
    let of = counts.total();
    let siblings = counts.len().max(known);
    if siblings < 2 || events < FEWEST || float(events) < SHARE * float(of) {
        return None;
    }
    let share = 1.0 / float(siblings as u64);
    let chance = binomial_tail(events, of, share) * float(siblings as u64);
    (chance < limit).then_some(Worse {
        which,
        events,
        of,
        siblings,
        chance,
    })
}

/// The route of a gateway that has more of it than its part of all events.
#[must_use]
pub fn route(observed: &Observed, key: &Key, problem: &Problem) -> Option<Worse<Name>> {
    over_part(&problem.routes, &observed.traffic, key.service.gateway)
}

/// The pod, container or network namespace of a program that has more of it than its part.
#[must_use]
pub fn instance(observed: &Observed, key: &Key, problem: &Problem) -> Option<Worse<Instance>> {
    over_part(&problem.instances, &observed.instances, key.process)
}

/// What has more of `counts` than its part of `all` events of the same `whole`.
fn over_part<T: Copy + Eq + std::hash::Hash + Ord>(
    counts: &Top<T>,
    all: &Top<(Name, T)>,
    whole: Name,
) -> Option<Worse<T>> {
    let (which, events) = counts.first()?;
    let of = counts.total();
    if events < FEWEST_OF_PART || float(events) < SHARE * float(of) || !all.is_exact() {
        return None;
    }
    let all = all.sorted();
    let of_whole = all.iter().filter(|((other, _), _)| *other == whole);
    let siblings = of_whole.clone().count();
    let total: u64 = of_whole.clone().map(|(_, events)| events).sum();
    let (_, part) = of_whole.clone().find(|((_, one), _)| *one == which)?;
    if siblings < 2 {
        return None;
    }
    let chance = hypergeometric_tail(events, *part, of, total) * float(siblings as u64);
    (chance < CHANCE).then_some(Worse {
        which,
        events,
        of,
        siblings,
        chance,
    })
}
