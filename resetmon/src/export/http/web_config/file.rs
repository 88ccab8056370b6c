//! The shape of the file, and its way to [`Settings`].

use std::fmt;
use std::path::Path;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ProtocolVersion, SupportedCipherSuite};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::settings::{ClientAuth, Settings, TlsSettings};
use super::source::{Pem, Source};
use super::value;
use crate::yaml::{self, Problem, Problems, Text};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebConfigFile {
    tls_server_config: Option<Spanned<TlsSection>>,
    http_server_config: Option<HttpSection>,
    basic_auth_users: Option<Entries>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    cert: Option<Text>,
    cert_file: Option<Text>,
    key: Option<Text>,
    key_file: Option<Text>,
    client_ca: Option<Text>,
    client_ca_file: Option<Text>,
    client_auth_type: Option<Text>,
    client_allowed_sans: Option<Spanned<Vec<Text>>>,
    min_version: Option<Text>,
    max_version: Option<Text>,
    cipher_suites: Option<Vec<Text>>,
    prefer_server_cipher_suites: Option<Text>,
    curve_preferences: Option<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSection {
    http2: Option<Text>,
    headers: Option<Entries>,
}

/// Keys of the user's choice, with the places of both sides.
struct Entries(Vec<(Text, Text)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys, each as `key: value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// The settings in `text`, or everything that is wrong with them; relative paths are below `dir`.
pub(super) fn read(text: &str, dir: &Path) -> Result<Settings, Vec<Problem>> {
    let file: WebConfigFile = yaml::parse(text).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    let mut settings = Settings::default();
    if let Some(section) = file.tls_server_config {
        settings.tls = tls(section, dir, &mut problems);
    }
    if let Some(section) = file.http_server_config {
        http(section, &mut settings, &mut problems);
    }
    for (name, hash) in file.basic_auth_users.map_or_else(Vec::new, |users| users.0) {
        let is_name = problems.keep(name.referenced, value::user(&name.value));
        let is_hash = problems.keep(hash.referenced, value::hash(&hash.value));
        if is_name.and(is_hash).is_some() {
            settings.users.push((name.value, hash.value));
        }
    }
    let problems = problems.into_sorted();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

fn http(section: HttpSection, settings: &mut Settings, problems: &mut Problems) {
    if let Some(http2) = section.http2 {
        problems.keep(http2.referenced, value::http2(&http2.value));
    }
    for (name, text) in section.headers.map_or_else(Vec::new, |headers| headers.0) {
        let header = value::header(&name.value, &text.value);
        if let Some(Some((name, value))) = problems.keep(name.referenced, header) {
            settings.headers.insert(name, value);
        }
    }
}

/// `None` only with a problem noted.
fn tls(section: Spanned<TlsSection>, dir: &Path, problems: &mut Problems) -> Option<TlsSettings> {
    let place = section.referenced;
    let section = section.value;
    let cert = source(
        "cert",
        section.cert,
        "cert_file",
        section.cert_file,
        dir,
        problems,
    );
    let key = source(
        "key",
        section.key,
        "key_file",
        section.key_file,
        dir,
        problems,
    );
    for (found, keys) in [(&cert, "cert_file (or cert)"), (&key, "key_file (or key)")] {
        if let Ok(None) = found {
            problems.at(place, format!("tls_server_config needs {keys}; add it"));
        }
    }
    let client_ca = source(
        "client_ca",
        section.client_ca,
        "client_ca_file",
        section.client_ca_file,
        dir,
        problems,
    );
    let auth_place = section
        .client_auth_type
        .as_ref()
        .map_or(place, |text| text.referenced);
    let client_auth = one(section.client_auth_type, value::client_auth, problems);
    let sans_place = section
        .client_allowed_sans
        .as_ref()
        .map(|sans| sans.referenced);
    let sans = section.client_allowed_sans.map(|sans| sans.value);
    let allowed_sans = many(sans, value::san, problems);
    if let (Ok(client_auth), Ok(client_ca)) = (client_auth, &client_ca) {
        let client_auth = client_auth.unwrap_or_default();
        let has_ca = client_ca.is_some();
        check_client_auth(client_auth, has_ca, auth_place, sans_place, problems);
    }
    let versions = versions(section.min_version, section.max_version, problems);
    let suites = many(section.cipher_suites, value::cipher_suite, problems);
    let groups = many(section.curve_preferences, value::curve, problems);
    let prefer_server = one(
        section.prefer_server_cipher_suites,
        value::boolean,
        problems,
    );
    let provider = CryptoProvider {
        cipher_suites: with_tls13(suites?),
        kx_groups: Some(groups?)
            .filter(|groups| !groups.is_empty())
            .unwrap_or_else(|| ring::DEFAULT_KX_GROUPS.to_vec()),
        ..ring::default_provider()
    };
    Some(TlsSettings {
        cert: cert.ok()??,
        key: key.ok()??,
        client_ca: client_ca.ok()?,
        client_auth: client_auth.ok()?.unwrap_or_default(),
        allowed_sans: allowed_sans?,
        versions: versions?,
        provider,
        prefer_server: prefer_server.ok()?.unwrap_or(true),
    })
}

/// A certificate or key: at most one of the two keys; `Err` with a problem noted.
fn source(
    inline_name: &'static str,
    inline: Option<Text>,
    file_name: &'static str,
    file: Option<Text>,
    dir: &Path,
    problems: &mut Problems,
) -> Result<Option<Source>, ()> {
    match (inline, file) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Source {
            name: inline_name,
            place: text.referenced,
            pem: Pem::Inline(text.value),
        })),
        (None, Some(path)) if path.value.is_empty() || path.value.contains('\0') => {
            let what = format!("{file_name} is no path; write the path of a PEM file");
            problems.at(path.referenced, what);
            Err(())
        }
        (None, Some(path)) => Ok(Some(Source {
            name: file_name,
            place: path.referenced,
            pem: Pem::File(dir.join(path.value)),
        })),
        (Some(_), Some(path)) => {
            let what = format!("{inline_name} and {file_name} are both given; keep one");
            problems.at(path.referenced, what);
            Err(())
        }
    }
}

/// Combinations in which a key would do nothing, or less than it seems to.
fn check_client_auth(
    client_auth: ClientAuth,
    has_ca: bool,
    auth: Location,
    sans: Option<Location>,
    problems: &mut Problems,
) {
    use ClientAuth::{
        NoClientCert, RequireAndVerifyClientCert, RequireAnyClientCert, VerifyClientCertIfGiven,
    };
    if has_ca && client_auth == NoClientCert {
        problems.at(
            auth,
            "client_ca_file is given, but client_auth_type asks for no certificate; set it to \
             RequireAndVerifyClientCert",
        );
    }
    let verifies = matches!(
        client_auth,
        VerifyClientCertIfGiven | RequireAndVerifyClientCert
    );
    if verifies && !has_ca {
        problems.at(
            auth,
            "this client_auth_type needs client_ca_file (or client_ca); add it",
        );
    }
    let requires = matches!(
        client_auth,
        RequireAnyClientCert | RequireAndVerifyClientCert
    );
    if let Some(sans) = sans
        && !requires
    {
        problems.at(
            sans,
            "client_allowed_sans needs a client_auth_type that requires a certificate; set it to \
             RequireAndVerifyClientCert",
        );
    }
}

/// From `min` to `max`; `None` with a problem noted.
fn versions(
    min: Option<Text>,
    max: Option<Text>,
    problems: &mut Problems,
) -> Option<Vec<&'static rustls::SupportedProtocolVersion>> {
    let place = min.as_ref().map(|text| text.referenced);
    let min = one(min, value::version, problems);
    let max = one(max, value::version, problems);
    let (min, max) = (
        min.ok()?.unwrap_or(ProtocolVersion::TLSv1_2),
        max.ok()?.unwrap_or(ProtocolVersion::TLSv1_3),
    );
    let number = |version: ProtocolVersion| u16::from(version);
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .filter(|offer| (number(min)..=number(max)).contains(&number(offer.version)))
        .copied()
        .collect();
    if let Some(place) = place
        && versions.is_empty()
    {
        problems.at(place, "min_version is above max_version; swap them");
        return None;
    }
    Some(versions)
}

/// TLS 1.3 is left as it is by a list that names none of its suites, as the format has it.
fn with_tls13(mut suites: Vec<SupportedCipherSuite>) -> Vec<SupportedCipherSuite> {
    if suites.is_empty() {
        return ring::DEFAULT_CIPHER_SUITES.to_vec();
    }
    let is_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    if !suites.iter().any(is_tls13) {
        suites.extend(ring::DEFAULT_CIPHER_SUITES.iter().copied().filter(is_tls13));
    }
    suites
}

/// The value of a key that may be absent; `Err` with a problem noted.
fn one<T>(
    text: Option<Text>,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Result<Option<T>, ()> {
    let Some(text) = text else {
        return Ok(None);
    };
    problems
        .keep(text.referenced, read(&text.value))
        .map(Some)
        .ok_or(())
}

/// The values of a list that may be absent; `None` with a problem noted.
fn many<T>(
    texts: Option<Vec<Text>>,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Option<Vec<T>> {
    let values: Vec<_> = texts
        .unwrap_or_default()
        .into_iter()
        .map(|text| problems.keep(text.referenced, read(&text.value)))
        .collect();
    // Not earlier: every wrong item is to be noted.
    values.into_iter().collect()
}
