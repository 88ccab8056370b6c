//! Rows of events, as text of an exact width.

use std::net::SocketAddr;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::event::Event;
use crate::export::terminal::detail::{explanation, place};
use crate::export::terminal::text::{cell, clean, cut, endpoint, width};
use crate::export::terminal::{BOLD, DIM, Row, process};

/// Columns of time, direction, and cause.
pub(super) const TIME: usize = 8;
const WORD: usize = 8;
const CAUSE: usize = 23;

/// From here on the direction is a word and not only an arrow.
const WIDE: usize = 90;

/// The narrowest and widest process column.
const PROCESS: (usize, usize) = (10, 24);

/// From here on a process has its id beside its name.
const WITH_ID: usize = 16;

/// The local port and a peer by its IPv4 address; what is more of them is cut.
const ENDS: usize = 30;

/// The narrowest route, and the widest where there is an explanation beside it.
const ROUTE: (usize, usize) = (20, 36);

/// The narrowest explanation.
const WHY: usize = 24;

/// The style of an SGR code that [`Row`] gives.
pub(super) fn style(code: &str, colour: bool) -> Style {
    let plain = Style::new();
    match code {
        BOLD => plain.add_modifier(Modifier::BOLD),
        DIM => plain.add_modifier(Modifier::DIM),
        "31" if colour => plain.fg(Color::Red),
        "33" if colour => plain.fg(Color::Yellow),
        "35" if colour => plain.fg(Color::Magenta),
        _ => plain,
    }
}

/// Columns of what a row has; 0 of what it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    word: usize,
    process: usize,
    ends: usize,
    route: usize,
    why: usize,
}

impl Plan {
    /// What fits: cause, process and peer always, then the route, then why.
    fn of(columns: usize) -> Self {
        let word = if columns >= WIDE { WORD } else { 1 };
        let rest = columns.saturating_sub(TIME + word + CAUSE + 3);
        let process = (rest / 4).clamp(PROCESS.0, PROCESS.1).min(rest);
        let rest = rest.saturating_sub(process + 1);
        if rest < ENDS + 1 + ROUTE.0 {
            return Self {
                word,
                process,
                ends: rest,
                route: 0,
                why: 0,
            };
        }
        let rest = rest - ENDS - 1;
        let (route, why) = if rest < ROUTE.0 + 1 + WHY {
            (rest, 0)
        } else {
            let route = (rest / 3).clamp(ROUTE.0, ROUTE.1);
            (route, rest - route - 1)
        };
        Self {
            word,
            process,
            ends: ENDS,
            route,
            why,
        }
    }
}

/// What stands above the events.
pub(super) fn event_header(columns: usize) -> String {
    let plan = Plan::of(columns);
    let ends = if plan.ends < ENDS {
        "PEER"
    } else {
        "PORT AND PEER"
    };
    let mut cells = vec![
        cell("TIME UTC", TIME),
        cell(if plan.word > 1 { "RESET" } else { "" }, plan.word),
        cell("CAUSE", CAUSE),
        cell("PROCESS", plan.process),
        cell(ends, plan.ends),
    ];
    if plan.route > 0 {
        cells.push(cell("ROUTE", plan.route));
    }
    if plan.why > 0 {
        cells.push("WHY".to_owned());
    }
    cells.join(" ")
}

/// The row of an event.
pub(super) fn event_row(event: &Event, columns: usize, colour: bool) -> Line<'static> {
    let row = Row::from(event);
    let plan = Plan::of(columns);
    let word = if plan.word > 1 {
        row.word.to_owned()
    } else {
        row.arrow.to_string()
    };
    let time = row.time.strftime("%H:%M:%S").to_string();
    let start = format!("{} {} ", cell(&time, TIME), cell(&word, plan.word));
    // A number is never cut off the cause: what it takes, the process gives.
    let conclusion = format!("{}{}", row.conclusion, row.many());
    let beyond = width(&conclusion).saturating_sub(CAUSE);
    let conclusion = cell(&conclusion, CAUSE + beyond);
    let process_columns = plan.process.saturating_sub(beyond);
    let mut end = vec![
        String::new(),
        cell(&owner(&row, process_columns), process_columns),
        cell(&ends(&row, plan.ends), plan.ends),
    ];
    if plan.route > 0 {
        let route = row.context.route.map_or("-".to_owned(), place);
        end.push(cell(&route, plan.route));
    }
    if plan.why > 0 {
        end.push(cut(&explanation(event).unwrap_or_default(), plan.why));
    }
    let further = matches!(event, Event::Reset(reset) if reset.repeat_of.is_some());
    let (line, conclusion_code) = if further {
        (DIM, DIM)
    } else {
        ("", row.colour)
    };
    Line::from(vec![
        Span::styled(start, style(line, colour)),
        Span::styled(conclusion, style(conclusion_code, colour)),
        Span::styled(end.join(" "), style(line, colour)),
    ])
}

/// `nginx[4242]`; the name alone where there is no room for both.
fn owner(row: &Row<'_>, columns: usize) -> String {
    let text = process(row.context, usize::MAX);
    let name = text.rsplit_once('[').map_or(&*text, |(name, _)| name);
    if width(&text) <= columns {
        return text;
    }
    if columns >= WITH_ID {
        return process(row.context, columns);
    }
    name.to_owned()
}

/// `:45678 ← payments-1:8080`; the peer alone where there is no room.
fn ends(row: &Row<'_>, columns: usize) -> String {
    let observation = row.context.observation;
    if columns < ENDS {
        return peer(row.context.peer, observation.remote, columns);
    }
    let start = format!(":{} {} ", observation.local.port(), row.arrow);
    let room = columns.saturating_sub(width(&start));
    start + &peer(row.context.peer, observation.remote, room)
}

/// The peer by its name, where it has one.
fn peer(name: &str, remote: SocketAddr, columns: usize) -> String {
    if name.is_empty() || name == remote.ip().to_string() {
        return endpoint(remote, columns);
    }
    let port = format!(":{}", remote.port());
    cut(&clean(name), columns.saturating_sub(width(&port))) + &port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fits_is_planned_and_no_more() {
        for columns in 0..300 {
            let plan = Plan::of(columns);
            let mut cells = vec![TIME, plan.word, CAUSE, plan.process, plan.ends];
            cells.extend([plan.route, plan.why].into_iter().filter(|of| *of > 0));
            let all = cells.iter().sum::<usize>() + cells.len() - 1;
            if columns >= 60 {
                assert_eq!(all, columns, "{plan:?}");
            }
        }
        let planned = [60, 80, 100, 120, 160, 200].map(|columns| {
            let plan = Plan::of(columns);
            (plan.process, plan.ends, plan.route, plan.why)
        });
        assert_eq!(
            planned,
            [
                (10, 14, 0, 0),
                (11, 33, 0, 0),
                (14, 43, 0, 0),
                (19, 30, 27, 0),
                (24, 30, 20, 41),
                (24, 30, 34, 67),
            ]
        );
    }

    #[test]
    fn a_peer_is_named_and_keeps_its_port() {
        let remote = "10.0.0.9:8080".parse().unwrap();
        for (name, columns, expected) in [
            ("10.0.0.9", 20, "10.0.0.9:8080"),
            ("", 20, "10.0.0.9:8080"),
            ("payments-1", 20, "payments-1:8080"),
            ("payments-1", 10, "paym…:8080"),
            ("a\u{1b}[2J", 20, "a\u{fffd}[2J:8080"),
        ] {
            assert_eq!(peer(name, remote, columns), expected);
        }
    }
}
