use super::*;
use crate::export::sample;
use crate::kernel::observation::Direction;
use crate::reset::Cause;

fn act() -> &'static Act {
    ACTS.iter()
        .find(|act| act.expected.len() == 2)
        .expect("an act with both sides")
}

/// A reset of `act` as seen from one side.
fn seen(direction: Direction, cause: Cause) -> Reset {
    let mut reset = sample::received();
    reset.observation.direction = direction;
    reset.diagnosis.cause = cause;
    reset
}

#[test]
fn a_reset_belongs_to_the_connection_with_both_its_ends() {
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let ends = Ends {
        server: at(1),
        client: at(2),
    };
    let rows = [
        (at(1), at(2), true),
        (at(2), at(1), true),
        (at(1), at(1), false),
        (at(2), at(2), false),
        (at(1), at(3), false),
        (at(3), at(2), false),
        (([127, 0, 0, 2], 1).into(), at(2), false),
    ];
    for (local, remote, expected) in rows {
        let mut reset = sample::received();
        (reset.observation.local, reset.observation.remote) = (local, remote);
        assert_eq!(is_between(ends, &reset), expected, "{local} {remote}");
    }
}

#[test]
fn says_what_is_lacking_and_what_was_said_instead() {
    let act = act();
    let [first, second] = [act.expected[0], act.expected[1]];
    let (one, other) = (seen(first.0, first.1), seen(second.0, second.1));
    assert_eq!(lacking(act, &[&one, &other]), Vec::<String>::new());
    assert_eq!(
        lacking(act, &[&one]),
        [format!(
            "a reset {} with cause {}",
            second.0.name(),
            second.1.name()
        )]
    );
    let wrong = seen(second.0, Cause::Unknown);
    assert_eq!(
        lacking(act, &[&one, &wrong]),
        [format!(
            "a reset {} with cause {} (but unknown)",
            second.0.name(),
            second.1.name()
        )]
    );
    assert_eq!(lacking(act, &[]).len(), 2);
}
