//! What the keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Give the terminal to the shell for a while.
    Suspend,
    /// The next tab, or the one before it; in the details the next event.
    Tab(Move),
    /// The tab of this number, from 0.
    ShowTab(usize),
    /// Another row.
    Row(Move),
    /// A screenful on or back.
    Page(Move),
    /// The first row.
    Top,
    /// The last row.
    Bottom,
    /// What is behind the row.
    Open,
    /// Out of what was opened.
    Back,
    /// Stop or go on.
    Pause,
    /// Sort by the next column.
    Sort,
    /// Sort the other way round.
    Reverse,
    /// Type a filter.
    Filter,
    /// Take connections that failed without a reset, or leave them out.
    Failures,
    /// Show or hide what resetmon says about itself.
    Log,
    /// Show or hide the help.
    Help,
    /// Nothing.
    Ignore,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// On, down, right.
    Next,
    /// Back, up, left.
    Previous,
}

/// What a key asks for while a filter is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// End the program.
    Quit,
    /// Use it.
    Accept,
    /// Leave the old one.
    Cancel,
    /// One more letter.
    Insert(char),
    /// One letter fewer.
    Erase,
    /// Start again.
    Clear,
    /// Nothing.
    Ignore,
}

/// Ctrl and this letter.
fn is_control(key: &KeyEvent, letter: char) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char(letter)
}

/// What the key means, except while a filter is typed.
#[must_use]
pub fn action(key: &KeyEvent) -> Action {
    if key.kind == KeyEventKind::Release {
        return Action::Ignore;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Action::Quit,
            KeyCode::Char('z') => Action::Suspend,
            _ => Action::Ignore,
        };
    }
    match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Tab | KeyCode::Right => Action::Tab(Move::Next),
        KeyCode::BackTab | KeyCode::Left => Action::Tab(Move::Previous),
        KeyCode::Char(digit @ '1'..='5') => Action::ShowTab(digit as usize - '1' as usize),
        KeyCode::Down | KeyCode::Char('j') => Action::Row(Move::Next),
        KeyCode::Up | KeyCode::Char('k') => Action::Row(Move::Previous),
        KeyCode::PageDown => Action::Page(Move::Next),
        KeyCode::PageUp => Action::Page(Move::Previous),
        KeyCode::Home | KeyCode::Char('g') => Action::Top,
        KeyCode::End | KeyCode::Char('G') => Action::Bottom,
        KeyCode::Enter => Action::Open,
        KeyCode::Esc => Action::Back,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('f') => Action::Failures,
        KeyCode::Char('l') => Action::Log,
        KeyCode::Char('?' | 'h') => Action::Help,
        _ => Action::Ignore,
    }
}

/// What the key means while a filter is typed.
#[must_use]
pub fn edit(key: &KeyEvent) -> Edit {
    if key.kind == KeyEventKind::Release {
        return Edit::Ignore;
    }
    if is_control(key, 'c') {
        return Edit::Quit;
    }
    if is_control(key, 'u') {
        return Edit::Clear;
    }
    match key.code {
        KeyCode::Enter => Edit::Accept,
        KeyCode::Esc => Edit::Cancel,
        KeyCode::Backspace => Edit::Erase,
        KeyCode::Char(letter) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
            Edit::Insert(letter)
        }
        _ => Edit::Ignore,
    }
}

/// The help: keys and what they do. It fits 60 columns.
pub const HELP: &[(&str, &str)] = &[
    ("Enter", "all of an event; the events of a counted row"),
    ("Esc", "back; then no filter, and the newest row"),
    ("1-5 Tab ← →", "events; by route, process, peer, cause"),
    (
        "↑ ↓ PgUp PgDn",
        "other rows; Home, End: the first, the last",
    ),
    ("/", "filter: nginx cause=refused,unknown port=80"),
    ("", "words a row has, and conditions: direction"),
    ("", "process pid port peer cause failure route"),
    ("", "netns; all must hold"),
    ("s  r", "sort by the next column; the other way"),
    ("p, blank", "pause the display; counting goes on"),
    ("f", "connections that failed without a reset"),
    ("l", "log: warnings, gateways found"),
    ("q, Ctrl-C", "quit; Ctrl-Z suspends"),
    ("→ ← ×", "reset sent, received; failed without one"),
];
