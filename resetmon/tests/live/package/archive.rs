//! The archive, the checksums and the bill of materials.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{done, file, output, unpack};

/// The row.
pub(super) fn is_whole() -> Result<()> {
    let sums = file("SHA256SUMS")?;
    let folder = sums.parent().context("a folder")?;
    let mut check = Command::new("sha256sum");
    check
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(folder);
    let checked = output(&mut check)?;
    for end in ["-linux.tar.gz", ".deb", "-image.tar", ".cdx.json", ".debug"] {
        ensure!(
            checked
                .lines()
                .any(|line| line.ends_with(&format!("{end}: OK"))),
            "{end} is not in {checked}"
        );
    }

    done(format!(
        "the checksums of {} files are right",
        checked.lines().count()
    ));

    let unpacked = TempDir::new()?;
    let archive = file("-linux.tar.gz")?;
    unpack(&archive, unpacked.path())?;
    let name = archive.file_name().context("a name")?.to_string_lossy();
    let top = unpacked.path().join(name.trim_end_matches(".tar.gz"));
    for name in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "resetmon.service",
        "resetmon.yaml",
        "share/man/man1/resetmon.1",
    ] {
        ensure!(top.join(name).is_file(), "{name} is missing");
    }
    // With nothing of this machine around it.
    let mut version = Command::new(top.join("resetmon"));
    let said = output(version.arg("--version").env_clear())?;
    ensure!(said.contains("eBPF object"), "{said}");
    done(format!("the program of the archive says: {}", said.trim()));

    let bill: Value = serde_json::from_slice(&std::fs::read(top.join("resetmon.cdx.json"))?)?;
    ensure!(bill["bomFormat"] == "CycloneDX", "{}", bill["bomFormat"]);
    let components = bill["components"].as_array().context("components")?;
    let without: Vec<_> = components
        .iter()
        .filter(|component| !component["licenses"].is_array())
        .map(|component| &component["name"])
        .collect();
    ensure!(
        components.len() > 50 && without.is_empty(),
        "no licence: {without:?}"
    );
    done(format!(
        "the bill of materials has {} packages with their licences",
        components.len()
    ));
    Ok(())
}
