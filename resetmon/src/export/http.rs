//! HTTP endpoints: `/metrics`, `/healthz`, `/readyz`, `/status`, and `/events` where asked for.
//!
//! One connection carries one request. A scrape every few seconds gains nothing from keep-alive, and
//! so one time limit bounds all that a client can hold up; a stream of events, which has no end,
//! has it anew with each progress. TLS and basic auth are as a web
//! configuration file has them ([`web_config`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use connection::Server;

mod accept;
mod basic_auth;
#[cfg(test)]
pub(crate) mod certs;
mod connection;
mod events;
mod guard;
mod pages;
mod seen;
#[cfg(test)]
mod tests;
mod web;
pub mod web_config;

pub use events::Feed;
pub use pages::{GatewayStatus, Pages, ProbeStatus, StatusPage, answer};
pub use web::Web;

/// What a client may hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait in the accept queue.
    pub connections: u16,
    /// From accept until the TLS handshake is done and the request's headers are complete.
    pub header_time: Duration,
    /// From accept until the answer is out; for a stream between two signs of progress.
    pub total_time: Duration,
    /// Request line and headers, bytes; hyper wants 8192 at least.
    pub header_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// What running requests get to end in when the server stops.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header_time: Duration::from_secs(5),
            total_time: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            headers: 64,
            stop_time: Duration::from_secs(2),
        }
    }
}

/// Pause after a failed `accept()`, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the pages, protected as `web` has it, until `shutdown` completes; then ends running
/// requests within [`Limits::stop_time`].
pub async fn serve(
    listener: TcpListener,
    pages: Arc<dyn Pages>,
    web: Arc<Web>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(usize::from(limits.connections)));
    let server = Arc::new(Server { pages, web, limits });
    let (running, stop) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, slot) = tokio::select! {
            next = next(&listener, &slots) => next,
            () = &mut shutdown => break,
        };
        let (server, stop) = (Arc::clone(&server), stop.clone());
        tokio::spawn(async move {
            connection::serve(stream, &server, stop).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(running);
    let ended = slots.acquire_many(u32::from(limits.connections));
    if timeout(limits.stop_time, ended).await.is_err() {
        tracing::warn!("HTTP requests were still running when the server stopped");
    }
}

/// The next connection that has a slot.
async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // Only a closed semaphore refuses, and this one is never closed.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!("no HTTP connection accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
