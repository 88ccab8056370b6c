//! What a contributor types: `cargo xtask setup`, `build`, `run`, `test`, `vm` or `bench`.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::setup::Scope;
use crate::test::Part;
use crate::vm::Wanted;
use crate::workspace::Workspace;

mod bench;
mod build;
mod command;
mod ebpf;
mod linker;
mod packages;
mod privilege;
mod run;
mod setup;
mod test;
mod toolchain;
mod vm;
mod workspace;

/// Tasks of the resetmon workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find what is missing for building and testing, and install it
    Setup {
        /// Only say what is missing; the exit status is 1 when anything is
        #[arg(long)]
        check: bool,
    },
    /// Build the eBPF programs and the agent that embeds them
    Build {
        /// Build the agent with optimisation (the eBPF programs always are)
        #[arg(long)]
        release: bool,
    },
    /// Set up when needed, build, and run resetmon
    Run {
        /// Build the agent with optimisation (the eBPF programs always are)
        #[arg(long)]
        release: bool,
        /// Arguments for resetmon; `watch` when there are none
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Set up when needed, build, check format and lints, run the unit and live-kernel tests
    Test {
        /// Leave out the live-kernel tests, which need root and the test tools
        #[arg(long, conflicts_with = "live")]
        unit: bool,
        /// Only the live-kernel tests
        #[arg(long)]
        live: bool,
        /// Run only tests whose names contain one of these, and no checks of format and lints
        filters: Vec<String>,
    },
    /// Run the live-kernel tests on other kernels, each in a virtual machine; needs no root
    Vm {
        /// Kernels: series such as 6.12, or `newest`; the oldest and the newest when not given
        #[arg(
            long,
            value_delimiter = ',',
            value_name = "SERIES",
            conflicts_with = "all"
        )]
        kernel: Vec<Wanted>,
        /// Every kernel of the matrix
        #[arg(long)]
        all: bool,
        /// Look for newer packages of the kernels fetched before
        #[arg(long)]
        refresh: bool,
        /// Run only tests whose names contain one of these
        #[arg(last = true)]
        filters: Vec<String>,
    },
    /// Measure what resetmon costs, beside other tracers and with the goals (needs root)
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Setup { check: true } => setup::check(&workspace),
        Task::Setup { check: false } => {
            setup::ensure(&workspace, Scope::Test, true)?;
            Ok(())
        }
        Task::Build { release } => {
            let kit = setup::ensure(&workspace, Scope::Build, false)?;
            build::all(&workspace, &kit, release)
        }
        Task::Run { release, args } => {
            let kit = setup::ensure(&workspace, Scope::Build, false)?;
            run::run(&workspace, &kit, release, &args)
        }
        Task::Test {
            unit,
            live,
            filters,
        } => {
            let part = match (unit, live) {
                (true, _) => Part::Unit,
                (_, true) => Part::Live,
                (false, false) => Part::All,
            };
            let scope = if part == Part::Unit {
                Scope::Build
            } else {
                Scope::Test
            };
            let kit = setup::ensure(&workspace, scope, false)?;
            test::run(&workspace, &kit, part, &filters)
        }
        Task::Bench(options) if options.is_inner() => bench::run_inside(&workspace, &options),
        Task::Bench(options) => {
            let kit = setup::ensure(&workspace, Scope::Bench, false)?;
            bench::run(&workspace, &kit, &options)
        }
        Task::Vm {
            kernel,
            all,
            refresh,
            filters,
        } => {
            let kernels: &[Wanted] = if all {
                &vm::ALL
            } else if kernel.is_empty() {
                &vm::ENDS
            } else {
                &kernel
            };
            let kit = setup::ensure(&workspace, Scope::Vm, false)?;
            let options = vm::Options {
                kernels,
                refresh,
                filters: &filters,
            };
            vm::run(&workspace, &kit, &options)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_after_the_dashes_go_to_resetmon() {
        let cli = Cli::try_parse_from(["xtask", "run", "--release", "--", "watch", "--json"]);
        let Task::Run { release, args } = cli.unwrap().task else {
            panic!("not the task `run`");
        };
        assert!(release);
        assert_eq!(args, ["watch", "--json"]);
        assert!(Cli::try_parse_from(["xtask", "run", "watch"]).is_err());
    }

    #[test]
    fn kernels_are_a_list() {
        let cli = Cli::try_parse_from(["xtask", "vm", "--kernel", "6.1,newest", "--", "nginx"]);
        let Task::Vm {
            kernel, filters, ..
        } = cli.unwrap().task
        else {
            panic!("not the task `vm`");
        };
        assert_eq!(kernel, vm::ENDS);
        assert_eq!(filters, ["nginx"]);
        for wrong in [&["--kernel", "6.1.2"][..], &["--all", "--kernel", "6.1"]] {
            assert!(Cli::try_parse_from(["xtask", "vm"].iter().chain(wrong)).is_err());
        }
    }

    #[test]
    fn parts_exclude_each_other() {
        assert!(Cli::try_parse_from(["xtask", "test", "--unit", "--live"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "test", "--live", "nginx", "ipv6"]).is_ok());
    }
}
