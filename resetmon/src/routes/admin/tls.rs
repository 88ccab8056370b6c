//! TLS towards an admin interface: trust is what the operator names, never the system's.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::access::{Access, AccessError, content, text};

/// What connects as `access` says, and the name that the certificate of `address` has to have.
///
/// Errors: `ca_file` is not to be used, or nothing says whom to trust.
pub(super) fn connector(
    access: &Access,
    address: IpAddr,
) -> Result<(TlsConnector, ServerName<'static>), AccessError> {
    let provider = Arc::new(ring::default_provider());
    let trust = Trust::new(access, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(AccessError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();
    let name = access.server_name.clone();
    let name = name.unwrap_or_else(|| ServerName::IpAddress(address.into()));
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Whose certificates are good.
#[derive(Debug)]
struct Trust {
    provider: Arc<CryptoProvider>,
    /// These themselves: admin interfaces often have a certificate that signed itself.
    own: Vec<CertificateDer<'static>>,
    /// And those that these signed; `None`: any.
    signed: Option<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    fn new(access: &Access, provider: &Arc<CryptoProvider>) -> Result<Self, AccessError> {
        let Some(path) = &access.ca_file else {
            if !access.insecure {
                return Err(AccessError::NoTrust);
            }
            return Ok(Self {
                provider: Arc::clone(provider),
                own: Vec::new(),
                signed: None,
            });
        };
        let text = text(path)?;
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let own = own.map_err(|error| content(path, format!("no PEM certificates: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            let added = roots.add(certificate.clone());
            added.map_err(|error| content(path, format!("no certificate to trust: {error}")))?;
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let signed = builder
            .build()
            .map_err(|_| content(path, "no certificate (PEM) is in it"))?;
        Ok(Self {
            provider: Arc::clone(provider),
            own,
            signed: Some(signed),
        })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.signed {
            Some(signed) if !self.own.contains(end_entity) => signed.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let schemes = self.provider.signature_verification_algorithms;
        schemes.supported_schemes()
    }
}
