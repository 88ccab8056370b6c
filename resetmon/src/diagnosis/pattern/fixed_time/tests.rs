use super::*;
use crate::diagnosis::pattern::fixture::{Random, START};

/// Events a minute apart, of these silences; the other times say nothing.
fn moments(silences: impl IntoIterator<Item = f64>, apart: i64) -> Vec<Moment> {
    silences
        .into_iter()
        .zip(0_i64..)
        .map(|(silence, number)| Moment {
            time: START + number * apart,
            age: None,
            silence: Some(silence),
            waiting: None,
            tick: 0.004,
        })
        .collect()
}

fn found(moments: &[Moment]) -> Option<f64> {
    peak(moments, Measure::Silence).map(|fixed| fixed.median)
}

const MINUTE: i64 = 60 * SECOND;

#[test]
fn what_is_fixed() {
    let jitter = |base: f64, spread: f64| {
        move |n: u64| base + spread * f64::from((n * 7 % 10) as u32) / 10.0
    };
    for (what, values, expected) in [
        (
            "exact",
            (0..4).map(jitter(5.0, 0.0)).collect::<Vec<_>>(),
            5.0,
        ),
        (
            "a timer of a millisecond",
            (0..10).map(jitter(75.0, 0.02)).collect(),
            75.0,
        ),
        (
            "a timer of a second",
            (0..12).map(jitter(60.0, 1.0)).collect(),
            60.5,
        ),
        (
            "days",
            (0..5).map(jitter(432_000.0, 3.0)).collect(),
            432_000.0,
        ),
        (
            "most of them",
            (0..20)
                .map(|n| {
                    if n % 4 == 0 {
                        3.0 + f64::from(n)
                    } else {
                        350.0
                    }
                })
                .collect(),
            350.0,
        ),
    ] {
        let median = found(&moments(values, MINUTE)).unwrap_or_default();
        assert!(
            (median - expected).abs() <= 0.02 * expected,
            "{what}: {median}"
        );
    }
}

#[test]
fn what_only_looks_like_it() {
    let mut random = Random::new(7);
    let even: Vec<f64> = (0..200).map(|_| 1.0 + 99.0 * random.unit()).collect();
    let log_even: Vec<f64> = (0..200).map(|_| (8.0 * random.unit()).exp()).collect();
    let exponential: Vec<f64> = (0..200)
        .map(|_| -30.0 * (1.0 - random.unit()).ln())
        .collect();
    let broad: Vec<f64> = (0..200)
        .map(|_| 20.0 * (random.unit() + random.unit() + random.unit()).exp())
        .collect();
    for (what, moments) in [
        ("too few", moments([60.0; 3], MINUTE)),
        (
            "all at once, as when their process dies",
            moments([60.0; 50], 1000),
        ),
        ("two moments", {
            let mut two = moments([60.0; 20], 1000);
            two.iter_mut()
                .skip(10)
                .for_each(|moment| moment.time += MINUTE);
            two
        }),
        ("too short to be a timeout", moments([0.04; 50], MINUTE)),
        (
            "a minority",
            moments(
                (0..60).map(|n| if n % 3 == 0 { 60.0 } else { 0.01 }),
                MINUTE,
            ),
        ),
        ("even", moments(even, MINUTE)),
        ("even by logarithm", moments(log_even, MINUTE)),
        ("exponential", moments(exponential, MINUTE)),
        ("broad", moments(broad, MINUTE)),
    ] {
        assert_eq!(found(&moments), None, "{what}");
    }
}

#[test]
fn the_measure_of_the_cause_comes_first() {
    let moment = |number: i64| Moment {
        time: START + number * MINUTE,
        age: Some(60.0),
        silence: Some(60.0),
        waiting: Some(60.0),
        tick: 0.004,
    };
    let mut scene = crate::diagnosis::pattern::fixture::Scene::default();
    for (cause, expected) in [
        (Cause::KeepaliveRace, Measure::Silence),
        (Cause::IdleTimeout, Measure::Silence),
        (Cause::AbortedBeforeResponse, Measure::Waiting),
        (Cause::ClientCanceled, Measure::Waiting),
    ] {
        let key = Key::of(&scene.upstream("u", 0.0, cause), None);
        let mut problem = Problem::new();
        (0..10).for_each(|number| problem.moments.add(moment(number)));
        let fixed = look(&key, &problem).unwrap();
        assert_eq!(fixed.measure, expected, "{cause}");
    }
}
