//! How often chance is taken for something.

use super::only;
use crate::diagnosis::pattern::fixture::{Random, Scene, times};
use crate::diagnosis::report::Kind;
use crate::reset::Cause;

/// Causes, places and times at random, every event for itself: no pattern, and no cause often
/// enough.
#[test]
fn noise_makes_no_finding() {
    let causes = [
        Cause::Refused,
        Cause::AbortedBeforeResponse,
        Cause::AbortedMidResponse,
        Cause::KeepaliveRace,
        Cause::IdleTimeout,
        Cause::ClientCanceled,
        Cause::LingerAbort,
        Cause::DataAfterClose,
        Cause::ResetAfterClose,
        Cause::StraySegment,
    ];
    let mut spoken = 0;
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let mut scene = Scene::default();
        let mut seconds = 0.0;
        for n in 0..60 {
            seconds += 10.0 * random.unit();
            let upstream = format!("u{n}");
            let mut sample = scene.upstream(&upstream, seconds, random.pick(&causes));
            sample.times = times(
                100.0 * random.unit(),
                50.0 * random.unit(),
                50.0 * random.unit(),
            );
            scene.add(sample);
        }
        spoken += scene.report(seconds + 1.0).findings.len();
    }
    assert_eq!(spoken, 0);
}

/// A real trouble without any pattern in it: how often one is seen all the same.
#[test]
fn noise_is_seldom_taken_for_a_pattern() {
    const SEEDS: u64 = 1000;
    let mut wrong = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed + 5000);
        let mut scene = Scene::default();
        let ends = ["10.0.0.7:80", "10.0.0.8:80", "10.0.0.9:80", "10.0.0.10:80"];
        for end in ends {
            scene
                .observed
                .expect_endpoint("edge", "api", end.parse().unwrap());
        }
        let events = 5 + random.below(200);
        let mut when: Vec<f64> = (0..events).map(|_| 600.0 * random.unit()).collect();
        when.sort_by(f64::total_cmp);
        for seconds in when {
            let mut sample = scene.upstream("api", seconds, Cause::AbortedMidResponse);
            let spread = |random: &mut Random| 0.05 * (9.0 * random.unit()).exp();
            sample.times = times(
                spread(&mut random),
                spread(&mut random),
                spread(&mut random),
            );
            sample.remote = random.pick(&ends).parse().unwrap();
            if let Some(place) = &mut sample.place {
                place.route = scene.name(random.pick(&["/a", "/b", "/c"]));
            }
            scene.add(sample);
        }
        let report = scene.report(600.0);
        let finding = only(&report);
        wrong += u64::from(finding.kinds != [Kind::Cause]);
    }
    println!("{wrong} of {SEEDS}");
    assert!(wrong * 200 <= SEEDS, "{wrong} of {SEEDS}");
}
