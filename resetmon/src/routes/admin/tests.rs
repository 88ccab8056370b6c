use std::io::{BufRead as _, BufReader, Write as _};

use super::recorded::Recorded;
use super::*;
use crate::export::http::certs::{Ca, Pair};
use crate::routes::admin::access::Access;

fn this_process() -> Instance {
    Instance {
        proc_root: "/proc".into(),
        pid: std::process::id(),
        directory: "/".into(),
        ..Instance::default()
    }
}

/// Answers one request with `answer` and returns its first line.
fn serve_once(
    accept: impl FnOnce() -> Box<dyn ReadWrite> + Send + 'static,
    answer: &'static str,
) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(accept());
        let mut first = String::new();
        stream.read_line(&mut first).unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        first
    })
}

trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn answers_by_tcp_and_by_unix_socket() {
    let instance = this_process();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve_once(move || Box::new(listener.accept().unwrap().0), OK);
    let admin = Admin::new(&instance, AdminAddress::Tcp(address));
    assert_eq!(&admin.get("/a?b=c").await.unwrap()[..], b"{}");
    assert_eq!(server.join().unwrap(), "GET /a?b=c HTTP/1.1\r\n");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = serve_once(move || Box::new(listener.accept().unwrap().0), OK);
    let admin = Admin::new(&instance, AdminAddress::Unix(path));
    assert_eq!(&admin.get("/x").await.unwrap()[..], b"{}");
    assert_eq!(server.join().unwrap(), "GET /x HTTP/1.1\r\n");
}

#[tokio::test]
async fn errors_name_place_and_reason() {
    let instance = this_process();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let server = serve_once(move || Box::new(listener.accept().unwrap().0), refusal);
    let admin = Admin::new(&instance, AdminAddress::Tcp(address));
    assert_eq!(
        admin.get("/config").await.unwrap_err().to_string(),
        format!(
            "the admin interface at {address} answered /config with 403 Forbidden; give what it \
             wants by `headers_file`, `token_file` or `basic_auth_file` for this gateway under \
             `discovery.gateways` in the configuration"
        )
    );
    server.join().unwrap();
    // Its listener is gone now.
    let error = admin.get("/config").await.unwrap_err().to_string();
    let expected =
        format!("the admin interface at {address} cannot be reached: Connection refused");
    assert!(error.starts_with(&expected), "{error}");

    let missing = Admin::new(&instance, AdminAddress::Unix("/nowhere.sock".into()));
    let error = missing.get("/").await.unwrap_err().to_string();
    assert!(
        error.contains("unix:/nowhere.sock cannot be reached"),
        "{error}"
    );
}

/// The answer to one question over TLS, or the error.
async fn ask_tls(server: &Recorded, access: &Access) -> String {
    let instance = Instance {
        access: access.clone(),
        ..this_process()
    };
    let admin = Admin::new(&instance, AdminAddress::Https(server.address));
    match admin.get("/x").await {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn over_tls_to_whom_the_operator_trusts() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ca, stranger) = (Ca::new(), Ca::new());
    let serve = |pair: &Pair| Recorded::start_tls(&[("/x", "{}")], pair.server());
    let by_address = serve(&ca.issue(&["127.0.0.1"]));
    let by_name = serve(&ca.issue(&["kong.test"]));
    let itself = serve(&ca.itself());
    let trusting = |path| Access {
        ca_file: Some(path),
        ..Access::default()
    };
    let of_ca = trusting(write("ca.pem", ca.pem()));
    let of_both = trusting(write("both.pem", stranger.pem() + &ca.pem()));
    let of_stranger = trusting(write("stranger.pem", stranger.pem()));
    let named = Access {
        server_name: Some("kong.test".try_into().unwrap()),
        ..of_ca.clone()
    };
    let any = Access {
        insecure: true,
        ..Access::default()
    };
    let no_pem = trusting(write("no.pem", "s3cret".to_owned()));
    let missing = trusting("/nowhere.pem".into());
    for (server, access, expected) in [
        (&by_address, &of_ca, "{}"),
        (&by_address, &of_both, "{}"),
        (&by_address, &any, "{}"),
        (
            &by_address,
            &of_stranger,
            "is not trusted: invalid peer certificate",
        ),
        (&by_address, &named, "not valid for name"),
        (&by_name, &of_ca, "not valid for name"),
        (&by_name, &named, "{}"),
        (&by_name, &any, "{}"),
        // One that signed itself and says that it is a CA.
        (&itself, &of_ca, "{}"),
        (&itself, &of_stranger, "is not trusted"),
        (&by_address, &Access::default(), "https needs `ca_file`"),
        (
            &by_address,
            &no_pem,
            "no.pem: no certificate (PEM) is in it",
        ),
        (&by_address, &missing, "/nowhere.pem: No such file"),
    ] {
        let found = ask_tls(server, access).await;
        assert!(found.contains(expected), "{found:?} is not {expected:?}");
        assert!(!found.contains("s3cret"), "{found}");
    }
    assert_eq!(
        by_name.sent("host").first(),
        Some(&format!("kong.test:{}", by_name.address.port()))
    );
    // Plain text where TLS is expected, and TLS where plain text is.
    let plain = Recorded::start(&[("/x", "{}")]);
    let found = ask_tls(&plain, &any).await;
    assert!(found.contains("is not trusted"), "{found}");
    let instance = this_process();
    let admin = Admin::new(&instance, AdminAddress::Tcp(by_address.address));
    admin.get("/x").await.unwrap_err();
}

#[tokio::test]
async fn credentials_go_to_the_gateway_alone() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let access = Access {
        token_file: Some(token.clone()),
        ..Access::default()
    };
    let server = Recorded::start(&[("/x", "{}")]);
    let ask = async |instance: &Instance| {
        let admin = Admin::new(instance, AdminAddress::Tcp(server.address));
        assert!(!format!("{admin:?}").contains("s3cret"));
        admin.get("/x").await.map_err(|error| error.to_string())
    };
    let own = Instance {
        access: access.clone(),
        ..this_process()
    };
    ask(&own).await.unwrap();
    assert_eq!(server.sent("authorization"), ["Bearer s3cret"]);
    // A changed file counts at once, an unreadable one keeps the question unasked.
    std::fs::write(&token, "0ther").unwrap();
    ask(&own).await.unwrap();
    assert_eq!(
        server.sent("authorization"),
        ["Bearer s3cret", "Bearer 0ther"]
    );
    std::fs::remove_file(&token).unwrap();
    let error = ask(&own).await.unwrap_err();
    assert!(
        error.contains("is not asked: ") && error.contains("No such file"),
        "{error}"
    );
    assert_eq!(server.sent("host").len(), 2);

    // Where it cannot be told that this is the gateway's own network.
    let gone = Instance {
        proc_root: directory.path().to_owned(),
        ..own.clone()
    };
    for address in [
        AdminAddress::Tcp(server.address),
        AdminAddress::Unix("/admin.sock".into()),
    ] {
        let admin = Admin::new(&gone, address);
        let error = admin.credentials().unwrap_err().to_string();
        assert!(error.contains("only over https with `ca_file`"), "{error}");
    }
    std::fs::write(&token, "s3cret").unwrap();
    let instance = Instance {
        access: Access {
            ca_file: Some("/ca.pem".into()),
            ..access
        },
        ..gone
    };
    let admin = Admin::new(&instance, AdminAddress::Https(server.address));
    assert_eq!(admin.credentials().unwrap().len(), 1);
}
