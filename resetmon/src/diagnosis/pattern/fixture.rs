//! Samples to start tests from.

use std::net::SocketAddr;
use std::time::Duration;

use super::observed::Observed;
use super::series::SECOND;
use crate::diagnosis::report::{Report, report};
use crate::diagnosis::sample::{Actor, Death, Name, Names, Place, Sample, Times, failure_of};
use crate::kernel::observation::{Direction, Role};
use crate::reset::{Cause, FailureKind, Leg, Sender};

/// 2025-03-04T05:06:40Z, microseconds.
pub(crate) const START: i64 = 1_741_064_800 * SECOND;

/// Numbers that look random and are the same in each run (Marsaglia's xorshift64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        super::numerics::float(self.next() >> 11) / super::numerics::float(1 << 53)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// What is seen, event by event.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    pub(crate) observed: Observed,
    ids: u64,
}

impl Scene {
    pub(crate) fn name(&mut self, text: &str) -> Name {
        self.observed.names.intern(text)
    }

    fn names(&mut self) -> &mut Names {
        &mut self.observed.names
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Received by nginx (pid 100) from a backend of this upstream.
    pub(crate) fn upstream(&mut self, upstream: &str, seconds: f64, cause: Cause) -> Sample {
        let place = Place {
            gateway: self.names().intern("edge"),
            route: self.names().intern("/api"),
            upstream: self.names().intern(upstream),
            leg: Leg::Upstream,
        };
        Sample {
            id: self.id(),
            time: at(seconds),
            failure: failure_of(cause),
            failed: true,
            direction: Some(Direction::Received),
            sender: Some(Sender::Peer),
            cause: Some(cause),
            role: Some(Role::Client),
            netns: 1,
            local: local(self.ids),
            remote: "10.0.0.9:8080".parse().unwrap(),
            owner: Some(self.process("nginx", 100)),
            closer: None,
            peer: self.names().intern("10.0.0.9"),
            place: Some(place),
            times: times(30.0, 7.0, 7.0),
            packets: 1,
            repeat: false,
            passed_on_from: None,
            twin: None,
        }
    }

    /// On nginx's side to the clients.
    pub(crate) fn downstream(&mut self, client: &str, seconds: f64, cause: Cause) -> Sample {
        let sample = self.upstream("", seconds, cause);
        let place = sample.place.map(|place| Place {
            leg: Leg::Downstream,
            ..place
        });
        Sample {
            role: Some(Role::Server),
            local: "10.0.0.1:443".parse().unwrap(),
            remote: SocketAddr::new(client.parse().unwrap(), local(self.ids).port()),
            peer: self.names().intern(client),
            place,
            ..sample
        }
    }

    /// Sent by a server without a gateway (pid 200) on port 8080 of 10.0.0.9.
    pub(crate) fn backend(&mut self, program: &str, seconds: f64, cause: Cause) -> Sample {
        let sample = self.upstream("", seconds, cause);
        Sample {
            direction: Some(Direction::Sent),
            sender: Some(Sender::Local),
            role: Some(Role::Server),
            local: sample.remote,
            remote: sample.local,
            owner: Some(self.process(program, 200)),
            place: None,
            ..sample
        }
    }

    pub(crate) fn process(&mut self, name: &str, pid: u32) -> Actor {
        Actor {
            name: self.names().intern(name),
            pid,
            home: Name::NONE,
            death: None,
        }
    }

    pub(crate) fn killed(&mut self, name: &str, pid: u32) -> Actor {
        let signal = self.names().intern("SIGKILL");
        Actor {
            death: Some(Death::Signal(signal)),
            ..self.process(name, pid)
        }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.observed.add(sample);
    }

    /// The report over a watch of so many seconds.
    pub(crate) fn report(mut self, seconds: f64) -> Report {
        self.observed.watched(START, at(seconds));
        self.observed.finish();
        report(&self.observed, "a test", Vec::new())
    }
}

/// So long after [`START`].
pub(crate) fn at(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "small")]
    let micros = (seconds * 1e6) as i64;
    START + micros
}

/// Of age and of both silences, in seconds, with a clock of 250 Hz.
pub(crate) fn times(age: f64, idle_in: f64, idle_out: f64) -> Times {
    let of = |seconds: f64| Some(Duration::from_secs_f64(seconds.max(0.0)));
    Times {
        age: of(age),
        idle_in: of(idle_in),
        idle_out: of(idle_out),
        since_fin_received: None,
        since_fin_sent: None,
        tick: Duration::from_millis(4),
    }
}

/// Another ephemeral port for each event.
fn local(number: u64) -> SocketAddr {
    let port = 32_768 + u16::try_from(number % 28_000).unwrap();
    SocketAddr::new("10.0.0.1".parse().unwrap(), port)
}

/// A failure without a reset.
pub(crate) fn without_reset(sample: &Sample, failure: FailureKind) -> Sample {
    Sample {
        failure,
        direction: None,
        sender: None,
        cause: None,
        ..sample.clone()
    }
}
