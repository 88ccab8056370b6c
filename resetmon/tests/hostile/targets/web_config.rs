//! The web configuration: TLS, basic auth and headers.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use resetmon::export::http::Web;
use resetmon::export::http::web_config::{REFERENCE, WebConfigError};
use tempfile::TempDir;

use crate::mutate::{Bytes, Pool, steers};
use crate::procfs;
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    REFERENCE,
    "",
    "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: server.crt, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [a.example, 10.0.0.1, \"spiffe://a/b\"]}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS13, max_version: TLS13, curve_preferences: [X25519]}\n",
    "basic_auth_users:\n  prometheus: $2b$10$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3y\n",
    "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n",
    "tls_server_config:\n  cert: |\n    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----\n  key: x\n",
];

const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\n  ",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b", ",
    b"\"",
    b"&a ",
    b"*a",
    b"!!str ",
    b"|\n",
    b"# ",
    b"---\n",
    b"cert_file: ",
    b"key_file: ",
    b"server.crt",
    b"server.key",
    b"client_ca_file: server.crt\n",
    b"client_auth_type: ",
    b"NoClientCert",
    b"VerifyClientCertIfGiven",
    b"RequireAnyClientCert",
    b"client_allowed_sans: ",
    b"TLS12",
    b"TLS10",
    b"cipher_suites: ",
    b"headers: ",
    b"basic_auth_users: ",
    b"$2b$31$",
    b"$2x$",
    b"$2y$04$",
    b"/dev/zero",
    b"/",
    b"..",
    b"\0",
    b"\\0",
    b"\xff",
    b"\x1b[31m",
    b"\\x1b",
    b"\xe2\x80\xae",
    b"a:b",
    b"true",
    b"http2: true\n",
    b"rate_limit: {}\n",
];

/// Damaged web configurations, beside a certificate and its key.
#[derive(Debug)]
pub(crate) struct WebConfigurations {
    pool: Pool,
    directory: TempDir,
}

impl Default for WebConfigurations {
    fn default() -> Self {
        let directory = procfs::directory();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        fs::write(directory.path().join("server.crt"), certificate.pem()).unwrap();
        fs::write(directory.path().join("server.key"), key.serialize_pem()).unwrap();
        fs::write(directory.path().join("clients-ca.crt"), certificate.pem()).unwrap();
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 4096),
            directory,
        }
    }
}

impl Target for WebConfigurations {
    const NAME: &'static str = "web_config";
    const QUICK: u64 = 2_000;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        Bytes(self.pool.make(random))
    }

    fn check(&mut self, text: &Bytes) -> bool {
        let path = self.directory.path().join("web.yaml");
        fs::write(&path, &text.0).unwrap();
        match Web::open(&path) {
            Ok(web) => {
                assert!(["http", "https"].contains(&web.scheme()));
                self.pool.keep(&text.0);
                true
            }
            Err(WebConfigError::Invalid { problems, .. }) => {
                assert!(!problems.is_empty());
                for problem in problems {
                    let what = problem.what;
                    assert!(!what.is_empty() && !what.contains(steers), "{what:?}");
                }
                false
            }
            Err(error) => panic!("{error}"),
        }
    }
}
