//! What a web configuration file asks for, before any other file is read.

use hyper::header::HeaderMap;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use super::source::Source;

/// The whole file, checked as far as it goes without reading another.
///
/// No `Debug`: it holds password hashes, and may hold a key.
#[derive(Default)]
pub(super) struct Settings {
    /// `tls_server_config`.
    pub(super) tls: Option<TlsSettings>,
    /// `http_server_config.headers`.
    pub(super) headers: HeaderMap,
    /// `basic_auth_users`: name and bcrypt hash.
    pub(super) users: Vec<(String, String)>,
}

/// `tls_server_config`.
pub(super) struct TlsSettings {
    /// `cert` or `cert_file`.
    pub(super) cert: Source,
    /// `key` or `key_file`.
    pub(super) key: Source,
    /// `client_ca` or `client_ca_file`.
    pub(super) client_ca: Option<Source>,
    /// `client_auth_type`.
    pub(super) client_auth: ClientAuth,
    /// `client_allowed_sans`; empty if any will do.
    pub(super) allowed_sans: Vec<San>,
    /// `min_version` to `max_version`.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// `cipher_suites` and `curve_preferences`.
    pub(super) provider: CryptoProvider,
    /// `prefer_server_cipher_suites`.
    pub(super) prefer_server: bool,
}

/// `client_auth_type`, in the names of Go's `crypto/tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// Clients are not asked for a certificate.
    #[default]
    NoClientCert,
    /// Asked; none, or any, will do.
    RequestClientCert,
    /// Any certificate will do.
    RequireAnyClientCert,
    /// None will do; one that is given must be of the client CA.
    VerifyClientCertIfGiven,
    /// One of the client CA.
    RequireAndVerifyClientCert,
}

/// A Subject Alternative Name, as `client_allowed_sans` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum San {
    /// A DNS name.
    Dns(String),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// An address.
    Ip(ServerName<'static>),
}

impl ClientAuth {
    /// Whether a certificate is asked for that anybody could have made.
    pub(super) fn takes_any(self) -> bool {
        matches!(self, Self::RequestClientCert | Self::RequireAnyClientCert)
    }
}
