//! Rows of the tables, as text of an exact width.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::groups::{Group, Groups};
use crate::event::Event;
use crate::export::terminal::text::{cell, clean, endpoint, endpoints, width};
use crate::export::terminal::{BOLD, DIM, Row, process};

/// Columns of time, direction, and cause.
const TIME: usize = 8;
const WORD: usize = 8;
const CAUSE: usize = 23;

/// From here on both ends fit into a row.
const WIDE: usize = 80;

/// The narrowest and widest process column.
const PROCESS: (usize, usize) = (10, 32);

/// Columns of a number.
const NUMBER: usize = 10;
const SHARE: usize = 6;

/// Seconds of one letter of a sparkline, and letters of it.
const STEP: usize = 3;
const SPARK: usize = 60 / STEP;

/// From here on there is room for a sparkline.
const SPARKLING: usize = 72;

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

/// Columns of the process and of the ends.
fn shared(columns: usize) -> (usize, usize) {
    let fixed = if columns >= WIDE {
        TIME + WORD + CAUSE + 4
    } else {
        TIME + CAUSE + 3
    };
    let rest = columns.saturating_sub(fixed);
    let process = (rest / 3).clamp(PROCESS.0, PROCESS.1).min(rest);
    (process, rest - process)
}

/// What stands above the events.
pub(super) fn event_header(columns: usize) -> String {
    let (process, ends) = shared(columns);
    let mut cells = vec![cell("TIME UTC", TIME)];
    if columns >= WIDE {
        cells.push(cell("RESET", WORD));
    }
    cells.push(cell("PROCESS", process));
    let title = if columns >= WIDE {
        "LOCAL AND REMOTE END"
    } else {
        "REMOTE END"
    };
    cells.push(cell(title, ends));
    cells.push("CAUSE".to_owned());
    cells.join(" ")
}

/// The row of an event; a narrow one leaves out the word and the local end.
pub(super) fn event_row(event: &Event, columns: usize, colour: bool) -> Line<'static> {
    let row = Row::from(event);
    let many = row.many();
    let (process_columns, ends) = shared(columns);
    // Behind the longest causes the number takes its room from the addresses.
    let beyond = (width(row.conclusion) + width(&many)).saturating_sub(CAUSE);
    let ends = ends.saturating_sub(beyond);
    let observation = row.context.observation;
    let mut cells = vec![cell(&row.time.strftime("%H:%M:%S").to_string(), TIME)];
    if columns >= WIDE {
        cells.push(cell(row.word, WORD));
    }
    cells.push(cell(
        &process(row.context, process_columns),
        process_columns,
    ));
    let text = if columns >= WIDE {
        endpoints(observation.local, observation.remote, row.arrow, ends)
    } else {
        let room = ends.saturating_sub(2);
        format!("{} {}", row.arrow, endpoint(observation.remote, room))
    };
    cells.push(cell(&text, ends));
    let further = matches!(event, Event::Reset(reset) if reset.repeat_of.is_some());
    let code = if further { DIM } else { row.colour };
    let mut start = cells.join(" ");
    start.push(' ');
    Line::from(vec![
        Span::styled(start, style(if further { DIM } else { "" }, colour)),
        Span::styled(row.conclusion, style(code, colour)),
        Span::raw(many),
    ])
}

/// Columns of the name in a row of counts.
fn name_columns(columns: usize) -> usize {
    let spark = if columns >= SPARKLING { SPARK + 1 } else { 0 };
    columns.saturating_sub(NUMBER + SHARE + TIME + 3 + spark)
}

/// What stands above counts by `name`.
pub(super) fn group_header(name: &str, columns: usize) -> String {
    let mut text = [
        cell(&name.to_uppercase(), name_columns(columns)),
        format!("{:>NUMBER$}", "COUNT"),
        format!("{:>SHARE$}", "SHARE"),
        "LATEST".to_owned() + "  ",
    ]
    .join(" ");
    if columns >= SPARKLING {
        text.push_str(" LAST MINUTE");
    }
    text
}

/// A row of counts.
pub(super) fn group_row(
    name: &str,
    group: &Group,
    all: &Groups,
    second: u64,
    columns: usize,
) -> String {
    let name = cell(&clean(name), name_columns(columns));
    let share = share(group.count, all.total());
    let latest = group.latest.strftime("%H:%M:%S");
    let mut text = format!("{name} {:>NUMBER$} {share:>SHARE$} {latest}", group.count);
    if columns >= SPARKLING {
        text.push(' ');
        text.push_str(&sparkline(&group.minute.at(second)));
    }
    text
}

/// `12.5%`, rounded down; `-` of nothing.
fn share(part: u64, whole: u64) -> String {
    let permille = (u128::from(part) * 1000).checked_div(u128::from(whole));
    permille.map_or_else(
        || "-".to_owned(),
        |permille| format!("{}.{}%", permille / 10, permille % 10),
    )
}

/// Counts a second as bars; the highest is the whole height, and what is not nothing shows.
fn sparkline(seconds: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let sums = seconds
        .chunks(STEP)
        .map(|step| step.iter().copied().fold(0, u64::saturating_add));
    let sums: Vec<u64> = sums.collect();
    let highest = sums.iter().copied().max().unwrap_or(0);
    sums.iter()
        .map(|sum| {
            if *sum == 0 {
                return ' ';
            }
            let height = (u128::from(*sum) * 8).div_ceil(u128::from(highest));
            let at = usize::try_from(height).unwrap_or(8).clamp(1, 8);
            BARS[at - 1]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_whatever_is_there() {
        let mut seconds = [0; 60];
        seconds[0] = 1;
        seconds[4] = 8;
        seconds[59] = 80;
        let bars = sparkline(&seconds);
        assert_eq!(bars, format!("▁▁{}█", " ".repeat(17)));
        assert_eq!(sparkline(&[0; 60]), " ".repeat(20));
        assert_eq!(sparkline(&[u64::MAX; 60]), "█".repeat(20));
    }

    #[test]
    fn shares() {
        for (part, whole, expected) in [
            (1, 8, "12.5%"),
            (0, 8, "0.0%"),
            (8, 8, "100.0%"),
            (2, 3, "66.6%"),
            (0, 0, "-"),
            (u64::MAX, u64::MAX, "100.0%"),
        ] {
            assert_eq!(share(part, whole), expected);
        }
    }
}
