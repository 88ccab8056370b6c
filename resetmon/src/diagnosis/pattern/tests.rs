//! Whole scenes: what is found and what is not.

mod chance;
mod places;
mod times;

use super::fixture::{Scene, times, without_reset};
use crate::diagnosis::report::{Certainty, Finding, Kind, Report};
use crate::diagnosis::sample::{Death, Sample};
use crate::kernel::observation::Direction;
use crate::reset::{Cause, FailureKind};

fn kinds(finding: &Finding, kind: Kind) -> bool {
    finding.kinds.contains(&kind)
}

fn only(report: &Report) -> &Finding {
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    &report.findings[0]
}

fn advice(finding: &Finding) -> String {
    finding.advice.join(" ")
}

#[test]
fn nothing_makes_no_finding() {
    let report = Scene::default().report(60.0);
    assert!(report.findings.is_empty() && report.notes.is_empty());
    assert_eq!(report.totals.events, 0);
}

#[test]
fn a_killed_backend_is_one_finding_with_all_that_came_of_it() {
    let mut scene = Scene::default();
    for n in 0..4 {
        let received = scene.upstream("api", 30.0, Cause::AbortedMidResponse);
        let mut sent = scene.backend("python3", 30.0, Cause::ProcessKilled);
        sent.remote = received.local;
        sent.owner = Some(scene.killed("python3", 200));
        sent.time += n;
        scene.add(sent);
        scene.add(received);
    }
    for n in 0..6 {
        let refused = scene.upstream("api", 31.0 + f64::from(n), Cause::Refused);
        scene.add(refused);
    }
    let empty = scene.upstream("api", 30.1, Cause::Refused);
    for _ in 0..3 {
        scene.add(without_reset(&empty, FailureKind::EmptyResponse));
    }
    let report = scene.report(60.0);
    let finding = only(&report);
    assert_eq!(
        finding.title,
        "upstream api breaks answers off in the middle: python3 was killed by SIGKILL"
    );
    assert_eq!((finding.certainty, finding.events), (Certainty::Certain, 4));
    let evidence = finding.evidence.join("\n");
    assert!(
        evidence.contains("with it came 3 empty_response, 6 refused"),
        "{evidence}"
    );
    assert_eq!(report.totals.both_ends, 4);
    assert_eq!(report.totals.events, 13);
}

#[test]
fn refused_long_after_a_death_is_a_trouble_of_its_own() {
    let mut scene = Scene::default();
    let mut sent = scene.backend("python3", 30.0, Cause::ProcessKilled);
    sent.owner = Some(scene.killed("python3", 200));
    scene.add(sent);
    for n in 0..6 {
        let refused = scene.upstream("api", 300.0 + f64::from(n), Cause::Refused);
        scene.add(refused);
    }
    assert_eq!(scene.report(400.0).findings.len(), 2);
}

#[test]
fn out_of_memory_is_spoken_of_from_the_first() {
    let mut scene = Scene::default();
    let mut sent = scene.backend("llm-server", 30.0, Cause::ProcessKilled);
    if let Some(owner) = &mut sent.owner {
        owner.death = Some(Death::OutOfMemory);
    }
    scene.add(sent);
    let report = scene.report(60.0);
    let finding = only(&report);
    assert!(
        finding.title.ends_with("killed for want of memory"),
        "{}",
        finding.title
    );
    assert!(
        finding.advice[0].contains("Give llm-server more memory"),
        "{:?}",
        finding.advice
    );
}

#[test]
fn what_was_passed_on_is_no_problem_of_its_own() {
    let mut scene = Scene::default();
    for n in 0..5 {
        let origin = scene.upstream("api", f64::from(n) * 7.0, Cause::AbortedMidResponse);
        let mut end = scene.downstream("192.0.2.1", f64::from(n) * 7.0, Cause::LingerAbort);
        end.direction = Some(Direction::Sent);
        end.passed_on_from = Some(origin.id);
        end.time += 1000;
        scene.add(origin);
        scene.add(end);
    }
    let report = scene.report(60.0);
    let finding = only(&report);
    assert_eq!((finding.events, finding.passed_on), (5, 5));
    assert_eq!((report.totals.events, report.totals.passed_on), (5, 5));
}

#[test]
fn what_a_gateway_drops_after_its_client_left_is_no_problem_of_its_own() {
    for (later, findings) in [(0.1, 1), (3.0, 2)] {
        let mut scene = Scene::default();
        for n in 0..6 {
            let seconds = f64::from(n) * 9.0;
            let left = scene.downstream("192.0.2.1", seconds, Cause::ClientCanceled);
            let mut end = scene.upstream("api", seconds + later, Cause::Timewait);
            end.direction = Some(Direction::Sent);
            scene.add(left);
            scene.add(end);
        }
        assert_eq!(scene.report(60.0).findings.len(), findings, "{later}");
    }
}

#[test]
fn a_client_that_leaves_is_one_finding_with_what_its_gateway_gives_up() {
    let mut scene = Scene::default();
    for n in 0..6 {
        let seconds = f64::from(n) * 9.0;
        let left = scene.downstream("192.0.2.1", seconds, Cause::ClientCanceled);
        let given_up = scene.upstream("api", seconds + 0.001, Cause::Unknown);
        let given_up = without_reset(&given_up, FailureKind::Canceled);
        scene.add(left);
        scene.add(given_up);
    }
    let report = scene.report(60.0);
    let finding = only(&report);
    assert_eq!(finding.cause, Some("client_canceled"));
    assert_eq!(finding.passed_on, 6);
}

#[test]
fn a_gateway_that_gives_up_on_its_backend() {
    let mut scene = Scene::default();
    for n in 0..6 {
        let mut sample = scene.upstream("slow", f64::from(n) * 9.0, Cause::Unknown);
        sample.times = times(60.1 + f64::from(n), 60.1 + f64::from(n), 60.01);
        scene.add(without_reset(&sample, FailureKind::Canceled));
    }
    let report = scene.report(60.0);
    let finding = only(&report);
    assert_eq!(
        finding.title,
        "nginx gives up on upstream slow 60 s after the request"
    );
    assert!(
        advice(finding).contains("raise proxy_read_timeout"),
        "{:?}",
        finding.advice
    );
}

#[test]
fn what_did_not_fail_is_no_finding() {
    let mut scene = Scene::default();
    for n in 0..20 {
        // A gateway's health checks, seen from the gateway.
        let mut sample = scene.upstream("api", f64::from(n) * 2.0, Cause::LingerAbort);
        sample.direction = Some(Direction::Sent);
        sample.failed = false;
        scene.add(sample);
    }
    let report = scene.report(60.0);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.totals.benign, 20);
}

#[test]
fn a_trouble_known_from_both_ends_now_and_then_is_one() {
    for (unknown, findings) in [(6, 1), (60, 2)] {
        let mut scene = Scene::default();
        for n in 0..4 + unknown {
            let seconds = f64::from(n) * 0.9;
            let refused = scene.upstream("api", seconds, Cause::Refused);
            if n < 4 {
                let mut sent = scene.backend("", seconds, Cause::NoListener);
                sent.remote = refused.local;
                sent.owner = None;
                scene.add(sent);
            }
            scene.add(refused);
        }
        assert_eq!(scene.report(60.0).findings.len(), findings, "{unknown}");
    }
}

#[test]
fn repeats_count_once_and_harmless_ones_not_at_all() {
    let mut scene = Scene::default();
    for n in 0..50 {
        let mut sample = scene.upstream("api", f64::from(n), Cause::AbortedMidResponse);
        sample.repeat = n > 1;
        scene.add(sample);
        let sample = scene.upstream("api", f64::from(n), Cause::ResetAfterClose);
        scene.add(sample);
    }
    let report = scene.report(60.0);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(
        report.notes,
        ["2 failures of kinds that are too few to conclude from"]
    );
    assert_eq!((report.totals.repeats, report.totals.benign), (48, 50));
}

/// Six faults at once, among harmless traffic, are six findings.
#[test]
fn a_mixed_run() {
    let mut scene = Scene::default();
    let mut all: Vec<Sample> = Vec::new();
    for n in 0..8_u32 {
        let seconds = 3.0 + f64::from(n) * 14.0;
        let mut race = scene.upstream("payments", seconds, Cause::KeepaliveRace);
        race.times = times(9.0 + f64::from(n), 5.0, 0.0);
        let mut cut = scene.upstream("search", seconds, Cause::AbortedMidResponse);
        cut.times = times(
            1.0 + f64::from(n * n) * 0.37,
            0.2,
            0.3 + f64::from(n * n) * 0.3,
        );
        cut.remote = "10.0.0.10:80".parse().unwrap();
        let mut forgotten = scene.upstream("far", seconds, Cause::IdleTimeout);
        forgotten.times = times(300.0 + f64::from(n), 240.0, 0.1);
        forgotten.remote = "10.0.0.11:80".parse().unwrap();
        let mut refused = scene.upstream("down", seconds, Cause::Refused);
        refused.times = times(0.0, 0.0, 0.0);
        refused.remote = "10.0.0.12:80".parse().unwrap();
        let mut left = scene.downstream("192.0.2.9", seconds, Cause::ClientCanceled);
        left.times = times(
            2.0 + f64::from(n * n) * 0.51,
            1.0 + f64::from(n * n) * 0.51,
            0.1,
        );
        let mut rejected = scene.downstream("192.0.2.77", seconds, Cause::FirewallReject);
        rejected.sender = Some(crate::reset::Sender::Firewall);
        rejected.direction = Some(Direction::Sent);
        rejected.owner = None;
        rejected.place = None;
        rejected.local.set_port(9000);
        rejected.times = times(0.0, 0.0, 0.0);
        let harmless = scene.upstream("payments", seconds, Cause::ResetAfterClose);
        all.extend([race, cut, forgotten, refused, left, rejected, harmless]);
    }
    all.sort_by_key(|sample| sample.time);
    for sample in all {
        scene.add(sample);
    }
    let report = scene.report(120.0);
    let found: Vec<(&str, bool)> = report
        .findings
        .iter()
        .map(|finding| {
            (
                finding.cause.unwrap_or_default(),
                kinds(finding, Kind::FixedTime),
            )
        })
        .collect();
    assert_eq!(found.len(), 6, "{found:?}");
    for (cause, fixed) in [
        ("keepalive_race", true),
        ("aborted_mid_response", false),
        ("idle_timeout", true),
        ("refused", false),
        ("client_canceled", false),
        ("firewall_reject", false),
    ] {
        assert!(found.contains(&(cause, fixed)), "{cause}: {found:?}");
    }
}
