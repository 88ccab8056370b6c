//! `/events`: events as they happen, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A reader gets what it can take. What came and went while it could not take more is skipped,
//! counted, and told to it (`event: lost`); a reader that takes nothing at all is cut off. Neither
//! keeps the agent waiting.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::pages;
use crate::export::filter::Selection;

mod feed;
mod query;
#[cfg(test)]
mod tests;

pub use feed::Feed;
use feed::{Item, Passed};

/// The body of an answer: a page, or events without end.
pub(super) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// Where they are served.
pub(super) const PATH: &str = "/events";

/// When a reader connects again, milliseconds.
const RETRY: u32 = 3000;
/// Bytes to gather before they are handed on.
const CHUNK: usize = 32 * 1024;
/// Events to look at before others get their turn.
const TURN: usize = 256;

/// The times of a stream.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When a reader without events hears that the connection lives.
    keep_alive: Duration,
    /// How long a stream lasts, so that passwords and certificates that were taken away are of no
    /// use any more. The reader connects again and says where it was.
    longest: Duration,
}

const PACE: Pace = Pace {
    keep_alive: Duration::from_secs(15),
    longest: Duration::from_secs(3600),
};

/// Until when a connection may go on without progress.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    end: Arc<Mutex<Instant>>,
    /// What each progress is worth.
    extension: Duration,
}

impl Patience {
    /// Until `end`, and after progress for `extension` from then on.
    pub(super) fn new(end: Instant, extension: Duration) -> Self {
        Self {
            end: Arc::new(Mutex::new(end)),
            extension,
        }
    }

    /// There was progress.
    fn renew(&self) {
        let end = Instant::now() + self.extension;
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// Completes when it is over.
    pub(super) async fn over(&self) {
        loop {
            let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Answers a request for `/events`. The stream ends when `stop` changes or its sender is gone.
pub(super) fn answer<B>(
    feed: &Arc<Feed>,
    request: &Request<B>,
    patience: &Patience,
    stop: watch::Receiver<()>,
) -> Response<Body> {
    answer_at(PACE, feed, request, patience, stop)
}

fn answer_at<B>(
    pace: Pace,
    feed: &Arc<Feed>,
    request: &Request<B>,
    patience: &Patience,
    stop: watch::Receiver<()>,
) -> Response<Body> {
    let refuse = |status, text: String| pages::respond(status, pages::TEXT, text).map(Either::Left);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return pages::not_allowed().map(Either::Left);
    }
    let selection = match query::parse(request.uri().query().unwrap_or_default()) {
        Ok(selection) => selection,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    if request.method() == Method::HEAD {
        return head(Either::Left(Full::default()));
    }
    let Some(seat) = feed.seat() else {
        let text = format!(
            "{} readers are connected, which is the limit; try again later\n",
            feed::READERS
        );
        let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, text);
        let after = HeaderValue::from_static("30");
        response.headers_mut().insert(header::RETRY_AFTER, after);
        return response;
    };
    let reader = Reader {
        cursor: feed.cursor(last_seen(request.headers())),
        grown: feed.watch(),
        feed: Arc::clone(feed),
        selection,
        patience: patience.clone(),
        stop,
        end: Instant::now() + pace.longest,
        keep_alive: pace.keep_alive,
        greeted: false,
        _seat: seat,
    };
    let stream = stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk.into())), reader))
    });
    head(Either::Right(StreamBody::new(stream).boxed_unsync()))
}

/// The headers of a stream.
fn head(body: Body) -> Response<Body> {
    let response = pages::respond(StatusCode::OK, "text/event-stream", Bytes::new());
    let mut response = response.map(|_| body);
    // nginx would else hold events back until they fill a buffer.
    let buffering = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", buffering);
    response
}

/// What a reader saw last, as it says when it connects again.
fn last_seen(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}

/// One reader.
struct Reader {
    feed: Arc<Feed>,
    /// The event that it gets next.
    cursor: u64,
    grown: watch::Receiver<u64>,
    selection: Selection,
    patience: Patience,
    stop: watch::Receiver<()>,
    end: Instant,
    keep_alive: Duration,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl Drop for Reader {
    /// One that was cut off was too slow too.
    fn drop(&mut self) {
        let Passed { lost, .. } = self.feed.from(self.cursor, 0);
        self.feed.lost.fetch_add(lost, Ordering::Relaxed);
    }
}

impl Reader {
    /// What it gets next; `None` at the end. Asked for only when the last chunk was taken.
    async fn next(&mut self) -> Option<String> {
        self.patience.renew();
        if !self.greeted {
            self.greeted = true;
            return Some(format!(": resetmon\nretry: {RETRY}\n\n"));
        }
        let alive = Instant::now() + self.keep_alive;
        loop {
            let (chunk, more) = self.gather();
            if !chunk.is_empty() {
                return Some(chunk);
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                _ = self.grown.changed() => {}
                () = sleep_until(alive.min(self.end)) => {
                    if Instant::now() >= self.end {
                        return None;
                    }
                    return Some(": alive\n\n".to_owned());
                }
                _ = self.stop.changed() => return None,
            }
        }
    }

    /// Events from the cursor on, and whether there may be more.
    fn gather(&mut self) -> (String, bool) {
        self.grown.mark_unchanged();
        let Passed { lost, items } = self.feed.from(self.cursor, TURN);
        let mut text = String::new();
        if lost > 0 {
            self.feed.lost.fetch_add(lost, Ordering::Relaxed);
            self.cursor += lost;
            // Writing to a string does not fail.
            let _ = write!(text, "event: lost\ndata: {{\"lost\":{lost}}}\n\n");
        }
        let full = items.len() == TURN;
        for item in items {
            self.cursor += 1;
            if self.selection.has(&item.event) {
                self.write(&mut text, &item);
            }
            if text.len() >= CHUNK {
                return (text, true);
            }
        }
        (text, full)
    }

    /// One event. Its line has no line feed or carriage return, which JSON escapes.
    fn write(&self, text: &mut String, item: &Item) {
        let (name, line) = (item.name(), item.line());
        // The next event's number: where to go on.
        let id = self.feed.id(self.cursor);
        // Writing to a string does not fail.
        let _ = write!(text, "id: {id}\nevent: {name}\ndata: {line}\n\n");
    }
}
