//! Where a receiver of OTLP listens.

use std::fmt;

use hyper::Uri;

/// What is added to the endpoint's own path, as for `OTEL_EXPORTER_OTLP_ENDPOINT`.
const LOGS: &str = "/v1/logs";

/// A URL to send logs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`.
    pub tls: bool,
    /// Host name, or address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// With `/v1/logs`.
    pub path: String,
}

impl Endpoint {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT`, with a path or without.
    ///
    /// Errors: it is no such URL; a password in it is not repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err(
                "an endpoint has no user or password in it; write headers to a file and \
                        name it by `headers_file`"
                    .to_owned(),
            );
        }
        let wrong = || {
            format!(
                "`{}` is no endpoint; write http://HOST:PORT or https://HOST:PORT, as \
                 http://127.0.0.1:4318",
                text.escape_debug()
            )
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || uri.query().is_some() {
            return Err(wrong());
        }
        // A port that is none is no error to the parser.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| wrong())?,
            _ if tls => 443,
            _ => 80,
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            path: format!("{}{LOGS}", uri.path().trim_end_matches('/')),
        })
    }

    /// `HOST:PORT`, as a `Host` header has it.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/logs"),
            (
                "https://otlp.example.com",
                "https://otlp.example.com:443/v1/logs",
            ),
            ("https://x/otlp/", "https://x:443/otlp/v1/logs"),
            ("HTTP://Collector:1", "http://Collector:1/v1/logs"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/logs"),
            ("http://collector", "http://collector:80/v1/logs"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        for text in [
            "",
            "collector:4318",
            "127.0.0.1:4318",
            "grpc://x:4317",
            "ftp://x",
            "http://",
            "http://:4318",
            "http://x:99999",
            "http://x?a=b",
            "http://x y",
            "http://x\n",
            "/v1/logs",
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(
                error.contains("is no endpoint; write http://"),
                "{text}: {error}"
            );
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        let error = Endpoint::parse("http://me:hidden@x").unwrap_err();
        assert!(
            error.contains("headers_file") && !error.contains("hidden"),
            "{error}"
        );
    }
}
