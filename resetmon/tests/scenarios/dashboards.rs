//! The dashboards, with what the whole bench has made: every query has an answer, and the tables
//! count what the events say.

use std::collections::BTreeMap;
use std::process::Child;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::terminate;
use crate::monitor::{Monitor, PAGES};
use crate::panels::{self, Answer, ask};
use crate::scene::wait_for;

/// Its name among the rows.
pub(crate) const TITLE: &str = "dashboards all_rows";
/// How far back panels look, seconds: the bench takes less.
const PAST: u64 = 300;

/// Bars of a step each, which add up to what there was.
const BARS: &str = "Resets by cause";

/// A table, and its columns that tell the rows apart.
const TABLES: [(&str, &[&str]); 2] = [
    (
        "Routes, upstreams and causes",
        &["gateway", "route", "upstream", "leg", "direction", "cause"],
    ),
    ("Causes in the time shown", &["cause"]),
];

/// Prometheus, which reads what the agent counts.
pub(crate) struct Watcher {
    prometheus: Child,
    _folder: TempDir,
}

impl Watcher {
    /// Starts it beside the agent.
    pub(crate) fn start(monitor: &Monitor) -> Result<Self> {
        let folder = TempDir::new().context("temporary folder")?;
        let prometheus = panels::start(monitor.netns(), folder.path(), PAGES)?;
        let watcher = Self {
            prometheus,
            _folder: folder,
        };
        wait_for("the first scrape", || {
            // It refuses connections while it starts.
            let up = ask(monitor.netns(), "query", &[("query", "up == 1")]).ok();
            Ok(up.filter(|up| !panels::is_empty(up)).map(drop))
        })?;
        Ok(watcher)
    }

    /// What was wrong, a line each.
    pub(crate) fn end(mut self, monitor: &Monitor) -> Result<Vec<String>> {
        let found = check(monitor);
        terminate(&mut self.prometheus)?;
        Ok(found
            .err()
            .map(|error| format!("{error:#}"))
            .into_iter()
            .collect())
    }
}

fn check(monitor: &Monitor) -> Result<()> {
    // Others may reset connections of this machine meanwhile: what is shown lies between the two.
    let before = monitor.events().all();
    let sum = total(&before, &["direction"]).values().sum::<u64>();
    wait_for("all resets in Prometheus", || {
        let question = [("query", "sum(resetmon_resets_total)")];
        let data = ask(monitor.netns(), "query", &question)?;
        let shown = data["result"][0]["value"][1].as_str();
        let shown: u64 = shown.unwrap_or("0").parse()?;
        Ok((shown >= sum).then_some(()))
    })?;
    let mut answers = Vec::new();
    let mut bars = BTreeMap::new();
    let refused = panels::all(monitor.netns(), PAST, |answer| {
        if let Some((_, columns)) = TABLES.iter().find(|(title, _)| *title == answer.title) {
            answers.push((answer.title.to_owned(), *columns, rows(answer, columns)?));
        }
        if answer.title == BARS {
            bars = sums(answer)?;
        }
        Ok(())
    });
    let after = monitor.events().all();
    refused?;
    ensure!(!bars.is_empty(), "no {BARS}");
    let counts = total(&before, &["cause"]);
    for (cause, sum) in &bars {
        let count = counts
            .get(std::slice::from_ref(cause))
            .copied()
            .unwrap_or_default();
        // Prometheus extrapolates; few say nothing.
        let (least, most) = (count / 2, count * 2);
        ensure!(
            count < 10 || (least..=most).contains(sum),
            "{BARS}: {cause}: the bars add up to {sum}, not {count}"
        );
    }
    ensure!(answers.len() == TABLES.len(), "not all tables: {answers:?}");
    for (title, columns, shown) in answers {
        let (least, most) = (total(&before, columns), total(&after, columns));
        ensure!(least.len() > 10, "{title}: too few rows to tell: {least:?}");
        for (key, count) in &least {
            let found = shown.get(key).copied().unwrap_or_default();
            ensure!(found >= *count, "{title}: {key:?}: {found}, not {count}");
        }
        for (key, found) in &shown {
            let count = most.get(key).copied().unwrap_or_default();
            ensure!(*found <= count, "{title}: {key:?}: {found}, not {count}");
        }
    }
    Ok(())
}

/// What the bars of a panel add up to, by cause.
fn sums(answer: &Answer<'_>) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for series in answer.data["result"].as_array().context("series")? {
        let cause = series["metric"]["cause"].as_str().context("a cause")?;
        let mut sum = 0.0;
        for point in series["values"].as_array().context("points")? {
            sum += point[1].as_str().context("a value")?.parse::<f64>()?;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "resets, and few"
        )]
        sums.insert(cause.to_owned(), sum as u64);
    }
    Ok(sums)
}

/// What a table shows.
fn rows(answer: &Answer<'_>, columns: &[&str]) -> Result<BTreeMap<Vec<String>, u64>> {
    let mut rows = BTreeMap::new();
    for row in answer.data["result"].as_array().context("rows")? {
        let count: f64 = row["value"][1].as_str().context("a value")?.parse()?;
        let key = key(&row["metric"], columns);
        ensure!(count.fract() == 0.0, "{}: {key:?}: {count}", answer.title);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of resets"
        )]
        rows.insert(key, count as u64);
    }
    Ok(rows)
}

/// RST packets by the same columns, as the events have them; harmless ones stand in no table with a
/// route.
fn total(events: &[Value], columns: &[&str]) -> BTreeMap<Vec<String>, u64> {
    let with_route = columns.contains(&"route");
    let mut rows = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"] != "failure") {
        if with_route && (event["gateway"].is_null() || event["cause"] == "reset_after_close") {
            continue;
        }
        let packets = event["packets"].as_u64().unwrap_or(1);
        *rows.entry(key(event, columns)).or_default() += packets;
    }
    rows
}

fn key(of: &Value, columns: &[&str]) -> Vec<String> {
    let words = columns.iter().map(|column| of[column].as_str());
    words
        .map(|word| word.unwrap_or_default().to_owned())
        .collect()
}
