use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::export::http::certs::{Ca, Pair};

const FILES: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const NAME: &str = "server.test";

/// A directory with a certificate for [`NAME`] by a new CA, which is also `ca.crt`.
fn files() -> (tempfile::TempDir, Ca) {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    ca.issue(&[NAME]).write(dir.path());
    std::fs::write(dir.path().join("ca.crt"), ca.pem()).unwrap();
    (dir, ca)
}

/// Serves by `text` as web configuration.
async fn start_text(dir: &tempfile::TempDir, text: &str, limits: Limits) -> Running {
    let path = dir.path().join("web.yaml");
    std::fs::write(&path, text).unwrap();
    start_web(Fake::default(), limits, Web::open(&path).unwrap()).await
}

async fn connect(
    address: SocketAddr,
    client: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(client).connect(name, stream).await
}

/// The answer to a request over TLS, complete with TLS's own end.
async fn get(address: SocketAddr, client: Arc<ClientConfig>) -> std::io::Result<String> {
    let mut stream = connect(address, client).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn pages_over_tls() {
    let (dir, ca) = files();
    let server = start_text(&dir, FILES, Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        let answer = get(server.address, ca.client(&[version], None))
            .await
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nText\n"), "{answer}");
    }
    let stranger = Ca::new().client(&[&TLS13], None);
    get(server.address, stranger).await.unwrap_err();

    let mut both = ClientConfig::clone(&ca.client(&[&TLS13], None));
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect(server.address, Arc::new(both)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn versions_and_suites_are_as_configured() {
    let (dir, ca) = files();
    let rows: &[(&str, bool, bool)] = &[
        ("", true, true),
        ("  min_version: TLS13\n", false, true),
        ("  max_version: TLS12\n", true, false),
        // A TLS 1.2 suite for a key of another kind than the certificate's, and for its own.
        (
            "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n",
            false,
            true,
        ),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
            true,
            true,
        ),
        ("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n", false, true),
        ("  curve_preferences: [CurveP384]\n", true, true),
    ];
    for (key, tls12, tls13) in rows {
        let server = start_text(&dir, &format!("{FILES}{key}"), Limits::default()).await;
        for (version, expected) in [(&TLS12, tls12), (&TLS13, tls13)] {
            let answer = get(server.address, ca.client(&[version], None)).await;
            assert_eq!(answer.is_ok(), *expected, "{key} {version:?}: {answer:?}");
        }
    }
    let suite = "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n";
    let server = start_text(&dir, &format!("{FILES}{suite}"), Limits::default()).await;
    let stream = connect(server.address, ca.client(&[&TLS13], None)).await;
    let stream = stream.unwrap();
    assert_eq!(
        stream
            .get_ref()
            .1
            .negotiated_cipher_suite()
            .unwrap()
            .suite(),
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256
    );
}

#[tokio::test]
async fn client_certificates_by_client_auth_type() {
    let (dir, ca) = files();
    let own = ca.issue(&["prometheus.test", "192.0.2.7", "spiffe://test/prometheus"]);
    let foreign = Ca::new().issue(&["prometheus.test"]);
    let clients: [Option<&Pair>; 3] = [None, Some(&own), Some(&foreign)];
    let with_ca = |kind: &str| format!("  client_auth_type: {kind}\n  client_ca_file: ca.crt\n");
    let with_san = |san: &str| {
        let verify = with_ca("RequireAndVerifyClientCert");
        format!("{verify}  client_allowed_sans: [other.test, \"{san}\"]\n")
    };
    let (yes, no) = (true, false);
    let rows = [
        (
            "  client_auth_type: NoClientCert\n".to_owned(),
            [yes, yes, yes],
        ),
        (
            "  client_auth_type: RequestClientCert\n".to_owned(),
            [yes, yes, yes],
        ),
        // A client shows its certificate only if the server's CA is its own, once there is one.
        (with_ca("RequestClientCert"), [yes, yes, yes]),
        (
            "  client_auth_type: RequireAnyClientCert\n".to_owned(),
            [no, yes, yes],
        ),
        (with_ca("VerifyClientCertIfGiven"), [yes, yes, no]),
        (with_ca("RequireAndVerifyClientCert"), [no, yes, no]),
        (with_san("prometheus.test"), [no, yes, no]),
        (with_san("192.0.2.7"), [no, yes, no]),
        (with_san("spiffe://test/prometheus"), [no, yes, no]),
        (with_san("192.0.2.8"), [no, no, no]),
        (with_san("spiffe://test/prometheu"), [no, no, no]),
        (with_san("sub.prometheus.test"), [no, no, no]),
    ];
    for (keys, expected) in rows {
        let server = start_text(&dir, &format!("{FILES}{keys}"), Limits::default()).await;
        for version in [&TLS12, &TLS13] {
            for (own, expected) in clients.into_iter().zip(expected) {
                let answer = get(server.address, ca.client(&[version], own)).await;
                assert_eq!(answer.is_ok(), expected, "{keys}{version:?}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn stalled_handshakes_delay_nobody_and_are_cut_off() {
    let limits = Limits {
        header_time: Duration::from_secs(3),
        ..Limits::default()
    };
    let (dir, ca) = files();
    let server = start_text(&dir, FILES, limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    // A record's header that announces more than ever comes.
    half.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();

    let answer = get(server.address, ca.client(&[&TLS13], None)).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200 OK"));

    // One that speaks TLS and then says nothing is cut off as well.
    let mut mute = connect(server.address, ca.client(&[&TLS13], None))
        .await
        .unwrap();
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        // A FIN or a reset: in any case an end.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
    }
    let mut rest = Vec::new();
    let _ = mute.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn stops_while_a_handshake_stalls() {
    let (dir, _ca) = files();
    let server = start_text(&dir, FILES, Limits::default()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    exchange(server.address, "GET / HTTP/1.1\r\n\r\n").await;
    server.stop.send(()).unwrap();
    server.server.await.unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let (dir, _ca) = files();
    let server = start_text(&dir, FILES, Limits::default()).await;
    let answer = request(server.address, "GET", "/healthz", "*/*").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with("this is HTTPS; write https://\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn basic_auth_and_headers() {
    let dir = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("open: sesame", 4).unwrap();
    let text = format!(
        "basic_auth_users:\n  alice: {hash}\nhttp_server_config:\n  http2: false\n  headers:\n    \
         X-Frame-Options: deny\n    X-XSS-Protection: \"\"\n"
    );
    let server = start_text(&dir, &text, Limits::default()).await;
    let challenge = "www-authenticate: Basic realm=\"resetmon\", charset=\"UTF-8\"\r\n";
    // alice:open: sesame, alice:wrong, bob:open: sesame
    let (right, wrong, unknown) = (
        "Basic YWxpY2U6b3Blbjogc2VzYW1l",
        "Basic YWxpY2U6d3Jvbmc=",
        "Basic Ym9iOm9wZW46IHNlc2FtZQ==",
    );
    for (path, authorization, expected) in [
        ("/metrics", right, 200),
        ("/metrics", wrong, 401),
        ("/metrics", unknown, 401),
        ("/metrics", "", 401),
        ("/metrics", "Bearer YWxpY2U6b3Blbjogc2VzYW1l", 401),
        ("/metrics", "basic  YWxpY2U6b3Blbjogc2VzYW1l", 200),
        ("/metrics", "Basic", 401),
        ("/metrics", "Basic !", 401),
        ("/metrics", "Basic YWxpY2U=", 401),
        ("/", wrong, 401),
        ("/status", "", 401),
        ("/status", right, 200),
        // Not even that there is no such page.
        ("/nothing", "", 401),
        ("/nothing", right, 404),
        ("/healthz/", "", 401),
        ("//healthz", "", 401),
        ("/healthz", "", 200),
        ("/healthz?x=/metrics", wrong, 200),
        ("/readyz", "", 503),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n");
        let answer = exchange(server.address, &request).await;
        let what = format!("{path} {authorization}\n{answer}");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{what}"
        );
        assert_eq!(answer.contains(challenge), expected == 401, "{what}");
        assert!(answer.contains("x-frame-options: deny\r\n"), "{what}");
        assert!(!answer.contains("x-xss-protection"), "{what}");
    }
}
