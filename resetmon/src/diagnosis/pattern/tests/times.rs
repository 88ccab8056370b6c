//! Fixed times, bursts, growth, rhythms.

use std::time::Duration;

use super::{advice, kinds, only};
use crate::diagnosis::pattern::fixture::{Random, Scene, times};
use crate::diagnosis::report::{Certainty, Kind};
use crate::diagnosis::sample::Sample;
use crate::reset::Cause;

#[test]
fn a_keepalive_race_names_the_timeout_and_the_setting() {
    let mut scene = Scene::default();
    for n in 0..12 {
        let mut sample = scene.upstream("payments", f64::from(n) * 9.0, Cause::KeepaliveRace);
        // The request that met the close went out just now.
        sample.times = times(20.0 + f64::from(n), 5.002, 0.0);
        scene.add(sample);
    }
    let report = scene.report(120.0);
    let finding = only(&report);
    assert_eq!(
        finding.title,
        "upstream payments closes idle connections that nginx still uses after 5 s of silence"
    );
    assert!(kinds(finding, Kind::FixedTime));
    assert!(finding.chance.unwrap() < 1e-9);
    assert!(
        advice(finding).contains("nginx: in upstream payments, set keepalive_timeout below 5 s"),
        "{:?}",
        finding.advice
    );
    let evidence = finding.evidence.join("\n");
    assert!(
        evidence.contains("uvicorn --timeout-keep-alive"),
        "{evidence}"
    );
    assert_eq!(finding.examples.len(), 3);
    assert_eq!(finding.place.upstream.as_deref(), Some("payments"));
}

#[test]
fn a_load_balancer_that_forgets_is_matched_by_its_default() {
    let mut scene = Scene::default();
    for n in 0..8 {
        let mut sample = scene.upstream("far", f64::from(n) * 400.0, Cause::IdleTimeout);
        sample.times = times(
            1000.0 + 77.0 * f64::from(n),
            350.0 + 0.3 * f64::from(n % 3),
            0.1,
        );
        scene.add(sample);
    }
    let report = scene.report(3600.0);
    let finding = only(&report);
    let evidence = finding.evidence.join("\n");
    assert!(evidence.contains("AWS Network Load Balancer"), "{evidence}");
    assert!(
        advice(finding).contains("tcp_keepalive_time at 175 s"),
        "{:?}",
        finding.advice
    );
    assert_eq!(finding.certainty, Certainty::Likely);
}

#[test]
fn a_keepalive_race_is_one_whatever_was_left_of_the_closed_connection() {
    let mut scene = Scene::default();
    for n in 0..12 {
        let mut received = scene.upstream("payments", f64::from(n) * 9.0, Cause::KeepaliveRace);
        received.times = times(20.0 + f64::from(n), 2.002, 0.0);
        let left = if n % 2 == 0 {
            Cause::Timewait
        } else {
            Cause::DataAfterClose
        };
        let sent = scene.backend("python3", f64::from(n) * 9.0, left);
        scene.add(Sample {
            local: received.remote,
            remote: received.local,
            ..sent
        });
        scene.add(received);
    }
    let report = scene.report(120.0);
    assert_eq!(only(&report).events, 12);
}

#[test]
fn a_service_here_that_resets_idle_connections_is_to_be_undercut() {
    let mut scene = Scene::default();
    for n in 0..8 {
        let mut received = scene.upstream("search", f64::from(n) * 9.0, Cause::IdleTimeout);
        received.times = times(30.0 + 7.0 * f64::from(n), 3.002, 3.002);
        let sent = scene.backend("python3", f64::from(n) * 9.0, Cause::LingerAbort);
        scene.add(Sample {
            local: received.remote,
            remote: received.local,
            ..sent
        });
        scene.add(received);
    }
    let report = scene.report(120.0);
    let finding = only(&report);
    assert!(kinds(finding, Kind::FixedTime));
    let advice = advice(finding);
    assert!(
        advice.contains("nginx: in upstream search, set keepalive_timeout below 3 s"),
        "{advice}"
    );
    assert!(!advice.contains("tcp_keepalive_time"), "{advice}");
}

#[test]
fn a_burst_and_what_is_none() {
    let spread = |n: u32| f64::from(n) * 29.0;
    let burst = |n: u32| 300.0 + f64::from(n) * 0.05;
    let table: [(&str, Vec<f64>, f64, bool); 4] = [
        ("a burst", (0..20).map(burst).collect(), 600.0, true),
        ("spread", (0..20).map(spread).collect(), 600.0, false),
        (
            "half of it",
            (0..10).map(burst).chain((0..20).map(spread)).collect(),
            600.0,
            false,
        ),
        (
            "no time to compare with",
            (0..20).map(|n| f64::from(n) * 0.05).collect(),
            3.0,
            false,
        ),
    ];
    for (what, mut seconds, watched, expected) in table {
        seconds.sort_by(f64::total_cmp);
        let mut scene = Scene::default();
        for at in seconds {
            let sample = scene.upstream("api", at, Cause::AbortedBeforeResponse);
            scene.add(sample);
        }
        let report = scene.report(watched);
        assert_eq!(kinds(only(&report), Kind::Burst), expected, "{what}");
    }
}

#[test]
fn a_burst_as_the_workers_were_replaced() {
    let mut scene = Scene::default();
    for (pid, from) in [(100, 0.0), (101, 1.0), (300, 302.0), (301, 303.0)] {
        for n in 0..3 {
            let sample = scene.downstream(
                "192.0.2.1",
                from + f64::from(n) * 40.0,
                Cause::ResetAfterClose,
            );
            let owner = scene.process("nginx", pid);
            scene.add(Sample {
                owner: Some(owner),
                ..sample
            });
        }
    }
    for n in 0..20 {
        let sample = scene.downstream(
            "192.0.2.7",
            301.0 + f64::from(n) * 0.02,
            Cause::ListenerClosed,
        );
        let owner = scene.process("nginx", 300);
        scene.add(Sample {
            owner: Some(owner),
            ..sample
        });
    }
    let report = scene.report(600.0);
    let finding = only(&report);
    assert!(kinds(finding, Kind::Restart), "{finding:#?}");
    assert!(
        advice(finding).contains("nginx was restarted as it began"),
        "{:?}",
        finding.advice
    );
}

#[test]
fn growth_and_what_is_none() {
    let rising: Vec<f64> = (1..12_u32)
        .flat_map(|minute| (0..minute * 3).map(move |n| f64::from(minute * 60) + f64::from(n)))
        .collect();
    let steady: Vec<f64> = (0..130_u32).map(|n| f64::from(n) * 4.5).collect();
    for (what, seconds, expected) in [("rising", rising, true), ("steady", steady, false)] {
        let mut scene = Scene::default();
        for at in seconds {
            let sample = scene.upstream("api", at, Cause::AbortedMidResponse);
            scene.add(sample);
        }
        let report = scene.report(720.0);
        assert_eq!(kinds(only(&report), Kind::Growth), expected, "{what}");
    }
}

#[test]
fn throttling_and_what_is_none() {
    let table = [
        (
            "a provider",
            "api.example.com",
            "198.51.100.7:443",
            0.2,
            0.1,
            true,
        ),
        (
            "an address of others",
            "llm",
            "198.51.100.7:443",
            0.2,
            0.1,
            true,
        ),
        ("our own", "llm", "10.0.0.9:443", 0.2, 0.1, false),
        (
            "old connections",
            "api.example.com",
            "198.51.100.7:443",
            200.0,
            0.1,
            false,
        ),
        (
            "now and then",
            "api.example.com",
            "198.51.100.7:443",
            0.2,
            17.0,
            false,
        ),
    ];
    for (what, upstream, remote, age, apart, expected) in table {
        let mut scene = Scene::default();
        for n in 0..30_u32 {
            let seconds = f64::from(n / 10) * 60.0 + f64::from(n % 10) * apart;
            let sample = scene.upstream(upstream, seconds, Cause::AbortedBeforeResponse);
            scene.add(Sample {
                remote: remote.parse().unwrap(),
                times: times(age + 0.01 * f64::from(n), age, age),
                ..sample
            });
        }
        let report = scene.report(240.0);
        let finding = only(&report);
        assert_eq!(kinds(finding, Kind::Throttling), expected, "{what}");
        if expected {
            assert_eq!(finding.certainty, Certainty::Possible);
            assert!(advice(finding).contains("quota"), "{:?}", finding.advice);
        }
    }
}

#[test]
fn a_health_check_is_noted_and_a_scan_is_not_called_one() {
    for (apart, jitter, expected) in [(2.0, 0.01, true), (0.05, 0.0, false), (7.0, 6.5, false)] {
        let mut random = Random::new(3);
        let mut scene = Scene::default();
        for n in 0..20 {
            let seconds = f64::from(n) * apart + jitter * random.unit();
            let sample = scene.downstream("10.0.0.3", seconds, Cause::AbortedDuringSetup);
            scene.add(sample);
        }
        let report = scene.report(200.0);
        assert_eq!(report.findings.is_empty(), expected, "{apart}");
        assert_eq!(!report.notes.is_empty(), expected, "{apart}");
    }
}

#[test]
fn the_timeline_covers_the_watch_and_loses_nothing() {
    for watched in [10.0, 600.0, 100_000.0] {
        let mut scene = Scene::default();
        for n in 0..100 {
            let sample = scene.upstream("api", watched * f64::from(n) / 100.0, Cause::Refused);
            scene.add(sample);
        }
        let report = scene.report(watched);
        let timeline = &report.timeline;
        assert_eq!(timeline.events.iter().sum::<u64>(), 100);
        assert!(timeline.events.len() <= 73, "{}", timeline.events.len());
        assert!(timeline.step_seconds * 74.0 >= watched);
    }
}

#[test]
fn silence_is_that_before_the_end() {
    let of = |cause, idle_in: f64, idle_out: f64, fin: (f64, f64)| {
        let mut times = times(100.0, idle_in, idle_out);
        times.since_fin_received = Some(Duration::from_secs_f64(fin.0));
        times.since_fin_sent = Some(Duration::from_secs_f64(fin.1));
        times
            .silence(Some(cause))
            .map(|time| time.as_secs_f64().round())
    };
    for (cause, idle_in, idle_out, fin, expected) in [
        (Cause::KeepaliveRace, 8.0, 0.0, (3.0, 0.0), 5.0),
        (Cause::IdleTimeout, 350.0, 0.0, (0.0, 0.0), 350.0),
        (Cause::DataAfterClose, 0.0, 70.0, (0.0, 10.0), 60.0),
        (Cause::AbortedMidResponse, 3.0, 9.0, (0.0, 0.0), 3.0),
    ] {
        assert_eq!(of(cause, idle_in, idle_out, fin), Some(expected), "{cause}");
    }
}
