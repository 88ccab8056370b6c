use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::export::metrics::Format;
use crate::reconcile::{Reconciler, Tracing};

mod tls;

#[derive(Default)]
struct Fake {
    ready: AtomicBool,
    stuck: AtomicBool,
    big: bool,
}

impl Pages for Fake {
    fn metrics(&self, format: Format) -> String {
        if self.big {
            return "x".repeat(32 << 20);
        }
        format!("{format:?}\n")
    }

    fn status(&self) -> StatusPage {
        StatusPage {
            version: "1.2.3".to_owned(),
            uptime_s: 61.5,
            ready: self.ready.load(Ordering::Relaxed),
            verdict: "degraded".to_owned(),
            lost: vec!["the \"RST\" packet itself".to_owned()],
            probes: vec![ProbeStatus {
                name: "tcp_send_reset".to_owned(),
                attached: true,
                detail: "resets sent".to_owned(),
            }],
            gateways: vec![GatewayStatus {
                gateway: "edge".to_owned(),
                pid: 7,
                routes: 2,
                upstreams: 3,
                origin: "/etc/edge.conf".to_owned(),
                error: None,
            }],
            notes: vec!["pods: <forbidden>".to_owned()],
            counts: BTreeMap::from([("resets".to_owned(), 7)]),
            sent: Some(Reconciler::new(Tracing::Complete).summary()),
        }
    }

    fn alive(&self) -> Result<(), String> {
        if self.stuck.load(Ordering::Relaxed) {
            return Err("nothing goes on".to_owned());
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err("tcp_send_reset is not attached".to_owned())
        }
    }
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    pages: Arc<Fake>,
}

async fn start(pages: Fake, limits: Limits) -> Running {
    start_web(pages, limits, Web::plain()).await
}

async fn start_web(pages: Fake, limits: Limits, web: Web) -> Running {
    start_at("127.0.0.1", pages, limits, web).await
}

async fn start_at(ip: &str, pages: Fake, limits: Limits, web: Web) -> Running {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let pages = Arc::new(pages);
    let content: Arc<dyn Pages> = pages.clone();
    let server = tokio::spawn(serve(listener, content, Arc::new(web), limits, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        server,
        pages,
    }
}

/// Sends bytes and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn request(address: SocketAddr, method: &str, path: &str, accept: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    exchange(address, &request).await
}

#[tokio::test]
async fn pages_by_method_path_and_accept() {
    let server = start(Fake::default(), Limits::default()).await;
    let open = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
    let rows: &[(&str, &str, &str, &[&str])] = &[
        (
            "GET",
            "/metrics",
            "*/*",
            &[
                "200 OK",
                "content-type: text/plain; version=0.0.4; charset=utf-8",
                "\r\n\r\nText\n",
            ],
        ),
        (
            "GET",
            "/metrics?x=1",
            open,
            &[
                "200 OK",
                "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
                "\r\n\r\nOpenMetrics\n",
            ],
        ),
        ("GET", "/healthz", "*/*", &["200 OK", "\r\n\r\nok\n"]),
        (
            "GET",
            "/readyz",
            "*/*",
            &[
                "503 Service Unavailable",
                "not ready: tcp_send_reset is not attached\n",
            ],
        ),
        (
            "GET",
            "/status",
            "*/*",
            &[
                "200 OK",
                "text/plain",
                "resetmon 1.2.3: degraded, not ready\n",
                "attached  resets sent",
                "not compared yet",
            ],
        ),
        (
            "GET",
            "/status",
            "application/json",
            &[
                "200 OK",
                "application/json",
                "the \\\"RST\\\" packet",
                "\"resets\": 7",
                "\"unaccounted\": 0",
            ],
        ),
        (
            "GET",
            "/",
            "*/*",
            &["200 OK", "text/html", "<a href=\"/metrics\">"],
        ),
        ("GET", "/nothing", "*/*", &["404 Not Found"]),
        ("GET", "/metrics/", "*/*", &["404 Not Found"]),
        ("POST", "/nothing", "*/*", &["404 Not Found"]),
        (
            "POST",
            "/metrics",
            "*/*",
            &["405 Method Not Allowed", "allow: GET, HEAD"],
        ),
        ("DELETE", "/", "*/*", &["405 Method Not Allowed"]),
    ];
    for (method, path, accept, expected) in rows {
        let answer = request(server.address, method, path, accept).await;
        for part in *expected {
            assert!(answer.contains(part), "{method} {path}: {part}\n{answer}");
        }
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = start(Fake::default(), Limits::default()).await;
    let answer = request(server.address, "HEAD", "/metrics", "*/*").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn ready_once_the_probes_are_attached() {
    let server = start(Fake::default(), Limits::default()).await;
    server.pages.ready.store(true, Ordering::Relaxed);
    let answer = request(server.address, "GET", "/readyz", "*/*").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn healthy_while_it_goes_on() {
    let server = start(Fake::default(), Limits::default()).await;
    server.pages.stuck.store(true, Ordering::Relaxed);
    let answer = request(server.address, "GET", "/healthz", "*/*").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("not ok: nothing goes on\n"), "{answer}");
}

#[tokio::test]
async fn too_much_is_refused() {
    let server = start(Fake::default(), Limits::default()).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(16 * 1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    let huge = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(100_000));
    let body = format!(
        "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{}",
        "a".repeat(100_000)
    );
    for (request, expected) in [
        (long.as_str(), "HTTP/1.1 431 "),
        (many.as_str(), "HTTP/1.1 431 "),
        (huge.as_str(), "HTTP/1.1 431 "),
        (body.as_str(), "HTTP/1.1 405 "),
        ("GARBAGE\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let answer = exchange(server.address, request).await;
        assert!(answer.starts_with(expected), "{expected}\n{answer}");
    }
}

#[tokio::test]
async fn slow_clients_delay_nobody_and_are_cut_off() {
    let limits = Limits {
        header_time: Duration::from_secs(2),
        total_time: Duration::from_secs(3),
        ..Limits::default()
    };
    let pages = Fake {
        big: true,
        ..Fake::default()
    };
    let server = start(pages, limits).await;
    // One never ends its headers, one never reads its answer.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent
        .write_all(b"GET /metrics HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 1];
    deaf.read_exact(&mut first).await.unwrap();

    let answer = request(server.address, "GET", "/healthz", "*/*").await;
    assert!(answer.ends_with("ok\n"), "{answer}");

    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(
        !rest.starts_with(b"HTTP/1.1 200"),
        "no answer without a request"
    );
    sleep(limits.total_time * 2).await;
    let mut rest = Vec::new();
    // The end may come as a FIN or as a reset; in both cases most of the page is missing.
    let _ = deaf.read_to_end(&mut rest).await;
    assert!(rest.len() < 32 << 20, "{} bytes", rest.len());
}

#[tokio::test]
async fn a_full_house_serves_the_next_when_a_slot_is_free() {
    let limits = Limits {
        connections: 1,
        header_time: Duration::from_secs(2),
        ..Limits::default()
    };
    let server = start(Fake::default(), limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"GET ").await.unwrap();
    let answer = request(server.address, "GET", "/healthz", "*/*").await;
    assert!(answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn stops_when_told_and_frees_the_port() {
    let limits = Limits {
        stop_time: Duration::from_millis(300),
        ..Limits::default()
    };
    // Where no other test could take the port once it is free.
    let server = start_at("127.0.0.2", Fake::default(), limits, Web::plain()).await;
    // An open request does not keep the server from ending.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"GET ").await.unwrap();
    request(server.address, "GET", "/healthz", "*/*").await;
    server.stop.send(()).unwrap();
    server.server.await.unwrap();
    let refused = TcpStream::connect(server.address).await;
    assert!(refused.is_err(), "{refused:?}");
}
