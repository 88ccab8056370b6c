//! Finished resets with hostile values in every member.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use resetmon::diagnosis::cause::diagnose;
use resetmon::kernel::decode::{Record, decode};
use resetmon::kernel::observation::{KnownBy, Observation, Reason};
use resetmon::reset::{
    Cause, Container, ContainerNames, Diagnosis, Leg, Owner, Process, Reset, ResetId, RouteMatch,
    Sender, Stage,
};

use crate::mutate;
use crate::random::Random;
use crate::records::{self, TICK, bytes_of, reason};

/// What a record with these values decodes to.
pub(crate) fn observation(random: &mut Random) -> Observation {
    let bytes = bytes_of(&records::reset(random));
    match decode(&bytes, TICK, reason) {
        Ok(Record::Reset(observation)) => observation,
        other => panic!("not a reset: {other:?}"),
    }
}

/// A reset that nothing but its types limits.
pub(crate) fn hostile(random: &mut Random, id: u64) -> Reset {
    let mut observation = observation(random);
    if observation.reason.is_some() {
        observation.reason = Some(Reason(text(random)));
    }
    let tasks = [&mut observation.owner, &mut observation.closer];
    for task in tasks.into_iter().flatten() {
        task.comm = text(random);
    }
    if random.one_in(8) {
        observation.age = Some(Duration::MAX);
        observation.since_data_in = Some(Duration::MAX);
    }
    let diagnosis = if random.one_in(2) {
        diagnose(&observation)
    } else {
        Diagnosis {
            cause: random.choose(Cause::ALL),
            sender: random.choose(Sender::ALL),
            stage: random.choose(Stage::ALL),
            evidence: (0..random.below(4))
                .map(|_| mutate::text(random))
                .collect::<Vec<_>>()
                .into(),
        }
    };
    Reset {
        id: ResetId(if random.one_in(8) {
            random.number()
        } else {
            id
        }),
        time: time(random),
        owner: owner(random),
        closer: owner(random),
        peer: text(random),
        route: (!random.one_in(3)).then(|| RouteMatch {
            gateway: text(random),
            route: text(random),
            upstream: text(random),
            host: None,
            leg: random.choose(Leg::ALL),
        }),
        diagnosis,
        packets: 1 + random.next() % 1000,
        repeat_of: random.one_in(4).then(|| ResetId(random.number())),
        propagated_from: None,
        twin: None,
        observation,
    }
}

fn text(random: &mut Random) -> Arc<str> {
    Arc::from(mutate::text(random))
}

fn time(random: &mut Random) -> Timestamp {
    match random.below(8) {
        0 => Timestamp::MIN,
        1 => Timestamp::MAX,
        2 => Timestamp::from_nanosecond(-1).unwrap(),
        3 => Timestamp::UNIX_EPOCH,
        _ => Timestamp::from_second(i64::from(random.word())).unwrap(),
    }
}

fn owner(random: &mut Random) -> Option<Owner> {
    if random.one_in(4) {
        return None;
    }
    let maybe = |random: &mut Random| (!random.one_in(3)).then(|| text(random));
    let process = Process {
        pid: random.word(),
        parent: None,
        name: text(random),
        comm: text(random),
        exe: maybe(random),
        cmdline: maybe(random),
        unit: maybe(random),
        container: random.one_in(2).then(|| Container {
            id: text(random),
            runtime: random.pick(&["docker", "cri-o"]),
            pod_uid: maybe(random),
            names: random.one_in(2).then(|| {
                Arc::new(ContainerNames {
                    namespace: text(random),
                    pod: text(random),
                    container: maybe(random),
                    workload: maybe(random),
                })
            }),
        }),
    };
    Some(Owner {
        process: Arc::new(process),
        known_by: random.choose(&[KnownBy::Connect, KnownBy::Accept, KnownBy::EarlierReset]),
    })
}
