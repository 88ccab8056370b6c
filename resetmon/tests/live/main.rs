//! Live-kernel tests: real TCP faults in network namespaces of their own, and what `resetmon`
//! says of them. Needs root.
//!
//! ```text
//! cargo test --test live -- [--list] [--verbose] [--oracle] [NAME…]
//! ```
//!
//! A row of [`scenarios`] runs once for each of its address families. Names select rows by a part
//! of the name. `--oracle` puts bpftrace in the place of resetmon and compares what it has.

use std::process::ExitCode;

use anyhow::{Result, bail};

use common::{
    actor, agent, cgroup, channel, events, forgery, http, netns, owner, panels, service, wire,
};
use compare::Reporter;
use runner::Runner;
use scenario::{Scenario, Whole};
use scene::Family;

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod container;
mod containerd;
mod cri;
mod dashboards;
mod demo;
mod expected;
mod gateway;
mod judge;
mod machine;
mod nat;
mod nginx;
mod oracle;
mod outward;
mod package;
mod pods;
mod privileges;
mod prometheus;
mod propagation;
mod pty;
mod record;
mod refused;
mod remote;
mod restart;
mod runner;
mod scenario;
mod scenarios;
mod scene;
mod screen;
mod secrets;
mod storm;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = if arguments.first().is_some_and(|first| first == "actor") {
        actor::puppet::serve().map(|()| true)
    } else if let Some((_, rest)) = arguments
        .split_first()
        .filter(|(first, _)| *first == storm::MODE)
    {
        storm::serve(rest).map(|()| true)
    } else {
        run(&Options::parse(arguments))
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("live tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command line.
#[derive(Debug, Default)]
struct Options {
    list: bool,
    verbose: bool,
    oracle: bool,
    filters: Vec<String>,
}

impl Options {
    fn parse(arguments: Vec<String>) -> Self {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--list" => options.list = true,
                "--verbose" => options.verbose = true,
                "--oracle" => options.oracle = true,
                // Options of the built-in test harness, which `cargo test -- …` gives to all.
                other if other.starts_with('-') => {}
                _ => options.filters.push(argument),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Whether everything passed.
fn run(options: &Options) -> Result<bool> {
    let rows: Vec<(&Scenario, Family)> = scenarios::all()
        .flat_map(|scenario| {
            scenario
                .families
                .iter()
                .map(move |family| (scenario, *family))
        })
        .filter(|(scenario, _)| options.wants(scenario.name))
        .collect();
    let wholes: Vec<&Whole> = nginx::TESTS
        .iter()
        .chain(nginx::failures::TESTS)
        .chain(containerd::TESTS)
        .chain(nat::TESTS)
        .chain(prometheus::TESTS)
        .chain(container::TESTS)
        .chain(dashboards::TESTS)
        .chain(demo::TESTS)
        .chain(propagation::TESTS)
        .chain(pods::TESTS)
        .chain(restart::TESTS)
        .chain(storm::TESTS)
        .chain(privileges::TESTS)
        .chain(refused::TESTS)
        .chain(record::TESTS)
        .chain(screen::TESTS)
        .chain(outward::TESTS)
        .chain(secrets::TESTS)
        .chain(package::tests())
        .filter(|test| !options.oracle && options.wants(test.name))
        .collect();
    if options.list {
        for (scenario, family) in rows {
            println!("{} {}{}", scenario.name, family.name(), scenario.extent());
        }
        for test in wholes {
            println!(
                "{}{}",
                test.name,
                if test.natively { " native" } else { "" }
            );
        }
        return Ok(true);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces and eBPF need root: run as root, or leave out --test live");
    }
    let mut runner = Runner {
        verbose: options.verbose,
        ..Runner::default()
    };
    if !rows.is_empty() {
        let reporter = if options.oracle {
            Reporter::Tracer
        } else {
            Reporter::Resetmon
        };
        runner.scenarios(&rows, reporter)?;
    }
    for test in wholes {
        runner.whole(test);
    }
    let Runner {
        passed,
        failed,
        skipped,
        ..
    } = runner;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}
