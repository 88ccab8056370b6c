//! A bare Debian 12 for the tests: its essential packages, apt, and systemd as init.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::vm::archive::Mirror;
use crate::workspace::Workspace;

/// The release.
const CODENAME: &str = "bookworm";

/// An archive of its files, made where it is not there yet.
///
/// # Errors
/// When there is no mirror, or what comes from it does not install.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.root.join("target/debian");
    let archive = folder.join(format!("{CODENAME}.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    println!("making a bare Debian ({CODENAME}) in target/debian (a minute or two)");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let log = folder.join("mmdebstrap.log");
    let mirror = Mirror::of_this_machine(&folder.join("mirror"), &log)?;
    // One that an interrupted run left is overwritten.
    let partial = folder.join("partial.tar");
    Invocation::new("mmdebstrap")
        .args(["--mode=root", "--variant=minbase", "--include=systemd-sysv"])
        // A mirror that lags, or a snapshot, has lists that expired.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg(CODENAME)
        .arg(&partial)
        .arg(&mirror.uri)
        .run_logged(&log)?;
    std::fs::rename(&partial, &archive)
        .with_context(|| format!("cannot rename {}", partial.display()))?;
    Ok(archive)
}
