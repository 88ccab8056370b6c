//! `cargo xtask scenarios`: real faults at real gateways, and whether resetmon says of them what an
//! expert would.

use anyhow::{Context, Result, bail};

use crate::build;
use crate::ebpf::Kit;
use crate::test::{cargo, ensure_root, parse_closing_line};
use crate::workspace::Workspace;

/// The name of the bench, a harness of its own in `resetmon/tests`.
pub(crate) const SCENARIOS: &str = "scenarios";

/// Builds what is missing and runs the rows whose names contain one of `filters`, or all; further
/// words are options of the bench.
///
/// # Errors
/// As [`bench`].
pub(crate) fn run(workspace: &Workspace, kit: &Kit, filters: &[String]) -> Result<()> {
    build::object(workspace, kit)?;
    bench(workspace, filters).map(drop)
}

/// Runs the bench and returns its last lines in short.
///
/// # Errors
/// When fewer rows are right than the bench's goal, a process or route was wrong, no row ran, or the
/// bench did not come to its end.
pub(crate) fn bench(workspace: &Workspace, filters: &[String]) -> Result<String> {
    ensure_root()?;
    let (mut closing, mut share) = (None, None);
    let result = cargo(workspace, "test")
        .args([
            "--locked",
            "--package",
            "resetmon",
            "--test",
            SCENARIOS,
            "--",
        ])
        .args(filters)
        .run_watched(|line| {
            closing = parse_closing_line(line).or(closing);
            share = parse_share(line).or_else(|| share.take());
        });
    let detail = share.unwrap_or_default();
    result.with_context(|| detail.clone())?;
    let lists = filters.iter().any(|word| word == "--list");
    if closing.is_none() && !lists {
        bail!("the bench ended without its closing line");
    }
    if detail.is_empty() && filters.is_empty() {
        bail!("no row ran");
    }
    Ok(detail)
}

/// Reads `98 of 99 rows are right (…), …` and shortens it.
fn parse_share(line: &str) -> Option<String> {
    let (share, _) = line.split_once(" rows are right (")?;
    let (right, all) = share.split_once(" of ")?;
    let (right, all): (u32, u32) = (right.parse().ok()?, all.parse().ok()?);
    Some(format!("{right} of {all} rows right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_share() {
        let rows = [
            (
                "98 of 99 rows are right (99.0 %, goal 98 %), 0 wrong processes, 0 wrong routes, 61 s",
                Some("98 of 99 rows right"),
            ),
            ("x of 99 rows are right (", None),
            ("98 of 99 causes and failures are as expected", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(parse_share(line).as_deref(), expected, "{line}");
        }
    }
}
