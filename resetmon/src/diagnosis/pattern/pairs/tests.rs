use super::*;
use crate::diagnosis::pattern::fixture::Scene;
use crate::diagnosis::sample::Sample;
use crate::reset::Cause;

/// The two ends of one connection: nginx's, and its backend's, some milliseconds later.
fn ends(later: i64) -> (Sample, Sample) {
    let mut scene = Scene::default();
    let received = scene.upstream("payments", 0.0, Cause::AbortedMidResponse);
    let mut sent = scene.backend("api", 0.0, Cause::ClosedWithUnreadData);
    sent.remote = received.local;
    sent.time += later * 1000;
    (received, sent)
}

fn joined(samples: impl IntoIterator<Item = Sample>) -> Vec<Joined> {
    let (mut pairs, mut out) = (Pairs::default(), Vec::new());
    for sample in samples {
        pairs.push(sample, &mut out);
    }
    pairs.finish(&mut out);
    assert!(pairs.waiting.is_empty());
    out
}

#[test]
fn both_ends_are_one_event_in_either_order() {
    for later in [-300, 0, 300] {
        let (received, sent) = ends(later);
        for samples in [
            [received.clone(), sent.clone()],
            [sent.clone(), received.clone()],
        ] {
            let out = joined(samples);
            assert_eq!(out.len(), 1);
            assert_eq!(out[0].sample, received, "the gateway's end leads");
            assert_eq!(out[0].by.as_deref(), Some(&sent));
        }
    }
}

#[test]
fn an_end_behind_a_translated_address_is_found_by_its_event() {
    let (mut received, mut sent) = ends(0);
    sent.remote = "192.0.2.1:1".parse().unwrap();
    // Ids of one scene each: they must not be the same here.
    sent.id += 100;
    received.twin = Some(sent.id);
    for samples in [
        [received.clone(), sent.clone()],
        [sent.clone(), received.clone()],
    ] {
        assert_eq!(joined(samples).len(), 1);
    }
}

#[test]
fn what_is_no_pair() {
    let (received, sent) = ends(0);
    let other_port = Sample {
        remote: "10.0.0.1:1".parse().unwrap(),
        ..sent.clone()
    };
    let late = Sample {
        time: sent.time + 2 * WINDOW,
        ..sent.clone()
    };
    let same_direction = Sample {
        direction: received.direction,
        ..sent.clone()
    };
    for other in [other_port, late, same_direction] {
        assert_eq!(joined([received.clone(), other]).len(), 2);
    }
    // A third event of the same connection finds nothing left to join.
    assert_eq!(joined([received, sent.clone(), sent]).len(), 2);
}

#[test]
fn order_is_kept_and_memory_bounded() {
    let mut scene = Scene::default();
    let (mut pairs, mut out) = (Pairs::default(), Vec::new());
    for _ in 0..LIMIT + 10 {
        let sample = scene.upstream("u", 0.0, Cause::Refused);
        pairs.push(sample, &mut out);
    }
    assert_eq!((out.len(), pairs.held.len()), (10, LIMIT));
    assert!(pairs.waiting.len() <= 2 * LIMIT);
    pairs.finish(&mut out);
    assert!(
        out.windows(2)
            .all(|pair| pair[0].sample.id < pair[1].sample.id)
    );
    assert_eq!(out.len(), LIMIT + 10);
}
