//! Helm for the tests: Debian has no package, but a wheel of the Python index holds its library.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::wheel::Wheel;
use crate::workspace::Workspace;

/// What is fetched, for the one kind of machine that it is made for.
const WHEEL: Wheel = Wheel {
    project: "helm-sdkpy",
    release: "0.1.32",
    python: Some("3.13"),
    member: "helm_sdkpy/_lib/linux-amd64/libhelm_sdkpy.so",
};

/// Helm's library in this workspace, fetched where it is not there yet.
///
/// # Errors
/// When there is none for this machine, or the index cannot be reached.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    if !cfg!(target_arch = "x86_64") {
        bail!("{} has Helm's library for x86_64 alone", WHEEL.project);
    }
    let folder = workspace.tools().join("helm");
    let library = folder.join(format!("libhelm_sdkpy-{}.so", WHEEL.release));
    if library.is_file() {
        return Ok(library);
    }
    println!("fetching Helm's library into target/tools (about 47 MB)");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    WHEEL.fetch(&library, &workspace.tools().join("setup.log"))?;
    Ok(library)
}
