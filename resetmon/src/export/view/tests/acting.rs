//! What events and keys do.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Modifier;

use super::super::draw::draw;
use super::super::groups::{By, MOST, OTHER};
use super::super::shown::KEPT;
use super::super::state::State;
use super::super::tab::{Column, Tab};
use super::{failure, later, press, received, screen, sent, state, terminal, type_in};
use crate::event::Event;
use crate::export::sample;
use crate::reset::{Reset, ResetId};

#[test]
fn details_go_on_to_other_events() {
    let mut state = state();
    state.add(&received(1));
    state.add(&sent(2));
    press(&mut state, KeyCode::Enter);
    for (code, title) in [
        (KeyCode::Null, "sent no_listener"),
        (KeyCode::Right, "received aborted_mid_response"),
        (KeyCode::Right, "received aborted_mid_response"),
        (KeyCode::Left, "sent no_listener"),
        (KeyCode::Left, "sent no_listener"),
    ] {
        press(&mut state, code);
        let shown = screen(&mut state, 80, 12);
        assert!(shown[3].starts_with(title), "{code:?}: {}", shown[3]);
    }
}

#[test]
fn failures_are_taken_once_they_are_wanted() {
    let failure = Event::Failure(failure());
    let mut state = state();
    state.add(&failure);
    assert_eq!(screen(&mut state, 80, 8)[1], "sent 0 · received 0 · 0.0/s");
    press(&mut state, KeyCode::Char('f'));
    state.add(&failure);
    let shown = screen(&mut state, 80, 8);
    assert!(shown[1].starts_with("sent 0 · received 0 · failed 1 · "));
    assert!(
        shown[4].starts_with("05:06:07 × timed_out "),
        "{}",
        shown[4]
    );
    press(&mut state, KeyCode::Char('5'));
    assert!(screen(&mut state, 80, 8)[4].starts_with("failed: timed_out "));
    press(&mut state, KeyCode::Enter);
    assert!(screen(&mut state, 80, 8)[7].starts_with("filter: failure=timed_out "));
    press(&mut state, KeyCode::Enter);
    assert!(screen(&mut state, 80, 8)[3].starts_with("failed timed_out: "));
}

#[test]
fn a_row_of_counts_opens_its_events() {
    let mut state = state();
    state.add(&received(1));
    state.add(&sent(2));
    state.add(&sent(3));
    press(&mut state, KeyCode::Char('5'));
    press(&mut state, KeyCode::Enter);
    let shown = screen(&mut state, 80, 8);
    assert!(shown[4].contains("no_listener") && shown[5].contains("no_listener"));
    assert_eq!(shown[6], "");
    assert!(shown[7].starts_with("filter: cause=no_listener"));
    press(&mut state, KeyCode::Esc);
    assert!(screen(&mut state, 80, 8)[6].contains("aborted_mid_response"));
}

#[test]
fn rows_have_a_bound_and_counts_have_none() {
    let mut state = state();
    let reset = sample::received();
    let many = MOST + KEPT;
    for number in 0..many {
        state.add(&Event::Reset(Reset {
            id: ResetId(u64::try_from(number).unwrap()),
            peer: Arc::from(format!("peer-{number}")),
            ..reset.clone()
        }));
    }
    let peers = state.groups(By::Peer);
    assert_eq!(peers.len(), MOST + 1);
    assert_eq!(peers.total(), u64::try_from(many).unwrap());
    let other = peers.rows().find(|(name, _)| *name == OTHER).unwrap();
    assert_eq!(other.1.count, u64::try_from(KEPT).unwrap());
    assert_eq!(state.events().len(), KEPT);
}

#[test]
fn pause_stops_the_display_and_not_the_count() {
    let mut state = state();
    state.add(&received(1));
    press(&mut state, KeyCode::Char('p'));
    for id in 2..14 {
        state.add(&sent(id));
    }
    let shown = screen(&mut state, 80, 8);
    assert!(shown[1].starts_with("sent 12 · received 1 "));
    assert!(shown[4].contains("aborted_mid_response"));
    assert_eq!(shown[5], "");
    assert!(shown[7].starts_with("paused, 12 new"));
    press(&mut state, KeyCode::Char('5'));
    assert!(screen(&mut state, 80, 8)[5].is_empty());
    press(&mut state, KeyCode::Char('p'));
    let shown = screen(&mut state, 80, 8);
    assert!(shown[4].starts_with("no_listener"));
    assert!(!shown[7].contains("paused"));
}

#[test]
fn a_typed_filter_holds_for_every_tab() {
    let mut state = state();
    state.add(&received(1));
    press(&mut state, KeyCode::Char('/'));
    type_in(&mut state, "cause=no_listener q");
    press(&mut state, KeyCode::Backspace);
    assert!(!state.is_over());
    press(&mut state, KeyCode::Enter);
    assert_eq!(
        screen(&mut state, 80, 8)[4],
        "nothing that the filter lets through; Esc shows all"
    );
    state.add(&sent(2));
    state.add(&received(3));
    assert!(screen(&mut state, 80, 8)[4].contains("no_listener"));
    press(&mut state, KeyCode::Char('4'));
    let shown = screen(&mut state, 80, 8);
    assert!(shown[4].starts_with("10.0.0.7 ") && shown[5].is_empty());
    assert!(shown[7].starts_with("filter: cause=no_listener"));
    // Without it all is there again, also what came meanwhile.
    press(&mut state, KeyCode::Char('1'));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.events().len(), 3);
    assert_eq!(state.groups(By::Cause).total(), 3);
}

#[test]
fn a_wrong_filter_says_why_and_changes_nothing() {
    for (text, complaint) in [
        ("cause=nonsense", "`nonsense` is not a cause"),
        ("colour=red", "`colour` is not a condition"),
        ("port=70000", "port=`70000` is not a number"),
        ("route=\"a", "a double quote is not closed"),
    ] {
        let mut state = state();
        state.add(&received(1));
        press(&mut state, KeyCode::Char('/'));
        type_in(&mut state, text);
        press(&mut state, KeyCode::Enter);
        let shown = screen(&mut state, 100, 8);
        assert!(shown[7].contains(complaint), "{:?}", shown[7]);
        assert!(shown[4].contains("aborted_mid_response"));
        press(&mut state, KeyCode::Esc);
        assert!(screen(&mut state, 100, 8)[7].starts_with("? help"));
    }
}

#[test]
fn sorted_by_each_column_both_ways() {
    let mut state = state();
    state.add(&sent(1));
    state.add(&received(2));
    state.add(&sent(3));
    for (column, first, last) in [
        (Column::Time, 3, 1),
        (Column::Cause, 2, 1),
        (Column::Process, 3, 2),
        (Column::Peer, 3, 2),
    ] {
        assert_eq!(state.sorted_by(), (column, false));
        let ids = |state: &State| -> Vec<u64> {
            let events = state.events();
            let ids = events.iter().map(|event| match &***event {
                Event::Reset(reset) => reset.id.0,
                Event::Failure(failure) => failure.id.0,
            });
            ids.collect()
        };
        let seen = ids(&state);
        assert_eq!((seen[0], seen[2]), (first, last), "{column:?}");
        press(&mut state, KeyCode::Char('r'));
        assert_eq!(ids(&state)[0], last, "{column:?}");
        press(&mut state, KeyCode::Char('r'));
        press(&mut state, KeyCode::Char('s'));
    }
    assert_eq!(state.sorted_by().0, Column::Time);
}

#[test]
fn the_selected_row_stays_selected() {
    let mut state = state();
    for id in 0..40 {
        state.add(&received(id));
    }
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Down);
    assert_eq!(state.cursor(), 2);
    state.add(&received(40));
    assert_eq!(state.cursor(), 3);
    press(&mut state, KeyCode::Home);
    state.add(&received(41));
    assert_eq!(state.cursor(), 0);
    press(&mut state, KeyCode::End);
    assert_eq!(state.cursor(), 41);
    let mut terminal = terminal(80, 10);
    terminal
        .draw(|frame| draw(frame, &mut state, true))
        .unwrap();
    let buffer = terminal.backend().buffer();
    assert!(buffer[(0, 8)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn tabs_go_round() {
    let mut state = state();
    for expected in Tab::ALL.iter().skip(1).chain(Tab::ALL.first()) {
        press(&mut state, KeyCode::Tab);
        assert_eq!(state.tab, *expected);
    }
    press(&mut state, KeyCode::BackTab);
    assert_eq!(state.tab, Tab::Groups(By::Cause));
    press(&mut state, KeyCode::Char('?'));
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.tab, Tab::Groups(By::Cause));
    assert!(screen(&mut state, 80, 24)[3].starts_with("Enter"));
}

#[test]
fn the_ways_to_end() {
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    for (before, key, over) in [
        (None, q, true),
        (None, control_c, true),
        (Some('?'), q, true),
        (Some('/'), q, false),
        (Some('/'), control_c, true),
    ] {
        let mut state = state();
        if let Some(before) = before {
            press(&mut state, KeyCode::Char(before));
        }
        state.key(&key);
        assert_eq!(state.is_over(), over, "{before:?} {key:?}");
    }
}

#[test]
fn suspended_once_a_key() {
    let mut state = state();
    assert!(!state.take_suspend());
    state.key(&KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL));
    assert!(state.take_suspend());
    assert!(!state.take_suspend() && !state.is_over());
}

#[test]
fn drawn_anew_when_something_happens_and_once_a_second() {
    let mut state = state();
    assert!(state.has_changed());
    state.drawn();
    later(&mut state, 0);
    assert!(!state.has_changed());
    later(&mut state, 1);
    assert!(state.has_changed());
    state.drawn();
    later(&mut state, 1);
    assert!(!state.has_changed());
    // A clock that is set back changes nothing either.
    later(&mut state, 0);
    assert!(!state.has_changed());
    state.add(&received(1));
    assert!(state.has_changed());
}
