//! A provider that lets no more requests in: new connections end at once, again and again.

use std::net::IpAddr;

use super::numerics::float;
use super::problem::{Key, Problem, Side};
use super::series::SECOND;
use crate::diagnosis::sample::Names;
use crate::reset::{Cause, FailureKind};

/// What looks like throttling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttling {
    /// Median age of the connections, seconds.
    pub age: f64,
    /// Part of the events that came within a second of the one before.
    pub quick: f64,
}

/// Events at least.
pub const FEWEST: u64 = 10;
/// Oldest median, seconds.
const YOUNG: f64 = 2.0;
/// Part of the events in quick repetition, at least.
const QUICK: f64 = 0.6;

/// Whether it looks like throttling: a service of others, by its name or its address, ends young
/// connections in quick repetition.
#[must_use]
pub fn look(names: &Names, key: &Key, problem: &Problem) -> Option<Throttling> {
    let kind = matches!(
        key.cause,
        Some(Cause::AbortedBeforeResponse | Cause::AbortedDuringSetup)
    ) || key.failure == FailureKind::EmptyResponse;
    let far = is_host_name(names.text(key.service.upstream))
        || is_host_name(names.text(key.service.peer))
        || problem
            .endpoints
            .sorted()
            .iter()
            .any(|(end, _)| is_global(end.ip()));
    // What is on this node is known better.
    let known = key.by.is_some() || !problem.makers.is_empty();
    if key.service.side != Side::Client || !kind || !far || known || problem.events < FEWEST {
        return None;
    }
    let moments = problem.moments.moments();
    let mut ages: Vec<f64> = moments.iter().filter_map(|moment| moment.age).collect();
    ages.sort_unstable_by(f64::total_cmp);
    let age = *ages.get(ages.len() / 2)?;
    let quick = quick(problem);
    (age <= YOUNG && quick >= QUICK).then_some(Throttling { age, quick })
}

/// Part of the events that came within a second of another: by their times where all are known,
/// else by how full the seconds are in which any came.
fn quick(problem: &Problem) -> f64 {
    let mut times: Vec<i64> = problem.moments.moments().iter().map(|m| m.time).collect();
    times.sort_unstable();
    if problem.moments.is_complete() && times.len() > 1 {
        let close = times
            .windows(2)
            .filter(|pair| pair[1].saturating_sub(pair[0]) <= SECOND);
        return float(close.count() as u64) / float(times.len() as u64 - 1);
    }
    let seconds = float(problem.series.length().unsigned_abs()) / 1e6;
    let full = problem
        .series
        .steps()
        .filter(|(_, step)| float(step.events) >= 2.0 * seconds);
    let events: u64 = full
        .map(|(_, step)| step.events)
        .fold(0, u64::saturating_add);
    float(events) / float(problem.events.max(1))
}

/// `api.example.com`, and not an address or the name of something in this configuration alone.
fn is_host_name(name: &str) -> bool {
    let (host, _) = name.rsplit_once(':').unwrap_or((name, ""));
    let labels: Vec<&str> = host.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
        && last.len() >= 2
        && last.chars().all(|c| c.is_ascii_alphabetic())
        && !matches!(last, "local" | "internal" | "svc" | "localhost" | "lan")
}

/// Not of a private network (RFC 1918, RFC 4193, RFC 6598), of this host or link.
fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || shared)
        }
        IpAddr::V6(v6) => {
            let [first, ..] = v6.segments();
            (first & 0xe000) == 0x2000
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for (name, expected) in [
            ("api.example.com", true),
            ("api.example.com:443", true),
            ("10.0.0.1", false),
            ("10.0.0.1:80", false),
            ("payments", false),
            ("web.shop.svc", false),
            ("db.internal", false),
            ("a..com", false),
            ("shop/web-0", false),
            ("", false),
            ("[2001:db8::1]:443", false),
        ] {
            assert_eq!(is_host_name(name), expected, "{name}");
        }
    }

    #[test]
    fn addresses_of_others() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("10.1.1.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("2606:4700::1", true),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(is_global(address.parse().unwrap()), expected, "{address}");
        }
    }
}
