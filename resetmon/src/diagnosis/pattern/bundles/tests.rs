use crate::diagnosis::pattern::fixture::{Scene, at};
use crate::diagnosis::report::Report;
use crate::diagnosis::sample::Sample;
use crate::reset::Cause;

/// So many that nginx received from its backend, reported together.
fn received(scene: &mut Scene, seconds: f64, packets: u64) -> Sample {
    Sample {
        packets,
        ..scene.upstream("payments", seconds, Cause::AbortedMidResponse)
    }
}

/// So many that the backend sent, the first of them to another port than that of any other.
fn sent(scene: &mut Scene, seconds: f64, packets: u64) -> Sample {
    Sample {
        packets,
        ..scene.backend("payd", seconds, Cause::LingerAbort)
    }
}

/// Adds both ends of one connection.
fn pair(scene: &mut Scene, seconds: f64) {
    let received = received(scene, seconds, 1);
    let sent = Sample {
        remote: received.local,
        ..sent(scene, seconds, 1)
    };
    scene.add(sent);
    scene.add(received);
}

/// Whether each finding says what happened at both ends, and its events.
fn findings(report: &Report) -> Vec<(bool, u64)> {
    let says_it = |title: &str| {
        title.starts_with("upstream payments breaks answers off in the middle")
            && title.ends_with(": payd aborts them")
    };
    let findings = report.findings.iter();
    findings
        .map(|finding| (says_it(&finding.title), finding.events))
        .collect()
}

#[test]
fn a_storm_is_one_finding_though_its_ends_come_late_and_apart() {
    let mut scene = Scene::default();
    for n in 0..20 {
        pair(&mut scene, f64::from(n) * 0.01);
    }
    // What came in the same second, told at its end; then something else.
    for second in 0..3 {
        let start = f64::from(second) + 0.2;
        let (sent, received) = (
            sent(&mut scene, start, 500),
            received(&mut scene, start, 480),
        );
        pair(&mut scene, start + 0.9);
        scene.add(sent);
        scene.add(received);
    }
    let report = scene.report(60.0);
    // What only one end has told of is of the same kind.
    assert_eq!(findings(&report), [(true, 20 + 3 + 3 * 500)]);
    assert_eq!(report.totals.events, 20 + 3 + 3 * 500);
    assert_eq!(report.totals.both_ends, 20 + 3 + 3 * 480);
}

#[test]
fn the_order_and_the_parts_in_which_the_ends_are_told_do_not_matter() {
    for (ours, theirs) in [
        (&[100][..], &[100][..]),
        (&[60, 40], &[100]),
        (&[100], &[30, 30, 40]),
        (&[70, 30], &[20, 80]),
    ] {
        for swapped in [false, true] {
            let mut scene = Scene::default();
            let mut told: Vec<Sample> = Vec::new();
            told.extend(ours.iter().map(|n| received(&mut scene, 0.3, *n)));
            told.extend(theirs.iter().map(|n| sent(&mut scene, 0.1, *n)));
            if swapped {
                told.reverse();
            }
            for sample in told {
                scene.add(sample);
            }
            let report = scene.report(60.0);
            assert_eq!(findings(&report), [(true, 100)], "{ours:?} {theirs:?}");
            assert_eq!(report.totals.both_ends, 100);
        }
    }
}

#[test]
fn ends_that_came_one_by_one_are_not_counted_again() {
    let mut scene = Scene::default();
    for n in 0..50 {
        let one = received(&mut scene, f64::from(n) * 0.01, 1);
        scene.add(one);
    }
    // Time goes on, so that they are taken for all that there is.
    let other = scene.upstream("other", 1.5, Cause::Refused);
    scene.add(other);
    let together = sent(&mut scene, 0.1, 50);
    scene.add(together);
    let report = scene.report(60.0);
    assert_eq!(report.totals.both_ends, 50);
    assert_eq!(report.totals.events, 51);
    assert_eq!(findings(&report).len(), 1);
}

#[test]
fn what_has_no_other_end_here_is_counted_as_it_is() {
    let mut scene = Scene::default();
    let here = sent(&mut scene, 0.0, 100);
    // Another client; another service; another time; the same end.
    let mut client = received(&mut scene, 0.0, 100);
    client.local.set_ip("10.0.0.77".parse().unwrap());
    let mut service = received(&mut scene, 0.0, 100);
    service.remote.set_port(81);
    let time = received(&mut scene, 5.0, 100);
    let same = sent(&mut scene, 0.0, 100);
    for sample in [here, client, service, same, time] {
        scene.add(sample);
    }
    let report = scene.report(60.0);
    assert_eq!(report.totals.both_ends, 0);
    assert_eq!(report.totals.events, 500);
}

#[test]
fn loopback_addresses_are_of_one_namespace() {
    for (netns, both) in [(1, 100), (2, 0)] {
        let mut scene = Scene::default();
        let mut ours = received(&mut scene, 0.0, 100);
        let mut theirs = sent(&mut scene, 0.0, 100);
        for end in [
            &mut ours.local,
            &mut ours.remote,
            &mut theirs.local,
            &mut theirs.remote,
        ] {
            end.set_ip("127.0.0.1".parse().unwrap());
        }
        theirs.netns = netns;
        scene.add(ours);
        scene.add(theirs);
        let report = scene.report(60.0);
        assert_eq!(report.totals.both_ends, both, "{netns}");
    }
}

#[test]
fn failures_without_a_reset_are_held_back_for_nothing() {
    let mut scene = Scene::default();
    let mut failure = received(&mut scene, 0.0, 7);
    failure.direction = None;
    failure.time = at(0.0);
    scene.add(failure);
    assert_eq!(scene.observed.totals.events, 7);
}

#[test]
fn memory_is_bounded_and_nothing_is_lost() {
    let mut scene = Scene::default();
    let many = 3 * super::LIMIT;
    for n in 0..many {
        let mut sample = received(&mut scene, 0.0, 2);
        sample
            .remote
            .set_port(u16::try_from(n % 60_000).unwrap() + 1);
        scene.add(sample);
    }
    let report = scene.report(60.0);
    assert_eq!(report.totals.events, 2 * many as u64);
}
