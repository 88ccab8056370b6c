use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::draw::draw;
use super::groups::{By, MOST, OTHER};
use super::state::{Column, Heading, KEPT, State, Tab};
use crate::event::Event;
use crate::export::sample;
use crate::reset::{Cause, Reset, ResetId};

fn start() -> Timestamp {
    "2025-03-04T05:00:00Z".parse().unwrap()
}

fn state() -> State {
    State::new(Heading {
        host: "edge-1".to_owned(),
        since: start(),
        degraded: 0,
    })
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

#[test]
fn events_at_80_columns() {
    let mut state = state();
    later(&mut state, 10);
    state.add(&received(1));
    state.add(&sent(2));
    assert_eq!(
        screen(&mut state, 80, 8),
        [
            "resetmon on edge-1 since 2025-03-04 05:00:00Z",
            "sent 1 received 1 failed 0 · 0.2/s",
            " 1 events  2 route  3 process  4 peer  5 cause  by time ↓",
            "TIME UTC RESET    PROCESS      LOCAL AND REMOTE END      CAUSE",
            "05:06:07 sent     -            10.0.0.1:81 → 10….7:50000 no_listener",
            "05:06:07 received nginx[4242]  10….1:45678 ← 10.….9:8080 aborted_mid_response",
            "",
            "? help  Enter details  / filter  p pause  s sort  q quit",
        ]
    );
}

#[test]
fn narrow_rows_keep_peer_and_cause() {
    let mut state = state();
    state.add(&received(1));
    let shown = screen(&mut state, 60, 8);
    assert_eq!(shown[3], "TIME UTC PROCESS    REMOTE END       CAUSE");
    assert_eq!(
        shown[4],
        "05:06:07 ngi…[4242] ← 10.0.0.9:8080  aborted_mid_response"
    );
}

#[test]
fn any_size_is_drawn() {
    let mut state = state();
    for id in 0..50 {
        state.add(&received(id));
    }
    for code in [
        KeyCode::Char('1'),
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Char('?'),
        KeyCode::Esc,
        KeyCode::Char('4'),
        KeyCode::Char('/'),
    ] {
        press(&mut state, code);
        for (columns, rows) in [(1, 1), (3, 2), (20, 5), (79, 4), (100, 30), (300, 90)] {
            assert_eq!(screen(&mut state, columns, rows).len(), usize::from(rows));
        }
    }
}

#[test]
fn colour_only_where_it_is_allowed() {
    for (colour, expected) in [(true, Color::Red), (false, Color::Reset)] {
        let mut state = state();
        state.add(&received(1));
        state.add(&received(2));
        let mut terminal = terminal(100, 8);
        terminal
            .draw(|frame| draw(frame, &mut state, colour))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let row = (0..100).map(|column| &buffer[(column, 5)]);
        let colours: Vec<_> = row
            .map(|cell| cell.fg)
            .filter(|fg| *fg != Color::Reset)
            .collect();
        assert_eq!(colours.first().copied().unwrap_or(Color::Reset), expected);
        assert!(buffer[(0, 4)].modifier.contains(Modifier::REVERSED));
        assert!(!buffer[(0, 5)].modifier.contains(Modifier::REVERSED));
    }
}

#[test]
fn hostile_names_move_nothing() {
    let mut reset = sample::received();
    let name: Arc<str> = Arc::from("a\u{1b}[2Jb\nc\u{202e}");
    let mut process = sample::nginx();
    process.name = Arc::clone(&name);
    reset.owner.as_mut().unwrap().process = Arc::new(process);
    reset.peer = Arc::clone(&name);
    reset.route.as_mut().unwrap().route = name;
    let mut state = state();
    state.add(&Event::Reset(reset));
    for tab in ['1', '2', '3', '4', '5'] {
        press(&mut state, KeyCode::Char(tab));
        for line in screen(&mut state, 100, 10) {
            assert!(!line.contains(['\u{1b}', '\n', '\u{202e}']), "{line:?}");
        }
    }
    press(&mut state, KeyCode::Char('2'));
    assert!(screen(&mut state, 100, 10)[4].starts_with("a\u{fffd}[2Jb\u{fffd}c\u{fffd}"));
}

#[test]
fn details_have_evidence_advice_and_the_other_ends() {
    let mut reset = sample::received();
    reset.twin = Some(sample::twin());
    reset.propagated_from = Some(sample::propagated());
    let mut state = state();
    state.add(&Event::Reset(reset));
    press(&mut state, KeyCode::Enter);
    let shown = screen(&mut state, 100, 60).join("\n");
    for text in [
        "received aborted_mid_response",
        "id        000000000000002a",
        "ends      10.0.0.1:45678 ← 10.0.0.9:8080",
        "· because of reset 0000000000000029",
        "· sent by payd[77] in pod shop/web-0: closed_with_unread_data, reset 0000000000000028",
        "· 12345 bytes of the answer had come",
        "· no FIN was seen",
        "Advice",
        crate::diagnosis::advice::advice(Cause::AbortedMidResponse).summary,
        "\nchange    ",
        "Esc back",
    ] {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }
    press(&mut state, KeyCode::Esc);
    assert!(screen(&mut state, 100, 60)[3].starts_with("TIME UTC"));
}

#[test]
fn details_scroll_to_their_end_and_back() {
    let mut state = state();
    state.add(&received(1));
    press(&mut state, KeyCode::Enter);
    let whole = screen(&mut state, 60, 200);
    let last = whole[..whole.len() - 1]
        .iter()
        .rev()
        .find(|line| !line.is_empty());
    press(&mut state, KeyCode::End);
    let end = screen(&mut state, 60, 12);
    assert_eq!(Some(&end[10]), last);
    press(&mut state, KeyCode::Up);
    let before = screen(&mut state, 60, 12);
    assert_eq!(before[4..11], end[3..10]);
    press(&mut state, KeyCode::Home);
    assert_eq!(
        screen(&mut state, 60, 12)[3],
        "received aborted_mid_response"
    );
}

#[test]
fn counts_by_route_process_peer_and_cause() {
    let mut state = state();
    for id in 0..3 {
        state.add(&received(id));
    }
    state.add(&sent(3));
    for (tab, rows) in [
        ('2', ["/api/pay", "-"]),
        ('3', ["nginx", "-"]),
        ('4', ["payments-1", "10.0.0.7"]),
        ('5', ["aborted_mid_response", "no_listener"]),
    ] {
        press(&mut state, KeyCode::Char(tab));
        let shown = screen(&mut state, 80, 9);
        for (row, count) in shown[4..6]
            .iter()
            .zip(["3  75.0% 05:06:07", "1  25.0% 05:06:07"])
        {
            assert!(row.contains(count), "{row:?}");
        }
        for (row, name) in shown[4..6].iter().zip(rows) {
            assert_eq!(row.split_whitespace().next(), Some(name));
        }
        assert!(shown[4].ends_with('█'), "{:?}", shown[4]);
    }
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
    assert!(shown[1].starts_with("sent 12 received 1 "));
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
        "nothing that the filter lets through"
    );
    state.add(&sent(2));
    state.add(&received(3));
    assert!(screen(&mut state, 80, 8)[4].contains("no_listener"));
    press(&mut state, KeyCode::Char('4'));
    let shown = screen(&mut state, 80, 8);
    assert!(shown[4].starts_with("10.0.0.7 ") && shown[5].is_empty());
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
        ("colour=red", "`colour=red` is not a condition"),
        ("port=70000", "port=`70000` is not a number"),
        ("route=\"a", "a double quote is not closed"),
    ] {
        let mut state = state();
        state.add(&received(1));
        press(&mut state, KeyCode::Char('f'));
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
        (Column::Process, 3, 2),
        (Column::Remote, 3, 2),
        (Column::Cause, 2, 1),
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
    assert!(screen(&mut state, 80, 24)[3].starts_with("Tab"));
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
fn nothing_is_drawn_anew_while_nothing_happens() {
    let mut state = state();
    state.drawn();
    later(&mut state, 5);
    assert!(!state.has_changed());
    state.add(&received(1));
    assert!(state.has_changed());
    state.drawn();
    // What was counted moves through the minute, then has left it.
    later(&mut state, 6);
    assert!(state.has_changed());
    later(&mut state, 66);
    state.drawn();
    later(&mut state, 67);
    assert!(!state.has_changed());
    // A clock that is set back changes nothing either.
    later(&mut state, 1);
    assert!(!state.has_changed());
}

#[test]
fn what_is_missing_is_said() {
    let mut state = State::new(Heading {
        host: "edge-1".to_owned(),
        since: start(),
        degraded: 2,
    });
    state.add_lost(7);
    assert_eq!(
        screen(&mut state, 100, 8)[1],
        "sent 0 received 0 failed 0 · 0.0/s · 7 not shown, degraded: 2 probes, see doctor"
    );
}
