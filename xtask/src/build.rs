//! `cargo xtask build`: the eBPF object, then the agent that embeds it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::ebpf::{self, Kit};
use crate::strip;
use crate::toolchain::TARGET;
use crate::workspace::Workspace;

/// The package with the eBPF programs, and the name of its binary.
pub(crate) const PACKAGE: &str = "gateway-ebpf";

/// Builds both sides.
///
/// # Errors
/// When either build fails.
pub(crate) fn all(workspace: &Workspace, kit: &Kit, release: bool) -> Result<()> {
    object(workspace, kit)?;
    agent_call(workspace, release).run()
}

/// Builds the eBPF programs and hands the object, without its DWARF, to the agent's build.
///
/// # Errors
/// When the build fails or the object cannot be written.
pub(crate) fn object(workspace: &Workspace, kit: &Kit) -> Result<()> {
    object_call(workspace, kit, "build", &[]).run()?;
    finish(&workspace.bpf_target(), &workspace.bpf_object())
}

/// Builds the eBPF programs for kernels of another architecture; returns the object.
///
/// # Errors
/// When the build fails or the object cannot be written.
pub(crate) fn object_for(workspace: &Workspace, kit: &Kit, arch: &str) -> Result<PathBuf> {
    let target = workspace.bpf_target().join(arch);
    ebpf::cargo(kit, "build", arch, &[])
        .args(["--locked", "--package", PACKAGE, "--target-dir"])
        .arg(&target)
        .dir(&workspace.root)
        .run()?;
    let object = target.join("resetmon.bpf.o");
    finish(&target, &object)?;
    Ok(object)
}

/// What was built in `target` becomes `object`.
fn finish(target: &Path, object: &Path) -> Result<()> {
    let built = target.join(TARGET).join("release").join(PACKAGE);
    let whole =
        std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let stripped = strip::without_dwarf(&whole)?;
    write_when_new(&stripped, object).with_context(|| format!("cannot write {}", object.display()))
}

/// A build or check of the eBPF programs, with further compiler flags.
pub(crate) fn object_call(
    workspace: &Workspace,
    kit: &Kit,
    verb: &str,
    flags: &[&str],
) -> Invocation {
    ebpf::cargo(kit, verb, std::env::consts::ARCH, flags)
        .args(["--locked", "--package", PACKAGE, "--target-dir"])
        .arg(workspace.bpf_target())
        .dir(&workspace.root)
}

/// The build of the agent.
fn agent_call(workspace: &Workspace, release: bool) -> Invocation {
    Invocation::new(&workspace.cargo)
        .args(["build", "--locked", "--package", "resetmon"])
        .args(release.then_some("--release"))
        .dir(&workspace.root)
}

/// Gives `to` the content `new` in one step, and only when it has another, so that the agent is not
/// rebuilt for an object it already embeds.
fn write_when_new(new: &[u8], to: &Path) -> std::io::Result<()> {
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    std::fs::write(&partial, new)?;
    std::fs::rename(partial, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_object_is_left_alone() {
        use std::os::unix::fs::MetadataExt;
        let dir = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let to = dir.join("to.o");
        let inode = || std::fs::metadata(&to).unwrap().ino();

        write_when_new(b"one", &to).unwrap();
        let first = inode();
        write_when_new(b"one", &to).unwrap();
        assert_eq!(inode(), first);

        write_when_new(b"two", &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);

        std::fs::remove_dir_all(&dir).unwrap();
        assert!(write_when_new(b"two", &to).is_err());
    }
}
