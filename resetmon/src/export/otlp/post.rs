//! One request to a receiver, over a connection of its own: a request a second gains nothing from
//! keeping one, which the receiver may have closed meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{ExporterError, Settings};
use crate::routes::admin::access::AccessError;
use crate::text::printable_bytes;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 64 << 10;
/// Largest file of certificates, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Characters of an answer that are repeated.
const QUOTED: usize = 200;

/// A request that the receiver took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Records of it that it did not want.
    pub(super) rejected: u64,
    /// Why.
    pub(super) message: String,
}

/// A request that it did not take.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// It may take it later.
    #[error("{what}")]
    Again {
        /// What went wrong.
        what: String,
        /// When, as the receiver wants it.
        after: Option<Duration>,
    },
    /// It never will.
    #[error("{0}")]
    Refused(String),
}

fn again(what: String) -> PostError {
    PostError::Again { what, after: None }
}

/// Sends `body` as `settings` say.
pub(super) async fn post(settings: &Settings, body: Bytes) -> Result<Accepted, PostError> {
    let endpoint = &settings.endpoint;
    // Files that are being replaced are read again.
    let headers = settings.access().headers();
    let headers = headers.map_err(|error| again(error.to_string()))?;
    let mut request = Request::post(&endpoint.path)
        .header(HOST, endpoint.authority())
        .header(CONTENT_TYPE, "application/x-protobuf")
        .header(CONNECTION, "close")
        .header(USER_AGENT, concat!("resetmon/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| PostError::Refused(error.to_string()))?;
    let stream = TcpStream::connect((&*endpoint.host, endpoint.port)).await;
    let stream = stream.map_err(|error| again(format!("no connection: {error}")))?;
    if !endpoint.tls {
        return exchange(stream, request).await;
    }
    let connector = connector(settings.ca_file.as_deref());
    let connector = connector.map_err(|error| again(error.to_string()))?;
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| PostError::Refused(format!("`{}` is no host name", endpoint.host)))?;
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| {
        again(format!(
            "the certificate is not trusted or TLS failed: {error}; `ca_file` says whom to trust"
        ))
    })?;
    exchange(stream, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Accepted, PostError> {
    let broken = |error: hyper::Error| again(format!("no answer: {error}"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        read(answer).await
    };
    tokio::pin!(exchange);
    tokio::select! {
        outcome = &mut exchange => outcome,
        Err(error) = connection => Err(broken(error)),
    }
}

/// What the answer means.
async fn read(answer: Response<hyper::body::Incoming>) -> Result<Accepted, PostError> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    if head.status.is_success() {
        // An answer that cannot be read says no more than that it was taken.
        let answer = ExportLogsServiceResponse::decode(&*body).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        return Ok(Accepted {
            rejected: u64::try_from(partial.rejected_log_records).unwrap_or(0),
            message: printable_bytes(partial.error_message.as_bytes(), QUOTED),
        });
    }
    let what = format!("answered {}{}", head.status, remedy(head.status));
    match head.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = head.headers.get(RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
            Err(PostError::Again {
                what,
                after: after.map(Duration::from_secs),
            })
        }
        _ => Err(PostError::Refused(what)),
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; give what it wants by `headers_file`, as `Authorization: Bearer …`"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "; `endpoint` is to be that of OTLP over HTTP (port 4318), without /v1/logs"
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "; it does not take protocol buffers",
        _ => "",
    }
}

/// What makes TLS connections to who is certified by `ca_file`, else by the system's CAs.
///
/// Errors: there are no certificates.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, ExporterError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let wrong = |what: String| AccessError::Content {
            path: path.to_owned(),
            what,
        };
        let text = read_file(path)?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate =
                certificate.map_err(|error| wrong(format!("no PEM certificates: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(format!("no certificate to trust: {error}")))?;
        }
        if roots.is_empty() {
            return Err(wrong("no certificate (PEM) is in it".to_owned()).into());
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(ExporterError::NoCertificates);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(AccessError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read_file(path: &Path) -> Result<Vec<u8>, AccessError> {
    use std::io::Read as _;
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|reason| AccessError::Read {
        path: path.to_owned(),
        reason,
    })
}
