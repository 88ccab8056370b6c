//! The Debian package's files and scripts in every run of the tests: installed by dpkg in a folder
//! of its own, upgraded and removed.
//!
//! A stand-in takes the place of the program, which takes long to build. The root holds a busybox
//! as shell for the maintainer scripts, and no systemd. The whole package in a whole Debian is for
//! `cargo xtask test --package`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::deb::CONFIG;
use super::{Arch, Parts, copy, deb, emptied};
use crate::command::{Invocation, find_program, search_dirs};
use crate::workspace::Workspace;

/// What has to be there once it is installed.
const FILES: [&str; 10] = [
    "usr/bin/resetmon",
    CONFIG,
    "lib/systemd/system/resetmon.service",
    "usr/share/man/man1/resetmon.1.gz",
    "usr/share/man/man1/resetmon-run.1.gz",
    "usr/share/bash-completion/completions/resetmon",
    "usr/share/doc/resetmon/copyright",
    "usr/share/doc/resetmon/LICENSE-MIT",
    "usr/share/doc/resetmon/LICENSE-APACHE",
    "usr/share/doc/resetmon/resetmon.cdx.json",
];

/// Whether this machine can make and install packages.
pub(crate) fn is_possible() -> bool {
    let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
    find_program("dpkg-deb", &dirs).is_some()
}

/// Makes a package of a stand-in, then installs, upgrades, removes and purges it.
///
/// # Errors
/// When a step fails, or leaves something else than it has to.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let parts = stand_in(workspace)?;
    let package = deb::build(&parts)?;
    install_and_remove(&parts, &package)?;
    Ok(fs::remove_dir_all(&parts.folder)?)
}

/// Parts without a build.
fn stand_in(workspace: &Workspace) -> Result<Parts> {
    let folder = workspace.root.join("target/package/stand-in");
    emptied(&folder)?;
    let parts = Parts {
        root: workspace.root.clone(),
        arch: Arch::HOST,
        program: folder.join("resetmon"),
        share: folder.join("share"),
        sbom: folder.join("resetmon.cdx.json"),
        folder,
    };
    let pages = ["man/man1/resetmon.1", "man/man1/resetmon-run.1"];
    let completions = ["bash-completion/completions/resetmon"];
    for name in pages.into_iter().chain(completions) {
        let file = parts.share.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, "text\n")?;
    }
    fs::write(&parts.sbom, "{}\n")?;
    let script = parts.folder.join("script");
    // A fault in `detach` would end a removal.
    fs::write(&script, "#!/bin/sh\necho \"resetmon, eBPF object: $*\"\n")?;
    copy(&script, &parts.program, 0o755)?;
    Ok(parts)
}

fn install_and_remove(parts: &Parts, package: &Path) -> Result<()> {
    let root = parts.folder.join("root");
    prepare(&root)?;
    let before = files(&root)?;
    dpkg(&root, "--install", package)?;
    for file in FILES {
        ensure!(
            root.join(file).is_file(),
            "the package does not install {file}"
        );
    }
    let config = root.join(CONFIG);
    fs::write(&config, "log_level: warn\n")?;
    dpkg(&root, "--install", package)?;
    let kept = fs::read_to_string(&config)?;
    ensure!(
        kept == "log_level: warn\n",
        "an upgrade overwrote the configuration"
    );

    dpkg(&root, "--remove", Path::new("resetmon"))?;
    ensure!(config.is_file(), "removal took the configuration along");
    ensure!(!root.join(FILES[0]).exists(), "removal left the program");
    // As the service leaves them.
    fs::create_dir_all(root.join("var/log/resetmon"))?;
    fs::write(root.join("var/log/resetmon/events.json"), "")?;
    dpkg(&root, "--purge", Path::new("resetmon"))?;
    let left: Vec<PathBuf> = files(&root)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "purging leaves {left:?}");
    fs::remove_dir_all(root)?;
    Ok(())
}

/// A root with a shell and an empty database of packages.
fn prepare(root: &Path) -> Result<()> {
    emptied(root)?;
    let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
    let Some(busybox) = find_program("busybox", &dirs) else {
        bail!("busybox is missing: apt-get install busybox-static");
    };
    copy(&busybox, &root.join("bin/busybox"), 0o755)?;
    for name in ["sh", "rm", "rmdir"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    for folder in [
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/log",
        "proc",
        "etc",
        "tmp",
        "dev",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    // The scripts write to it, and would make it.
    fs::write(root.join("dev/null"), "")?;
    Ok(fs::write(root.join("var/lib/dpkg/status"), "")?)
}

fn dpkg(root: &Path, action: &str, what: &Path) -> Result<()> {
    Invocation::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args(["--force-not-root", "--force-depends", action])
        .arg(what)
        .run()
        .with_context(|| format!("dpkg {action}"))
}

/// Every file and folder but those of dpkg's own books.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut next = vec![root.to_owned()];
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.path().starts_with(root.join("var/lib/dpkg")) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    Ok(found)
}
