//! How well two resets of a gateway fit as one that was passed on.
//!
//! A gateway that gets a request connects to the backend at once, and sends it the request; a
//! reset of one leg makes it end the other at once. Each of these is a moment that both legs show,
//! the first and the last to the microsecond, the others to a tick of the kernel (4 ms, say). A
//! stranger's connection meets one of them easily, all of them hardly ever.

use std::time::Duration;

use crate::reset::{Leg, ResetId};

use super::ProcessKey;

/// Weight from which a pair is a link.
pub(super) const ENOUGH: u32 = 6;
/// How much more a pair has to weigh than every other of either reset.
pub(super) const MARGIN: u32 = 2;

/// Between two acts of one round of the gateway's event loop.
const AT_ONCE: Duration = Duration::from_millis(1);
/// The same on a busy machine.
const SOON: Duration = Duration::from_millis(10);
/// Requests and answers of so many bytes seldom have the same length by chance.
const LONG: u64 = 8192;
/// What gateways add to a head or take from it, at most.
const REWRITTEN: u64 = 2048;

/// One end of a link, with moments since boot.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) id: ResetId,
    /// Whose connection it was.
    pub(super) process: ProcessKey,
    /// The thread that accepted or connected.
    pub(super) tid: u32,
    pub(super) leg: Leg,
    /// When it broke, or the gateway let go of it.
    pub(super) at: Duration,
    pub(super) established: Option<Duration>,
    /// `connect()` or the SYN.
    pub(super) opened: Option<Duration>,
    /// When payload last came in.
    pub(super) last_in: Option<Duration>,
    /// When payload last went out.
    pub(super) last_out: Option<Duration>,
    /// Bytes that the gateway took.
    pub(super) bytes_in: Option<u64>,
    /// Bytes that it gave, whether they were sent or not.
    pub(super) bytes_out: Option<u64>,
    /// Uncertainty of the last two moments.
    pub(super) tick: Duration,
}

/// The weight of `origin` and `end` as a link; `None` if they cannot be one.
///
/// Both are of the same process.
pub(super) fn weigh(origin: &Side, end: &Side) -> Option<u32> {
    let (down, up) = match (origin.leg, end.leg) {
        (Leg::Downstream, Leg::Upstream) => (origin, end),
        (Leg::Upstream, Leg::Downstream) => (end, origin),
        _ => return None,
    };
    let reaction = end.at.checked_sub(origin.at)?;
    if served_before(down, up) {
        return None;
    }
    let mut weight = graded(reaction);
    weight += opening(down, up);
    weight += request(down, up)?;
    weight += answer(down, up, origin);
    weight += u32::from(down.tid == up.tid);
    weight += u32::from(nothing_left(down) != nothing_left(up));
    Some(weight)
}

/// Two pairs of the same legs that one thread of a gateway served one after the other, when it
/// opened and when it ended them. Exchanged, they would have overtaken each other both times.
pub(super) fn parallel(one: (&Side, &Side), other: (&Side, &Side)) -> bool {
    let opened = |pair| {
        let (down, up) = legs(pair);
        down.established.zip(up.opened)
    };
    // Who connected goes on to serve both legs; who accepted may have handed over to another thread.
    let same_thread = legs(one).1.tid == legs(other).1.tid;
    let same_order = |one: (Duration, Duration), other: (Duration, Duration)| {
        one.0 < other.0 && one.1 < other.1 || one.0 > other.0 && one.1 > other.1
    };
    let openings = opened(one).zip(opened(other));
    let at = |(origin, end): (&Side, &Side)| (origin.at, end.at);
    same_thread
        && one.1.id != other.1.id
        && openings.is_some_and(|(one, other)| same_order(one, other))
        && same_order(at(one), at(other))
}

/// The downstream and the upstream side of a pair.
fn legs<'a>((origin, end): (&'a Side, &'a Side)) -> (&'a Side, &'a Side) {
    match origin.leg {
        Leg::Downstream => (origin, end),
        _ => (end, origin),
    }
}

/// The upstream connection has sent nothing since it was opened for somebody who came before.
fn served_before(down: &Side, up: &Side) -> bool {
    let moments = down.opened.zip(up.opened).zip(up.last_out);
    moments.is_some_and(|((came, opened), sent)| opened < came && sent <= opened + 2 * up.tick)
}

/// A connection in `TIME_WAIT`, of which nothing but its moments is known: that it shows neither
/// request nor answer does not speak against it.
fn nothing_left(side: &Side) -> bool {
    side.last_in.is_none() && side.bytes_in.is_none()
}

/// 2 within one round of the event loop, 1 soon after, 0 later.
const fn graded(gap: Duration) -> u32 {
    if gap.as_nanos() <= AT_ONCE.as_nanos() {
        2
    } else if gap.as_nanos() <= SOON.as_nanos() {
        1
    } else {
        0
    }
}

/// The upstream connection was opened for a client that had just come.
fn opening(down: &Side, up: &Side) -> u32 {
    let gap = |(down, up): (Duration, Duration)| up.checked_sub(down);
    let gap = down.established.zip(up.opened).and_then(gap);
    gap.map_or(0, graded)
}

/// The request went out when it had come in and there was a connection for it, or an upload of one
/// length; `None` if it went out before.
fn request(down: &Side, up: &Side) -> Option<u32> {
    let uploaded = down.bytes_in.zip(up.bytes_out);
    let uploaded = u32::from(uploaded.is_some_and(|(came, went)| same_length(came, went)));
    let (Some(arrived), Some(forwarded)) = (down.last_in, up.last_out) else {
        return Some(uploaded);
    };
    let unsure = 2 * down.tick.max(up.tick);
    if forwarded + unsure < arrived {
        // Only a tunnel or an upload goes on after what was forwarded last.
        let small = down.bytes_in.is_none_or(|bytes| bytes <= LONG);
        return (!small).then_some(uploaded);
    }
    // A gateway that is late to accept is late to connect.
    let since = match up.established {
        Some(connected) if opening(down, up) > 0 => arrived.max(connected),
        _ => arrived,
    };
    Some(uploaded + u32::from(forwarded <= since + unsure))
}

/// The answer went out when it had come in: none in both, or of the same age, or of one length; or
/// it came when the client was gone, and none went out.
fn answer(down: &Side, up: &Side, origin: &Side) -> u32 {
    let (Some(came), Some(went)) = (up.bytes_in, down.bytes_out) else {
        return 0;
    };
    let unsure = 2 * down.tick.max(up.tick);
    if came == 0 || went == 0 {
        let late = up.last_in.is_some_and(|came| came + unsure >= origin.at);
        let gone = went == 0 && origin.leg == Leg::Downstream && late;
        return u32::from(came == went || gone);
    }
    let moments = down.last_out.zip(up.last_in);
    let same_time = moments.is_some_and(|(went, came)| went.abs_diff(came) <= unsure);
    u32::from(same_time) + u32::from(same_length(came, went))
}

/// Many bytes, and as many in as out.
fn same_length(came: u64, went: u64) -> bool {
    came.min(went) > LONG && came.abs_diff(went) <= REWRITTEN
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// A client of process 1 that came at 1 s, sent a request at once and has no answer, broken at
    /// 1.1 s; its request went out 200 µs after it had come.
    fn pair() -> (Side, Side) {
        let down = Side {
            id: ResetId(1),
            process: (1, us(1)),
            tid: 1,
            leg: Leg::Downstream,
            at: us(1_100_000),
            established: Some(us(1_000_000)),
            opened: Some(us(999_900)),
            last_in: Some(us(1_000_000)),
            last_out: Some(us(1_000_000)),
            bytes_in: Some(100),
            bytes_out: Some(0),
            tick: us(4000),
        };
        let up = Side {
            id: ResetId(2),
            leg: Leg::Upstream,
            at: us(1_100_200),
            established: Some(us(1_000_300)),
            opened: Some(us(1_000_200)),
            bytes_in: Some(0),
            bytes_out: Some(100),
            ..down.clone()
        };
        (down, up)
    }

    type Edit = fn(&mut Side, &mut Side);

    const WEIGHTS: &[(&str, Edit, Option<u32>)] = &[
        ("as one request a connection goes", |_, _| {}, Some(7)),
        ("another thread", |down, _| down.tid = 2, Some(6)),
        ("slow to react", |_, up| up.at += us(5_000), Some(6)),
        ("very slow", |_, up| up.at += us(50_000), Some(5)),
        ("before the reset", |_, up| up.at -= us(201), None),
        ("the same leg", |_, up| up.leg = Leg::Downstream, None),
        (
            "slow to connect",
            |_, up| up.opened = Some(us(1_005_000)),
            Some(6),
        ),
        (
            "another's, just opened",
            |_, up| up.opened = Some(us(999_000)),
            None,
        ),
        (
            "an older connection",
            |_, up| up.opened = Some(us(990_000)),
            Some(5),
        ),
        ("opening not seen", |_, up| up.opened = None, Some(5)),
        ("queued", |_, up| up.last_out = Some(us(1_009_000)), Some(6)),
        (
            "forwarded before",
            |_, up| up.last_out = Some(us(991_000)),
            None,
        ),
        (
            "an upload that the backend does not read",
            |down, up| {
                up.last_out = Some(us(991_000));
                down.bytes_in = Some(100_000);
            },
            Some(6),
        ),
        (
            "no answer but a greeting",
            |down, _| down.bytes_out = Some(5),
            Some(6),
        ),
        (
            "in the middle of an answer",
            |down, up| {
                (down.bytes_out, up.bytes_in) = (Some(900), Some(1000));
                (down.last_out, up.last_in) = (Some(us(1_050_000)), Some(us(1_044_000)));
            },
            Some(7),
        ),
        (
            "answers that moved at other times",
            |down, up| {
                (down.bytes_out, up.bytes_in) = (Some(900), Some(1000));
                (down.last_out, up.last_in) = (Some(us(1_050_000)), Some(us(1_040_000)));
            },
            Some(6),
        ),
        (
            "in the middle of a long answer",
            |down, up| {
                (down.bytes_out, up.bytes_in) = (Some(90_000), Some(91_000));
                (down.last_out, up.last_in) = (Some(us(1_050_000)), Some(us(1_050_000)));
            },
            Some(8),
        ),
        (
            "in the middle of a long upload",
            |down, up| {
                (down.bytes_in, up.bytes_out) = (Some(90_000), Some(90_000));
                down.last_in = Some(us(1_100_000));
            },
            Some(7),
        ),
        (
            "uploads of other lengths",
            |down, up| {
                (down.bytes_in, up.bytes_out) = (Some(90_000), Some(80_000));
                down.last_in = Some(us(1_100_000));
            },
            Some(6),
        ),
        (
            "late to accept, and forwarded then",
            |_, up| {
                up.opened = Some(us(1_009_500));
                up.established = Some(us(1_009_600));
                up.last_out = Some(us(1_012_000));
            },
            Some(6),
        ),
        (
            "later than that",
            |_, up| {
                up.opened = Some(us(1_010_500));
                up.established = Some(us(1_010_600));
                up.last_out = Some(us(1_012_000));
            },
            Some(4),
        ),
        (
            "an answer that met nobody",
            |_, up| {
                up.bytes_in = Some(900);
                up.last_in = Some(us(1_096_000));
            },
            Some(7),
        ),
        (
            "an answer that was kept",
            |_, up| {
                up.bytes_in = Some(900);
                up.last_in = Some(us(1_080_000));
            },
            Some(6),
        ),
        (
            "nothing left but the moments",
            |_, up| {
                (up.last_in, up.last_out) = (None, None);
                (up.bytes_in, up.bytes_out) = (None, None);
            },
            Some(6),
        ),
        (
            "nothing left, and late",
            |_, up| {
                up.at += us(5_000);
                (up.last_in, up.last_out) = (None, None);
                (up.bytes_in, up.bytes_out) = (None, None);
            },
            Some(5),
        ),
        (
            "no counters",
            |down, up| (down.bytes_out, up.bytes_in) = (None, None),
            Some(6),
        ),
    ];

    #[test]
    fn weights() {
        for (name, edit, expected) in WEIGHTS {
            let (mut down, mut up) = pair();
            edit(&mut down, &mut up);
            assert_eq!(weigh(&down, &up), *expected, "{name}");
        }
    }

    #[test]
    fn from_the_upstream_leg() {
        let (mut down, mut up) = pair();
        assert_eq!(weigh(&up, &down), None, "the client's was first");
        (down.at, up.at) = (up.at, down.at);
        assert_eq!(weigh(&up, &down), Some(7));
    }
}
