//! The Debian package, by `dpkg-deb`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Parts, VERSION, copy, emptied};
use crate::command::Invocation;

/// The configuration, which upgrades leave as the operator has it.
pub(super) const CONFIG: &str = "etc/resetmon/resetmon.yaml";
/// Where the project is, and is told of faults: it has no mail address to give.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
/// Where licences and the bill of materials go.
const DOC: &str = "usr/share/doc/resetmon";

/// Lays out the package and builds it; returns its path.
///
/// # Errors
/// When a file cannot be written or `dpkg-deb` fails.
pub(super) fn build(parts: &Parts) -> Result<PathBuf> {
    let tree = parts.folder.join("deb");
    emptied(&tree)?;
    lay_out(parts, &tree)?;
    let architecture = parts.arch.debian();
    let control = tree.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(
        control.join("control"),
        control_file(architecture, size(&tree)?),
    )?;
    fs::write(control.join("conffiles"), format!("/{CONFIG}\n"))?;
    for script in ["postinst", "prerm", "postrm"] {
        let from = parts.root.join("deploy/debian").join(script);
        copy(&from, &control.join(script), 0o755)?;
    }
    let package = parts
        .folder
        .join(format!("resetmon_{VERSION}_{architecture}.deb"));
    Invocation::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &package])
        .run()?;
    fs::remove_dir_all(tree)?;
    Ok(package)
}

fn lay_out(parts: &Parts, tree: &Path) -> Result<()> {
    copy(&parts.program, &tree.join("usr/bin/resetmon"), 0o755)?;
    let files = [
        (
            "deploy/systemd/resetmon.service",
            "lib/systemd/system/resetmon.service",
        ),
        (
            "deploy/debian/copyright",
            "usr/share/doc/resetmon/copyright",
        ),
    ];
    for (from, to) in files {
        copy(&parts.root.join(from), &tree.join(to), 0o644)?;
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(
            &parts.root.join(license),
            &tree.join(DOC).join(license),
            0o644,
        )?;
    }
    copy(
        &parts.sbom,
        &tree.join(DOC).join("resetmon.cdx.json"),
        0o644,
    )?;
    let share = tree.join("usr/share");
    Invocation::new("cp")
        .args(["-R", "--no-target-directory"])
        .args([&parts.share, &share])
        .run()?;
    Invocation::new("find")
        .arg(share.join("man"))
        .args(["-type", "f", "-exec", "gzip", "-9n", "{}", "+"])
        .run()?;
    let config_file = tree.join(CONFIG);
    if let Some(folder) = config_file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(config_file, config(parts)?)?)
}

/// The configuration as it is installed.
///
/// # Errors
/// When the reference cannot be read.
pub(super) fn config(parts: &Parts) -> Result<String> {
    let reference = parts.root.join("resetmon/src/config/reference.yaml");
    let reference = fs::read_to_string(&reference)
        .with_context(|| format!("cannot read {}", reference.display()))?;
    Ok(commented(&reference))
}

/// The reference with every key off: what is uncommented is what the operator wants.
fn commented(reference: &str) -> String {
    reference
        .lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line if line.starts_with('#') => format!("{line}\n"),
            line => format!("#{line}\n"),
        })
        .collect()
}

/// KiB of all files, as dpkg wants to know it.
fn size(tree: &Path) -> Result<u64> {
    let said = Invocation::new("du")
        .args(["--apparent-size", "-sk"])
        .arg(tree)
        .read()?;
    let number = said.split_whitespace().next();
    number
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("du said {said:?}"))
}

fn control_file(architecture: &str, kib: u64) -> String {
    format!(
        "Package: resetmon\n\
         Version: {VERSION}\n\
         Architecture: {architecture}\n\
         Maintainer: The resetmon maintainers <{REPOSITORY}/issues>\n\
         Installed-Size: {kib}\n\
         Section: net\n\
         Priority: optional\n\
         Homepage: {REPOSITORY}\n\
         Description: every TCP reset on a node, explained\n \
         Says of each TCP reset who sent it, whose process, which peer, which gateway route,\n \
         and why: as Prometheus metrics, live in a terminal, and as a report.\n \
         .\n \
         Needs Linux 5.15 or newer with BTF; `resetmon doctor` says what a kernel gives.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_every_key_off() {
        let text = commented("# One.\nlisten: a\n\nevents:\n  # Two.\n  path: b\n");
        assert_eq!(
            text,
            "# One.\n#listen: a\n\n#events:\n#  # Two.\n#  path: b\n"
        );
    }

    #[test]
    fn the_control_file_is_a_paragraph_of_fields() {
        let text = control_file("amd64", 7);
        assert!(text.contains("\nArchitecture: amd64\n") && text.contains("\nInstalled-Size: 7\n"));
        for line in text.lines() {
            let field = line
                .split_once(": ")
                .is_some_and(|(name, _)| !name.contains(' '));
            assert!(field || line.starts_with(' '), "{line:?}");
        }
    }
}
