//! Questions to a gateway's admin interface: HTTP GET, bounded in time and size, over TLS and with
//! credentials where the operator says so.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use self::access::AccessError;
use super::instance::Instance;

pub mod access;
mod tls;

#[cfg(test)]
pub(crate) mod recorded;

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer, bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Where a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// An address in the gateway's network namespace. An unspecified one means its loopback.
    Tcp(SocketAddr),
    /// The same, with TLS.
    Https(SocketAddr),
    /// A socket in the gateway's file system.
    Unix(PathBuf),
}

impl AdminAddress {
    /// The beginning of the URLs that are asked there.
    #[must_use]
    pub fn base(&self) -> String {
        match self {
            Self::Https(_) => self.to_string(),
            Self::Tcp(_) | Self::Unix(_) => format!("http://{self}"),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why an admin interface did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No connection.
    #[error("the admin interface at {address} cannot be reached: {reason}{}", remedy(.reason))]
    Connect {
        /// Where.
        address: AdminAddress,
        /// Why.
        reason: std::io::Error,
    },
    /// It cannot be asked as the operator says.
    #[error("the admin interface at {address} is not asked: {reason}")]
    Access {
        /// Where.
        address: AdminAddress,
        /// Why.
        reason: AccessError,
    },
    /// No TLS connection.
    #[error("the admin interface at {address} is not trusted: {reason}")]
    Tls {
        /// Where.
        address: AdminAddress,
        /// Why.
        reason: std::io::Error,
    },
    /// No whole answer.
    #[error("the admin interface at {address} gave no answer to {path}: {reason}")]
    Answer {
        /// Where.
        address: AdminAddress,
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
    /// Another answer than 200.
    #[error("the admin interface at {address} answered {path} with {status}{}", wanted(*.status))]
    Status {
        /// Where.
        address: AdminAddress,
        /// What was asked for.
        path: String,
        /// The answer.
        status: StatusCode,
    },
}

fn remedy(reason: &std::io::Error) -> &'static str {
    match reason.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "; its network namespace is entered only with CAP_SYS_ADMIN, its socket opened only as its owner: run resetmon as root"
        }
        _ => "",
    }
}

/// What to do about an answer that wants credentials.
fn wanted(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; give what it wants by `headers_file`, `token_file` or `basic_auth_file` for this \
             gateway under `discovery.gateways` in the configuration"
        }
        _ => "",
    }
}

/// The admin interface of one gateway.
#[derive(Debug)]
pub struct Admin<'a> {
    /// Whose.
    pub instance: &'a Instance,
    /// Where.
    pub address: AdminAddress,
    /// What to send as `Host`; `None`: the address, or `localhost` on a socket.
    pub host: Option<String>,
}

impl<'a> Admin<'a> {
    /// The interface of `instance` at `address`.
    #[must_use]
    pub fn new(instance: &'a Instance, address: AdminAddress) -> Self {
        Self {
            instance,
            address,
            host: None,
        }
    }

    /// The body of `GET path`, `path` with its query.
    pub async fn get(&self, path: &str) -> Result<Bytes, AdminError> {
        let answer = async {
            match self.address {
                AdminAddress::Tcp(address) => self.ask(self.tcp(address).await?, path).await,
                AdminAddress::Https(address) => self.ask(self.tls(address).await?, path).await,
                AdminAddress::Unix(_) => self.ask(self.unix().await?, path).await,
            }
        };
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(self.no_answer(path, format!("nothing within {ANSWER_LIMIT:?}"))),
        }
    }

    /// A connection to a TCP address, from the gateway's network namespace.
    async fn tcp(&self, mut address: SocketAddr) -> Result<TcpStream, AdminError> {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let instance = self.instance.clone();
        let connect = move || {
            let stream = instance.connect(address)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = tokio::task::spawn_blocking(connect)
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        stream
            .and_then(TcpStream::from_std)
            .map_err(|reason| self.unreachable(reason))
    }

    /// The same with TLS.
    async fn tls(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, AdminError> {
        let access = &self.instance.access;
        let (connector, name) =
            tls::connector(access, address.ip()).map_err(|reason| self.forbidden(reason))?;
        let stream = self.tcp(address).await?;
        let stream = connector.connect(name, stream).await;
        stream.map_err(|reason| AdminError::Tls {
            address: self.address.clone(),
            reason,
        })
    }

    /// A connection to a socket in the gateway's file system; `HAProxy` speaks its own language there.
    pub async fn unix(&self) -> Result<UnixStream, AdminError> {
        let AdminAddress::Unix(path) = &self.address else {
            return Err(self.unreachable(std::io::Error::other("not a unix socket")));
        };
        let failed = |error: super::files::FileError| {
            let kind = match &error {
                super::files::FileError::Read { reason, .. } => {
                    std::io::Error::from(*reason).kind()
                }
                _ => std::io::ErrorKind::Other,
            };
            self.unreachable(std::io::Error::new(kind, error))
        };
        let files = self.instance.files().map_err(failed)?;
        let (link, _handle) = files.socket(path).map_err(failed)?;
        UnixStream::connect(link)
            .await
            .map_err(|reason| self.unreachable(reason))
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        path: &str,
    ) -> Result<Bytes, AdminError> {
        let failed = |reason: String| self.no_answer(path, reason);
        let host = match (&self.host, &self.address) {
            (Some(host), _) => host.clone(),
            (None, AdminAddress::Tcp(address) | AdminAddress::Https(address)) => {
                let name = self.instance.access.server_name.as_ref();
                let name = name.map(|name| format!("{}:{}", name.to_str(), address.port()));
                name.unwrap_or_else(|| address.to_string())
            }
            (None, AdminAddress::Unix(_)) => "localhost".to_owned(),
        };
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        for (name, value) in self.credentials()? {
            request = request.header(name, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| failed(error.to_string()))?;
            let status = answer.status();
            if status != StatusCode::OK {
                return Err(AdminError::Status {
                    address: self.address.clone(),
                    path: path.to_owned(),
                    status,
                });
            }
            let body = Limited::new(answer.into_body(), MAX_ANSWER);
            let body = body
                .collect()
                .await
                .map_err(|error| failed(error.to_string()))?;
            Ok(body.to_bytes())
        };
        tokio::pin!(exchange);
        // The connection is driven only as long as the exchange wants it.
        tokio::select! {
            answer = &mut exchange => answer,
            Err(error) = connection => Err(failed(error.to_string())),
        }
    }

    /// What the operator wants sent, which only the gateway itself may see: whoever runs in
    /// another network namespace or container may call himself so.
    fn credentials(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AdminError> {
        let access = &self.instance.access;
        if !access.has_credentials() {
            return Ok(Vec::new());
        }
        let known = match self.address {
            AdminAddress::Tcp(_) => self.instance.shares_network().unwrap_or(false),
            AdminAddress::Https(_) => {
                access.ca_file.is_some() || self.instance.shares_network().unwrap_or(false)
            }
            AdminAddress::Unix(_) => self.instance.shares_root(),
        };
        if !known {
            return Err(self.forbidden(AccessError::Stranger));
        }
        access.headers().map_err(|reason| self.forbidden(reason))
    }

    fn forbidden(&self, reason: AccessError) -> AdminError {
        AdminError::Access {
            address: self.address.clone(),
            reason,
        }
    }

    fn unreachable(&self, reason: std::io::Error) -> AdminError {
        AdminError::Connect {
            address: self.address.clone(),
            reason,
        }
    }

    fn no_answer(&self, path: &str, reason: String) -> AdminError {
        AdminError::Answer {
            address: self.address.clone(),
            path: path.to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
