//! What stands on the screen.

use std::sync::Arc;

use crossterm::event::KeyCode;
use ratatui::style::{Color, Modifier};

use super::super::draw::draw;
use super::super::state::{Heading, State};
use super::{later, press, received, screen, sent, start, state, terminal};
use crate::event::Event;
use crate::export::sample;
use crate::reset::Reset;

#[test]
fn events_at_80_columns() {
    let mut state = state();
    later(&mut state, 10);
    state.add(&received(1));
    state.add(&sent(2));
    assert_eq!(
        screen(&mut state, 80, 8),
        [
            "resetmon on edge-1 · 05:00:10 UTC · watching for 0:00:10",
            "sent 1 · received 1 · 0.2/s                    █",
            " 1 events  2 route  3 process  4 peer  5 cause  by time ↓",
            "TIME UTC   CAUSE                   PROCESS     PORT AND PEER",
            "05:06:07 → no_listener             -           :81 → 10.0.0.7:50000",
            "05:06:07 ← aborted_mid_response    nginx[4242] :45678 ← payments-1:8080",
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
    assert_eq!(
        shown[3..5],
        [
            "TIME UTC   CAUSE                   PROCESS    PEER",
            "05:06:07 ← aborted_mid_response    nginx      payments…:8080",
        ]
    );
    assert_eq!(
        shown[7],
        "? help  Enter details  / filter  p pause  s sort  q quit"
    );
}

#[test]
fn wide_rows_say_where_and_why() {
    let mut state = state();
    state.add(&received(1));
    let shown = screen(&mut state, 200, 8);
    assert_eq!(
        shown[3..5],
        [
            "TIME UTC RESET    CAUSE                   PROCESS                  PORT AND PEER                  \
             ROUTE                              WHY",
            "05:06:07 received aborted_mid_response    nginx[4242]              :45678 ← payments-1:8080       \
             upstream /api/pay → payments       12345 bytes of the answer had come",
        ]
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
fn wide_letters_move_nothing() {
    let mut reset = sample::received();
    let mut process = sample::nginx();
    process.name = Arc::from("決済サービス本番環境");
    reset.owner.as_mut().unwrap().process = Arc::new(process);
    reset.peer = Arc::from("支払い-1");
    for (columns, at) in [(80, 47), (100, 57), (200, 67)] {
        let mut state = state();
        state.add(&Event::Reset(reset.clone()));
        let mut terminal = terminal(columns, 8);
        terminal
            .draw(|frame| draw(frame, &mut state, true))
            .unwrap();
        let buffer = terminal.backend().buffer();
        assert_eq!(buffer[(at, 3)].symbol(), "P", "header at {columns}");
        assert_eq!(buffer[(at, 4)].symbol(), ":", "row at {columns}");
    }
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
        "received aborted_mid_response: the peer reset after the answer had begun",
        ", id 000000000000002a",
        "known     sender peer, stage established",
        "ends      10.0.0.1:45678 ← 10.0.0.9:8080",
        "· because of reset 0000000000000029",
        "· sent by payd[77] in pod shop/web-0: closed_with_unread_data, reset 0000000000000028",
        "· 12345 bytes of the answer had come",
        "· no FIN was seen",
        "Advice",
        "\nmeaning   ",
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
    assert!(screen(&mut state, 60, 12)[3].starts_with("received aborted_mid_response: "));
}

#[test]
fn what_resetmon_says_is_under_the_table_until_it_is_read() {
    let mut state = state();
    state.note("T INFO gateway nginx found");
    assert_eq!(screen(&mut state, 80, 8)[6], "");
    state.note("T WARN routes: \u{1b}[31modd\u{1b}[0m\u{202e}");
    let shown = screen(&mut state, 80, 8);
    assert_eq!(shown[6], "WARN routes: odd\u{fffd}  l log");
    assert!(shown[7].starts_with("? help"));
    press(&mut state, KeyCode::Char('l'));
    let shown = screen(&mut state, 80, 8);
    assert_eq!(
        shown[3..7],
        [
            "Log of resetmon",
            "T WARN routes: odd\u{fffd}",
            "T INFO gateway nginx found",
            "",
        ]
    );
    press(&mut state, KeyCode::Esc);
    assert_eq!(screen(&mut state, 80, 8)[6], "");
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
            .zip(["3  75.0% 05:06:07 ", "1  25.0% 05:06:07 "])
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
fn wide_counts_say_what_they_are_mostly_about() {
    let mut state = state();
    for id in 0..2 {
        state.add(&received(id));
    }
    state.add(&Event::Reset(Reset {
        diagnosis: sample::sent_without_socket().diagnosis,
        ..sample::received()
    }));
    for (tab, end) in [
        ('3', "aborted_mid_response 66%"),
        ('5', "the peer reset after the answer had begun"),
    ] {
        press(&mut state, KeyCode::Char(tab));
        let shown = screen(&mut state, 120, 8);
        assert!(shown[4].ends_with(end), "{:?}", shown[4]);
    }
}

#[test]
fn what_is_missing_is_said() {
    let heading = Heading {
        host: "edge-1".to_owned(),
        since: start(),
        degraded: 2,
    };
    let mut state = State::new(heading, true);
    state.add_lost(7);
    assert_eq!(
        screen(&mut state, 100, 8)[1],
        "sent 0 · received 0 · failed 0 · 0.0/s · 7 too many to be shown, degraded: 2 probes, see doctor"
    );
    later(&mut state, 10);
    state.add(&received(1));
    let line = &screen(&mut state, 120, 8)[1];
    assert!(line.ends_with("see doctor                    █"), "{line}");
}

#[test]
fn the_help_fits_60_columns() {
    let mut state = state();
    press(&mut state, KeyCode::Char('?'));
    let shown = screen(&mut state, 60, 40).join("\n");
    for (keys, does) in super::super::keys::HELP {
        assert!(
            shown.contains(keys) && shown.contains(does),
            "{does:?} in\n{shown}"
        );
    }
    press(&mut state, KeyCode::End);
    assert!(screen(&mut state, 60, 10)[8].starts_with("→ ← ×"));
}
