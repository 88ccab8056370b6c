//! Live-kernel tests: real TCP faults in network namespaces of their own, and what `resetmon`
//! says of them. Needs root.
//!
//!     cargo test --test live -- [--list] [--verbose] [--oracle] [NAME…]
//!
//! A row of [`scenarios`] runs once for each of its address families. Names select rows by a part
//! of the name. `--oracle` puts bpftrace in the place of resetmon and compares what it has.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use agent::Agent;
use compare::{Kernel, Reporter};
use judge::Judged;
use scenario::{Need, Scenario};
use scene::Family;

mod actor;
mod agent;
mod channel;
mod compare;
mod events;
mod expected;
mod judge;
mod netns;
mod oracle;
mod remote;
mod scenario;
mod scenarios;
mod scene;
mod wire;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = if arguments.first().is_some_and(|first| first == "actor") {
        actor::puppet::serve().map(|()| true)
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
    if options.list {
        for (scenario, family) in rows {
            println!("{} {}", scenario.name, family.name());
        }
        return Ok(true);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces and eBPF need root: run as root, or leave out --test live");
    }
    let mut tally = Tally::default();
    if !rows.is_empty() {
        run_rows(&rows, options, &mut tally)?;
    }
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    Ok(tally.failed == 0)
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn run_rows(rows: &[(&Scenario, Family)], options: &Options, tally: &mut Tally) -> Result<()> {
    let kernel = kernel()?;
    let (reporter, agent) = if options.oracle {
        (Reporter::Tracer, oracle::start()?)
    } else {
        (Reporter::Resetmon, Agent::start()?)
    };
    let missing = missing(kernel, reporter);
    let mut judged: Vec<(String, Judged)> = Vec::new();
    for (scenario, family) in rows {
        let title = format!("{} {}", scenario.name, family.name());
        if let Some((_, why)) = missing
            .iter()
            .find(|(need, _)| scenario.needs.contains(need))
        {
            println!("{title:<44} skipped: {why}");
            tally.skipped += 1;
            continue;
        }
        let start = Instant::now();
        let outcome = judge::judge(scenario, *family, &agent.events, reporter, kernel);
        let spent = start.elapsed().as_millis();
        let wrong = match &outcome {
            Ok(judged) => judged.wrong.clone(),
            Err(error) => vec![format!("{error:#}")],
        };
        let word = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("{title:<44} {word} ({spent} ms)");
        for line in &wrong {
            println!("    {line}");
        }
        if let Ok(judged) = &outcome
            && (options.verbose || !wrong.is_empty())
        {
            print_events(&judged.seen);
        }
        if wrong.is_empty() {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
        if let Ok(one) = outcome {
            judged.push((title, one));
        }
    }
    for (title, one) in &judged {
        let now = agent.events.of(one.netns.inode());
        if now.len() > one.events {
            println!(
                "{title:<44} FAILED: {} events came too late",
                now.len() - one.events
            );
            print_events(&now[one.events..]);
            tally.failed += 1;
            tally.passed -= usize::from(one.wrong.is_empty());
        }
    }
    for line in agent.complaints() {
        println!("not a line of JSON: {line}");
        tally.failed += 1;
    }
    match reporter {
        Reporter::Resetmon => agent.stop().context("resetmon"),
        Reporter::Tracer => Ok(()),
    }
}

fn print_events(events: &[Value]) {
    for event in events {
        println!("    | {event}");
    }
}

/// What the running kernel can say, by its type information alone.
fn kernel() -> Result<Kernel> {
    let types = std::fs::read("/sys/kernel/btf/vmlinux")
        .context("/sys/kernel/btf/vmlinux: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")?;
    let reason = types.windows(14).any(|window| window == b"sk_rst_reason\0");
    Ok(Kernel {
        reason,
        socketless: reason,
    })
}

/// What this machine or run lacks, and in which words.
fn missing(kernel: Kernel, reporter: Reporter) -> Vec<(Need, String)> {
    let mut missing = Vec::new();
    if !std::fs::read_to_string("/proc/sys/net/mptcp/enabled").is_ok_and(|text| text.trim() == "1")
    {
        missing.push((Need::Mptcp, "net.mptcp.enabled is not 1".to_owned()));
    }
    if !std::process::Command::new("nft")
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
    {
        missing.push((Need::Nft, "nft is not installed".to_owned()));
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        missing.push((Need::Tun, "there is no /dev/net/tun".to_owned()));
    }
    if reporter == Reporter::Tracer {
        missing.push((Need::OwnAgent, "it starts resetmon itself".to_owned()));
    }
    if !kernel.socketless {
        let why = "the kernel does not trace resets without a socket".to_owned();
        missing.push((Need::Socketless, why));
    }
    missing
}
