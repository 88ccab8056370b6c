//! One connection, with TLS or without: one request, within the limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::events::Patience;
use super::web::Web;
use super::web_config::WebConfig;
use super::{Limits, Pages, guard};

/// How long an ended connection is read on, so that what the client still sends is not answered
/// by a RST that could overtake the answer.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// And how much of it, bytes.
const LINGER_BYTES: usize = 256 * 1024;

/// hyper's smallest buffer, bytes.
const MIN_BUFFER: usize = 8192;

/// For a client that speaks HTTP where TLS is spoken.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nthis is HTTPS; write https://\n";

/// What all connections have in common.
pub(super) struct Server {
    pub(super) pages: Arc<dyn Pages>,
    pub(super) web: Arc<Web>,
    pub(super) limits: Limits,
}

/// Until when a connection has what.
#[derive(Clone, Copy)]
struct Deadlines {
    /// TLS handshake and headers.
    headers: Instant,
    /// Everything.
    total: Instant,
}

/// Serves one connection; `stop` ends when the server stops.
pub(super) async fn serve(stream: TcpStream, server: &Server, mut stop: watch::Receiver<()>) {
    let now = Instant::now();
    let until = Deadlines {
        headers: now + server.limits.header_time,
        total: now + server.limits.total_time,
    };
    // Before the headers there is no request that could be ended well.
    let opening = async {
        let web = server.web.current().await;
        let stream = match &web.tls {
            None => Stream::Plain(stream),
            Some(tls) => handshake(tls, stream).await?,
        };
        Some((web, stream))
    };
    let opened = tokio::select! {
        opened = timeout_at(until.headers.min(until.total), opening) => opened,
        _ = stop.changed() => return,
    };
    match opened {
        Err(_) => tracing::debug!("HTTP connection cut off: the TLS handshake took too long"),
        Ok(None) => {}
        Ok(Some((web, Stream::Plain(stream)))) => exchange(stream, server, web, until, stop).await,
        Ok(Some((web, Stream::Tls(stream)))) => exchange(*stream, server, web, until, stop).await,
    }
}

/// A connection that is ready for requests.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// `None` if the client is refused, after it has been told.
async fn handshake(tls: &TlsAcceptor, mut stream: TcpStream) -> Option<Stream> {
    let mut first = [0];
    // TLS begins with 22, a request with a letter.
    if matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_alphabetic() {
        // A client that is gone needs no answer.
        let _ = stream.write_all(NOT_TLS).await;
        linger(stream).await;
        return None;
    }
    match tls.accept(stream).into_fallible().await {
        Ok(stream) => Some(Stream::Tls(Box::new(stream))),
        Err((error, stream)) => {
            tracing::debug!("TLS handshake failed: {error}");
            linger(stream).await;
            None
        }
    }
}

/// Answers one request.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    server: &Server,
    web: Arc<WebConfig>,
    until: Deadlines,
    mut stop: watch::Receiver<()>,
) {
    let limits = server.limits;
    let mut io = TokioIo::new(stream);
    let patience = Patience::new(until.total, limits.total_time);
    let stopped = stop.clone();
    let exchange = async {
        let service = service_fn(|request| {
            let (web, patience, stop) = (Arc::clone(&web), &patience, stopped.clone());
            async move {
                let pages = &*server.pages;
                Ok::<_, Infallible>(guard::answer(pages, &web, &request, patience, stop).await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(until.headers.saturating_duration_since(Instant::now()))
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
    let result = tokio::select! {
        result = exchange => result,
        () = patience.over() => {
            tracing::debug!("HTTP connection cut off: the client was too slow");
            return;
        }
    };
    if let Err(error) = result {
        tracing::debug!("HTTP connection: {error}");
    }
    linger(io.into_inner()).await;
}

/// Ends our side and reads on until the client ends its own, within limits.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let drain = async {
        // With TLS this also tells the client that the answer is complete.
        if stream.shutdown().await.is_err() {
            return;
        }
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
