//! `cargo xtask package`: what an operator installs, in `target/package`, one folder an architecture.
//!
//! A static program with its debug information in a file of its own, from which all else is made:
//! an archive, a Debian package, a container image; the list of what it is linked from; checksums.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::command::Invocation;
use crate::ebpf::Kit;
use crate::packages::{PACKAGING, Tool};
use crate::workspace::Workspace;

pub(crate) use arch::Arch;

mod arch;
mod deb;
pub(crate) mod deb_check;
mod image;
mod sbom;

/// The agent's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What to make; everything when nothing is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct Options {
    /// Only the Debian package
    #[arg(long)]
    deb: bool,
    /// Only the archive
    #[arg(long)]
    tar: bool,
    /// Only the container image
    #[arg(long)]
    image: bool,
    /// For which architecture
    #[arg(long, value_enum, default_value_t = Arch::HOST)]
    arch: Arch,
}

impl Options {
    /// Everything, for this machine.
    pub(crate) const ALL: Self = Self {
        deb: true,
        tar: true,
        image: true,
        arch: Arch::HOST,
    };

    /// The programs that make it.
    pub(crate) fn tools(self) -> Vec<Tool> {
        PACKAGING
            .into_iter()
            .chain(self.arch.tools().iter().copied())
            .collect()
    }
}

/// The finished parts that packages are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The workspace.
    root: PathBuf,
    /// The folder of the packages.
    folder: PathBuf,
    /// What they are for.
    arch: Arch,
    /// The stripped program.
    program: PathBuf,
    /// Man pages and completions, in the layout of `/usr/share`.
    share: PathBuf,
    /// What it is linked from.
    sbom: PathBuf,
}

/// Where the packages for `arch` are.
pub(crate) fn folder(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.root.join("target/package").join(arch.name())
}

/// Builds, then makes what `options` name.
///
/// # Errors
/// When a tool fails, or what was built is not as it has to be.
pub(crate) fn run(workspace: &Workspace, kit: &Kit, options: Options) -> Result<()> {
    let arch = options.arch;
    arch.ensure_std()?;
    // The writer of man pages runs on this machine.
    build::object(workspace, kit)?;
    let object = if arch == Arch::HOST {
        workspace.bpf_object()
    } else {
        build::object_for(workspace, kit, arch.name())?
    };
    let parts = parts(workspace, arch, &object)?;
    let all = !(options.deb || options.tar || options.image);
    if all || options.tar {
        tar(&parts)?;
    }
    if all || options.deb {
        deb::build(&parts)?;
    }
    if all || options.image {
        image::build(&parts)?;
    }
    checksums(&parts.folder)
}

/// Builds the program, which embeds `object`, and what is made with it.
fn parts(workspace: &Workspace, arch: Arch, object: &Path) -> Result<Parts> {
    let target = arch.target();
    let call = Invocation::new(&workspace.cargo)
        .args(["build", "--release", "--locked", "--package", "resetmon"])
        .args(["--bin", "resetmon", "--target", target])
        .env("RESETMON_BPF_OBJECT", object)
        .dir(&workspace.root);
    arch.with_compiler(call).run()?;
    let folder = folder(workspace, arch);
    let share = folder.join("share");
    emptied(&folder)?;
    let parts = Parts {
        root: workspace.root.clone(),
        arch,
        program: folder.join("resetmon"),
        sbom: folder.join("resetmon.cdx.json"),
        share,
        folder,
    };
    let built = workspace.target_of(target).join("release/resetmon");
    split(&built, &parts)?;
    Invocation::new(&workspace.cargo)
        .args(["run", "--quiet", "--locked", "--package", "resetmon"])
        .args(["--example", "manual", "--"])
        .arg(&parts.share)
        .dir(&workspace.root)
        .run()?;
    let bill = sbom::write(workspace, target)?;
    fs::write(&parts.sbom, bill)?;
    Ok(parts)
}

/// Separates the debug information, and sees that the program needs no library.
fn split(built: &Path, parts: &Parts) -> Result<()> {
    let debug = parts.folder.join("resetmon.debug");
    let objcopy = || Invocation::new(parts.arch.objcopy());
    objcopy()
        .arg("--only-keep-debug")
        .args([built, &debug])
        .run()?;
    objcopy()
        .arg("--strip-all")
        .arg(format!("--add-gnu-debuglink={}", debug.display()))
        .args([built, &parts.program])
        .run()?;
    let headers = Invocation::new("readelf")
        .args(["--wide", "--program-headers", "--dynamic"])
        .arg(&parts.program)
        .read()?;
    if let Some(needs) = needs(&headers) {
        bail!("the program is not static: {needs}");
    }
    Ok(())
}

/// The first line by which a program asks for an interpreter or a library.
fn needs(headers: &str) -> Option<&str> {
    headers
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("INTERP") || line.contains("(NEEDED)"))
}

fn tar(parts: &Parts) -> Result<()> {
    let name = format!("resetmon-{VERSION}-{}-linux", parts.arch.name());
    let tree = parts.folder.join(&name);
    emptied(&tree)?;
    copy(&parts.program, &tree.join("resetmon"), 0o755)?;
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&parts.root.join(license), &tree.join(license), 0o644)?;
    }
    copy(&parts.sbom, &tree.join("resetmon.cdx.json"), 0o644)?;
    copy(
        &parts.root.join("deploy/systemd/resetmon.service"),
        &tree.join("resetmon.service"),
        0o644,
    )?;
    fs::write(tree.join("resetmon.yaml"), deb::config(parts)?)?;
    Invocation::new("cp")
        .arg("-R")
        .args([&parts.share, &tree])
        .run()?;
    Invocation::new("tar")
        .args([
            "--create",
            "--gzip",
            "--owner=0",
            "--group=0",
            "--sort=name",
        ])
        .arg("--directory")
        .arg(&parts.folder)
        .arg("--file")
        .arg(parts.folder.join(format!("{name}.tar.gz")))
        .arg(&name)
        .run()?;
    Ok(fs::remove_dir_all(tree)?)
}

/// `SHA256SUMS` of every finished file.
fn checksums(folder: &Path) -> Result<()> {
    let sums = folder.join("SHA256SUMS");
    let mut names: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().is_file() && entry.path() != sums)
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    let text = Invocation::new("sha256sum")
        .args(&names)
        .dir(folder)
        .read()?;
    print!("{text}");
    fs::write(&sums, text).with_context(|| format!("cannot write {}", sums.display()))
}

/// Makes the folder, without what was in it.
fn emptied(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", folder.display()));
        }
        _ => {}
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Copies a file to where folders may be missing, with these permissions.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_programs_that_need_libraries() {
        let rows = [
            ("  INTERP         0x000318 0x318\n", true),
            (" 0x1 (NEEDED)  Shared library: [libc.so.6]\n", true),
            (
                "  LOAD           0x000000\n 0x1e (FLAGS)  BIND_NOW\n",
                false,
            ),
            ("There is no dynamic section in this file.\n", false),
        ];
        for (headers, expected) in rows {
            assert_eq!(needs(headers).is_some(), expected, "{headers}");
        }
    }
}
