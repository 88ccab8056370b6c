//! The container image under runc, with the settings of the Kubernetes manifest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{file, unpack};
use crate::container;

/// The row.
pub(super) fn captures() -> Result<()> {
    let image = Image::open(&file("-image.tar")?)?;
    let config = image.json(&image.manifest()?["config"])?;
    ensure!(config["os"] == "linux", "{config}");
    let config = &config["config"];
    ensure!(config["User"] == "0:0", "user {}", config["User"]);
    let entrypoint = config["Entrypoint"].as_array().context("entrypoint")?;
    container::suffices(entrypoint, |root| image.unpack(root))
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
        for layer in self.manifest()?["layers"].as_array().context("layers")? {
            unpack(&self.blob(layer)?, root)?;
        }
        Ok(())
    }
}
