//! The stage of what is below `deploy/`, with those tools that this machine has.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{Counts, cargo, parse_test_result};
use crate::command::Invocation;
use crate::helm;
use crate::package::deb_check;
use crate::workspace::Workspace;

/// The name of the tests, a harness of its own in `resetmon/tests`.
pub(super) const TESTS: &str = "deploy";
/// Where they look for Helm's library.
pub(super) const LIBRARY: &str = "RESETMON_HELM_LIBRARY";

/// Which tests that ask for a tool of their own to run, by a part of their names.
fn chosen(kustomize: bool, helm: bool) -> Vec<&'static str> {
    let mut names = Vec::new();
    if kustomize {
        names.push("kustomize::");
    }
    if helm {
        names.push("chart::helm_");
    }
    if kustomize && helm {
        names.push("chart::chart_and_");
    }
    names
}

/// Runs them; says which had no tool.
pub(super) fn run(workspace: &Workspace, filters: &[String]) -> Result<String> {
    let mut counts = call(workspace, None, &[], filters)?;
    let mut remarks = Vec::new();
    if !deb_check::is_possible() {
        remarks.push("no dpkg".to_owned());
    } else if filters.is_empty() {
        deb_check::run(workspace).context("the Debian package")?;
        counts.passed += 1;
    }
    let kustomize = has_kustomize();
    if !kustomize {
        remarks.push("no kubectl with Kustomize 4.5 or newer".to_owned());
    }
    let library = helm::ensure(workspace)
        .map_err(|error| remarks.push(format!("no Helm: {error:#}")))
        .ok();
    let chosen = chosen(kustomize, library.is_some());
    if filters.is_empty() && !chosen.is_empty() {
        let more = call(workspace, library.as_ref(), &chosen, &[])?;
        counts.skipped -= more.passed.min(counts.skipped);
        counts.passed += more.passed;
    }
    if counts.passed == 0 && filters.is_empty() {
        bail!("no test ran");
    }
    remarks.insert(0, counts.to_string());
    Ok(remarks.join("; "))
}

/// Runs those without tools of their own, or `chosen` ones.
fn call(
    workspace: &Workspace,
    library: Option<&PathBuf>,
    chosen: &[&str],
    filters: &[String],
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut call = cargo(workspace, "test")
        .args(["--locked", "--package", "resetmon", "--test", TESTS, "--"])
        .args(filters);
    if !chosen.is_empty() {
        call = call.arg("--ignored").args(chosen);
    }
    if let Some(library) = library {
        call = call.env(LIBRARY, library);
    }
    call.run_watched(|line| counts.add(parse_test_result(line)))?;
    Ok(counts)
}

/// Whether kubectl is there, and knows what the manifests use: it names its Kustomize since 4.5.
fn has_kustomize() -> bool {
    let answer = Invocation::new("kubectl")
        .args(["version", "--client", "--output", "json"])
        .read();
    answer.is_ok_and(|answer| answer.contains("\"kustomizeVersion\""))
}
