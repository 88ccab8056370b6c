//! The view on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::counts::{group_header, group_row};
use super::detail::{self, wrapped};
use super::frame::{footer, heading, note, tabs};
use super::groups::By;
use super::keys::HELP;
use super::state::{Over, State};
use super::tab::Tab;
use super::table::{event_header, event_row, style};
use crate::export::terminal::text::{cell, clean, cut, width};
use crate::export::terminal::{BOLD, DIM};

/// Draws all of it; `colour` allows colours.
pub fn draw(frame: &mut Frame<'_>, state: &mut State, colour: bool) {
    let noted = u16::from(state.notes.unread().is_some());
    let [head, tab_row, body, note_row, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(noted),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let columns = usize::from(frame.area().width);
    state.set_page(usize::from(body.height).saturating_sub(1));
    let lines = match &state.over {
        Over::Nothing => table(state, body, colour),
        Over::Help(from) => {
            let from = *from;
            scrolled(state, help(columns), from, body)
        }
        Over::Details(event, from) => {
            let from = *from;
            let lines = detail::lines(event, columns);
            scrolled(state, lines, from, body)
        }
        Over::Log(from) => {
            let from = *from;
            let lines = log(state, columns, colour);
            scrolled(state, lines, from, body)
        }
    };
    for (lines, area) in [
        (heading(state, columns, colour), head),
        (vec![tabs(state, columns, colour)], tab_row),
        (lines, body),
        (vec![note(state, columns, colour)], note_row),
        (vec![footer(state, columns, colour)], foot),
    ] {
        frame.render_widget(Paragraph::new(lines), area);
    }
}

/// The lines from one on, but never beyond the last one.
fn scrolled(
    state: &mut State,
    lines: Vec<Line<'static>>,
    from: usize,
    area: Rect,
) -> Vec<Line<'static>> {
    let last = lines.len().saturating_sub(usize::from(area.height));
    state.limit_scroll(last);
    lines.into_iter().skip(from.min(last)).collect()
}

/// The table of the tab, with the selected row in sight.
fn table(state: &State, area: Rect, colour: bool) -> Vec<Line<'static>> {
    let columns = usize::from(area.width);
    let height = usize::from(area.height).saturating_sub(1);
    let cursor = state.cursor();
    let from = (cursor + 1).saturating_sub(height);
    let (header, rows): (_, Vec<_>) = match state.tab {
        Tab::Events => {
            let events = state.events();
            let seen = events.iter().skip(from).take(height);
            let rows = seen.map(|event| event_row(event, columns, colour));
            (event_header(columns), rows.collect())
        }
        Tab::Groups(by) => (
            group_header(by, columns),
            counts(state, by, from, height, columns),
        ),
    };
    let mut lines = vec![Line::styled(cut(&header, columns), style(BOLD, colour))];
    if rows.is_empty() {
        let why = nothing(state);
        let why = wrapped(why, columns.max(1)).into_iter();
        lines.extend(why.map(|line| Line::styled(line, style(DIM, colour))));
    }
    for (at, mut row) in rows.into_iter().enumerate() {
        if from + at == cursor {
            let missing = columns.saturating_sub(row.width());
            row.push_span(Span::raw(" ".repeat(missing)));
            row = row.patch_style(Style::new().add_modifier(Modifier::REVERSED));
        }
        lines.push(row);
    }
    lines
}

/// Why there is no row.
fn nothing(state: &State) -> &'static str {
    if !state.filter_text.is_empty() {
        return "nothing that the filter lets through; Esc shows all";
    }
    if state.failures {
        return "no reset and no failed connection yet; they are shown as they happen";
    }
    "no reset yet; they are shown as they happen (`resetmon demo` makes four). f takes connections too \
     that failed without one"
}

fn counts(state: &State, by: By, from: usize, height: usize, columns: usize) -> Vec<Line<'static>> {
    let all = state.groups(by);
    let rows = state.rows(by).into_iter().skip(from).take(height);
    rows.map(|row| Line::raw(group_row(by, row, all, state.second, columns)))
        .collect()
}

fn help(columns: usize) -> Vec<Line<'static>> {
    let left = HELP.iter().map(|(keys, _)| width(keys)).max().unwrap_or(0) + 2;
    HELP.iter()
        .map(|(keys, does)| Line::raw(cut(&(cell(keys, left) + does), columns)))
        .collect()
}

/// What resetmon says about itself, the newest first.
fn log(state: &State, columns: usize, colour: bool) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("Log of resetmon", style(BOLD, colour))];
    for note in state.notes.newest_first() {
        lines.extend(
            wrapped(&clean(note), columns.max(1))
                .into_iter()
                .map(Line::raw),
        );
    }
    if lines.len() == 1 {
        lines.push(Line::styled("nothing yet", style(DIM, colour)));
    }
    lines
}
