//! How the operator says an admin interface is asked: over which TLS, with which credentials.
//!
//! Secrets stay in their files: they are read for each question, marked as sensitive, and no error
//! quotes them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use rustls::pki_types::ServerName;

/// Largest file of secrets or certificates, bytes.
const MOST_BYTES: u64 = 1 << 20;

/// How an admin interface is asked. Paths are those of this process, not of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Certificates (PEM) of which one is that of an `https` interface, or signed it.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate will do. Whoever is in between can then read what is sent.
    pub insecure: bool,
    /// The name in the certificate, if it is not the address.
    pub server_name: Option<ServerName<'static>>,
    /// Headers to send, a line each: `Kong-Admin-Token: …`.
    pub headers_file: Option<PathBuf>,
    /// What to send as `Authorization: Bearer …`.
    pub token_file: Option<PathBuf>,
    /// `user:password`, sent as `Authorization: Basic …`.
    pub basic_auth_file: Option<PathBuf>,
}

/// Why an interface cannot be asked as the operator says.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    Content {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and what should be there.
        what: String,
    },
    /// It is an `https` address, and nothing says whom to trust.
    #[error("https needs `ca_file` with its certificate or that of its CA, or `insecure: true`")]
    NoTrust,
    /// TLS does not work so.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    /// Credentials would go to a process that may not be the gateway.
    #[error(
        "it is in another network namespace or container, where credentials are sent only over \
         https with `ca_file`: set both"
    )]
    Stranger,
}

impl Access {
    /// True if there is anything to send.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        [&self.headers_file, &self.token_file, &self.basic_auth_file]
            .iter()
            .any(|file| file.is_some())
    }

    /// What to send with a question.
    ///
    /// Errors: a file cannot be read or is not what it should be.
    pub fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AccessError> {
        let mut headers = Vec::new();
        if let Some(path) = &self.headers_file {
            headers = listed(path, &text(path)?)?;
        }
        if let Some(path) = &self.token_file {
            let token = one_line(path, "the token")?;
            headers.push((AUTHORIZATION, secret(path, &format!("Bearer {token}"))?));
        }
        if let Some(path) = &self.basic_auth_file {
            let user = one_line(path, "user:password")?;
            if !user.contains(':') {
                return Err(content(
                    path,
                    "`user:password` is expected on its only line",
                ));
            }
            let encoded = BASE64_STANDARD.encode(user);
            headers.push((AUTHORIZATION, secret(path, &format!("Basic {encoded}"))?));
        }
        Ok(headers)
    }
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, AccessError> {
    let read = || {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|reason| AccessError::Read {
        path: path.to_owned(),
        reason,
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        let what = format!("it is larger than {} MiB", MOST_BYTES >> 20);
        return Err(content(path, what));
    }
    String::from_utf8(bytes).map_err(|_| content(path, "it is not UTF-8 text"))
}

/// `NAME: VALUE` a line; empty ones and those that begin with `#` do not count.
fn listed(path: &Path, text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, AccessError> {
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| content(path, format!("line {number}: {what}"));
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| wrong("`NAME: VALUE` is expected"))?;
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| wrong("the part before `:` is no name of a header"))?;
        if [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(wrong(&format!("`{name}` is set by resetmon itself")));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| wrong("the value has characters that no header may have"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

/// The only line of a file, which holds `what`.
fn one_line(path: &Path, what: &str) -> Result<String, AccessError> {
    let text = text(path)?;
    let line = text.trim();
    if line.is_empty() || line.contains('\n') {
        return Err(content(
            path,
            format!("{what} is expected on its only line"),
        ));
    }
    Ok(line.to_owned())
}

fn secret(path: &Path, value: &str) -> Result<HeaderValue, AccessError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| content(path, "it has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn content(path: &Path, what: impl Into<String>) -> AccessError {
    AccessError::Content {
        path: path.to_owned(),
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers, or the error without the directory.
    fn shown(kind: &str, text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, text).unwrap();
        let mut access = Access::default();
        match kind {
            "headers" => access.headers_file = Some(path),
            "token" => access.token_file = Some(path),
            _ => access.basic_auth_file = Some(path),
        }
        assert!(access.has_credentials());
        match access.headers() {
            Ok(headers) => {
                let lines = headers.iter().map(|(name, value)| {
                    assert!(value.is_sensitive());
                    format!("{name}={}", value.to_str().unwrap())
                });
                lines.collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                let directory = format!("{}/", directory.path().display());
                error.to_string().replace(&directory, "")
            }
        }
    }

    #[test]
    fn headers_of_files() {
        let host = "f: line 2: `host` is set by resetmon itself";
        for (kind, text, expected) in [
            ("headers", "", ""),
            (
                "headers",
                "# Kong\n\nKong-Admin-Token: s3 cret:x \r\nx-a:1\n",
                "kong-admin-token=s3 cret:x x-a=1",
            ),
            ("headers", "s3cret", "f: line 1: `NAME: VALUE` is expected"),
            ("headers", "x: y\nHost: a\n", host),
            (
                "headers",
                "s3 cret: a",
                "f: line 1: the part before `:` is no name of a header",
            ),
            (
                "headers",
                "x: s3\u{7}cret",
                "f: line 1: the value has characters that no header may have",
            ),
            ("token", " s3cret\n", "authorization=Bearer s3cret"),
            ("token", "\n", "f: the token is expected on its only line"),
            (
                "token",
                "s3\ncret",
                "f: the token is expected on its only line",
            ),
            (
                "token",
                "s3\u{7}cret",
                "f: it has characters that no header may have",
            ),
            ("basic", "user:pass\n", "authorization=Basic dXNlcjpwYXNz"),
            (
                "basic",
                "s3cret",
                "f: `user:password` is expected on its only line",
            ),
        ] {
            assert_eq!(shown(kind, text), expected, "{kind} {text:?}");
        }
        let large = shown("token", &"s".repeat(1 << 21));
        assert_eq!(large, "f: it is larger than 1 MiB");
        let none = Access {
            token_file: Some("/nowhere/token".into()),
            ..Access::default()
        };
        let error = none.headers().unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/token: No such file"), "{error}");
        assert!(!Access::default().has_credentials());
        assert_eq!(Access::default().headers().unwrap(), []);
    }
}
