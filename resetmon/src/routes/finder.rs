//! Discovery in the background: on a thread of its own, so that no file or admin interface that
//! hangs ever delays a reset.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::discovery::{Discovery, Found, Override};
use super::source;
use crate::ticks::Ticks;

/// Shortest time between two looks, also where they are asked for.
const LEAST: Duration = Duration::from_secs(1);

/// How gateways are found by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `discovery.enabled`.
    pub enabled: bool,
    /// `discovery.interval`: how often processes and admin interfaces are looked at, at least 1 s.
    pub interval: Duration,
    /// `discovery.enter_network_namespaces`: whether admin interfaces in network namespaces of
    /// their own are asked, which takes `CAP_SYS_ADMIN`.
    pub enter_network_namespaces: bool,
    /// `discovery.gateways`: what the operator knows better.
    pub overrides: Vec<Override>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(5),
            enter_network_namespaces: false,
            overrides: Vec::new(),
        }
    }
}

/// The gateways as the latest look found them; `None` before the first look.
pub type Snapshot = Option<Arc<Vec<Found>>>;

/// Looks for gateways until it is dropped.
#[derive(Debug)]
pub struct Finder {
    snapshots: watch::Receiver<Snapshot>,
    nudge: Arc<Notify>,
}

impl Finder {
    /// Starts to look below `proc_root`. `before` runs first, on the thread that looks: what it
    /// gives up, that thread does without.
    ///
    /// Errors: no thread can be started.
    pub fn start(
        proc_root: PathBuf,
        settings: Settings,
        before: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (send, snapshots) = watch::channel(None);
        let nudge = Arc::new(Notify::new());
        let nudged = Arc::clone(&nudge);
        let looking = async move {
            let discovery = Discovery::new(proc_root, source::all(), settings.overrides);
            let ticks = Ticks::every(settings.interval.max(LEAST))?;
            // The first one comes at once, as the first look does.
            ticks.tick().await?;
            look_on(discovery, &ticks, &send, &nudged).await
        };
        std::thread::Builder::new()
            .name("routes".to_owned())
            .spawn(move || {
                before();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let ended = match runtime {
                    Ok(runtime) => runtime.block_on(looking),
                    Err(error) => Err(error),
                };
                if let Err(error) = ended {
                    tracing::error!("gateways are no longer looked for: no event loop: {error}");
                }
            })?;
        Ok(Self { snapshots, nudge })
    }

    /// Waits for the next change.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn next(&mut self) -> Arc<Vec<Found>> {
        while self.snapshots.changed().await.is_ok() {
            if let Some(found) = self.snapshots.borrow_and_update().clone() {
                return found;
            }
        }
        std::future::pending().await
    }

    /// Asks for a look soon: a process that may be a gateway has appeared.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}

/// Looks again and again, until nobody listens any more.
async fn look_on(
    mut discovery: Discovery,
    ticks: &Ticks,
    send: &watch::Sender<Snapshot>,
    nudged: &Notify,
) -> std::io::Result<()> {
    let mut failed = false;
    loop {
        let looked = Instant::now();
        match discovery.look().await {
            Ok(changed) => {
                failed = false;
                if changed || send.borrow().is_none() {
                    send.send_replace(Some(Arc::new(discovery.found())));
                }
            }
            Err(error) if !failed => {
                failed = true;
                tracing::warn!("gateways are not found by themselves: /proc: {error}");
                send.send_if_modified(|snapshot| snapshot.get_or_insert_default().is_empty());
            }
            Err(_) => {}
        }
        tokio::select! {
            () = send.closed() => return Ok(()),
            tick = ticks.tick() => tick?,
            () = nudged.notified() => {
                tokio::time::sleep(LEAST.saturating_sub(looked.elapsed())).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_look_is_told_even_if_it_found_nothing_and_the_thread_ends() {
        let empty = tempfile::tempdir().unwrap();
        let (ran, before) = std::sync::mpsc::channel();
        let mut finder = Finder::start(empty.path().into(), Settings::default(), move || {
            ran.send(std::thread::current().name().map(str::to_owned))
                .unwrap();
        })
        .unwrap();
        assert_eq!(*finder.next().await, []);
        assert_eq!(before.recv().unwrap().as_deref(), Some("routes"));

        // Without /proc the first look is told, too.
        let mut finder = Finder::start("/nowhere".into(), Settings::default(), || ()).unwrap();
        assert_eq!(*finder.next().await, []);
    }
}
