use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::export::http::certs::Ca;

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

fn users() -> String {
    let hash = bcrypt::hash("secret", 4).unwrap();
    format!("basic_auth_users: {{alice: {hash}}}\n")
}

#[tokio::test]
async fn changes_are_taken_over_and_broken_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    let ca = Ca::new();
    ca.issue(&["one.test"]).write(dir.path());
    fs::write(&path, TLS).unwrap();
    let web = Arc::new(Web::open(&path).unwrap());
    assert_eq!(web.scheme(), "https");

    let first = web.current().await;
    assert!(Arc::ptr_eq(&first, &web.current().await), "nothing changed");

    // Half of a renewal: the certificate is new, its key is not yet there.
    let renewed = ca.issue(&["a.much.longer.name.test"]);
    fs::write(dir.path().join("server.crt"), &renewed.cert).unwrap();
    assert!(Arc::ptr_eq(&first, &web.current().await), "no pair");
    fs::write(dir.path().join("server.key"), &renewed.key).unwrap();
    let second = web.current().await;
    assert!(!Arc::ptr_eq(&first, &second), "renewed");

    for broken in [
        "tls_server_config: [\n",
        "rate_limit: {}\n",
        "basic_auth_users: {a: b}\n",
    ] {
        fs::write(&path, broken).unwrap();
        assert!(Arc::ptr_eq(&second, &web.current().await), "{broken}");
    }
    fs::remove_file(&path).unwrap();
    assert!(Arc::ptr_eq(&second, &web.current().await), "removed");

    fs::write(&path, format!("{TLS}{}", users())).unwrap();
    let third = web.current().await;
    assert!(third.tls.is_some() && third.users.is_some());

    // Unchanged files are read again when that is asked for.
    assert!(Arc::ptr_eq(&third, &web.current().await));
    web.forced.store(true, Ordering::Relaxed);
    assert!(!Arc::ptr_eq(&third, &web.current().await));
}

#[tokio::test]
async fn a_file_that_is_replaced_is_seen_by_its_link() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for (dir, name) in [(&one, "one.test"), (&two, "two.test")] {
        fs::create_dir(dir).unwrap();
        Ca::new().issue(&[name]).write(dir);
        fs::write(dir.join("web.yaml"), TLS).unwrap();
    }
    // As a kubelet changes a mounted secret.
    let (link, new_link) = (dir.path().join("data"), dir.path().join("data.new"));
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let web = Arc::new(Web::open(&link.join("web.yaml")).unwrap());
    let first = web.current().await;
    std::os::unix::fs::symlink(&two, &new_link).unwrap();
    fs::rename(&new_link, &link).unwrap();
    assert!(!Arc::ptr_eq(&first, &web.current().await));
}

#[tokio::test]
async fn no_change_takes_protection_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    let ca = Ca::new();
    ca.issue(&["server.test"]).write(dir.path());
    fs::write(dir.path().join("ca.crt"), ca.pem()).unwrap();
    let client = "tls_server_config: {cert_file: server.crt, key_file: server.key, \
                  client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}\n";
    let (tls, users) = (TLS.to_owned(), users());
    for (before, after, is_taken) in [
        (&tls, &String::new(), false),
        (&users, &String::new(), false),
        (&format!("{tls}{users}"), &tls, false),
        (&format!("{tls}{users}"), &users, false),
        (&client.to_owned(), &tls, false),
        (&tls, &client.to_owned(), true),
        (&tls, &format!("{tls}{users}"), true),
        (&users, &format!("{tls}{users}"), true),
        (&String::new(), &tls, true),
    ] {
        fs::write(&path, before).unwrap();
        let web = Arc::new(Web::open(&path).unwrap());
        let first = web.current().await;
        fs::write(&path, after).unwrap();
        let second = web.current().await;
        assert_eq!(!Arc::ptr_eq(&first, &second), is_taken, "{before} {after}");
    }
}

#[tokio::test]
async fn warnings_of_what_is_insecure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    Ca::new().issue(&["server.test"]).write(dir.path());
    let key = dir.path().join("server.key");
    let any = TLS.replace('}', ", client_auth_type: RequireAnyClientCert}");
    for (text, mode, expected) in [
        (TLS, 0o600, ""),
        (TLS, 0o640, ""),
        (
            TLS,
            0o644,
            "server.key can be read by every user of this machine",
        ),
        (&any, 0o600, "takes any certificate"),
        (&users(), 0o600, "sends passwords in the clear"),
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let web = Arc::new(Web::open(&path).unwrap());
        let warnings = web.current().await.warnings.join("\n");
        assert_eq!(
            warnings.is_empty(),
            expected.is_empty(),
            "{text}: {warnings}"
        );
        assert!(warnings.contains(expected), "{text}: {warnings}");
    }
}

#[test]
fn a_broken_file_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = Web::open(&dir.path().join("none.yaml")).err().unwrap();
    let expected = "none.yaml: No such file or directory (os error 2); check the path";
    assert!(error.to_string().contains(expected), "{error}");
    let error = Web::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}
