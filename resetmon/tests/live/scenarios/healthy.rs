//! Connections that end in good order though they look like failures: nobody may report one.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::failed::{A_WHILE, REQUEST, given_up, read_all};
use crate::actor::Socket;
use crate::actor::command::Readiness;
use crate::scenario::{BOTH, Need, Scenario};
use crate::scene::{Pair, Scene};

/// A row of this table.
macro_rules! healthy {
    ($name:literal, $run:expr) => {
        Scenario {
            name: $name,
            families: BOTH,
            needs: &[],
            run: $run,
            expect: &[],
        }
    };
}

pub(super) static SCENARIOS: &[Scenario] = &[
    healthy!("healthy_short_connection", |scene| {
        let pair = answered(scene, true)?;
        finish(&pair.accepted, &pair.connected)
    }),
    healthy!("healthy_answer_and_fin_at_once", answer_and_fin_at_once),
    healthy!("healthy_check_closed_by_client", |scene| {
        let pair = scene.pair()?;
        finish(&pair.connected, &pair.accepted)
    }),
    healthy!("healthy_check_closed_by_server", |scene| {
        let pair = scene.pair()?;
        sleep(A_WHILE);
        finish(&pair.accepted, &pair.connected)
    }),
    healthy!("healthy_idle_closed_by_server", |scene| {
        let pair = answered(scene, true)?;
        sleep(A_WHILE);
        finish(&pair.accepted, &pair.connected)
    }),
    healthy!("healthy_idle_closed_by_client", |scene| {
        let pair = answered(scene, true)?;
        sleep(A_WHILE);
        finish(&pair.connected, &pair.accepted)
    }),
    healthy!("healthy_quit_answered_by_fin", |scene| {
        let pair = answered(scene, true)?;
        farewell(&pair, b"QUIT\r\n")
    }),
    healthy!("healthy_quit_as_first_word", |scene| {
        farewell(&scene.pair()?, b"quit\r\n")
    }),
    healthy!("healthy_close_notify_answered_by_fin", |scene| {
        farewell(&answered(scene, true)?, &[21; 24])
    }),
    healthy!("healthy_goaway_then_fin", |scene| {
        farewell(&answered(scene, true)?, &[7; 17])
    }),
    healthy!("healthy_close_notify_and_close", |scene| {
        let pair = answered(scene, true)?;
        pair.connected.write(&[21; 24])?;
        pair.connected.close()?;
        read_all(&pair.accepted, 24)?;
        pair.accepted.close()
    }),
    healthy!("healthy_farewell_waited_for", |scene| {
        let pair = answered(scene, true)?;
        pair.connected.write(b"QUIT\r\n")?;
        read_all(&pair.accepted, 6)?;
        sleep(A_WHILE);
        finish(&pair.connected, &pair.accepted)
    }),
    healthy!(
        "healthy_half_close_without_answer",
        half_close_without_answer
    ),
    healthy!("healthy_half_close_by_server", half_close_by_server),
    healthy!("healthy_last_word_and_close", last_word_and_close),
    Scenario {
        name: "healthy_race_of_connects",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| given_up(scene, Duration::from_millis(300)),
        expect: &[],
    },
];

/// A connection over which a request was answered; the client has read the answer if `read`.
fn answered(scene: &Scene, read: bool) -> Result<Pair> {
    let pair = scene.pair()?;
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    pair.accepted.write(b"answer")?;
    if read {
        read_all(&pair.connected, 6)?;
    }
    Ok(pair)
}

/// `first` closes, and then the other end.
fn finish(first: &Socket, other: &Socket) -> Result<()> {
    first.close()?;
    other.wait(Readiness::PeerClosed)?;
    other.close()
}

/// The client says a last word, to which the server's end is the answer.
fn farewell(pair: &Pair, word: &[u8]) -> Result<()> {
    pair.connected.write(word)?;
    read_all(&pair.accepted, word.len())?;
    finish(&pair.accepted, &pair.connected)
}

/// The answer and the end come before the client reads either.
fn answer_and_fin_at_once(scene: &Scene) -> Result<()> {
    let pair = answered(scene, false)?;
    pair.accepted.close()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    read_all(&pair.connected, 6)?;
    pair.connected.close()
}

/// The client has said all, and wants only to know that the server has it.
fn half_close_without_answer(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(REQUEST)?;
    sleep(A_WHILE);
    pair.connected.finish()?;
    read_all(&pair.accepted, REQUEST.len())?;
    pair.accepted.close()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    pair.connected.close()
}

/// The server has said all, and goes on to read what the client sends.
fn half_close_by_server(scene: &Scene) -> Result<()> {
    let pair = answered(scene, true)?;
    pair.accepted.finish()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    sleep(A_WHILE);
    pair.connected.close()?;
    pair.accepted.wait(Readiness::Input)?;
    pair.accepted.close()
}

/// As who sends a measurement does: nobody answers, and nobody expects it.
fn last_word_and_close(scene: &Scene) -> Result<()> {
    use crate::actor::command::Command;
    let pair = scene.pair()?;
    pair.connected.steps(vec![
        Command::Write {
            name: pair.connected.name(),
            bytes: REQUEST.to_vec(),
        },
        Command::Close {
            name: pair.connected.name(),
        },
    ])?;
    read_all(&pair.accepted, REQUEST.len())?;
    pair.accepted.wait(Readiness::Input)?;
    pair.accepted.close()
}
