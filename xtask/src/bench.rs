//! `cargo xtask bench`: what resetmon costs, measured beside others, with the goals.
//!
//! Everything runs in a network namespace of its own, against the release build of the agent.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::Invocation;
use crate::ebpf::Kit;
use crate::toolchain::TARGET;
use crate::workspace::Workspace;
use crate::{build, privilege};
use place::Place;
use table::Row;

mod agent;
mod agent_times;
mod bpf;
mod events;
mod load;
mod median;
mod memory;
mod place;
mod process;
mod report;
mod storm;
mod table;
mod throughput;
mod tracer;

/// A group of measurements.
struct Bench {
    name: &'static str,
    measure: fn(&Place) -> Result<Vec<Row>>,
}

/// All groups, in the order of the table.
const BENCHES: [Bench; 9] = [
    bench("events", events::measure),
    bench("throughput", throughput::measure),
    bench("storm", storm::measure),
    bench("memory", memory::measure),
    bench("start", agent_times::start),
    bench("delay", agent_times::delay),
    bench("scrape", agent_times::scrape),
    bench("idle", agent_times::idle),
    bench("report", report::measure),
];

const fn bench(name: &'static str, measure: fn(&Place) -> Result<Vec<Row>>) -> Bench {
    Bench { name, measure }
}

/// Options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Few and short repetitions: a look, no figures to publish
    #[arg(long)]
    quick: bool,
    /// Only these: events, throughput, storm, memory, start, delay, scrape, idle, report
    #[arg(value_parser = BENCHES.map(|bench| bench.name))]
    names: Vec<String>,
    /// Measure in the namespaces we are in; set by the call that made them
    #[arg(long, hide = true)]
    inside: bool,
    /// Hold connections, as INDEX:COUNT, for the measurement that started us
    #[arg(long, hide = true, value_parser = parse_hold)]
    hold: Option<(u64, u64)>,
}

impl Options {
    /// Whether the call came from a bench that has built everything.
    pub(crate) fn is_inner(&self) -> bool {
        self.inside || self.hold.is_some()
    }
}

fn parse_hold(text: &str) -> Result<(u64, u64), String> {
    let (index, count) = text.split_once(':').ok_or("not INDEX:COUNT")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    Ok((number(index)?, number(count)?))
}

/// Builds what is measured, then measures in namespaces of its own.
///
/// # Errors
/// Without root, when a build fails, or when a measurement could not be made.
pub(crate) fn run(workspace: &Workspace, kit: &Kit, options: &Options) -> Result<()> {
    if !privilege::is_root() {
        bail!("it needs root: type `sudo -E env \"PATH=$PATH\" cargo xtask bench`");
    }
    build::all(workspace, kit, true)?;
    build::object_call(workspace, kit, "build", &[])
        .args(["--features", "bench", "--bin", "empty"])
        .run()?;
    Invocation::new(&workspace.cargo)
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "resetmon",
            "--example",
        ])
        .arg("empty_probes")
        .dir(&workspace.root)
        .run()?;
    let mut args = vec!["bench".to_owned(), "--inside".to_owned()];
    if options.quick {
        args.push("--quick".to_owned());
    }
    args.extend(options.names.iter().cloned());
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let status = place::inside(&own, &args)
        .command()
        .status()
        .context("cannot run `unshare`")?;
    if !status.success() {
        bail!("not everything was measured, see above");
    }
    Ok(())
}

/// The part of [`run`] that measures, and the holders of connections.
///
/// # Errors
/// When a measurement could not be made; the others are made nevertheless.
pub(crate) fn run_inside(workspace: &Workspace, options: &Options) -> Result<()> {
    if let Some((index, count)) = options.hold {
        return load::hold(index, count);
    }
    let object: PathBuf = workspace.bpf_target().join(TARGET).join("release/empty");
    let place = Place::new(workspace, object, options.quick)?;
    let machine = machine()?;
    let mut rows = Vec::new();
    let mut raw = Vec::new();
    let mut failed = Vec::new();
    for bench in chosen(&options.names) {
        println!("bench: {}", bench.name);
        match (bench.measure)(&place) {
            Ok(measured) => {
                raw.extend(measured.iter().map(|row| row.to_json(bench.name)));
                rows.extend(measured);
            }
            Err(error) => {
                println!("bench {}: FAILED: {error:#}", bench.name);
                failed.push(bench.name);
            }
        }
    }
    let document = json!({
        "quick": options.quick,
        "machine": machine,
        "load_at_end": load_average()?,
        "failed": failed,
        "rows": raw,
    });
    let file = place.dir.join("bench.json");
    std::fs::write(&file, format!("{document:#}\n"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("\n{}", describe(&machine));
    if is_busy(machine["load_at_start"].as_str().unwrap_or_default()) {
        println!("warning: this machine was busy with something else: ratios and times are noise");
    }
    println!("\n{}", table::render(&rows));
    println!("raw data: {}", file.display());
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("not measured: {}", failed.join(", "))
    }
}

/// The groups with these names; all without any.
fn chosen(names: &[String]) -> impl Iterator<Item = &'static Bench> {
    BENCHES
        .iter()
        .filter(move |bench| names.is_empty() || names.iter().any(|name| name == bench.name))
}

fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    Ok(text.trim().to_owned())
}

/// Whether more than half a CPU was in use before (/proc/loadavg).
fn is_busy(load: &str) -> bool {
    let minute = load
        .split(' ')
        .next()
        .and_then(|text| text.parse::<f64>().ok());
    minute.is_none_or(|load| load > 0.5)
}

/// What the figures depend on.
fn machine() -> Result<Value> {
    let read = |program: &str, args: &[&str]| -> Result<String> {
        let said = Invocation::new(program).args(args).read()?;
        Ok(said.trim().to_owned())
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    Ok(json!({
        "date": read("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
        "kernel": read("uname", &["-r"])?,
        "cpu": cpu_model(&cpus),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "load_at_start": load_average()?,
    }))
}

fn cpu_model(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name)
}

fn describe(machine: &Value) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or_default().to_owned();
    format!(
        "{}, Linux {}, {} CPUs {}, load average {}",
        text("date"),
        text("kernel"),
        machine["cpus"],
        text("cpu"),
        text("load_at_start")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_and_keep_the_order() {
        let names = |chosen_names: &[&str]| -> Vec<&str> {
            let wanted: Vec<String> = chosen_names.iter().map(|&name| name.to_owned()).collect();
            chosen(&wanted).map(|bench| bench.name).collect()
        };
        assert_eq!(names(&[]).len(), BENCHES.len());
        assert_eq!(names(&["idle", "events"]), ["events", "idle"]);
    }

    #[test]
    fn the_help_lists_every_name() {
        use clap::CommandFactory;
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            options: Options,
        }
        let help = Cli::command().render_help().to_string();
        let listed: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        assert!(help.contains(&listed.join(", ")), "{help}");
    }

    #[test]
    fn holders_are_told_index_and_count() {
        assert_eq!(parse_hold("3:500"), Ok((3, 500)));
        for wrong in ["", "3", "3:", ":5", "3:-1", "a:b"] {
            assert!(parse_hold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_busy_machine_is_told_from_a_quiet_one() {
        for (load, busy) in [
            ("0.12 3.00 9.00 1/90 5", false),
            ("0.50 0.10 0.10 1/90 5", false),
            ("0.51 0.10 0.10 1/90 5", true),
            ("", true),
        ] {
            assert_eq!(is_busy(load), busy, "{load}");
        }
    }

    #[test]
    fn the_cpu_is_named() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: Fast: 3 GHz\n"),
            "Fast: 3 GHz"
        );
        assert_eq!(cpu_model("processor\t: 0\n"), "unknown");
    }
}
