use std::sync::mpsc::channel;

use super::*;

/// Far more than a busy machine needs to start a thread.
const PATIENT: Duration = Duration::from_secs(60);

fn question(port: u16) -> Question {
    Question {
        netns: 1,
        pid: 2,
        tuple: Tuple::new(([10, 0, 0, 5], port).into(), ([198, 51, 100, 1], 80).into()),
    }
}

fn backend(port: u16) -> SocketAddr {
    ([10, 0, 0, 9], port).into()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_connection_is_asked_for_once_and_anew_when_its_addresses_may_be_anothers() {
    let (asked, questions) = channel();
    let mut nat = Nat::with(PATIENT, |_| {
        move |question: &Question| {
            asked.send(*question).unwrap();
            Ok(vec![backend(question.tuple.source.port())])
        }
    })
    .unwrap();
    for (port, seconds, asks) in [
        (1, 100, true),
        (1, 100, false),
        (2, 100, true),
        (1, 109, false),
        (1, 110, true),
    ] {
        let found = nat.destinations(question(port), at(seconds));
        assert_eq!(*found, [backend(port)]);
        assert_eq!(questions.try_recv().ok(), asks.then(|| question(port)));
    }
    let elsewhere = Question {
        netns: 7,
        ..question(1)
    };
    assert_eq!(*nat.destinations(elsewhere, at(110)), [backend(1)]);
    assert_eq!(questions.try_recv(), Ok(elsewhere));
    assert_eq!(nat.status().unanswered(), 0);
}

#[test]
fn the_first_of_more_than_a_second_has_time_for_are_asked_for() {
    let mut nat = Nat::with(PATIENT, |_| |_: &Question| Ok(vec![backend(1)])).unwrap();
    let most = u16::try_from(MOST_A_SECOND).unwrap();
    let mut answered = |ports: std::ops::Range<u16>, seconds| {
        ports
            .filter(|port| !nat.destinations(question(*port), at(seconds)).is_empty())
            .count()
    };
    assert_eq!(answered(0..most + 100, 100), usize::from(most));
    // Those that are known take no time.
    assert_eq!(answered(0..most + 100, 100), usize::from(most));
    assert_eq!(answered(most..most + 100, 101), 100);
    assert_eq!(nat.status().unanswered(), 200);
}

#[test]
fn answers_are_kept_up_to_the_capacity() {
    let mut nat = Nat::with(PATIENT, |_| |_: &Question| Ok(Vec::new())).unwrap();
    let capacity = u16::try_from(CAPACITY).unwrap();
    for port in 0..2 * capacity {
        let second = u64::from(port) / u64::from(MOST_A_SECOND);
        nat.destinations(question(port), at(second));
        assert!(nat.known.len() <= CAPACITY);
    }
    assert_eq!(nat.status().unanswered(), 0);
}

#[test]
fn while_one_answer_is_late_nobody_waits() {
    let (free, held) = channel();
    let mut nat = Nat::with(Duration::from_millis(1), |_| {
        move |question: &Question| {
            held.recv().unwrap();
            Ok(vec![backend(question.tuple.source.port())])
        }
    })
    .unwrap();
    assert_eq!(*nat.destinations(question(1), at(100)), []);
    // It would take for ever.
    nat.wait = Duration::MAX;
    assert_eq!(*nat.destinations(question(2), at(100)), []);
    assert_eq!(nat.status().unanswered(), 2);
    // The late answer is not taken for the next one's.
    free.send(()).unwrap();
    free.send(()).unwrap();
    let found = (101..).map(|second| {
        std::thread::sleep(Duration::from_millis(1));
        nat.destinations(question(3), at(second))
    });
    let found = found.take(60_000).find(|found| !found.is_empty());
    assert_eq!(found.as_deref(), Some(&[backend(3)][..]));
}

#[test]
fn trouble_is_told_as_long_as_it_lasts() {
    let (say, said) = channel();
    let mut nat = Nat::with(PATIENT, |_| move |_: &Question| said.recv().unwrap()).unwrap();
    let status = nat.status();
    assert_eq!(status.trouble(), None);
    say.send(Err(ConntrackError::Denied)).unwrap();
    assert_eq!(*nat.destinations(question(1), at(100)), []);
    let trouble = status.trouble().unwrap();
    assert!(trouble.contains("CAP_NET_ADMIN"), "{trouble}");
    say.send(Ok(Vec::new())).unwrap();
    nat.destinations(question(2), at(100));
    assert_eq!(status.trouble(), None);
}

#[test]
fn this_machine_answers_or_says_why_not() {
    let mut lookup = Lookup::new("/proc".into(), false);
    match lookup.destinations(&question(1)) {
        // TEST-NET-2: nobody connects there.
        Ok(found) => assert_eq!(found, []),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
