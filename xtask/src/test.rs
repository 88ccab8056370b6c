//! `cargo xtask test`: the checks and tests, stage by stage, and a summary of all.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::command::{Ended, Invocation};
use crate::ebpf::Kit;
use crate::workspace::Workspace;
use crate::{build, deny, helm, privilege, scenarios, vm};
use stage::{Stage, stages};

mod deploy;
mod packages;
mod stage;

/// Which part of the tests to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    All,
    /// Everything but the virtual machines.
    Native,
    /// Format, lints and the tests that touch no kernel.
    Unit,
    /// The live-kernel tests on the running kernel, and those with real gateways.
    Live,
    /// The live-kernel tests on the oldest and the newest kernel supported, in virtual machines.
    Vm,
    /// Those with a real Kubernetes API server.
    Kubernetes,
    /// The one with a real container runtime.
    Containers,
    /// Packages, made and installed.
    Packages,
}

/// The name of the live-kernel tests, a harness of its own in `resetmon/tests`.
pub(crate) const LIVE: &str = "live";

/// The name of the tests with real gateways, which start agents too.
const GATEWAYS: &str = "sources";

/// The name of the tests with a real Kubernetes API server, a harness of its own.
const CLUSTER: &str = "cluster";

/// What the live-kernel tests with a real container runtime have in their names.
const CONTAINERD: &str = "containerd";

/// The packages whose unit tests run on the host.
const PACKAGES: [&str; 3] = ["gateway-ebpf-common", "resetmon", "xtask"];

/// How a stage ended, with what there is to say about it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(String),
    Failed(String),
    NotRun(String),
}

/// A stage that is over.
#[derive(Debug)]
struct Finished {
    stage: Stage,
    outcome: Outcome,
    took: Duration,
}

/// Runs the stages of `part`; a failure does not keep the others from running.
///
/// # Errors
/// When any stage failed or could not run.
pub(crate) fn run(workspace: &Workspace, kit: &Kit, part: Part, filters: &[String]) -> Result<()> {
    let mut finished: Vec<Finished> = Vec::new();
    for stage in stages(part, !filters.is_empty()) {
        println!("\n== {stage} ==");
        let start = Instant::now();
        let object_failed = finished
            .iter()
            .any(|done| done.stage == Stage::Object && !is_passed(&done.outcome));
        let outcome = if stage.needs_object() && object_failed {
            Outcome::NotRun("there is no eBPF object".to_owned())
        } else {
            match perform(stage, workspace, kit, filters) {
                Ok(detail) => Outcome::Passed(detail),
                Err(error) => {
                    println!("{stage}: FAILED: {error:#}");
                    Outcome::Failed(in_brief(&error))
                }
            }
        };
        finished.push(Finished {
            stage,
            outcome,
            took: start.elapsed(),
        });
    }
    println!("\n{}", summary(&finished));
    if finished.iter().all(|done| is_passed(&done.outcome)) {
        Ok(())
    } else {
        bail!("not every stage passed")
    }
}

fn is_passed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Passed(_))
}

/// The error without the command line, which was shown where the stage failed.
fn in_brief(error: &anyhow::Error) -> String {
    let first = error.chain().next();
    if first.is_some_and(<dyn std::error::Error>::is::<Ended>) {
        "see above".to_owned()
    } else {
        error.to_string()
    }
}

/// Runs one stage and returns what there is to say of its success.
fn perform(stage: Stage, workspace: &Workspace, kit: &Kit, filters: &[String]) -> Result<String> {
    let silent = |()| String::new();
    match stage {
        Stage::Format => cargo(workspace, "fmt")
            .args(["--all", "--check"])
            .run()
            .map(silent),
        Stage::Dependencies => deny::check_in_tests(workspace),
        Stage::Object => build::object(workspace, kit).map(silent),
        Stage::Lint => on_host(cargo(workspace, "clippy"))
            .args(["--all-targets", "--", "-Dwarnings"])
            .run()
            .map(silent),
        Stage::LintObject => lint_object(workspace, kit),
        Stage::Unit => unit(workspace, filters),
        Stage::Doc => on_host(cargo(workspace, "test"))
            .arg("--doc")
            .run()
            .map(silent),
        Stage::Deploy => deploy::run(workspace, filters),
        Stage::Cluster => {
            let library = helm::ensure(workspace)
                .map_err(|error| println!("no Helm: {error:#}"))
                .ok();
            let library = library.as_deref().map(|path| (deploy::LIBRARY, path));
            own_harness(workspace, CLUSTER, filters, library.as_slice())
        }
        Stage::Containers if filters.is_empty() => {
            own_harness(workspace, LIVE, &[CONTAINERD.to_owned()], &[]).and_then(|counts| {
                // One that is skipped has not shown anything.
                ensure!(!counts.starts_with("0 passed"), "no test ran: {counts}");
                Ok(counts)
            })
        }
        Stage::Packages => packages::run(workspace, kit, filters),
        Stage::Live | Stage::Containers => own_harness(workspace, LIVE, filters, &[]),
        Stage::Gateways => gateways(workspace, filters),
        Stage::Scenarios => scenarios::bench(workspace, filters),
        Stage::Machines => {
            let options = vm::Options {
                kernels: &vm::ENDS,
                refresh: false,
                filters,
                readme: false,
            };
            vm::run(workspace, kit, &options)
        }
    }
}

/// A call of cargo in the workspace.
pub(crate) fn cargo(workspace: &Workspace, verb: &str) -> Invocation {
    Invocation::new(&workspace.cargo)
        .arg(verb)
        .dir(&workspace.root)
}

/// Everything but the eBPF programs, which compile only for their own target.
fn on_host(call: Invocation) -> Invocation {
    call.args(["--locked", "--workspace", "--exclude", build::PACKAGE])
}

/// Checks the eBPF programs with the clippy of their compiler, or without clippy when it has none.
fn lint_object(workspace: &Workspace, kit: &Kit) -> Result<String> {
    let call = build::object_call(workspace, kit, "check", &["-Dwarnings"]);
    if let Some(clippy) = kit.toolchain.clippy() {
        call.env("RUSTC_WORKSPACE_WRAPPER", clippy).run()?;
        return Ok(String::new());
    }
    call.run()?;
    Ok(format!(
        "the compiler's own lints: {} has no stable clippy",
        kit.toolchain.rustc.display()
    ))
}

fn unit(workspace: &Workspace, filters: &[String]) -> Result<String> {
    let mut call = on_host(cargo(workspace, "test")).args(["--no-fail-fast", "--lib", "--bins"]);
    for name in integration_tests(&workspace.root)? {
        let own = [LIVE, GATEWAYS, CLUSTER, scenarios::SCENARIOS, deploy::TESTS];
        if !own.contains(&&*name) {
            call = call.args(["--test", &name]);
        }
    }
    let mut counts = Counts::default();
    let result = call.arg("--").args(filters).run_watched(|line| {
        counts.add(parse_test_result(line).or_else(|| parse_closing_line(line)));
    });
    result.with_context(|| counts.to_string())?;
    if counts.passed == 0 && filters.is_empty() {
        bail!("no test ran");
    }
    Ok(counts.to_string())
}

/// Fails without root.
pub(crate) fn ensure_root() -> Result<()> {
    if !privilege::is_root() {
        bail!(
            "they need root: type `sudo -E env \"PATH=$PATH\" cargo xtask test --live`, or leave \
             them out by `cargo xtask test --unit`"
        );
    }
    Ok(())
}

fn gateways(workspace: &Workspace, filters: &[String]) -> Result<String> {
    ensure_root()?;
    let mut counts = Counts::default();
    let result = cargo(workspace, "test")
        .args([
            "--locked",
            "--package",
            "resetmon",
            "--test",
            GATEWAYS,
            "--",
        ])
        .args(filters)
        .run_watched(|line| counts.add(parse_test_result(line)));
    result.with_context(|| counts.to_string())?;
    if counts.passed == 0 && filters.is_empty() {
        bail!("no test ran");
    }
    Ok(counts.to_string())
}

/// Tests that print their closing line themselves, told `paths` by the environment.
fn own_harness(
    workspace: &Workspace,
    name: &str,
    filters: &[String],
    paths: &[(&str, &Path)],
) -> Result<String> {
    ensure_root()?;
    let mut closing = None;
    let mut call = cargo(workspace, "test")
        .args(["--locked", "--package", "resetmon", "--test", name, "--"])
        .args(filters);
    for (variable, path) in paths {
        call = call.env(variable, path);
    }
    let result = call.run_watched(|line| closing = parse_closing_line(line).or(closing));
    let Some(counts) = closing else {
        return Err(result
            .err()
            .unwrap_or_else(|| anyhow!("they ended without their closing line")));
    };
    result.with_context(|| counts.to_string())?;
    if counts.failed > 0 {
        bail!("{counts}");
    }
    if counts.passed == 0 && filters.is_empty() {
        bail!("no scenario passed: {counts}");
    }
    Ok(counts.to_string())
}

/// The names of the integration tests of all packages, sorted.
fn integration_tests(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for package in PACKAGES {
        let folder = root.join(package).join("tests");
        if !folder.is_dir() {
            continue;
        }
        let entries = folder
            .read_dir()
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let is_test = path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file();
            if let (true, Some(stem)) = (is_test, path.file_stem()) {
                names.push(stem.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    fn add(&mut self, more: Option<Self>) {
        if let Some(more) = more {
            self.passed += more.passed;
            self.failed += more.failed;
            self.skipped += more.skipped;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Reads the numbers before the three words, which `separator` divides.
fn parse_counts(text: &str, separator: &str, words: [&str; 3]) -> Option<Counts> {
    let mut parts = text.split(separator);
    let mut number = |word: &str| -> Option<u32> {
        parts
            .next()?
            .strip_suffix(word)?
            .strip_suffix(' ')?
            .parse()
            .ok()
    };
    Some(Counts {
        passed: number(words[0])?,
        failed: number(words[1])?,
        skipped: number(words[2])?,
    })
}

/// Reads the closing line of tests with a harness of their own.
pub(crate) fn parse_closing_line(line: &str) -> Option<Counts> {
    let line = line.trim();
    let counts = parse_counts(line, ", ", ["passed", "failed", "skipped"])?;
    (counts.to_string() == line).then_some(counts)
}

/// Reads the closing line of a test binary with the standard harness.
fn parse_test_result(line: &str) -> Option<Counts> {
    let (_, text) = line.strip_prefix("test result: ")?.split_once(". ")?;
    parse_counts(text, "; ", ["passed", "failed", "ignored"])
}

/// One line a stage, and a verdict.
fn summary(finished: &[Finished]) -> String {
    use fmt::Write;
    let mut text = String::new();
    for Finished {
        stage,
        outcome,
        took,
    } in finished
    {
        let (word, detail) = match outcome {
            Outcome::Passed(detail) => ("ok", detail),
            Outcome::Failed(detail) => ("FAILED", detail),
            Outcome::NotRun(detail) => ("not run", detail),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}",
            format!(
                "{stage:<18} {word:<8} {:>4.0} s  {detail}",
                took.as_secs_f64()
            )
            .trim_end()
        );
    }
    let failed: Vec<String> = finished
        .iter()
        .filter(|done| !is_passed(&done.outcome))
        .map(|done| done.stage.to_string())
        .collect();
    if failed.is_empty() {
        text.push_str("all stages passed");
    } else {
        text.push_str("not passed: ");
        text.push_str(&failed.join(", "));
    }
    text
}

#[cfg(test)]
mod tests;
