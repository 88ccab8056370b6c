//! What the tests of drawing and of acting have in common.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::draw;
use super::state::{Heading, State};
use crate::event::Event;
use crate::export::sample;
use crate::failure::Failure;
use crate::kernel::observation::Ended;
use crate::reset::{FailureKind, Reset, ResetId, Stage};

fn start() -> Timestamp {
    "2025-03-04T05:00:00Z".parse().unwrap()
}

fn state() -> State {
    let heading = Heading {
        host: "edge-1".to_owned(),
        since: start(),
        degraded: 0,
    };
    State::new(heading, false)
}

fn later(state: &mut State, seconds: u64) {
    state.advance(start() + Duration::from_secs(seconds));
}

fn received(id: u64) -> Event {
    Event::Reset(Reset {
        id: ResetId(id),
        ..sample::received()
    })
}

fn sent(id: u64) -> Event {
    Event::Reset(Reset {
        id: ResetId(id),
        ..sample::sent_without_socket()
    })
}

fn failure() -> Failure {
    let reset = sample::received();
    Failure {
        id: reset.id,
        time: reset.time,
        observation: reset.observation,
        owner: reset.owner,
        closer: None,
        peer: reset.peer,
        route: reset.route,
        kind: FailureKind::TimedOut,
        stage: Stage::Connecting,
        ended: Ended::Error,
        unanswered: 0,
        evidence: vec!["no answer to the SYN".to_owned()].into(),
        count: 1,
    }
}

fn press(state: &mut State, code: KeyCode) {
    state.key(&KeyEvent::new(code, KeyModifiers::NONE));
}

fn type_in(state: &mut State, text: &str) {
    for letter in text.chars() {
        press(state, KeyCode::Char(letter));
    }
}

fn terminal(columns: u16, rows: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(columns, rows)).unwrap()
}

/// The lines of the screen without the blanks at their ends.
fn screen(state: &mut State, columns: u16, rows: u16) -> Vec<String> {
    let mut terminal = terminal(columns, rows);
    terminal.draw(|frame| draw(frame, state, true)).unwrap();
    let buffer = terminal.backend().buffer();
    (0..rows)
        .map(|row| {
            let cells = (0..columns).map(|column| buffer[(column, row)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        })
        .collect()
}

mod acting;
mod drawing;
