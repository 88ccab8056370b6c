//! The container image, by buildah: one archive that every tool loads.
//!
//! It is a layout of the Open Container Initiative with what Docker wants besides, as `docker save`
//! writes it: Docker's own store and kind read only `manifest.json`, containerd and podman read
//! `index.json`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Parts, VERSION, copy, emptied};
use crate::command::Invocation;

/// Builds the image and writes its archive.
///
/// # Errors
/// When a file cannot be written or buildah fails.
pub(super) fn build(parts: &Parts) -> Result<()> {
    let context = parts.folder.join("image");
    emptied(&context)?;
    copy(&parts.program, &context.join("resetmon"), 0o755)?;
    copy(&parts.sbom, &context.join("resetmon.cdx.json"), 0o644)?;
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&parts.root.join(license), &context.join(license), 0o644)?;
    }
    // In a store of its own: the machine's images stay as they are.
    let store = parts.folder.join("store");
    emptied(&store)?;
    let buildah = || {
        Invocation::new("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(store.join("root"))
            .arg("--runroot")
            .arg(store.join("run"))
    };
    let name = format!("resetmon:{VERSION}");
    buildah()
        .args(["bud", "--isolation", "chroot", "--tag", &name])
        .args(["--arch", parts.arch.debian(), "--label"])
        .arg(format!("org.opencontainers.image.version={VERSION}"))
        .arg("--file")
        .arg(parts.root.join("deploy/container/Containerfile"))
        .arg(&context)
        .run()?;
    let layout = store.join("layout");
    buildah()
        .args(["push", "--quiet", &name])
        .arg(format!("oci:{}:{name}", layout.display()))
        .run()?;
    complete(&layout)?;
    archive(parts, &layout)?;
    fs::remove_dir_all(store)?;
    Ok(fs::remove_dir_all(context)?)
}

/// Adds what Docker reads, and the name by which containerd has the image.
fn complete(layout: &Path) -> Result<()> {
    let index_file = layout.join("index.json");
    let index = read(&index_file)?;
    let manifest = (|| {
        let digest = index["manifests"].as_array()?.first()?["digest"].as_str()?;
        Some(layout.join(blob(digest)?))
    })();
    let manifest = read(&manifest.context("index.json names no manifest")?)?;
    let for_docker = for_docker(&manifest).context("the image's manifest is not understood")?;
    write(&layout.join("manifest.json"), &for_docker)?;
    write(&index_file, &named(index))
}

/// `index.json` with the names that `docker save` gives.
fn named(mut index: Value) -> Value {
    index["manifests"][0]["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/resetmon:{VERSION}"),
        "org.opencontainers.image.ref.name": VERSION,
    });
    index
}

/// `manifest.json`, from the manifest of the Open Container Initiative.
fn for_docker(manifest: &Value) -> Option<Value> {
    let path = |descriptor: &Value| blob(descriptor["digest"].as_str()?);
    let layers: Option<Vec<String>> = manifest["layers"].as_array()?.iter().map(path).collect();
    Some(json!([{
        "Config": path(&manifest["config"])?,
        "RepoTags": [format!("resetmon:{VERSION}")],
        "Layers": layers?,
    }]))
}

/// Where a layout has what has this digest.
fn blob(digest: &str) -> Option<String> {
    let (kind, hash) = digest.split_once(':')?;
    Some(format!("blobs/{kind}/{hash}"))
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
}

fn write(file: &Path, value: &Value) -> Result<()> {
    fs::write(file, value.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

fn archive(parts: &Parts, layout: &Path) -> Result<()> {
    let name = format!("resetmon-{VERSION}-{}-image.tar", parts.arch.name());
    Invocation::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--sort=name"])
        .arg("--directory")
        .arg(layout)
        .arg("--file")
        .arg(parts.folder.join(name))
        .args(["blobs", "index.json", "manifest.json", "oci-layout"])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_is_told_where_the_blobs_are() {
        let manifest = json!({
            "config": {"digest": "sha256:c"},
            "layers": [{"digest": "sha256:a"}, {"digest": "sha256:b"}],
        });
        let found = for_docker(&manifest).unwrap();
        let expected = json!([{
            "Config": "blobs/sha256/c",
            "RepoTags": [format!("resetmon:{VERSION}")],
            "Layers": ["blobs/sha256/a", "blobs/sha256/b"],
        }]);
        assert_eq!(found, expected);
        let wrong = [
            json!({}),
            json!({"config": {"digest": "sha256:c"}}),
            json!({"config": {"digest": "c"}, "layers": []}),
            json!({"config": {"digest": "sha256:c"}, "layers": [{}]}),
        ];
        for manifest in wrong {
            assert_eq!(for_docker(&manifest), None, "{manifest}");
        }
    }
}
