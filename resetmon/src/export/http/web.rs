//! The web configuration in use, followed as its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::seen::Seen;
use super::web_config::{self, WebConfig, WebConfigError};

/// How long a connection waits for files that a disk or mount does not give: then it goes on with
/// the configuration as it was.
const CHECK_TIME: Duration = Duration::from_secs(1);

/// How HTTP is protected: TLS, basic auth and headers, or not at all.
///
/// Each new connection looks whether a file has changed. A broken change leaves what was; so does
/// one that takes protection away, since a file that is being written looks just like it.
pub struct Web {
    path: Option<PathBuf>,
    current: watch::Sender<Arc<WebConfig>>,
    /// The files as they were when last read; whoever holds it checks them.
    seen: Arc<Mutex<Vec<Seen>>>,
    /// To be read in any case.
    forced: AtomicBool,
}

impl Web {
    /// Plain HTTP for everybody.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(None, WebConfig::default(), Vec::new())
    }

    /// As the web configuration file at `path` has it.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        let (config, seen) = web_config::load(path);
        let config = config?;
        warn(&config);
        Ok(Self::new(Some(path.to_owned()), config, seen))
    }

    fn new(path: Option<PathBuf>, config: WebConfig, seen: Vec<Seen>) -> Self {
        Self {
            path,
            current: watch::Sender::new(Arc::new(config)),
            seen: Arc::new(Mutex::new(seen)),
            forced: AtomicBool::new(false),
        }
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self.current.borrow().tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Whether a client has to say who it is, by a password or a certificate.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        let current = self.current.borrow();
        current.users.is_some() || current.verifies_clients
    }

    /// Reads the files again in the background, changed or not; the log says how it went.
    ///
    /// Needs a running event loop.
    pub fn reload(self: &Arc<Self>) {
        self.forced.store(true, Ordering::Relaxed);
        let web = Arc::clone(self);
        tokio::spawn(async move { web.current().await });
    }

    /// The configuration for a new connection.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<WebConfig> {
        if let Some(path) = self.path.clone()
            // While another connection checks, this one need not.
            && let Ok(mut seen) = Arc::clone(&self.seen).try_lock_owned()
        {
            let web = Arc::clone(self);
            let check = tokio::task::spawn_blocking(move || web.check(&path, &mut seen));
            if timeout(CHECK_TIME, check).await.is_err() {
                tracing::warn!("the web configuration's files cannot be read in time");
            }
        }
        Arc::clone(&self.current.borrow())
    }

    /// Reads the files if one has changed.
    fn check(&self, path: &Path, seen: &mut Vec<Seen>) {
        let forced = self.forced.swap(false, Ordering::Relaxed);
        if !forced && seen.iter().all(Seen::is_unchanged) {
            return;
        }
        let (result, now) = web_config::load(path);
        *seen = now;
        match result {
            Ok(new) if self.current.borrow().is_stricter_than(&new) => tracing::warn!(
                "the web configuration {} is kept as it was: the file now takes TLS, users or the \
                 client CA away, which needs a restart",
                path.display()
            ),
            Ok(new) => {
                warn(&new);
                self.current.send_replace(Arc::new(new));
                tracing::info!("web configuration {} reloaded", path.display());
            }
            Err(error) => tracing::warn!("the web configuration is kept as it was: {error}"),
        }
    }
}

fn warn(config: &WebConfig) {
    for warning in &config.warnings {
        tracing::warn!("web configuration: {warning}");
    }
}

#[cfg(test)]
mod tests;
