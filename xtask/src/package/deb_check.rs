//! The Debian package, installed by dpkg for real in a folder of its own, upgraded and removed.
//!
//! Its root holds a busybox as shell for the maintainer scripts, and no systemd: what these do of
//! services is not run here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::deb::CONFIG;
use super::{Parts, copy, emptied};
use crate::command::{Invocation, find_program, search_dirs};

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

/// Installs, upgrades, removes and purges `package`.
///
/// # Errors
/// When a step fails, or leaves something else than it has to.
pub(super) fn run(parts: &Parts, package: &Path) -> Result<()> {
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
    let version = inside(&root, &["/usr/bin/resetmon", "--version"])?;
    print!("installed: {version}");
    ensure!(version.contains("eBPF object"), "it says {version:?}");
    // The configuration as installed is one that it takes.
    inside(
        &root,
        &[
            "/usr/bin/resetmon",
            "routes",
            "--config",
            "/etc/resetmon/resetmon.yaml",
        ],
    )?;

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
    println!("the package installs, upgrades, and leaves nothing behind");
    Ok(())
}

/// A root with a shell and an empty database of packages.
fn prepare(root: &Path) -> Result<()> {
    emptied(root)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(busybox) = find_program("busybox", &search_dirs(&path)) else {
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

fn inside(root: &Path, words: &[&str]) -> Result<String> {
    Invocation::new("chroot").arg(root).args(words).read()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::deb;

    /// The package's files and scripts with a stand-in for the program, which takes long to build.
    #[test]
    #[ignore = "needs root, dpkg and a static busybox"]
    fn a_package_installs_upgrades_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("xtask-deb-{}", std::process::id()));
        emptied(&folder).unwrap();
        let parts = Parts {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
            program: folder.join("resetmon"),
            share: folder.join("share"),
            sbom: folder.join("resetmon.cdx.json"),
            folder,
        };
        let pages = ["man/man1/resetmon.1", "man/man1/resetmon-run.1"];
        let completions = ["bash-completion/completions/resetmon"];
        for name in pages.into_iter().chain(completions) {
            let file = parts.share.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "text\n").unwrap();
        }
        fs::write(&parts.sbom, "{}\n").unwrap();
        let script = parts.folder.join("script");
        // A fault in `detach` would end a removal.
        fs::write(&script, "#!/bin/sh\necho \"resetmon, eBPF object: $*\"\n").unwrap();
        copy(&script, &parts.program, 0o755).unwrap();

        let package = deb::build(&parts).unwrap();
        run(&parts, &package).unwrap();
        fs::remove_dir_all(&parts.folder).unwrap();
    }
}
