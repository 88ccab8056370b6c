//! A backend that speaks HTTP/2: one connection of the gateway's for many clients. Its reset ends
//! several requests, and a client's ends none of its connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

use super::traffic::{ANSWER, Fault, Truth, number, reset, wanted};

/// How long before a connection's end a request may have ended and still be broken by it: what was
/// written is not what was sent.
const LATELY: Duration = Duration::from_millis(100);

/// Serves until the test ends.
pub(super) fn serve(listener: TcpListener, truth: &Truth) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("event loop")?;
    listener.set_nonblocking(true)?;
    let truth = truth.clone();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((stream, peer)) = listener.accept().await {
                let truth = truth.clone();
                tokio::spawn(async move {
                    let streams = Arc::new(Streams::default());
                    // What happens to the connection is what the test is about.
                    let _ = connection(stream, &streams).await;
                    streams.tell(peer.port(), &truth);
                });
            }
        });
    });
    Ok(())
}

/// The requests of one connection.
#[derive(Debug, Default)]
struct Streams {
    /// Whether and when each has ended.
    ended: Mutex<HashMap<u64, Option<Instant>>>,
    /// Asks for the end of the connection.
    stop: Notify,
}

impl Streams {
    fn note(&self, request: u64, ended: Option<Instant>) {
        let mut all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(request, ended);
    }

    /// Those that the end of the connection broke, or may have.
    fn tell(&self, port: u16, truth: &Truth) {
        let all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        for (request, ended) in all.iter() {
            if ended.is_none_or(|ended| ended.elapsed() < LATELY) {
                truth.note("upstream", port, *request);
            }
        }
    }
}

/// A request under way, until it is answered or given up.
struct UnderWay(Arc<Streams>, u64);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.note(self.1, Some(Instant::now()));
    }
}

async fn connection(stream: tokio::net::TcpStream, streams: &Arc<Streams>) -> std::io::Result<()> {
    let stream = stream.into_std()?;
    let twin: TcpStream = stream.try_clone()?;
    let io = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let own = Arc::clone(streams);
    let service = service_fn(move |request| answer(request, Arc::clone(&own)));
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service);
    tokio::select! {
        _ = serving => Ok(()),
        // The branch above is dropped before this one's end, and the socket with its last owner.
        () = streams.stop.notified() => reset(&twin),
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    streams: Arc<Streams>,
) -> Result<Response<Body>, std::io::Error> {
    let (request, fault) = wanted(request.uri().path())?;
    streams.note(request, None);
    let under_way = UnderWay(Arc::clone(&streams), request);
    let pause = |request: u64| tokio::time::sleep(Duration::from_millis(2 + request * 7 % 11));
    pause(request).await;
    if [Fault::BackendFirst, Fault::Upload]
        .map(number)
        .contains(&fault)
    {
        streams.stop.notify_one();
        std::future::pending::<()>().await;
    }
    let half = || Bytes::from(vec![b'a'; ANSWER / 2]);
    let first = futures_util::stream::once(async move { half() });
    let second = futures_util::stream::once(async move {
        pause(request + 5).await;
        if fault == number(Fault::BackendMiddle) {
            under_way.0.stop.notify_one();
            std::future::pending::<()>().await;
        }
        if fault == number(Fault::ClientMiddle) {
            // The client ends it.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        half()
    });
    let frames = first.chain(second).map(|bytes| Ok(Frame::data(bytes)));
    Ok(Response::new(StreamBody::new(frames).boxed_unsync()))
}
