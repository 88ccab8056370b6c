//! One of several: endpoints, routes, pods, clients, peers.

use super::{advice, kinds, only};
use crate::diagnosis::pattern::fixture::Scene;
use crate::diagnosis::report::Kind;
use crate::diagnosis::sample::Sample;
use crate::reset::Cause;

#[test]
fn one_bad_endpoint_of_three() {
    let table = [
        // Endpoints of the events, and whether it stands out.
        ([9, 0, 0], true),
        ([20, 2, 1], true),
        ([4, 0, 0], false),
        ([5, 4, 3], false),
        ([12, 9, 10], false),
    ];
    for (counts, expected) in table {
        let mut scene = Scene::default();
        let ends = ["10.0.0.7:80", "10.0.0.8:80", "10.0.0.9:80"];
        for end in ends {
            scene
                .observed
                .expect_endpoint("edge", "api", end.parse().unwrap());
        }
        let mut seconds = 0.0;
        for (end, count) in ends.iter().zip(counts) {
            for _ in 0..count {
                seconds += 7.0;
                let sample = scene.upstream("api", seconds, Cause::AbortedMidResponse);
                scene.add(Sample {
                    remote: end.parse().unwrap(),
                    ..sample
                });
            }
        }
        let report = scene.report(300.0);
        let finding = only(&report);
        assert_eq!(kinds(finding, Kind::Endpoint), expected, "{counts:?}");
        if expected {
            assert!(advice(finding).contains("Take 10.0.0.7:80 out of upstream api"));
            assert!(
                finding.title.ends_with("mostly 10.0.0.7:80"),
                "{}",
                finding.title
            );
        }
    }
}

#[test]
fn siblings_are_learned_from_harmless_events() {
    let mut scene = Scene::default();
    for (n, end) in (0..20).zip(["10.0.0.7:80", "10.0.0.8:80"].into_iter().cycle()) {
        let sample = scene.upstream("api", f64::from(n), Cause::ResetAfterClose);
        scene.add(Sample {
            remote: end.parse().unwrap(),
            ..sample
        });
    }
    for n in 0..16 {
        let sample = scene.upstream("api", 20.0 + f64::from(n) * 7.0, Cause::AbortedMidResponse);
        scene.add(Sample {
            remote: "10.0.0.8:80".parse().unwrap(),
            ..sample
        });
    }
    let report = scene.report(200.0);
    assert!(kinds(only(&report), Kind::Endpoint));
    assert_eq!(report.totals.benign, 20);
}

#[test]
fn a_route_that_has_more_than_its_part() {
    for (bad, expected) in [(15, true), (5, false)] {
        let mut scene = Scene::default();
        for n in 0..60_u32 {
            let mut sample = scene.upstream("api", f64::from(n), Cause::ResetAfterClose);
            if let Some(place) = &mut sample.place {
                place.route = scene.name(["/a", "/b", "/pay"][n as usize % 3]);
            }
            scene.add(sample);
        }
        for n in 0..bad {
            let mut sample = scene.upstream("api", f64::from(n) * 4.0, Cause::AbortedMidResponse);
            if let Some(place) = &mut sample.place {
                place.route = scene.name("/pay");
            }
            scene.add(sample);
        }
        let report = scene.report(120.0);
        assert_eq!(kinds(only(&report), Kind::Route), expected, "{bad}");
    }
}

#[test]
fn one_pod_of_a_program() {
    for (bad, expected) in [(15, true), (5, false)] {
        let mut scene = Scene::default();
        let pods = ["web-0", "web-1", "web-2"].map(|pod| scene.name(pod));
        let place = |scene: &mut Scene, pod: usize, sample: Sample| {
            let mut owner = scene.process("nginx", 100 + u32::try_from(pod).unwrap());
            owner.home = pods[pod];
            scene.add(Sample {
                owner: Some(owner),
                ..sample
            });
        };
        for n in 0..60_u32 {
            let sample = scene.upstream("api", f64::from(n), Cause::ResetAfterClose);
            place(&mut scene, n as usize % 3, sample);
        }
        for n in 0..bad {
            let sample = scene.upstream("api", f64::from(n) * 4.0, Cause::AbortedMidResponse);
            place(&mut scene, 1, sample);
        }
        let report = scene.report(120.0);
        let finding = only(&report);
        assert_eq!(kinds(finding, Kind::Instance), expected, "{bad}");
        assert!(
            finding.evidence[0].ends_with("in web-1"),
            "{:?}",
            finding.evidence
        );
    }
}

#[test]
fn one_client_among_many() {
    for (mine, expected) in [(30, true), (3, false)] {
        let mut scene = Scene::default();
        for n in 0..12_u8 {
            let client = format!("192.0.2.{n}");
            let sample = scene.downstream(&client, f64::from(n), Cause::ClientCanceled);
            scene.add(sample);
        }
        for n in 0..mine {
            let sample = scene.downstream("192.0.2.5", f64::from(n) * 3.0, Cause::ClientCanceled);
            scene.add(sample);
        }
        let report = scene.report(120.0);
        assert_eq!(kinds(only(&report), Kind::Client), expected, "{mine}");
    }
}

#[test]
fn what_a_client_meets_everywhere_is_one_finding() {
    for (peers, expected) in [(6, 1), (4, 0)] {
        let mut scene = Scene::default();
        for n in 0..peers {
            let mut sample = scene.upstream("", f64::from(n) * 5.0, Cause::AbortedBeforeResponse);
            sample.place = None;
            sample.peer = scene.name(&format!("198.51.100.{n}"));
            scene.add(sample);
        }
        let report = scene.report(60.0);
        assert_eq!(report.findings.len(), expected, "{:#?}", report.findings);
        if expected == 1 {
            assert!(report.findings[0].title.starts_with("several peers"));
        }
    }
}

#[test]
fn memory_is_bounded_and_the_great_problem_survives() {
    let mut scene = Scene::default();
    for n in 0..3000_u32 {
        let upstream = format!("u{n}");
        let sample = scene.upstream(&upstream, f64::from(n), Cause::Refused);
        scene.add(sample);
        if n % 10 == 0 {
            let sample = scene.upstream("great", f64::from(n), Cause::AbortedMidResponse);
            scene.add(sample);
        }
    }
    assert!(scene.observed.problems.len() <= 512);
    let report = scene.report(3000.0);
    let finding = only(&report);
    assert_eq!(
        (finding.place.upstream.as_deref(), finding.events),
        (Some("great"), 300)
    );
    assert_eq!(report.totals.events, 3300);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("too many to tell apart"))
    );
}
