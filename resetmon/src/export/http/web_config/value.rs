//! Single values of the web configuration, each error with what is supported.

use std::net::IpAddr;

use hyper::header::{HeaderName, HeaderValue};
use rustls::crypto::{SupportedKxGroup, ring};
use rustls::pki_types::{DnsName, ServerName};
use rustls::{ProtocolVersion, SupportedCipherSuite};

use super::settings::{ClientAuth, San};

/// Cheapest and dearest bcrypt hash. The dearest takes seconds to check; each step doubles that,
/// and at the format's own limit of 31 one request would keep a core busy for days.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!(
            "`{}` is not possible; write true or false",
            other.escape_debug()
        )),
    }
}

/// `http2`: only `false` can be had.
pub(super) fn http2(text: &str) -> Result<(), String> {
    if boolean(text)? {
        return Err("HTTP/2 is not supported; write false or leave `http2` out".to_owned());
    }
    Ok(())
}

/// `client_auth_type`.
pub(super) fn client_auth(text: &str) -> Result<ClientAuth, String> {
    Ok(match text {
        "NoClientCert" => ClientAuth::NoClientCert,
        "RequestClientCert" => ClientAuth::RequestClientCert,
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAnyClientCert,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyClientCertIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerifyClientCert,
        other => {
            return Err(format!(
                "`{}` is no client_auth_type; supported: NoClientCert, RequestClientCert, \
                 RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert",
                other.escape_debug()
            ));
        }
    })
}

/// `min_version`, `max_version`.
pub(super) fn version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "TLS12" => Ok(ProtocolVersion::TLSv1_2),
        "TLS13" => Ok(ProtocolVersion::TLSv1_3),
        other => Err(format!(
            "the TLS version `{}` is not supported; supported: TLS12, TLS13",
            other.escape_debug()
        )),
    }
}

/// An item of `cipher_suites`, by its IANA name.
pub(super) fn cipher_suite(text: &str) -> Result<SupportedCipherSuite, String> {
    let name = |suite: &SupportedCipherSuite| {
        suite
            .suite()
            .as_str()
            .map(|name| name.replacen("TLS13_", "TLS_", 1))
    };
    let all = ring::ALL_CIPHER_SUITES;
    all.iter()
        .find(|suite| name(suite).as_deref() == Some(text))
        .copied()
        .ok_or_else(|| {
            format!(
                "the cipher suite `{}` is not supported; supported: {}",
                text.escape_debug(),
                all.iter().filter_map(name).collect::<Vec<_>>().join(", ")
            )
        })
}

/// An item of `curve_preferences`, by its name in Go.
pub(super) fn curve(text: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    match text {
        "X25519" => Ok(ring::kx_group::X25519),
        "CurveP256" => Ok(ring::kx_group::SECP256R1),
        "CurveP384" => Ok(ring::kx_group::SECP384R1),
        other => Err(format!(
            "the curve `{}` is not supported; supported: X25519, CurveP256, CurveP384",
            other.escape_debug()
        )),
    }
}

/// An item of `client_allowed_sans`.
pub(super) fn san(text: &str) -> Result<San, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(San::Ip(ServerName::from(address)));
    }
    if text.contains("://") {
        return Ok(San::Uri(text.to_owned()));
    }
    if DnsName::try_from(text).is_ok() {
        return Ok(San::Dns(text.to_owned()));
    }
    Err(format!(
        "`{}` is not supported in client_allowed_sans; supported: DNS names, IP addresses and \
         URIs as spiffe://domain/path, but no e-mail addresses",
        text.escape_debug()
    ))
}

/// An item of `http_server_config.headers`, if it sets one; an empty value sets none.
pub(super) fn header(name: &str, value: &str) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let (header, allowed): (_, &[&str]) = match name {
        "Content-Security-Policy" => (hyper::header::CONTENT_SECURITY_POLICY, &[]),
        "Strict-Transport-Security" => (hyper::header::STRICT_TRANSPORT_SECURITY, &[]),
        "X-Content-Type-Options" => (hyper::header::X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
        "X-Frame-Options" => (hyper::header::X_FRAME_OPTIONS, &["deny", "sameorigin"]),
        "X-XSS-Protection" => (hyper::header::X_XSS_PROTECTION, &[]),
        other => {
            return Err(format!(
                "the header `{}` is not supported; supported: Content-Security-Policy, \
                 Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, \
                 X-XSS-Protection",
                other.escape_debug()
            ));
        }
    };
    if value.is_empty() {
        return Ok(None);
    }
    if !allowed.is_empty() && !allowed.contains(&value) {
        return Err(format!(
            "`{}` is no value of {name}; supported: {}",
            value.escape_debug(),
            allowed.join(", ")
        ));
    }
    let value = HeaderValue::try_from(value)
        .map_err(|_| format!("the value of {name} has a control character; remove it"))?;
    Ok(Some((header, value)))
}

/// A name of `basic_auth_users`.
pub(super) fn user(name: &str) -> Result<(), String> {
    if name.contains(':') {
        return Err(format!(
            "the user name `{}` has a colon, which basic auth cannot carry (RFC 7617); choose \
             another",
            name.escape_debug()
        ));
    }
    Ok(())
}

/// A value of `basic_auth_users`. No error repeats it: it may be a password by mistake.
pub(super) fn hash(text: &str) -> Result<(), String> {
    const MAKE: &str = "make one with: htpasswd -nBC 10 NAME";
    // That buggy implementation's hashes ($2x$) would be checked by the right algorithm, and fail.
    let parts = text
        .parse::<bcrypt::HashParts>()
        .ok()
        .filter(|_| !text.starts_with("$2x$"))
        .ok_or_else(|| format!("this is no bcrypt hash ($2a$, $2b$ or $2y$); {MAKE}"))?;
    let cost = parts.get_cost();
    if !COSTS.contains(&cost) {
        let (least, most) = (COSTS.start(), COSTS.end());
        return Err(format!(
            "a bcrypt cost of {cost} is not supported; supported: {least} to {most}; {MAKE}"
        ));
    }
    Ok(())
}
