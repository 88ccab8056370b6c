//! What was measured, beside its goal.

use std::fmt;

use serde_json::{Value, json};

use super::median::median;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Ns,
    /// Milliseconds.
    Ms,
    /// 2^20 bytes.
    MiB,
    /// One thing divided by another of its kind.
    Ratio,
    /// A number of things.
    Count,
    /// Things a second.
    PerSecond,
    /// Parts of one CPU, in hundredths.
    Percent,
}

impl Unit {
    /// `value` as it is shown.
    fn show(self, value: f64) -> String {
        match self {
            Self::Ns => format!("{value:.0} ns"),
            Self::Ms => format!("{value:.1} ms"),
            Self::MiB => format!("{value:.1} MiB"),
            Self::Ratio => format!("{value:.3}"),
            Self::Count => format!("{value:.0}"),
            Self::PerSecond if value < 100.0 => format!("{value:.1}/s"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Percent => format!("{value:.1} %"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ns => "ns",
            Self::Ms => "ms",
            Self::MiB => "MiB",
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::PerSecond => "1/s",
            Self::Percent => "% of a CPU",
        })
    }
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This and nothing else, in every single sample.
    Always(f64),
}

impl Goal {
    /// Whether `samples` reach it: their median, or each of them.
    fn is_met(self, samples: &[f64]) -> bool {
        let Some(figure) = median(samples) else {
            return false;
        };
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
            // Counts are whole numbers far below 2^53.
            Self::Always(value) => samples.iter().all(|sample| (sample - value).abs() < 1e-9),
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", unit.show(limit)),
            Self::AtLeast(limit) => format!("≥ {}", unit.show(limit)),
            Self::Always(value) => format!("always {}", unit.show(value)),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// In what.
    pub(crate) unit: Unit,
    /// One value a repetition; the figure is their median.
    pub(crate) samples: Vec<f64>,
    /// What it should be.
    pub(crate) goal: Option<Goal>,
    /// What helps to read the figure.
    pub(crate) note: String,
}

impl Row {
    /// A row without goal and note.
    pub(crate) fn new(name: impl Into<String>, unit: Unit, samples: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            samples,
            goal: None,
            note: String::new(),
        }
    }

    /// Sets the goal.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Sets the note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn figure(&self) -> String {
        median(&self.samples).map_or_else(|| "-".to_owned(), |figure| self.unit.show(figure))
    }

    /// The goal, and whether it was met.
    fn verdict(&self) -> (String, &'static str) {
        match self.goal {
            None => (String::new(), ""),
            Some(goal) if goal.is_met(&self.samples) => (goal.show(self.unit), "met"),
            Some(goal) => (goal.show(self.unit), "MISSED"),
        }
    }

    /// Smallest and largest sample, and how many there are.
    fn spread(&self) -> String {
        let least = self.samples.iter().copied().reduce(f64::min);
        let most = self.samples.iter().copied().reduce(f64::max);
        match (least, most) {
            (Some(least), Some(most)) if self.samples.len() > 1 => format!(
                "{} to {}, {}",
                self.unit.show(least),
                self.unit.show(most),
                self.samples.len()
            ),
            _ => self.samples.len().to_string(),
        }
    }

    /// The row as raw data.
    pub(crate) fn to_json(&self, bench: &str) -> Value {
        let (goal, verdict) = self.verdict();
        json!({
            "bench": bench,
            "name": self.name,
            "unit": self.unit.to_string(),
            "median": median(&self.samples),
            "samples": self.samples,
            "goal": goal,
            "verdict": verdict,
            "note": self.note,
        })
    }
}

/// The rows as a Markdown table with aligned columns.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut lines = vec![
        [
            "measurement",
            "median",
            "goal",
            "",
            "range, samples",
            "note",
        ]
        .map(str::to_owned),
        // Replaced by dashes of the column's width.
        [const { String::new() }; 6],
    ];
    for row in rows {
        let (goal, verdict) = row.verdict();
        lines.push([
            row.name.clone(),
            row.figure(),
            goal,
            verdict.to_owned(),
            row.spread(),
            row.note.clone(),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    lines[1] = widths.map(|width| "-".repeat(width.max(1)));
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(widths) {
            text.push_str("| ");
            text.push_str(cell);
            let missing = width.max(1) - cell.chars().count().min(width.max(1));
            text.push_str(&" ".repeat(missing + 1));
        }
        text.push_str("|\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_look_at_the_median_or_at_every_sample() {
        let rows = [
            (Goal::AtMost(5.0), vec![1.0, 5.0, 99.0], true),
            (Goal::AtMost(5.0), vec![1.0, 5.1, 99.0], false),
            (Goal::AtLeast(0.995), vec![0.9, 0.995, 1.0], true),
            (Goal::AtLeast(0.995), vec![0.9, 0.994, 1.0], false),
            (Goal::Always(0.0), vec![0.0, 0.0], true),
            (Goal::Always(0.0), vec![0.0, 1.0, 0.0], false),
            // What could not be measured has met nothing.
            (Goal::Always(0.0), vec![], false),
            (Goal::AtMost(5.0), vec![], false),
        ];
        for (goal, samples, met) in rows {
            assert_eq!(goal.is_met(&samples), met, "{goal:?} {samples:?}");
        }
    }

    #[test]
    fn the_table_has_goals_beside_figures() {
        let rows = [
            Row::new("idle", Unit::MiB, vec![12.0]).goal(Goal::AtMost(20.0)),
            Row::new("slow", Unit::Ns, vec![300.0, 500.0, 400.0])
                .goal(Goal::AtMost(150.0))
                .note("why"),
            Row::new("rate", Unit::PerSecond, vec![]),
        ];
        let text = render(&rows);
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(
            cells[2][1..7],
            ["idle", "12.0 MiB", "≤ 20.0 MiB", "met", "1", ""]
        );
        assert_eq!(
            cells[3][1..7],
            [
                "slow",
                "400 ns",
                "≤ 150 ns",
                "MISSED",
                "300 ns to 500 ns, 3",
                "why"
            ]
        );
        assert_eq!(cells[4][1..7], ["rate", "-", "", "", "0", ""]);
        let lengths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{text}");
    }

    #[test]
    fn raw_data_keeps_every_sample() {
        let row = Row::new("x", Unit::Ms, vec![2.0, 1.0]).goal(Goal::AtMost(1.0));
        let value = row.to_json("start");
        assert_eq!(value["samples"], json!([2.0, 1.0]));
        assert_eq!(value["median"], json!(1.5));
        assert_eq!(value["verdict"], "MISSED");
        assert_eq!(value["bench"], "start");
    }
}
