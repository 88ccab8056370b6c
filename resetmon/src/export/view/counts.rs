//! Rows of counts, as text of an exact width.

use super::groups::{By, Group, Groups};
use super::table::TIME;
use crate::diagnosis::advice::{advice, failure_advice};
use crate::export::terminal::text::{cell, clean, cut};
use crate::reset::{Cause, FailureKind};

/// Columns of a number.
const NUMBER: usize = 8;
const SHARE: usize = 6;

/// Seconds of one letter of a sparkline, and letters of it.
const STEP: usize = 3;
const SPARK: usize = 60 / STEP;

/// From here on there is room for a sparkline.
const SPARKLING: usize = 72;

/// From here on there is room for what a row is mostly about.
const TELLING: usize = 104;

/// Columns of the main cause and its share.
const MAIN: usize = 28;

/// Columns of a name at most: figures far from it are hard to read.
const NAME: usize = 64;

/// Columns of a cause's name beside what it means.
const CAUSE: usize = 24;

/// Columns of the name, and of what follows the sparkline.
fn plan(by: By, columns: usize) -> (usize, usize) {
    let spark = if columns >= SPARKLING { SPARK + 1 } else { 0 };
    let rest = columns.saturating_sub(NUMBER + SHARE + TIME + 3 + spark);
    match by {
        _ if columns < TELLING => (rest, 0),
        By::Cause => (CAUSE, rest.saturating_sub(CAUSE + 1)),
        _ => (rest.saturating_sub(MAIN + 1).min(NAME), MAIN),
    }
}

/// What stands above counts.
pub(super) fn group_header(by: By, columns: usize) -> String {
    let (name, last) = plan(by, columns);
    let mut cells = vec![
        cell(&by.name().to_uppercase(), name),
        format!("{:>NUMBER$}", "COUNT"),
        format!("{:>SHARE$}", "SHARE"),
        cell("LATEST", TIME),
    ];
    if columns >= SPARKLING {
        cells.push(cell("LAST MINUTE", SPARK));
    }
    if last > 0 {
        let title = match by {
            By::Cause => "MEANING",
            _ => "MOSTLY",
        };
        cells.push(title.to_owned());
    }
    cells.join(" ")
}

/// A row of counts, as seen in `second`.
pub(super) fn group_row(
    by: By,
    (key, group): (&str, &Group),
    all: &Groups,
    second: u64,
    columns: usize,
) -> String {
    let (name, last) = plan(by, columns);
    let mut cells = vec![
        cell(&clean(key), name),
        format!("{:>NUMBER$}", group.count),
        format!("{:>SHARE$}", share(group.count, all.total())),
        cell(&group.latest.strftime("%H:%M:%S").to_string(), TIME),
    ];
    if columns >= SPARKLING {
        cells.push(sparkline(&group.minute.at(second)));
    }
    if last > 0 {
        let text = match by {
            By::Cause => meaning(key).to_owned(),
            _ => mostly(group),
        };
        cells.push(cut(&text, last));
    }
    cells.join(" ")
}

/// `aborted_before_response 80%`
fn mostly(group: &Group) -> String {
    let Some((name, count)) = group.main() else {
        return String::new();
    };
    let percent = (u128::from(count) * 100).checked_div(u128::from(group.count));
    format!("{name} {}%", percent.unwrap_or(0))
}

/// A cause, or a kind of failure, in one line.
fn meaning(key: &str) -> &'static str {
    let cause = || Cause::from_name(key).map(advice);
    let failure = By::failure(key).and_then(FailureKind::from_name);
    let row = failure.map(failure_advice).or_else(cause);
    row.map_or("", |row| row.summary)
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
pub(super) fn sparkline(seconds: &[u64]) -> String {
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

    #[test]
    fn every_cause_and_failure_has_a_meaning() {
        for cause in Cause::ALL {
            assert_eq!(meaning(cause.name()), advice(*cause).summary);
        }
        for kind in FailureKind::ALL {
            let key = By::failed(*kind);
            assert_eq!(meaning(&key), failure_advice(*kind).summary);
        }
        assert_eq!(meaning(super::super::groups::OTHER), "");
    }
}
