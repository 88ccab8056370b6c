//! The scenario bench: real faults on either leg of real gateways, and what an expert would say of
//! them against what `resetmon` says. Needs root.
//!
//! ```text
//! cargo xtask scenarios [-- [--list] [--verbose] [--healthy=SECONDS] [NAME…]]
//! ```
//!
//! A row of [`rows::TABLE`] is one fault at one gateway, with every event that it may cause; names
//! select rows by a part of `GATEWAY ROW`. At the end stand a confusion matrix of causes and
//! failures, and the share of right rows. The run fails below [`GOAL`], and with any event that
//! names a process or a route that was not concerned, or where `resetmon report` does not find the six
//! faults of [`mixed`], or anything in the healthy traffic of [`healthy`], or where a query of the
//! dashboards has no answer or counts otherwise than the events ([`dashboards`]).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use common::{
    actor, agent, cgroup, channel, events, forgery, http, netns, owner, panels, service, wire,
};
use runner::{Chosen, Outcome};

mod bed;
mod certificates;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the live tests use more of it")]
mod common;
mod dashboards;
mod exchange;
mod fault;
mod gateway;
mod healthy;
mod matrix;
mod mixed;
mod monitor;
mod row;
mod rows;
mod runner;
mod scene;
mod sockets;
mod tap;
mod verdict;

/// Least share of right rows, percent.
const GOAL: usize = 98;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = if arguments.first().is_some_and(|first| first == "actor") {
        actor::puppet::serve().map(|()| true)
    } else {
        run(&arguments)
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scenarios: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the goals were met.
fn run(arguments: &[String]) -> Result<bool> {
    // Options of the built-in test harness, which `cargo test -- …` gives to all, are none of names.
    let (options, filters): (Vec<&String>, Vec<&String>) = arguments
        .iter()
        .partition(|argument| argument.starts_with('-'));
    let is_set = |option: &str| options.iter().any(|one| *one == option);
    let wanted = |title: &str| {
        filters.is_empty() || filters.iter().any(|part| title.contains(part.as_str()))
    };
    let chosen: Vec<Chosen> = rows::TABLE
        .iter()
        .map(|(gateway, parts)| {
            let rows = parts.iter().copied().flatten();
            let chosen = rows.filter(|row| wanted(&runner::title(*gateway, row)));
            (*gateway, chosen.collect())
        })
        .collect();
    if is_set("--list") {
        for (gateway, rows) in &chosen {
            for row in rows {
                println!("{}", runner::title(*gateway, row));
            }
        }
        for title in [mixed::TITLE, healthy::TITLE, dashboards::TITLE]
            .into_iter()
            .filter(|title| wanted(title))
        {
            println!("{title}");
        }
        return Ok(true);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces and eBPF need root: run as root, or leave out --test scenarios");
    }
    let start = Instant::now();
    let verbose = is_set("--verbose");
    let healthy = match options
        .iter()
        .find_map(|option| option.strip_prefix("--healthy="))
    {
        Some(seconds) => Duration::from_secs(seconds.parse().context("--healthy=SECONDS")?),
        None => healthy::SHORT,
    };
    let (outcome, reports) = std::thread::scope(|scope| {
        // Each takes as long as all the rows.
        let mixed =
            wanted(mixed::TITLE).then(|| (mixed::TITLE, scope.spawn(move || mixed::run(verbose))));
        let healthy = wanted(healthy::TITLE)
            .then(|| (healthy::TITLE, scope.spawn(move || healthy::run(healthy))));
        // Without all rows some panels have nothing to show.
        let outcome = runner::run(&chosen, verbose, filters.is_empty());
        let reports = mixed.into_iter().chain(healthy);
        let reports: Vec<_> = reports.map(|(title, run)| (title, run.join())).collect();
        (outcome, reports)
    });
    let mut reports_are_right = true;
    for (title, report) in reports {
        let report = report.map_err(|_| anyhow!("it panicked")).flatten();
        reports_are_right &= tell(title, report);
    }
    let outcome = outcome?;
    let Outcome {
        right,
        wrong,
        skipped,
        wrong_processes,
        wrong_routes,
        matrix,
        dashboards,
    } = &outcome;
    if let Some(wrong) = dashboards {
        reports_are_right &= tell(dashboards::TITLE, Ok(wrong.clone()));
    }
    let rows = right + wrong;
    if rows > 0 {
        let (events, agree) = matrix.agreement();
        println!("\n{matrix}\n{agree} of {events} causes and failures are as expected");
        println!(
            "{right} of {rows} rows are right ({:.1} %, goal {GOAL} %), {wrong_processes} wrong \
             processes, {wrong_routes} wrong routes, {:.0} s",
            share(*right, rows),
            start.elapsed().as_secs_f64()
        );
    }
    println!("{right} passed, {wrong} failed, {skipped} skipped");
    let is_right = right * 100 >= rows * GOAL && wrong_processes + wrong_routes == 0;
    Ok(is_right && reports_are_right)
}

/// Says what came of a run of `resetmon report`; whether all was right.
fn tell(title: &str, found: Result<Vec<String>>) -> bool {
    let wrong = found.unwrap_or_else(|error| vec![format!("{error:#}")]);
    let word = if wrong.is_empty() { "ok" } else { "WRONG" };
    println!("{title:<44} {word}");
    for line in &wrong {
        println!("    {line}");
    }
    wrong.is_empty()
}

/// Percent.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}
