//! Rotel, a collector of OpenTelemetry, for the tests: Debian has none, but a wheel of the Python
//! index holds the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::wheel::{Wheel, allow_to_run};
use crate::workspace::Workspace;

/// What is fetched. Later releases ask for a newer libc than Debian 12 has.
const WHEEL: Wheel = Wheel {
    project: "rotel",
    release: "0.0.1a8",
    python: None,
    member: "rotel/rotel-agent",
};

/// The collector of this workspace, if it runs.
pub(crate) fn search(workspace: &Workspace) -> Option<PathBuf> {
    let program = program(workspace);
    let runs = Invocation::new(&program).arg("--version").read().is_ok();
    runs.then_some(program)
}

/// Fetches the wheel and unpacks the program from it.
///
/// # Errors
/// When there is no wheel for this machine, the index cannot be reached, or the program of the
/// wheel does not run here.
pub(crate) fn install(workspace: &Workspace, log: &Path) -> Result<PathBuf> {
    let program = program(workspace);
    WHEEL.fetch(&program, log)?;
    allow_to_run(&program)?;
    Invocation::new(&program)
        .arg("--version")
        .read()
        .with_context(|| format!("{} does not run here", program.display()))?;
    Ok(program)
}

/// Where the tests look for it.
fn program(workspace: &Workspace) -> PathBuf {
    workspace.tools().join(format!("rotel-{}", WHEEL.release))
}
