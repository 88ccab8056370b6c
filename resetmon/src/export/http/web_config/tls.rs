//! From settings, certificates and keys to a TLS server.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::client_cert::{AllowedSans, AnyCertificate};
use super::settings::{ClientAuth, TlsSettings};
use super::source::Source;
use crate::yaml::Problems;

/// The server that `settings` describe; `None` with a problem noted.
pub(super) fn server(settings: &TlsSettings, problems: &mut Problems) -> Option<Arc<ServerConfig>> {
    let provider = Arc::new(settings.provider.clone());
    let cert = problems.keep(settings.cert.place, certificates(&settings.cert));
    let key = problems.keep(settings.key.place, signing_key(&settings.key, &provider));
    let verifier = client_verifier(settings, &provider, problems);
    let (pair, verifier) = (CertifiedKey::new(cert?, key?), verifier?);
    problems.keep(settings.cert.place, check_pair(settings, &pair))?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&settings.versions)
        .map_err(|error| format!("{error}; check cipher_suites, min_version and max_version"));
    let mut server = problems
        .keep(settings.cert.place, builder)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.ignore_client_order = settings.prefer_server;
    // One connection, one request: sessions to resume would only be memory.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Some(Arc::new(server))
}

/// Whether certificate and key belong together.
fn check_pair(settings: &TlsSettings, pair: &CertifiedKey) -> Result<(), String> {
    let cert = settings.cert.describe();
    match pair.keys_match() {
        // Unknown: a kind of key that does not tell its public half.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => {
            let key = settings.key.describe();
            Err(format!(
                "{cert} and {key} do not belong together; use the certificate's own key"
            ))
        }
        Err(error) => Err(format!("{cert} cannot be used: {error}; issue it anew")),
    }
}

fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = source.read()?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    // Of a file that may be a key by mistake nothing is repeated.
    let certificates = certificates.map_err(|_| {
        format!(
            "{} is no valid PEM; check that it is complete",
            source.describe()
        )
    })?;
    if certificates.is_empty() {
        return Err(format!(
            "{} has no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----",
            source.describe()
        ));
    }
    Ok(certificates)
}

/// No error repeats anything of the key.
fn signing_key(source: &Source, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, String> {
    let key = PrivateKeyDer::from_pem_slice(&source.read()?).map_err(|_| {
        format!(
            "{} has no private key that can be used; it must be PEM without a passphrase, with \
             -----BEGIN PRIVATE KEY----- (or RSA or EC PRIVATE KEY)",
            source.describe()
        )
    })?;
    provider.key_provider.load_private_key(key).map_err(|_| {
        format!(
            "{} cannot be used; supported: RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384, \
             Ed25519",
            source.describe()
        )
    })
}

/// Who checks clients' certificates; `None` with a problem noted.
fn client_verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    problems: &mut Problems,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    if let Some(source) = &settings.client_ca {
        for certificate in problems.keep(source.place, certificates(source))? {
            let added = roots.add(certificate).map_err(|error| {
                format!(
                    "{} has a certificate that is no CA's: {error}",
                    source.describe()
                )
            });
            problems.keep(source.place, added)?;
        }
    }
    let any = |mandatory, roots: &RootCertStore| {
        let algorithms = provider.signature_verification_algorithms;
        Arc::new(AnyCertificate::new(mandatory, roots.subjects(), algorithms)) as Arc<_>
    };
    let builder = |roots: RootCertStore| {
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
    };
    let place = settings
        .client_ca
        .as_ref()
        .map_or(settings.cert.place, |ca| ca.place);
    let verifier = match settings.client_auth {
        ClientAuth::NoClientCert => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::RequestClientCert => any(false, &roots),
        ClientAuth::RequireAnyClientCert => any(true, &roots),
        ClientAuth::VerifyClientCertIfGiven => {
            let built = builder(roots).allow_unauthenticated().build();
            problems.keep(place, built)? as Arc<_>
        }
        ClientAuth::RequireAndVerifyClientCert => {
            problems.keep(place, builder(roots).build())? as Arc<_>
        }
    };
    if settings.allowed_sans.is_empty() {
        return Some(verifier);
    }
    Some(Arc::new(AllowedSans::new(
        verifier,
        settings.allowed_sans.clone(),
    )))
}
