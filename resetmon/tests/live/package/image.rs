//! The container image under runc, with the settings of the Kubernetes manifest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{done, file, unpack};
use crate::container;

/// The row.
pub(super) fn captures() -> Result<()> {
    let image = Image::open(&file("-image.tar")?)?;
    image.is_dockers_too()?;
    let config = image.json(&image.manifest()?["config"])?;
    ensure!(config["os"] == "linux", "{config}");
    let config = &config["config"];
    ensure!(config["User"] == "0:0", "user {}", config["User"]);
    let entrypoint = config["Entrypoint"].as_array().context("entrypoint")?;
    container::suffices(entrypoint, |root| {
        image.unpack(root)?;
        done(format!(
            "layers unpacked: {}; the entry point is {}",
            image.layers()?.len(),
            Value::from(entrypoint.as_slice())
        ));
        Ok(())
    })?;
    done(
        "under runc with the settings of the DaemonSet: captured, scraped, taken over, demo shown",
    );
    Ok(())
}

/// An image in the layout of the Open Container Initiative.
struct Image {
    folder: TempDir,
}

impl Image {
    fn open(archive: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        unpack(archive, folder.path())?;
        Ok(Self { folder })
    }

    fn manifest(&self) -> Result<Value> {
        let index = fs::read(self.folder.path().join("index.json")).context("index.json")?;
        let index: Value = serde_json::from_slice(&index)?;
        let manifests = index["manifests"].as_array().context("manifests")?;
        ensure!(manifests.len() == 1, "{index}");
        self.json(&manifests[0])
    }

    /// What Docker reads names the same blobs.
    fn is_dockers_too(&self) -> Result<()> {
        let text = fs::read(self.folder.path().join("manifest.json")).context("manifest.json")?;
        let for_docker = &serde_json::from_slice::<Value>(&text)?[0];
        let manifest = self.manifest()?;
        let path = |descriptor: &Value| -> Result<Value> {
            let blob = self.blob(descriptor)?;
            let inside = blob.strip_prefix(self.folder.path())?;
            Ok(inside.to_string_lossy().into())
        };
        let layers: Result<Vec<Value>> = self.layers()?.iter().map(path).collect();
        ensure!(
            for_docker["Config"] == path(&manifest["config"])?
                && for_docker["Layers"] == Value::from(layers?),
            "{for_docker} is not {manifest}"
        );
        let tag = for_docker["RepoTags"][0].as_str().context("RepoTags")?;
        ensure!(tag.starts_with("resetmon:"), "{tag}");
        Ok(())
    }

    fn json(&self, descriptor: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.blob(descriptor)?)?)?)
    }

    fn blob(&self, descriptor: &Value) -> Result<PathBuf> {
        let digest = descriptor["digest"].as_str().context("digest")?;
        let (kind, hash) = digest.split_once(':').context("digest")?;
        Ok(self.folder.path().join("blobs").join(kind).join(hash))
    }

    /// Its files, layer upon layer; they take nothing away that an earlier one has.
    fn unpack(&self, root: &Path) -> Result<()> {
        for layer in self.layers()? {
            unpack(&self.blob(&layer)?, root)?;
        }
        Ok(())
    }

    fn layers(&self) -> Result<Vec<Value>> {
        let manifest = self.manifest()?;
        Ok(manifest["layers"].as_array().context("layers")?.clone())
    }
}
