//! Where certificates and keys are, and the reading of them.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_saphyr::Location;

use crate::text::printable;

/// Largest file that is read, bytes: far more than any chain of certificates.
const MAX_FILE: u64 = 1 << 20;

/// Where a certificate or key is.
pub(super) struct Source {
    /// The key that names it.
    pub(super) name: &'static str,
    /// Where its value stands in the web configuration.
    pub(super) place: Location,
    /// In the web configuration itself, or in a file.
    pub(super) pem: Pem,
}

/// PEM text, or where it is.
pub(super) enum Pem {
    /// The text.
    Inline(String),
    /// A file's path, as it is opened.
    File(PathBuf),
}

impl Source {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.pem {
            Pem::Inline(_) => None,
            Pem::File(path) => Some(path),
        }
    }

    /// What errors call it: `cert_file /etc/tls.crt`.
    pub(super) fn describe(&self) -> String {
        match &self.pem {
            Pem::Inline(_) => self.name.to_owned(),
            Pem::File(path) => {
                let path = path.to_string_lossy();
                format!("{} {}", self.name, printable(&path))
            }
        }
    }

    /// The PEM text.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        match &self.pem {
            Pem::Inline(text) => Ok(text.clone().into_bytes()),
            Pem::File(path) => read(path).map_err(|error| format!("{}: {error}", self.describe())),
        }
    }

    /// Whether any user of the machine can read the file.
    pub(super) fn is_world_readable(&self) -> bool {
        self.file()
            .and_then(|path| path.metadata().ok())
            .is_some_and(|file| file.permissions().mode() & 0o004 != 0)
    }
}

/// A regular file's content, with the remedy in the error.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |error: std::io::Error| format!("{error}; check the path and its permissions");
    // Opening a FIFO would wait for its writer.
    if !path.metadata().map_err(explain)?.is_file() {
        return Err("not a regular file; check the path".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(explain)?;
    if bytes.len() as u64 > MAX_FILE {
        let most = MAX_FILE >> 20;
        return Err(format!("larger than {most} MiB; is this the right file?"));
    }
    Ok(bytes)
}
