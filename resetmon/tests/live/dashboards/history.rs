//! A past for Prometheus: what resetmon showed before the faults, as if it had been so for a day.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::gateway::RESETMON;
use crate::panels::now;

/// How far it goes back, seconds: further than a day, from which on a new cause is one.
const LENGTH: u64 = 26 * 3600;
/// Between two scrapes of it, seconds: less than the five minutes after which a series is none.
const STEP: u64 = 240;

/// Writes `page`, `OpenMetrics` text, and what Prometheus adds to each scrape, as blocks into `tsdb`.
pub(super) fn write(page: &str, tsdb: &Path, folder: &Path) -> Result<()> {
    let samples: Vec<(String, &str)> = page.lines().filter_map(sample).collect();
    ensure!(samples.len() > 10, "no page of metrics: {page}");
    let end = now() - 1;
    let mut text = String::new();
    let mut time = end - LENGTH;
    while time <= end {
        for (series, value) in &samples {
            writeln!(text, "{series} {value} {time}")?;
        }
        let added = format!("{{job=\"resetmon\",instance=\"{RESETMON}\"}}");
        writeln!(text, "up{added} 1 {time}")?;
        time += STEP;
    }
    text.push_str("# EOF\n");
    let file = folder.join("history");
    std::fs::write(&file, text)?;
    let output = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, tsdb])
        .output()
        .context("start promtool")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "promtool: {said}");
    Ok(())
}

/// A line's series, with the labels of its target, and its value.
fn sample(line: &str) -> Option<(String, &str)> {
    if line.starts_with('#') {
        return None;
    }
    let line = line.split(" # {").next()?;
    let (series, value) = line.rsplit_once(' ')?;
    let target = format!("job=\"resetmon\",instance=\"{RESETMON}\"");
    let series = match series.strip_suffix('}') {
        Some(labelled) => format!("{labelled},{target}}}"),
        None => format!("{series}{{{target}}}"),
    };
    Some((series, value))
}
