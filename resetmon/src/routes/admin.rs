//! Questions to a gateway's admin interface: HTTP GET, bounded in time and size.

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

use super::instance::Instance;

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
    /// A socket in the gateway's file system.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
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
    #[error("the admin interface at {address} answered {path} with {status}")]
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

/// The admin interface of one gateway.
#[derive(Debug)]
pub struct Admin<'a> {
    /// Whose.
    pub instance: &'a Instance,
    /// Where.
    pub address: AdminAddress,
    /// What to send as `Host`; `None`: the address, or `localhost` on a socket.
    pub host: Option<String>,
    /// Further headers, as a token for access.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Admin<'a> {
    /// The interface of `instance` at `address`.
    #[must_use]
    pub fn new(instance: &'a Instance, address: AdminAddress) -> Self {
        Self {
            instance,
            address,
            host: None,
            headers: Vec::new(),
        }
    }

    /// The body of `GET path`, `path` with its query.
    pub async fn get(&self, path: &str) -> Result<Bytes, AdminError> {
        let answer = async {
            match &self.address {
                AdminAddress::Tcp(_) => self.ask(self.tcp().await?, path).await,
                AdminAddress::Unix(_) => self.ask(self.unix().await?, path).await,
            }
        };
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(self.no_answer(path, format!("nothing within {ANSWER_LIMIT:?}"))),
        }
    }

    /// A connection to a TCP address, from the gateway's network namespace.
    async fn tcp(&self) -> Result<TcpStream, AdminError> {
        let AdminAddress::Tcp(mut address) = self.address else {
            return Err(self.unreachable(std::io::Error::other("not a TCP address")));
        };
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
            (None, AdminAddress::Tcp(address)) => address.to_string(),
            (None, AdminAddress::Unix(_)) => "localhost".to_owned(),
        };
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close");
        for (name, value) in &self.headers {
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
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};

    use super::*;

    fn this_process() -> Instance {
        Instance {
            proc_root: "/proc".into(),
            pid: std::process::id(),
            directory: "/".into(),
            ..Instance::default()
        }
    }

    /// Answers one request with `answer` and returns its first line.
    fn serve_once(
        accept: impl FnOnce() -> Box<dyn ReadWrite> + Send + 'static,
        answer: &'static str,
    ) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut stream = BufReader::new(accept());
            let mut first = String::new();
            stream.read_line(&mut first).unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            first
        })
    }

    trait ReadWrite: std::io::Read + std::io::Write {}
    impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    #[tokio::test]
    async fn answers_by_tcp_and_by_unix_socket() {
        let instance = this_process();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve_once(move || Box::new(listener.accept().unwrap().0), OK);
        let admin = Admin::new(&instance, AdminAddress::Tcp(address));
        assert_eq!(&admin.get("/a?b=c").await.unwrap()[..], b"{}");
        assert_eq!(server.join().unwrap(), "GET /a?b=c HTTP/1.1\r\n");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = serve_once(move || Box::new(listener.accept().unwrap().0), OK);
        let admin = Admin::new(&instance, AdminAddress::Unix(path));
        assert_eq!(&admin.get("/x").await.unwrap()[..], b"{}");
        assert_eq!(server.join().unwrap(), "GET /x HTTP/1.1\r\n");
    }

    #[tokio::test]
    async fn errors_name_place_and_reason() {
        let instance = this_process();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        let server = serve_once(move || Box::new(listener.accept().unwrap().0), refusal);
        let admin = Admin::new(&instance, AdminAddress::Tcp(address));
        assert_eq!(
            admin.get("/config").await.unwrap_err().to_string(),
            format!("the admin interface at {address} answered /config with 403 Forbidden")
        );
        server.join().unwrap();
        // Its listener is gone now.
        let error = admin.get("/config").await.unwrap_err().to_string();
        let expected =
            format!("the admin interface at {address} cannot be reached: Connection refused");
        assert!(error.starts_with(&expected), "{error}");

        let missing = Admin::new(&instance, AdminAddress::Unix("/nowhere.sock".into()));
        let error = missing.get("/").await.unwrap_err().to_string();
        assert!(
            error.contains("unix:/nowhere.sock cannot be reached"),
            "{error}"
        );
    }
}
