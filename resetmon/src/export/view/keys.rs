//! What the keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// The next tab, or the one before it.
    Tab(Move),
    /// The tab of this number, from 0.
    ShowTab(usize),
    /// Another row.
    Row(Move),
    /// Ten rows on or back.
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
    if is_control(key, 'c') {
        return Action::Quit;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return Action::Ignore;
    }
    match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Action::Tab(Move::Next),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Action::Tab(Move::Previous),
        KeyCode::Char('1') => Action::ShowTab(0),
        KeyCode::Char('2') => Action::ShowTab(1),
        KeyCode::Char('3') => Action::ShowTab(2),
        KeyCode::Char('4') => Action::ShowTab(3),
        KeyCode::Char('5') => Action::ShowTab(4),
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
        KeyCode::Char('/' | 'f') => Action::Filter,
        KeyCode::Char('?') => Action::Help,
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

/// The help: keys and what they do.
pub const HELP: &[(&str, &str)] = &[
    (
        "Tab ← → 1-5",
        "events, by route, by process, by peer, by cause",
    ),
    (
        "↑ ↓ PgUp PgDn",
        "another row; Home and End for the first and last",
    ),
    (
        "Enter",
        "details of an event; events of a route, process, …",
    ),
    ("Esc", "back; at the events, the newest row and no filter"),
    (
        "/ or f",
        "filter: cause=refused,unknown route=/api peer=10.0.0.0/8",
    ),
    (
        "",
        "direction process pid port peer cause failure route netns",
    ),
    ("s, r", "sort by the next column; the other way round"),
    ("p, blank", "pause the display: counting goes on"),
    ("q, Ctrl-C", "end"),
];
