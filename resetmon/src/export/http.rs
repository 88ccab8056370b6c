//! HTTP endpoints: `/metrics`, `/healthz`, `/readyz`, `/status`.
//!
//! One connection carries one request. A scrape every few seconds gains nothing from keep-alive, and
//! so one time limit bounds all that a client can hold up.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

mod accept;
mod pages;
#[cfg(test)]
mod tests;

pub use pages::{Pages, ProbeStatus, StatusPage};

/// What a client may hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait in the accept queue.
    pub connections: u16,
    /// Until the request's headers are complete.
    pub header_time: Duration,
    /// From accept until the answer is out.
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

/// How long an ended connection is read on, so that what the client still sends is not answered
/// by a RST that could overtake the answer.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// And how much of it, bytes.
const LINGER_BYTES: usize = 256 * 1024;

/// hyper's smallest buffer, bytes.
const MIN_BUFFER: usize = 8192;

/// Serves the pages until `shutdown` completes; then ends running requests within
/// [`Limits::stop_time`].
pub async fn serve(
    listener: TcpListener,
    pages: Arc<dyn Pages>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(usize::from(limits.connections)));
    let (running, stop) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, slot) = tokio::select! {
            next = next(&listener, &slots) => next,
            () = &mut shutdown => break,
        };
        tokio::spawn(connection(
            stream,
            Arc::clone(&pages),
            limits,
            stop.clone(),
            slot,
        ));
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

/// Serves one connection and holds its slot until the end; `stop` ends when the server stops.
async fn connection(
    stream: TcpStream,
    pages: Arc<dyn Pages>,
    limits: Limits,
    mut stop: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let mut io = TokioIo::new(stream);
    let exchange = async {
        let service = service_fn(|request| {
            let response = pages::answer(&*pages, &request);
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_headers(limits.headers)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(MIN_BUFFER))
            .keep_alive(false)
            .serve_connection(&mut io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => result,
            _ = stop.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let Ok(result) = timeout(limits.total_time, exchange).await else {
        tracing::debug!("HTTP connection cut off: the client was too slow");
        return;
    };
    if let Err(error) = result {
        tracing::debug!("HTTP connection: {error}");
    }
    linger(io.into_inner()).await;
}

/// Ends our side and reads on until the client ends its own, within limits.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut buffer = [0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    // Time over: the client has had its chance.
    let _ = timeout(LINGER_TIME, drain).await;
}
