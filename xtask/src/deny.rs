//! `cargo xtask deny`: licences, duplicates, sources and advisories of the dependencies, by
//! cargo-deny and `deny.toml`.
//!
//! Not in every run of the tests: compiling cargo-deny takes minutes, and advisories come from
//! outside. Where it is installed the tests check by it what needs no network; elsewhere they hold
//! what cargo says against the same file.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;
use serde_json::Value;

use crate::command::{Invocation, find_program, search_dirs};
use crate::package::Arch;
use crate::workspace::Workspace;

mod license;
mod metadata;

/// The release that is installed where there is none.
const RELEASE: &str = "0.20.2";
/// What it says where it cannot reach the database of advisories.
const UNREACHED: &str = "failed to fetch advisory database";

/// The rules.
const RULES: &str = "deny.toml";

/// cargo-deny, of this workspace or of the machine.
fn search(workspace: &Workspace) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs = vec![workspace.tools().join("bin")];
    dirs.extend(search_dirs(&path));
    find_program("cargo-deny", &dirs)
}

/// Checks everything, or with `offline` what needs no network.
///
/// # Errors
/// When a dependency is not as `deny.toml` wants it, or the advisories cannot be had.
pub(crate) fn run(workspace: &Workspace, offline: bool) -> Result<()> {
    let program = match search(workspace) {
        Some(program) => program,
        None => install(workspace)?,
    };
    check(workspace, &program)?;
    if offline {
        return Ok(());
    }
    let output = call(workspace, &program).arg("advisories").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    if said.contains(UNREACHED) {
        bail!(
            "advisories were not checked: their database cannot be fetched from here; `cargo xtask \
             deny --offline` leaves them out"
        );
    }
    if !output.status.success() {
        bail!("there are advisories against dependencies: see above");
    }
    Ok(())
}

/// Checks licences, duplicates and sources with what is there; returns by what.
///
/// # Errors
/// When a dependency is not as `deny.toml` wants it.
pub(crate) fn check_in_tests(workspace: &Workspace) -> Result<String> {
    if let Some(program) = search(workspace) {
        check(workspace, &program)?;
        return Ok("by cargo-deny; advisories: `cargo xtask deny`".to_owned());
    }
    let mut count = 0;
    for target in Arch::value_variants().iter().map(|arch| arch.target()) {
        let metadata = Invocation::new(&workspace.cargo)
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(["--filter-platform", target])
            .dir(&workspace.root)
            .read()?;
        let metadata: Value =
            serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
        let found = metadata::check(&metadata, &rules(workspace)?)
            .context("cargo metadata does not describe the dependencies")?;
        if !found.faults.is_empty() {
            bail!("{RULES} does not allow:\n  {}", found.faults.join("\n  "));
        }
        count = count.max(found.packages);
    }
    Ok(format!(
        "{count} packages, as cargo describes them; the whole check: `cargo xtask deny`"
    ))
}

fn rules(workspace: &Workspace) -> Result<Value> {
    let text = std::fs::read_to_string(workspace.root.join(RULES))
        .with_context(|| format!("cannot read {RULES}"))?;
    toml::from_str(&text).with_context(|| format!("{RULES} is not as TOML has it"))
}

/// Checks licences, duplicates and sources by cargo-deny.
fn check(workspace: &Workspace, program: &PathBuf) -> Result<()> {
    call(workspace, program)
        .args(["licenses", "bans", "sources"])
        .run()
}

fn call(workspace: &Workspace, program: &PathBuf) -> Invocation {
    Invocation::new(program)
        .args(["--workspace", "--locked", "check", "--hide-inclusion-graph"])
        .dir(&workspace.root)
}

fn install(workspace: &Workspace) -> Result<PathBuf> {
    println!("installing cargo-deny {RELEASE} into target/tools (some minutes)");
    Invocation::new(&workspace.cargo)
        .args([
            "install",
            "--quiet",
            "--locked",
            "cargo-deny",
            "--version",
            RELEASE,
        ])
        .arg("--root")
        .arg(workspace.tools())
        .run()?;
    search(workspace).context("cargo-deny was installed, and is not there")
}
