use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::source::Pem;
use super::*;
use crate::export::http::certs::Ca;

const HASH: &str = "$2b$10$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3y";

fn errors(text: &str) -> String {
    match file::read(text, Path::new("/dir")) {
        Ok(_) => panic!("no error: {text}"),
        Err(problems) => yaml::listed("x", &problems),
    }
}

#[test]
fn what_is_given_is_read() {
    let text = "tls_server_config:\n  cert_file: /a/b.crt\n  key: PEM\n  client_ca_file: ../c.crt\n  \
                client_auth_type: RequireClientCert\n  min_version: TLS13\n  \
                prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384, X25519]\n\
                basic_auth_users:\n  alice: HASH\n  7: HASH\n";
    let settings = file::read(&text.replace("HASH", HASH), Path::new("/dir")).unwrap();
    let users: Vec<_> = settings.users.iter().map(|user| user.0.as_str()).collect();
    assert_eq!(users, ["alice", "7"]);
    let tls = settings.tls.unwrap();
    assert_eq!(tls.cert.file(), Some(Path::new("/a/b.crt")));
    assert!(matches!(&tls.key.pem, Pem::Inline(text) if text == "PEM"));
    let ca = tls.client_ca.unwrap();
    assert_eq!(ca.file(), Some(Path::new("/dir/../c.crt")));
    assert_eq!(tls.client_auth, ClientAuth::RequireAnyClientCert);
    assert_eq!(tls.versions, [&rustls::version::TLS13]);
    assert!(!tls.prefer_server);
    let groups: Vec<_> = tls
        .provider
        .kx_groups
        .iter()
        .map(|group| group.name())
        .collect();
    assert_eq!(
        groups,
        [rustls::NamedGroup::secp384r1, rustls::NamedGroup::X25519]
    );
}

#[test]
fn empty_files_and_sections_protect_nothing() {
    for text in [
        "",
        "---\n",
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n",
        "http_server_config: {headers: {X-Frame-Options: \"\"}}\nbasic_auth_users: {}\n",
    ] {
        let settings = file::read(text, Path::new("")).unwrap();
        assert!(settings.tls.is_none(), "{text:?}");
        assert!(settings.users.is_empty(), "{text:?}");
        assert!(settings.headers.is_empty(), "{text:?}");
    }
}

/// `(text, place, part of the message)`; `TLS` stands for certificate and key in flow style.
const WRONG: &[(&str, &str, &str)] = &[
    // Keys.
    (
        "rate_limit: {interval: 1s}\n",
        "x:1:1: ",
        "`rate_limit`; allowed here: tls_server_config, http_server_config, basic_auth_users",
    ),
    ("tls_config: {}\n", "x:1:1: ", "unknown key `tls_config`"),
    (
        "tls_server_config:\n  cert_file: a\n  keyfile: b\n",
        "x:3:3: ",
        "unknown key `keyfile`; allowed here: cert, cert_file, key, key_file, client_ca",
    ),
    (
        "http_server_config: {http_2: true}\n",
        "x:1:22: ",
        "allowed here: http2, headers",
    ),
    ("tls_server_config: yes\n", "x:1:20: ", "expected keys"),
    (
        "tls_server_config: {}\n",
        "x:1:20: ",
        "needs cert_file (or cert); add it",
    ),
    (
        "tls_server_config: {cert_file: a}\n",
        "x:1:20: ",
        "needs key_file (or key); add it",
    ),
    (
        "tls_server_config: {cert_file: a, cert: b, key: c}\n",
        "x:1:32: ",
        "cert and cert_file are both given; keep one",
    ),
    (
        "tls_server_config: {cert_file: \"\", key: c}\n",
        "x:1:32: ",
        "cert_file is no path",
    ),
    // Clients' certificates.
    (
        "tls_server_config: {TLS, client_auth_type: Required}\n",
        "x:1:66: ",
        "`Required` is no client_auth_type; supported: NoClientCert, RequestClientCert,",
    ),
    (
        "tls_server_config: {TLS, client_ca_file: ca}\n",
        "x:1:20: ",
        "asks for no certificate; set it to RequireAndVerifyClientCert",
    ),
    (
        "tls_server_config: {TLS, client_auth_type: VerifyClientCertIfGiven}\n",
        "x:1:66: ",
        "needs client_ca_file",
    ),
    (
        "tls_server_config: {TLS, client_auth_type: RequireAndVerifyClientCert}\n",
        "x:1:66: ",
        "needs client_ca_file",
    ),
    (
        "tls_server_config: {TLS, client_auth_type: RequestClientCert, client_allowed_sans: [a]}\n",
        "x:1:106: ",
        "a client_auth_type that requires a certificate",
    ),
    (
        "tls_server_config: {TLS, client_auth_type: RequireAnyClientCert, client_allowed_sans: [a@b.c]}\n",
        "x:1:110: ",
        "but no e-mail addresses",
    ),
    // Versions, suites, curves.
    (
        "tls_server_config: {TLS, min_version: TLS11}\n",
        "x:1:61: ",
        "`TLS11` is not supported; supported: TLS12, TLS13",
    ),
    (
        "tls_server_config: {TLS, min_version: TLS13, max_version: TLS12}\n",
        "x:1:61: ",
        "min_version is above max_version",
    ),
    (
        "tls_server_config: {TLS, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}\n",
        "x:1:64: ",
        "not supported; supported: TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, ",
    ),
    (
        "tls_server_config: {TLS, cipher_suites: [TLS13_AES_256_GCM_SHA384]}\n",
        "x:1:64: ",
        "`TLS13_AES_256_GCM_SHA384` is not supported",
    ),
    (
        "tls_server_config: {TLS, curve_preferences: [CurveP521]}\n",
        "x:1:68: ",
        "supported: X25519, CurveP256, CurveP384",
    ),
    (
        "tls_server_config: {TLS, prefer_server_cipher_suites: 1}\n",
        "x:1:77: ",
        "write true or false",
    ),
    // Headers.
    (
        "http_server_config: {http2: true}\n",
        "x:1:29: ",
        "HTTP/2 is not supported; write false",
    ),
    (
        "http_server_config:\n  headers:\n    X-Powered-By: a\n",
        "x:3:5: ",
        "`X-Powered-By` is not supported; supported: Content-Security-Policy, ",
    ),
    (
        "http_server_config: {headers: {X-Frame-Options: SAMEORIGIN}}\n",
        "x:1:32: ",
        "supported: deny, sameorigin",
    ),
    (
        "http_server_config: {headers: {X-XSS-Protection: \"a\\r\\nb: c\"}}\n",
        "x:1:32: ",
        "control character",
    ),
    // Users.
    (
        "basic_auth_users: {alice: secret}\n",
        "x:1:27: ",
        "no bcrypt hash",
    ),
    (
        "basic_auth_users:\n  alice:\n",
        "x:2:8: ",
        "null is not allowed",
    ),
    ("basic_auth_users: secret\n", "x:1:19: ", "expected keys"),
    ("basic_auth_users: [secret]\n", "x:1:19: ", "expected keys"),
    (
        "basic_auth_users:\n  \"a:b\": HASH\n",
        "x:2:3: ",
        "`a:b` has a colon",
    ),
    (
        "basic_auth_users:\n  alice: HASH\n  alice: HASH\n",
        "x:3:3: ",
        "`alice` is given twice",
    ),
    (
        "basic_auth_users: {a: $2b$31$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3y}\n",
        "x:1:23: ",
        "a bcrypt cost of 31 is not supported; supported: 4 to 16",
    ),
    (
        "basic_auth_users: {a: $2b$03$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3y}\n",
        "x:1:23: ",
        "cost of 3 ",
    ),
    (
        "basic_auth_users: {a: $2x$10$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3y}\n",
        "x:1:23: ",
        "no bcrypt hash",
    ),
    (
        "basic_auth_users: {a: $2b$10$7vP6tYeyB9RNmle8Jdz9uOBMw7uEAsL39cLafA.48Jpn8vDManf3}\n",
        "x:1:23: ",
        "no bcrypt hash",
    ),
];

#[test]
fn errors_say_place_fault_and_remedy_and_no_secret() {
    for (text, place, part) in WRONG {
        let text = text.replace("TLS,", "cert_file: a, key_file: b,");
        let error = errors(&text.replace("HASH", HASH));
        assert!(error.starts_with(place), "{text}: {error}");
        assert!(error.contains(part), "{text}: {error}");
        for secret in ["secret", "7vP6tYeyB9RN"] {
            assert!(!error.contains(secret), "{text}: {error}");
        }
    }
}

#[test]
fn every_problem_is_reported_in_order() {
    let error = errors(
        "basic_auth_users: {a: b}\ntls_server_config:\n  cert_file: a\n  key_file: b\n  \
         min_version: SSL3\n  cipher_suites: [A, B]\nhttp_server_config: {http2: true}\n",
    );
    let places: Vec<_> = error.lines().map(|line| &line[..7]).collect();
    assert_eq!(
        places,
        ["x:1:23:", "x:5:16:", "x:6:19:", "x:6:22:", "x:7:29:"]
    );
}

/// A directory of good and bad files, and a line of the key `a.key`.
fn damaged() -> (tempfile::TempDir, String) {
    const SEALED: &str =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const EMPTY: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let (pair, other) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    for (name, content) in [
        ("a.crt", pair.cert.as_str()),
        ("a.key", &pair.key),
        ("b.key", &other.key),
        ("half.crt", &pair.cert[..pair.cert.len() / 2]),
        ("sealed.key", SEALED),
        ("no.crt", EMPTY),
        ("no.key", &EMPTY.replace("CERTIFICATE", "PRIVATE KEY")),
        ("text", "text"),
        ("big", &"a".repeat((1 << 20) + 1)),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    (dir, pair.key.lines().nth(1).unwrap().to_owned())
}

/// `(cert_file key_file client_ca_file, place, part of the message)`.
const UNUSABLE: &[(&str, &str, &str)] = &[
    ("none a.key a.crt", "2:14", "No such file or directory"),
    (
        "n\u{202e}o a.key a.crt",
        "2:14",
        "n\\u{202e}o: No such file",
    ),
    (". a.key a.crt", "2:14", "not a regular file"),
    ("big a.key a.crt", "2:14", "larger than 1 MiB"),
    ("text a.key a.crt", "2:14", "text has no certificate; it"),
    ("a.key a.key a.crt", "2:14", "a.key has no certificate"),
    ("half.crt a.key a.crt", "2:14", "half.crt is no valid PEM"),
    ("no.crt a.key a.crt", "2:14", "no.crt cannot be used: "),
    ("a.crt b.key a.crt", "2:14", "b.key do not belong together"),
    ("a.crt a.crt a.crt", "3:13", "a.crt has no private key"),
    ("a.crt sealed.key a.crt", "3:13", "without a passphrase"),
    ("a.crt no.key a.crt", "3:13", "no.key cannot be used; "),
    ("a.crt a.key text", "4:19", "text has no certificate; it"),
    ("a.crt a.key no.crt", "4:19", "that is no CA's"),
];

#[test]
fn files_that_cannot_be_used() {
    let (dir, secret) = damaged();
    let path = dir.path().join("web.yaml");
    for (files, place, part) in UNUSABLE {
        let [cert, key, ca] = files.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{files}");
        };
        let text = format!(
            "tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n  client_ca_file: {ca}\n  \
             client_auth_type: RequireAndVerifyClientCert\n"
        );
        fs::write(&path, text).unwrap();
        let (result, seen) = load(&path);
        let error = result.err().unwrap().to_string();
        let start = format!("{}:{place}: ", path.display());
        assert!(error.starts_with(&start), "{files}: {error}");
        assert!(error.contains(part), "{files}: {error}");
        assert!(!error.contains(&secret), "{files}: {error}");
        // All are watched, so that a repaired one is seen.
        assert_eq!(seen.len(), 4);
    }
    let text = "tls_server_config: {cert_file: a.crt, key_file: a.key, max_version: TLS12, \
                cipher_suites: [TLS_AES_128_GCM_SHA256]}";
    fs::write(&path, text).unwrap();
    let error = load(&path).0.err().unwrap().to_string();
    assert!(
        error.contains("check cipher_suites, min_version"),
        "{error}"
    );

    fs::write(&path, b"# ok\nbasic_auth_users: \xff\n").unwrap();
    let error = load(&path).0.err().unwrap().to_string();
    let expected = "web.yaml:2:19: not UTF-8; save the file as UTF-8";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn pem_in_the_file_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    let ca = Ca::new();
    let pair = ca.issue(&["a.test"]);
    let indented = |pem: &str| pem.replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_ca: |\n    {}\n  \
         client_auth_type: RequireAndVerifyClientCert\n",
        indented(&pair.cert),
        indented(&pair.key),
        indented(&ca.pem())
    );
    fs::write(&path, text).unwrap();
    let (config, seen) = load(&path);
    let config = config.unwrap();
    assert!(config.tls.is_some() && config.verifies_clients);
    assert_eq!(seen.len(), 1);
}

#[test]
fn the_reference_is_valid_and_has_every_key() {
    let settings = file::read(REFERENCE, Path::new("")).unwrap();
    assert!(settings.tls.is_some());
    assert_eq!(settings.headers.len(), 5);
    let reference: BTreeMap<String, Value> = serde_saphyr::from_str(REFERENCE).unwrap();
    // What an unknown key's error lists is what the types have.
    for (section, inline) in [
        ("", &[][..]),
        ("tls_server_config", &["cert", "key", "client_ca"]),
    ] {
        let (text, mut found) = match section {
            "" => ("no: 1\n".to_owned(), reference.keys().cloned().collect()),
            name => (
                format!("{name}: {{no: 1}}\n"),
                reference[name]
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>(),
            ),
        };
        // PEM text is documented beside its file.
        for name in inline {
            assert!(REFERENCE.contains(&format!("`{name}`")), "{name}");
            found.push((*name).to_owned());
        }
        let error = errors(&text);
        let mut allowed: Vec<_> = error
            .split("allowed here: ")
            .nth(1)
            .unwrap()
            .split(", ")
            .collect();
        allowed.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, allowed, "{section}");
    }
    let long = REFERENCE.lines().find(|line| line.len() > 100);
    assert_eq!(long, None, "fits --help");
}
