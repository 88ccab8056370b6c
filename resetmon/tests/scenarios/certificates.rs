//! Certificates of gateways and backends, made when the bench runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Name of every server.
pub(crate) const NAME: &str = "gateway.example";

/// PEM files.
#[derive(Debug)]
pub(crate) struct Files {
    /// A certificate authority.
    pub(crate) authority: PathBuf,
    /// A server's certificate by it.
    pub(crate) certificate: PathBuf,
    /// The key of that.
    pub(crate) key: PathBuf,
    /// Both in one file.
    pub(crate) both: PathBuf,
    /// A server's certificate by an authority that nobody trusts.
    pub(crate) stranger: PathBuf,
    /// The key of that.
    pub(crate) stranger_key: PathBuf,
}

impl Files {
    /// Makes them in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let own = Issued::new("bench")?;
        let other = Issued::new("stranger")?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            Ok::<_, anyhow::Error>(path)
        };
        Ok(Self {
            authority: write("authority.pem", &own.authority)?,
            certificate: write("certificate.pem", &own.certificate)?,
            key: write("key.pem", &own.key)?,
            both: write("both.pem", &format!("{}{}", own.certificate, own.key))?,
            stranger: write("stranger.pem", &other.certificate)?,
            stranger_key: write("stranger-key.pem", &other.key)?,
        })
    }
}

/// A server's certificate, all in PEM.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

impl Issued {
    fn new(authority: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, authority);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let server = CertificateParams::new(vec![NAME.to_owned(), "127.0.0.1".to_owned()])?;
        Ok(Self {
            certificate: server.signed_by(&key, &issuer)?.pem(),
            authority: issuer.pem(),
            key: key.serialize_pem(),
        })
    }
}
