//! What a contributor types: `cargo xtask setup`, `build`, `run`, `test`, `scenarios`, `vm`, `bench`,
//! `package` or `deny`.

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
mod collector;
mod command;
mod debian;
mod deny;
mod ebpf;
mod envoy;
mod helm;
mod kubernetes;
mod linker;
mod package;
mod packages;
mod privilege;
mod run;
mod scenarios;
mod setup;
mod strip;
mod test;
mod toolchain;
mod vm;
mod wheel;
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
    /// Set up when needed, build, and run everything: format, lints, unit tests, live-kernel tests
    /// on this kernel and, in virtual machines, on the oldest and the newest one supported
    Test {
        #[command(flatten)]
        choice: Choice,
        /// Run only tests whose names contain one of these: no checks of format and lints, and no
        /// virtual machines unless --vm is given
        filters: Vec<String>,
    },
    /// Run the scenario bench: real faults at real gateways, each with what resetmon must say of it;
    /// needs root
    Scenarios {
        /// Run only rows whose names (GATEWAY ROW) contain one of these; --list names them, --verbose
        /// shows events and segments
        #[arg(last = true)]
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
        /// Write the README's table of kernels when every test has passed on every kernel
        #[arg(long, requires = "all", conflicts_with = "filters")]
        readme: bool,
        /// Run only tests whose names contain one of these
        #[arg(last = true)]
        filters: Vec<String>,
    },
    /// Measure what resetmon costs, beside other tracers and with the goals (needs root)
    Bench(bench::Options),
    /// Make what an operator installs, in target/package: a static program and its debug information,
    /// an archive, a Debian package, a container image, the bill of materials, checksums
    Package(package::Options),
    /// Check licences, duplicates, sources and advisories of the dependencies, by cargo-deny
    Deny {
        /// Leave out the advisories, whose database comes from GitHub
        #[arg(long)]
        offline: bool,
    },
}

/// The part of the tests that is asked for.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line, of which one at most is set"
)]
struct Choice {
    /// Leave out the virtual machines: a quick run, on this kernel alone
    #[arg(long)]
    no_vm: bool,
    /// Only what needs neither root nor the test tools: format, lints and unit tests
    #[arg(long)]
    unit: bool,
    /// Only the live-kernel tests on this kernel (they need root)
    #[arg(long)]
    live: bool,
    /// Only the live-kernel tests in virtual machines (`cargo xtask vm` chooses the kernels)
    #[arg(long)]
    vm: bool,
    /// Only the tests with a real Kubernetes API server, which is built from Debian's source the
    /// first time (some minutes; needs root). No other run has them
    #[arg(long)]
    kubernetes: bool,
    /// Only the test with a real container runtime, containerd (needs root). Other runs have it
    /// where containerd is installed
    #[arg(long)]
    containers: bool,
    /// Only the packages: make them, install them in a bare Debian 12, where they run as a service
    /// too, and run the image with the settings of the Kubernetes manifest (needs root, and some
    /// minutes). No other run has them
    #[arg(long)]
    package: bool,
}

impl Choice {
    fn part(&self) -> Part {
        match (self.no_vm, self.unit, self.live, self.vm) {
            _ if self.kubernetes => Part::Kubernetes,
            _ if self.containers => Part::Containers,
            _ if self.package => Part::Packages,
            (true, ..) => Part::Native,
            (_, true, ..) => Part::Unit,
            (_, _, true, _) => Part::Live,
            (.., true) => Part::Vm,
            _ => Part::All,
        }
    }
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
            setup::ensure(&workspace, Scope::Everything, true)?;
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
        Task::Test { choice, filters } => {
            let part = choice.part();
            let scope = match part {
                Part::Unit => Scope::Build,
                Part::Native | Part::Live => Scope::Test,
                Part::Vm => Scope::Vm,
                Part::All => Scope::Everything,
                Part::Kubernetes => Scope::Kubernetes,
                Part::Containers => Scope::Containers,
                Part::Packages => Scope::PackageTests,
            };
            let kit = setup::ensure(&workspace, scope, false)?;
            test::run(&workspace, &kit, part, &filters)
        }
        Task::Scenarios { filters } => {
            let kit = setup::ensure(&workspace, Scope::Test, false)?;
            scenarios::run(&workspace, &kit, &filters)
        }
        Task::Package(options) => {
            let kit = setup::ensure(&workspace, Scope::Package(options), false)?;
            package::run(&workspace, &kit, options)
        }
        Task::Deny { offline } => deny::run(&workspace, offline),
        Task::Bench(options) if options.is_inner() => bench::run_inside(&workspace, &options),
        Task::Bench(options) => {
            let kit = setup::ensure(&workspace, Scope::Bench, false)?;
            bench::run(&workspace, &kit, &options)
        }
        Task::Vm {
            kernel,
            all,
            refresh,
            readme,
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
                readme,
            };
            vm::run(&workspace, &kit, &options).map(|_| ())
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
        let wrong = [
            &["--kernel", "6.1.2"][..],
            &["--all", "--kernel", "6.1"],
            &["--readme"],
            &["--all", "--readme", "--", "nginx"],
        ];
        for wrong in wrong {
            assert!(Cli::try_parse_from(["xtask", "vm"].iter().chain(wrong)).is_err());
        }
    }

    #[test]
    fn parts_exclude_each_other() {
        let rows = [
            (None, Part::All),
            (Some("--no-vm"), Part::Native),
            (Some("--unit"), Part::Unit),
            (Some("--live"), Part::Live),
            (Some("--vm"), Part::Vm),
            (Some("--kubernetes"), Part::Kubernetes),
            (Some("--containers"), Part::Containers),
            (Some("--package"), Part::Packages),
        ];
        for (flag, part) in rows {
            let words = ["xtask", "test"].into_iter().chain(flag);
            let cli = Cli::try_parse_from(words.chain(["nginx", "ipv6"]));
            let Task::Test { choice, filters } = cli.unwrap().task else {
                panic!("not the task `test`");
            };
            assert_eq!((choice.part(), filters.len()), (part, 2), "{flag:?}");
        }
        for (one, _) in &rows[1..] {
            for (other, _) in &rows[1..] {
                let words = ["xtask", "test"].into_iter().chain(*one).chain(*other);
                assert!(Cli::try_parse_from(words).is_err(), "{one:?} {other:?}");
            }
        }
    }
}
