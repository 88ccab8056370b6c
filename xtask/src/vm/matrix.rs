//! Judges what ran on each kernel against what has to run there, and shows it as a table.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result};

use super::kernel::Series;
use super::transcript::{Outcome, Transcript};

/// Checks of `resetmon doctor` that only newer kernels meet, with the first that does. All others
/// have to be met by every kernel.
pub(crate) const CHECKS_SINCE: [(&str, Series); 1] = [("kernel reset reasons", Series(6, 10))];

/// Checks that differ between kernels and are therefore worth a row.
const CHECKS_SHOWN: [&str; 2] = ["kernel reset reasons", "probes "];

/// Where a scenario has to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// On every kernel.
    Everywhere,
    /// On this series and newer ones.
    Since(Series),
    /// Nowhere: it is for kernels that refuse what these allow.
    Nowhere,
}

impl Demand {
    fn on(self, kernel: Series) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Since(first) => kernel >= first,
            Self::Nowhere => false,
        }
    }
}

/// Reads the tests' answer to `--list`: a title a line, then `since X.Y`, `fallback` or `native` where the
/// scenario does not have to run on every kernel.
///
/// # Errors
/// When a series is not one.
pub(crate) fn parse_list(text: &str) -> Result<Vec<(String, Demand)>> {
    text.lines()
        .map(|line| {
            let elsewhere = [" fallback", " native"];
            if let Some(title) = elsewhere.iter().find_map(|mark| line.strip_suffix(mark)) {
                return Ok((title.to_owned(), Demand::Nowhere));
            }
            let Some((title, series)) = line.rsplit_once(" since ") else {
                return Ok((line.to_owned(), Demand::Everywhere));
            };
            let series = Series::of(series)
                .with_context(|| format!("the tests list `{line}`: no kernel series"))?;
            Ok((title.to_owned(), Demand::Since(series)))
        })
        .collect()
}

/// What ran on one kernel.
#[derive(Debug)]
pub(crate) struct Run {
    /// The kernel's version.
    pub(crate) version: String,
    /// Its series.
    pub(crate) series: Series,
    /// What the guest wrote.
    pub(crate) transcript: Transcript,
    /// How often it was booted until the tests began.
    pub(crate) boots: u32,
}

/// How a row ended on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Ok,
    /// Not asked of this kernel.
    NotAsked,
    /// What went wrong, with the rest of the title and the details.
    Bad(String, Vec<String>),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.pad("ok"),
            Self::NotAsked => f.pad("-"),
            Self::Bad(what, _) => f.pad(what),
        }
    }
}

/// Rows by name, each with a cell a kernel.
#[derive(Debug)]
pub(crate) struct Matrix {
    versions: Vec<String>,
    series: Vec<Series>,
    rows: Vec<(String, Vec<Cell>)>,
    /// Scenarios that the tests have.
    listed: usize,
    /// Scenarios that passed, and those asked for, for each kernel.
    counts: Vec<(usize, usize)>,
    boots: Vec<u32>,
    seconds: Vec<Option<f64>>,
    troubles: Vec<(String, String)>,
}

impl Matrix {
    /// Judges `runs`; `asked` is every scenario that was asked for.
    pub(crate) fn new(asked: &[(String, Demand)], runs: &[Run]) -> Self {
        let mut rows = check_rows(runs);
        let mut counts = vec![(0, 0); runs.len()];
        for (title, demand) in asked {
            let cells: Vec<Cell> = runs
                .iter()
                .zip(&mut counts)
                .map(|(run, count)| {
                    let cell = scenario_cell(title, *demand, run);
                    count.0 += usize::from(cell == Cell::Ok);
                    count.1 += usize::from(cell != Cell::NotAsked);
                    cell
                })
                .collect();
            // The families of a scenario share a row.
            let name = title.split(' ').next().unwrap_or(title);
            match rows.last_mut().filter(|(last, _)| last == name) {
                Some((_, known)) => {
                    for (known, cell) in known.iter_mut().zip(cells) {
                        known.join(cell);
                    }
                }
                None => rows.push((name.to_owned(), cells)),
            }
        }
        let troubles = runs.iter().flat_map(|run| {
            let version = &run.version;
            let named = |trouble: &String| (version.clone(), trouble.clone());
            run.transcript.troubles.iter().map(named)
        });
        Self {
            versions: runs.iter().map(|run| run.version.clone()).collect(),
            series: runs.iter().map(|run| run.series).collect(),
            rows,
            listed: asked.len(),
            counts,
            boots: runs.iter().map(|run| run.boots).collect(),
            seconds: runs.iter().map(|run| run.transcript.seconds).collect(),
            troubles: troubles.collect(),
        }
    }

    /// The series of the kernels.
    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The checks worth a row, each with whether it was met on each kernel.
    pub(crate) fn checks(&self) -> impl Iterator<Item = (&str, Vec<bool>)> {
        let shown = |title: &str| CHECKS_SHOWN.iter().any(|shown| title.starts_with(shown));
        let rows = self.rows.iter().filter(move |(title, _)| shown(title));
        rows.map(|(title, cells)| {
            let met = cells.iter().map(|cell| *cell == Cell::Ok).collect();
            (title.as_str(), met)
        })
    }

    /// Whether everything asked for went well on every kernel.
    pub(crate) fn is_good(&self) -> bool {
        let bad = |cell: &Cell| matches!(cell, Cell::Bad(..));
        self.troubles.is_empty() && !self.rows.iter().any(|(_, cells)| cells.iter().any(bad))
    }

    /// How many scenarios passed on each kernel, of those that had to run there, and how many had
    /// not to; more boots than one are told too.
    pub(crate) fn in_brief(&self) -> String {
        let kernels = self.versions.iter().zip(&self.counts).zip(&self.boots);
        let brief = kernels.map(|((version, (passed, asked)), boots)| {
            let not_asked = match self.listed - asked {
                0 => String::new(),
                count => format!(", {count} not for it"),
            };
            let boots = match boots {
                1 => String::new(),
                count => format!(", booted {count} times"),
            };
            format!("Linux {version} {passed} of {asked}{not_asked}{boots}")
        });
        brief.collect::<Vec<_>>().join("; ")
    }
}

impl Cell {
    /// The cell of both.
    fn join(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Bad(what, details), Self::Bad(more, further)) => {
                if *what != more {
                    *what = format!("{what}, {more}");
                }
                details.extend(further);
            }
            (Self::NotAsked, other) | (Self::Ok, other @ Self::Bad(..)) => *self = other,
            _ => {}
        }
    }
}

/// A row for each check of `resetmon doctor` that is worth one, or was not met.
fn check_rows(runs: &[Run]) -> Vec<(String, Vec<Cell>)> {
    let mut titles: Vec<&String> = Vec::new();
    for (title, _) in runs.iter().flat_map(|run| &run.transcript.checks) {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles
        .into_iter()
        .map(|title| {
            let cells = runs.iter().map(|run| check_cell(title, run)).collect();
            (title.clone(), cells)
        })
        .filter(|(title, cells): &(String, Vec<Cell>)| {
            CHECKS_SHOWN.iter().any(|shown| title.starts_with(shown))
                || cells.iter().any(|cell| matches!(cell, Cell::Bad(..)))
        })
        .collect()
}

fn check_cell(title: &str, run: &Run) -> Cell {
    let demand = CHECKS_SINCE
        .iter()
        .find(|(name, _)| *name == title)
        .map_or(Demand::Everywhere, |(_, first)| Demand::Since(*first));
    let mut outcomes = run.transcript.checks.iter();
    match outcomes.find(|(name, _)| name == title) {
        Some((_, Outcome::Ok)) => Cell::Ok,
        _ if !demand.on(run.series) => Cell::NotAsked,
        Some((_, Outcome::Failed(why))) => bad("NOT MET", title, why),
        // A better probe stands in its place, or the kernel needs none.
        Some((_, Outcome::Skipped(_))) => Cell::NotAsked,
        None => bad("NOT RUN", title, &[]),
    }
}

fn scenario_cell(title: &str, demand: Demand, run: &Run) -> Cell {
    match run.transcript.scenarios.get(title) {
        Some(Outcome::Ok) => Cell::Ok,
        Some(Outcome::Failed(why)) => bad("FAILED", title, why),
        Some(Outcome::Skipped(_)) if !demand.on(run.series) => Cell::NotAsked,
        Some(Outcome::Skipped(why)) => bad("SKIPPED", title, std::slice::from_ref(why)),
        None => bad("NOT RUN", title, &[]),
    }
}

/// A cell that names what went wrong, and its details under the title.
fn bad(what: &str, title: &str, details: &[String]) -> Cell {
    let mut lines = vec![format!("{title}: {what}")];
    lines.extend(details.iter().map(|detail| format!("    {detail}")));
    Cell::Bad(what.to_owned(), lines)
}

impl fmt::Display for Matrix {
    /// The table, then the details of what went wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.counts.iter().map(|(ok, all)| format!("{ok} of {all}"));
        let seconds = self.seconds.iter().map(|seconds| {
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.0} s"))
        });
        let mut lines: Vec<(&str, Vec<String>)> = vec![("Linux", self.versions.clone())];
        for (name, cells) in &self.rows {
            lines.push((name, cells.iter().map(ToString::to_string).collect()));
        }
        lines.push(("scenarios passed", passed.collect()));
        lines.push(("from start to end", seconds.collect()));
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let first = width(&mut lines.iter().map(|(name, _)| name.len()));
        let others: Vec<usize> = (0..self.versions.len())
            .map(|at| width(&mut lines.iter().map(|(_, cells)| cells[at].len())))
            .collect();
        for (name, cells) in &lines {
            let mut line = format!("{name:<first$}");
            for (cell, width) in cells.iter().zip(&others) {
                write!(line, "  {cell:<width$}")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for (at, version) in self.versions.iter().enumerate() {
            for (_, cells) in &self.rows {
                if let Cell::Bad(_, details) = &cells[at] {
                    for detail in details {
                        writeln!(f, "{version}: {detail}")?;
                    }
                }
            }
        }
        for (version, trouble) in &self.troubles {
            writeln!(f, "{version}: {trouble}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
