//! What stands around the tables: heading, tabs, the last warning, keys.

use std::fmt::Write as _;

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::counts::sparkline;
use super::shown::KEPT;
use super::state::{Over, State};
use super::tab::Tab;
use super::table::style;
use crate::export::terminal::text::{clean, cut, width};
use crate::export::terminal::{BOLD, DIM};

/// SGR codes of what needs attention and of what is wrong.
const WARN: &str = "33";
const ERROR: &str = "31";

/// Host, clock and totals; what is missing.
pub(super) fn heading(state: &State, columns: usize, colour: bool) -> Vec<Line<'static>> {
    let heading = &state.heading;
    let first = format!(
        "resetmon on {} · {} UTC · watching for {}",
        clean(&heading.host),
        state.now.strftime("%H:%M:%S"),
        hours(state.second)
    );
    let totals = state.totals;
    let failed = if state.failures || totals.failed > 0 {
        format!(" · failed {}", totals.failed)
    } else {
        String::new()
    };
    let figures = format!(
        "sent {} · received {}{failed} · {}/s",
        totals.sent,
        totals.received,
        rate(state.minute.sum(state.second), state.second)
    );
    let mut missing = String::new();
    if totals.lost > 0 {
        let _ = write!(missing, " · {} too many to be shown", totals.lost);
    }
    if heading.degraded > 0 {
        let start = if missing.is_empty() { " · " } else { ", " };
        let probes = heading.degraded;
        let _ = write!(missing, "{start}degraded: {probes} probes, see doctor");
    }
    let figures = cut(&figures, columns);
    let missing = cut(&missing, columns.saturating_sub(width(&figures)));
    let room = columns.saturating_sub(width(&figures) + width(&missing) + 1);
    let bars = sparkline(&state.minute.at(state.second));
    let mut second = vec![
        Span::raw(figures),
        Span::styled(missing, style(WARN, colour)),
    ];
    if room >= width(&bars) {
        second.push(Span::raw(format!(" {bars}")));
    }
    vec![
        Line::styled(cut(&first, columns), style(BOLD, colour)),
        Line::from(second),
    ]
}

/// `0:03:20`
fn hours(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}", seconds % 60)
}

/// Events a second over the last minute, or since the beginning, to a tenth.
fn rate(events: u64, second: u64) -> String {
    let tenths = events.saturating_mul(10) / second.clamp(1, 60);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The tabs, and how the shown one is sorted.
pub(super) fn tabs(state: &State, columns: usize, colour: bool) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (at, tab) in Tab::ALL.iter().enumerate() {
        let text = format!(" {} {} ", at + 1, tab.name());
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
    let mut sort = format!(" by {} {arrow}", column.name());
    if state.tab == Tab::Events && state.has_forgotten() {
        let _ = write!(sort, ", the last {KEPT}");
    }
    spans.push(Span::styled(
        cut(&sort, columns.saturating_sub(used)),
        style(DIM, colour),
    ));
    Line::from(spans)
}

/// The last warning that nobody has looked at.
pub(super) fn note(state: &State, columns: usize, colour: bool) -> Line<'static> {
    let Some((text, count)) = state.notes.unread() else {
        return Line::default();
    };
    let more = if count > 1 {
        format!(" ({count} such)")
    } else {
        String::new()
    };
    let end = format!("{more}  l log");
    let room = columns.saturating_sub(width(&end));
    let text = cut(&clean(text), room);
    Line::styled(cut(&(text + &end), columns), style(WARN, colour))
}

/// The filter while it is typed, else what holds and what can be done.
pub(super) fn footer(state: &State, columns: usize, colour: bool) -> Line<'static> {
    if let Some(typed) = &state.typing {
        return typing(typed, state.complaint.as_deref(), columns, colour);
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
        Over::Details(..) => "Esc back  ↑↓ scroll  ←→ other events  q quit",
        Over::Log(_) | Over::Help(_) => "Esc back  ↑↓ scroll  q quit",
        Over::Nothing => "? help  Enter details  / filter  p pause  s sort  q quit",
    };
    if holds.is_empty() {
        return Line::styled(cut(keys, columns), style(DIM, colour));
    }
    let holds = cut(&holds, columns);
    let room = columns.saturating_sub(width(&holds) + 2);
    Line::from(vec![
        Span::styled(holds, style(WARN, colour).add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(cut(keys, room), style(DIM, colour)),
    ])
}

fn typing(typed: &str, complaint: Option<&str>, columns: usize, colour: bool) -> Line<'static> {
    let text = format!("filter: {}_", clean(typed));
    if let Some(complaint) = complaint {
        let text = cut(&text, columns / 2);
        let room = columns.saturating_sub(width(&text) + 1);
        return Line::from(vec![
            Span::raw(text + " "),
            Span::styled(cut(&clean(complaint), room), style(ERROR, colour)),
        ]);
    }
    if typed.is_empty() {
        let hint = "  nginx cause=refused route=/api peer=10.0.0.0/8 …";
        let room = columns.saturating_sub(width(&text));
        return Line::from(vec![
            Span::raw(text),
            Span::styled(cut(hint, room), style(DIM, colour)),
        ]);
    }
    // The end is where letters appear.
    let beyond = width(&text).saturating_sub(columns);
    let kept: String = text.chars().skip(beyond).collect();
    Line::raw(cut(&kept, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates() {
        assert_eq!(hours(0), "0:00:00");
        assert_eq!(hours(3_725), "1:02:05");
        assert_eq!(hours(360_000), "100:00:00");
        for (events, second, expected) in [
            (0, 0, "0.0"),
            (5, 0, "5.0"),
            (5, 10, "0.5"),
            (90, 1000, "1.5"),
        ] {
            assert_eq!(rate(events, second), expected);
        }
    }
}
