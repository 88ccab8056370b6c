//! The view on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::detail::{self, DetailLine};
use super::groups::By;
use super::keys::HELP;
use super::state::{Over, State, Tab};
use super::table::{event_header, event_row, group_header, group_row, style};
use crate::export::terminal::text::{cell, clean, cut, width};
use crate::export::terminal::{BOLD, DIM};

/// Draws all of it; `colour` allows colours.
pub fn draw(frame: &mut Frame<'_>, state: &mut State, colour: bool) {
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(state, columns(head), colour)), head);
    frame.render_widget(Paragraph::new(tab_line(state, columns(tabs))), tabs);
    match &state.over {
        Over::Details(event, from) => {
            let lines = detail::lines(event, columns(body));
            let last = lines.len().saturating_sub(usize::from(body.height));
            let from = (*from).min(last);
            let lines: Vec<_> = lines.into_iter().skip(from).map(detail_line).collect();
            frame.render_widget(Paragraph::new(lines), body);
            state.limit_details(last);
        }
        Over::Help => {
            frame.render_widget(Clear, body);
            frame.render_widget(Paragraph::new(help(columns(body))), body);
        }
        Over::Nothing => frame.render_widget(Paragraph::new(table(state, body, colour)), body),
    }
    let foot_columns = columns(foot);
    frame.render_widget(Paragraph::new(footer(state, foot_columns, colour)), foot);
}

fn columns(area: Rect) -> usize {
    usize::from(area.width)
}

/// Host, time and totals; what is missing.
fn heading(state: &State, columns: usize, colour: bool) -> Vec<Line<'static>> {
    let heading = &state.heading;
    let since = heading.since.strftime("%Y-%m-%d %H:%M:%SZ");
    let first = format!("resetmon on {} since {since}", clean(&heading.host));
    let totals = state.totals;
    let rate = rate(state.minute.sum(state.second), state.second);
    let mut second = format!(
        "sent {} received {} failed {} · {rate}/s",
        totals.sent, totals.received, totals.failed
    );
    let mut missing = Vec::new();
    if totals.lost > 0 {
        missing.push(format!("{} not shown", totals.lost));
    }
    if heading.degraded > 0 {
        missing.push(format!("degraded: {} probes, see doctor", heading.degraded));
    }
    let missing = missing.join(", ");
    if !missing.is_empty() {
        second = cut(&second, columns.saturating_sub(3));
        second.push_str(" · ");
    }
    let room = columns.saturating_sub(width(&second));
    vec![
        Line::styled(cut(&first, columns), style(BOLD, colour)),
        Line::from(vec![
            Span::raw(cut(&second, columns)),
            Span::styled(cut(&missing, room), style("33", colour)),
        ]),
    ]
}

/// Events a second over the last minute, or since the beginning, to a tenth.
fn rate(events: u64, second: u64) -> String {
    let tenths = events.saturating_mul(10) / second.clamp(1, 60);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn tab_line(state: &State, columns: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (at, tab) in Tab::ALL.iter().enumerate() {
        let name = match tab {
            Tab::Events => "events",
            Tab::Groups(by) => by.name(),
        };
        let text = format!(" {} {name} ", at + 1);
        used += width(&text);
        let shown = if *tab == state.tab {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, shown));
    }
    let (column, reversed) = state.sorted_by();
    let arrow = if reversed { "↑" } else { "↓" };
    let sort = format!(" by {} {arrow}", column.name());
    spans.push(Span::styled(
        cut(&sort, columns.saturating_sub(used)),
        style(DIM, false),
    ));
    Line::from(spans)
}

/// The table of the tab, with the selected row in sight.
fn table(state: &State, area: Rect, colour: bool) -> Vec<Line<'static>> {
    let columns = columns(area);
    let height = usize::from(area.height).saturating_sub(1);
    let cursor = state.cursor();
    let from = (cursor + 1).saturating_sub(height);
    let (header, rows, empty) = match state.tab {
        Tab::Events => {
            let events = state.events();
            let seen = events.iter().skip(from).take(height);
            let rows: Vec<_> = seen
                .map(|event| event_row(event, columns, colour))
                .collect();
            (event_header(columns), rows, "no event yet")
        }
        Tab::Groups(by) => (
            group_header(by.name(), columns),
            counts(state, by, from, height, columns),
            "nothing to count yet",
        ),
    };
    let mut lines = vec![Line::styled(cut(&header, columns), style(BOLD, colour))];
    if rows.is_empty() {
        let filtered = !state.filter_text.is_empty();
        let text = if filtered {
            "nothing that the filter lets through"
        } else {
            empty
        };
        lines.push(Line::styled(text, style(DIM, colour)));
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

fn counts(state: &State, by: By, from: usize, height: usize, columns: usize) -> Vec<Line<'static>> {
    let all = state.groups(by);
    let rows = state.rows(by).into_iter().skip(from).take(height);
    rows.map(|(name, group)| Line::raw(group_row(name, group, all, state.second, columns)))
        .collect()
}

fn detail_line(line: DetailLine) -> Line<'static> {
    let shown = if line.title {
        style(BOLD, false)
    } else {
        Style::new()
    };
    Line::styled(line.text, shown)
}

fn help(columns: usize) -> Vec<Line<'static>> {
    let left = HELP.iter().map(|(keys, _)| width(keys)).max().unwrap_or(0) + 2;
    HELP.iter()
        .map(|(keys, does)| Line::raw(cut(&(cell(keys, left) + does), columns)))
        .collect()
}

/// The filter while it is typed, else what holds and what can be done.
fn footer(state: &State, columns: usize, colour: bool) -> Line<'static> {
    if let Some(typed) = &state.typing {
        let text = format!("filter: {}_", clean(typed));
        let Some(complaint) = &state.complaint else {
            // The end is where letters appear.
            let beyond = width(&text).saturating_sub(columns);
            let kept: String = text.chars().skip(beyond).collect();
            return Line::raw(cut(&kept, columns));
        };
        let text = cut(&text, columns / 2);
        let room = columns.saturating_sub(width(&text) + 1);
        return Line::from(vec![
            Span::raw(text + " "),
            Span::styled(cut(&clean(complaint), room), style("31", colour)),
        ]);
    }
    let mut holds = Vec::new();
    if let Some(new) = state.waiting() {
        holds.push(format!("paused, {new} new"));
    }
    if !state.filter_text.is_empty() {
        holds.push(format!("filter: {}", clean(&state.filter_text)));
    }
    let holds = holds.join(" · ");
    let keys = match state.over {
        Over::Details(..) => "Esc back  ↑↓ scroll  q quit",
        Over::Help => "Esc back  q quit",
        Over::Nothing => "? help  Enter details  / filter  p pause  s sort  q quit",
    };
    if holds.is_empty() {
        return Line::styled(cut(keys, columns), style(DIM, colour));
    }
    let holds = cut(&holds, columns);
    let room = columns.saturating_sub(width(&holds) + 2);
    Line::from(vec![
        Span::styled(holds, style("33", colour).add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(cut(keys, room), style(DIM, colour)),
    ])
}
