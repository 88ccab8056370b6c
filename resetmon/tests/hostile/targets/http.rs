//! Requests to the HTTP side, over real connections on the loopback interface.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use resetmon::export::http::{Limits, Pages, StatusPage, Web, serve};
use resetmon::export::metrics::Format;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::mutate::{self, Pool};
use crate::procfs;
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    "GET /metrics HTTP/1.1\r\nHost: localhost:9435\r\nUser-Agent: Prometheus/3.5.0\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic cHJvbWV0aGV1czpwYXNzd29yZA==\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n",
    "HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET /status?x=1#y HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /metrics HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
    "GET http://a/metrics HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
];

const TOKENS: &[&[u8]] = &[
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b":", b": ", b"GET ", b"HEAD ", b"/metrics", b"/status", b"/../", b"%00",
    b"%2e", b"?", b"#", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9", b"Host: a\r\n", b"Accept: ", b"Accept: */*\r\n", b"Content-Length: ",
    b"Content-Length: 18446744073709551616\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n",
    b"Connection: keep-alive\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"\xff", b"\xc3\xa9",
    b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
];

const LIMITS: Limits = Limits {
    connections: 64,
    header_time: Duration::from_secs(5),
    total_time: Duration::from_secs(30),
    header_bytes: 16 * 1024,
    headers: 64,
    stop_time: Duration::from_secs(2),
};

/// Pages that are always the same.
pub(crate) struct StaticPages;

impl Pages for StaticPages {
    fn metrics(&self, format: Format) -> String {
        format!("# {format:?}\n")
    }

    fn status(&self) -> StatusPage {
        StatusPage {
            version: "1".to_owned(),
            uptime_s: 1.0,
            ready: true,
            verdict: "ok".to_owned(),
            lost: Vec::new(),
            probes: Vec::new(),
            gateways: Vec::new(),
            notes: Vec::new(),
            counts: BTreeMap::new(),
            sent: None,
        }
    }

    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Damaged requests, each on a connection of its own.
pub(crate) struct Requests {
    runtime: Runtime,
    open: SocketAddr,
    /// Wants a password that no request has.
    guarded: SocketAddr,
    _users: TempDir,
    pool: Pool,
}

impl Default for Requests {
    fn default() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let users = procfs::directory();
        let path = users.path().join("web.yaml");
        let hash = bcrypt::hash("a password that nobody sends", 4).unwrap();
        std::fs::write(&path, format!("basic_auth_users: {{prometheus: {hash}}}\n")).unwrap();
        let start = |web: Web| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let forever = std::future::pending();
            let (pages, web) = (Arc::new(StaticPages), Arc::new(web));
            runtime.spawn(serve(listener, pages, web, LIMITS, forever));
            address
        };
        Self {
            open: start(Web::plain()),
            guarded: start(Web::open(&path).unwrap()),
            runtime,
            _users: users,
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 64 * 1024),
        }
    }
}

/// What a client sends, and where it pauses.
#[derive(Debug)]
pub(crate) struct Sent {
    bytes: mutate::Bytes,
    pause: usize,
    guarded: bool,
}

impl Target for Requests {
    const NAME: &'static str = "http";
    const QUICK: u64 = 4_000;
    const REFUSES: bool = true;
    type Input = Sent;

    fn make(&mut self, random: &mut Random) -> Sent {
        let bytes = mutate::Bytes(self.pool.make(random));
        let pause = random.below(bytes.0.len() * 4 + 1);
        let guarded = random.one_in(8);
        Sent {
            bytes,
            pause,
            guarded,
        }
    }

    fn check(&mut self, sent: &Sent) -> bool {
        let address = if sent.guarded {
            self.guarded
        } else {
            self.open
        };
        let response = self.runtime.block_on(exchange(address, sent));
        let ok = response.is_empty() || well_formed(&response);
        assert!(ok, "{}", response.escape_ascii());
        let served = response.starts_with(b"HTTP/1.1 2") || response.starts_with(b"HTTP/1.0 2");
        if served && sent.guarded {
            // A page that needs no password, told by its length: HEAD gets no more.
            let length = b"content-length: ";
            let at = response
                .windows(length.len())
                .position(|part| part == length);
            let rest = &response[at.expect("a length") + length.len()..];
            let open = [&b"3\r"[..], b"6\r"]
                .iter()
                .any(|length| rest.starts_with(length));
            assert!(open, "without a password: {}", response.escape_ascii());
        }
        if served {
            self.pool.keep(&sent.bytes.0);
        }
        served
    }
}

/// Sends, ends the sending side, and reads until the server ends its own.
async fn exchange(address: SocketAddr, sent: &Sent) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (before, after) = sent.bytes.0.split_at(sent.pause.min(sent.bytes.0.len()));
    let mut response = Vec::new();
    // A server that has answered may have ended the connection already.
    if stream.write_all(before).await.is_ok() {
        if !after.is_empty() {
            tokio::task::yield_now().await;
            let _ = stream.write_all(after).await;
        }
        let _ = stream.shutdown().await;
    }
    let read = stream.read_to_end(&mut response);
    let ended = tokio::time::timeout(LIMITS.total_time * 2, read).await;
    assert!(
        ended.is_ok(),
        "the server keeps a connection longer than its limit"
    );
    response
}

/// One response, or an interim one before it, with headers that end and a body as long as they say.
fn well_formed(response: &[u8]) -> bool {
    let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = (&response[..end], &response[end + 4..]);
    let Ok(head) = std::str::from_utf8(head) else {
        return false;
    };
    let mut lines = head.split("\r\n");
    let mut status = lines.next().unwrap_or_default().splitn(3, ' ');
    let (version, code) = (status.next(), status.next());
    if !matches!(version, Some("HTTP/1.1" | "HTTP/1.0")) {
        return false;
    }
    if code == Some("100") {
        return well_formed(body);
    }
    let known = [
        "200", "400", "401", "404", "405", "408", "413", "414", "431", "501", "505",
    ];
    let length = lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| {
            let says = name.eq_ignore_ascii_case("content-length");
            says.then(|| value.parse::<usize>().ok()).flatten()
        });
    // HEAD has the length of the body that it does not get.
    code.is_some_and(|code| known.contains(&code))
        && (body.is_empty() || length == Some(body.len()))
}
