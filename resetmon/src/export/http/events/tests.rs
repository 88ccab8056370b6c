use std::collections::BTreeMap;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::feed::{KEPT, READERS};
use super::*;
use crate::event::Event;
use crate::export::http::{Limits, Pages, StatusPage, Web, serve};
use crate::export::metrics::Format;
use crate::export::sample;
use crate::reset::{Cause, ResetId};

struct Only(Arc<Feed>);

impl Pages for Only {
    fn metrics(&self, _: Format) -> String {
        "metrics\n".to_owned()
    }

    fn status(&self) -> StatusPage {
        unreachable!("nobody asks for it here")
    }

    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn events(&self) -> Option<&Arc<Feed>> {
        Some(&self.0)
    }
}

struct Running {
    feed: Arc<Feed>,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start(web: Web, limits: Limits) -> Running {
    let feed = Arc::new(Feed::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let pages = Arc::new(Only(Arc::clone(&feed)));
    let server = tokio::spawn(serve(listener, pages, Arc::new(web), limits, async {
        let _ = stopped.await;
    }));
    Running {
        feed,
        address,
        stop,
        server,
    }
}

impl Running {
    fn put(&self, number: u64, cause: Cause) {
        let mut reset = sample::received();
        reset.id = ResetId(number);
        reset.diagnosis.cause = cause;
        self.feed.put(Arc::new(Event::Reset(reset)));
    }

    async fn ask(&self, path: &str, headers: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// A reader, once it is told that it is one.
    async fn reader(&self, path: &str, headers: &str) -> Stream {
        let mut stream = Stream(self.ask(path, headers).await);
        let head = stream.block().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.contains("content-type: text/event-stream\r\n"),
            "{head}"
        );
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
        let hello = stream.message().await;
        assert_eq!(hello.get("retry").map(String::as_str), Some("3000"));
        stream
    }

    async fn refused(&self, path: &str, headers: &str) -> String {
        let mut answer = String::new();
        let mut stream = self.ask(path, headers).await;
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// Reads messages as a browser does, out of chunks as HTTP/1.1 has them.
struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).await.unwrap() > 0).then_some(line)
    }

    /// Lines up to an empty one.
    async fn block(&mut self) -> String {
        let mut block = String::new();
        while let Some(line) = self.line().await {
            if line.trim_end().is_empty() {
                return block;
            }
            block += &line;
        }
        panic!("the stream ended in {block:?}")
    }

    /// The fields of the next message that has any.
    async fn message(&mut self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        loop {
            let line = self.line().await.expect("a message");
            // The size of a chunk, and its end.
            let line = line.trim_end_matches(['\r', '\n']);
            if u64::from_str_radix(line, 16).is_ok() || line.starts_with(':') {
                continue;
            }
            if line.is_empty() {
                if fields.is_empty() {
                    continue;
                }
                return fields;
            }
            let (name, value) = line.split_once(": ").unwrap();
            let before = fields.insert(name.to_owned(), value.to_owned());
            assert_eq!(before, None, "{line}");
        }
    }

    /// The number of the next reset, and its `id:`.
    async fn reset(&mut self) -> (u64, String) {
        let message = self.message().await;
        assert_eq!(message["event"], "reset", "{message:?}");
        let data: serde_json::Value = serde_json::from_str(&message["data"]).unwrap();
        let number = u64::from_str_radix(data["id"].as_str().unwrap(), 16).unwrap();
        (number, message["id"].clone())
    }

    async fn ended(mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.is_ok()
    }
}

#[tokio::test]
async fn events_as_they_happen_for_who_asked_for_them() {
    let server = start(Web::plain(), Limits::default()).await;
    // Before anybody read.
    server.put(1, Cause::Refused);
    let mut all = server.reader("/events", "").await;
    let mut some = server
        .reader("/events?cause=keepalive_race,unknown", "")
        .await;
    let mut failed = server.reader("/events?failure=timed_out", "").await;
    server.put(2, Cause::Refused);
    server.put(3, Cause::KeepaliveRace);
    server.feed.put(Arc::new(Event::Failure(sample::failure())));
    server.put(4, Cause::Unknown);
    for number in [2, 3, 4] {
        assert_eq!(all.reset().await.0, number);
    }
    for number in [3, 4] {
        assert_eq!(some.reset().await.0, number);
    }
    let message = failed.message().await;
    assert_eq!(message["event"], "failure");
    assert!(message["data"].contains("\"failure\":\"timed_out\""));
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let server = start(Web::plain(), Limits::default()).await;
    let mut first = server.reader("/events", "").await;
    for number in 0..3 {
        server.put(number, Cause::Refused);
    }
    first.reset().await;
    let (_, id) = first.reset().await;
    drop(first);
    server.put(3, Cause::Refused);
    let again = format!("Last-Event-ID: {id}\r\n");
    let mut second = server.reader("/events", &again).await;
    for number in [2, 3] {
        assert_eq!(second.reset().await.0, number);
    }
    // Away for longer than events are kept.
    for number in 0..KEPT as u64 + 5 {
        server.put(number, Cause::Refused);
    }
    let mut third = server.reader("/events", &again).await;
    let message = third.message().await;
    // Of the events 2 and 3, and those after, the oldest seven are gone.
    assert_eq!(
        (&*message["event"], &*message["data"]),
        ("lost", "{\"lost\":7}")
    );
    assert_eq!(third.reset().await.0, 5);
    // Of another run: everything that is kept is new.
    let mut fourth = server.reader("/events", "Last-Event-ID: 1-4\r\n").await;
    assert_eq!(fourth.reset().await.0, 5);
    let lost = server.feed.lost.load(Ordering::Relaxed);
    assert!(lost >= 7, "{lost}");
}

#[tokio::test]
async fn what_is_not_understood_or_too_much_is_refused() {
    let server = start(Web::plain(), Limits::default()).await;
    let answer = server.refused("/events?cause=late", "").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("`late` is not a cause"), "{answer}");
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(server.reader("/events", "").await);
    }
    let answer = server.refused("/events", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 30\r\n"), "{answer}");
    // Scrapes have their own connections.
    let answer = server.refused("/metrics", "").await;
    assert!(answer.ends_with("metrics\n"), "{answer}");
    let left = readers.pop().unwrap();
    drop(left);
    // Its place is free once the next write finds it gone.
    loop {
        server.put(1, Cause::Refused);
        let mut stream = server.ask("/events", "").await;
        let mut status = String::new();
        stream.read_line(&mut status).await.unwrap();
        if status.starts_with("HTTP/1.1 200 ") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_reader_skips_events_and_is_told() {
    // Much more than sockets hold.
    const PUT: u64 = 24 * KEPT as u64;
    let server = start(Web::plain(), Limits::default()).await;
    let mut slow = server.reader("/events", "").await;
    for number in 0..PUT {
        server.put(number, Cause::Refused);
        if number % KEPT as u64 == 0 {
            let answer = server.refused("/metrics", "").await;
            assert!(answer.ends_with("metrics\n"), "{answer}");
        }
    }
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < PUT {
        let message = slow.message().await;
        let data: serde_json::Value = serde_json::from_str(&message["data"]).unwrap();
        if message["event"] == "lost" {
            lost += data["lost"].as_u64().unwrap();
        } else {
            let number = u64::from_str_radix(data["id"].as_str().unwrap(), 16).unwrap();
            assert_eq!(number, seen + lost);
            seen += 1;
        }
    }
    assert!(lost > 0 && seen > 0, "{lost} {seen}");
    assert_eq!(seen + lost, PUT);
    assert_eq!(server.feed.lost.load(Ordering::Relaxed), lost);
}

#[tokio::test]
async fn a_deaf_reader_is_cut_off() {
    let limits = Limits {
        total_time: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = start(Web::plain(), limits).await;
    let mut deaf = server.ask("/events", "").await;
    let mut first = [0];
    deaf.read_exact(&mut first).await.unwrap();
    loop {
        for number in 0..KEPT as u64 {
            server.put(number, Cause::Refused);
        }
        // Its place is free again.
        let places: Vec<_> = std::iter::from_fn(|| server.feed.seat()).collect();
        if places.len() == READERS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.feed.lost.load(Ordering::Relaxed) > 0);
    drop(deaf);
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let server = start(Web::plain(), Limits::default()).await;
    let reader = server.reader("/events", "").await;
    server.stop.send(()).unwrap();
    assert!(reader.ended().await);
    server.server.await.unwrap();
}

#[tokio::test]
async fn the_same_password_as_for_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    let hash = bcrypt::hash("secret", 4).unwrap();
    std::fs::write(&path, format!("basic_auth_users: {{alice: {hash}}}\n")).unwrap();
    let web = Web::open(&path).unwrap();
    assert!(web.asks_who());
    let server = start(web, Limits::default()).await;
    server.put(1, Cause::Refused);
    for headers in ["", "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n"] {
        let answer = server.refused("/events", headers).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.contains("event: "), "{answer}");
    }
    // alice:secret
    let headers = "Authorization: Basic YWxpY2U6c2VjcmV0\r\nLast-Event-ID: 1-0\r\n";
    let mut reader = server.reader("/events", headers).await;
    assert_eq!(reader.reset().await.0, 1);
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_ends_in_time() {
    let feed = Arc::new(Feed::default());
    let (stop, stopped) = watch::channel(());
    let patience = Patience::new(Instant::now(), Duration::from_secs(30));
    let request = Request::get("/events").body(()).unwrap();
    let pace = Pace {
        keep_alive: Duration::from_millis(50),
        longest: Duration::from_millis(300),
    };
    let response = answer_at(pace, &feed, &request, &patience, stopped);
    let mut body = response.into_body();
    let mut comments = Vec::new();
    while let Some(frame) = body.frame().await {
        comments.push(frame.unwrap().into_data().unwrap());
    }
    assert!(comments.len() > 1, "{comments:?}");
    for comment in &comments[1..] {
        assert_eq!(comment, ": alive\n\n");
    }
    drop(stop);
}

#[tokio::test]
async fn head_has_no_body_and_post_is_refused() {
    let server = start(Web::plain(), Limits::default()).await;
    for (method, expected) in [("HEAD", "HTTP/1.1 200 OK"), ("POST", "HTTP/1.1 405 ")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("{method} /events HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
}
