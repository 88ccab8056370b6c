//! `HAProxy` itself: its files, its runtime socket, and a reload.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use resetmon::routes::admin::AdminAddress;
use resetmon::routes::admin::access::Access;
use resetmon::routes::haproxy::Haproxy;
use resetmon::routes::source::Source as _;
use rustix::process::Signal;

use crate::lines::{lines, read_until};
use crate::program::{Program, free_port, until, until_listening};
use crate::reading::instance;

/// After how long a reload that shows nothing is asked for again.
const AGAIN: Duration = Duration::from_secs(3);

/// The configuration but for what `more` adds.
fn config(socket: &str, (v4, v6): (u16, u16), more: &str) -> String {
    format!(
        "global\n {socket}\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
         frontend fe_main\n bind \"127.0.0.1:$PORT\"\n bind [::1]:{v6}\n acl is_api path_beg /api\n \
         use_backend api if is_api !{{ src 192.0.2.1 }}\n default_backend pages # the rest\n\
         listen db\n mode tcp\n bind 127.0.0.2:{v4}\n server d1 ipv6@::1:5432\n\
         backend api\n server a1 127.0.0.1:9001\n server a2 [::1]:9002 backup\n \
         server-template t 2 localhost:9003\n\
         backend pages\n server p1 127.0.0.1:9004\n\
         {more}"
    )
}

fn start(directory: &Path, port: u16) -> Program {
    let mut command = Command::new("haproxy");
    command
        .args(["-W", "-db", "-C"])
        .arg(directory)
        .args(["-f", "haproxy.cfg"])
        .env("PORT", port.to_string())
        .env("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin");
    let program = Program::start(&mut command, &directory.join("log"));
    until_listening(([127, 0, 0, 1], port).into());
    program
}

/// One command to the runtime socket.
fn tell(socket: &Path, command: &str) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        !answer.contains("nknown") && !answer.contains("enied"),
        "{command}: {answer}"
    );
}

/// Reloads until there is a new worker: a master that has only just forked loses the signal.
fn reload(program: &Program) {
    let before = instance(program).newest_start();
    let mut sent: Option<Instant> = None;
    until("a new worker", || {
        let done = instance(program).newest_start() > before;
        if !done && sent.is_none_or(|sent| sent.elapsed() > AGAIN) {
            program.signal(Signal::USR2);
            sent = Some(Instant::now());
        }
        done
    });
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn files_runtime_and_reload() {
    let directory = tempfile::tempdir().unwrap();
    let (v4, v6) = (free_port(), free_port());
    let socket = directory.path().join("admin.sock");
    let setting = format!("stats socket {} level admin", socket.display());
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(&file, config(&setting, (v4, v6), "")).unwrap();
    let program = start(directory.path(), v4);
    let source = Haproxy::default();
    let first = instance(&program);
    assert!(source.claims(&first));

    let listeners = format!("127.0.0.1:{v4} [::1]:{v6}");
    let head = [
        format!("{listeners} 127.0.0.2:{v4}"),
        format!("fe_main/is_api !{{ src 192.0.2.1 }} [{listeners}] -> api"),
        format!("fe_main [{listeners}] -> pages"),
        format!("db [127.0.0.2:{v4}] -> db"),
        "db = [::1]:5432".to_owned(),
    ];
    // A template finds one address for its first server, which stands beside the name.
    let reading = source.read(&instance(&program)).await.unwrap();
    let shown = lines(&reading);
    assert_eq!(shown[..5], head);
    assert!(
        shown[5].starts_with("api = localhost:9003 127.0.0.1:9001 [::1]:9002"),
        "{}",
        shown[5]
    );
    assert_eq!(shown[6..], owned(&["pages = 127.0.0.1:9004"]));
    assert_eq!(reading.not_understood, [""; 0]);
    assert_eq!(reading.origin, "haproxy.cfg");
    assert_eq!(source.generation(&instance(&program)), None);

    // What changes at run time.
    tell(&socket, "set server pages/p1 addr 127.0.0.7 port 9007");
    tell(&socket, "set server db/d1 addr ::2");
    let mut moved: Vec<String> = shown.clone();
    moved[4] = "db = [::2]:5432".to_owned();
    moved[6] = "pages = 127.0.0.7:9007".to_owned();
    read_until(&source, &program, &moved).await;

    // An edit is in force only after the reload; one made before the first reading shows itself.
    let more = "backend extra\n server e1 [::1]:9009\nfrontend fe_extra\n default_backend extra\n";
    std::fs::write(&file, config(&setting, (v4, v6), more)).unwrap();
    read_until(&source, &program, &moved).await;
    let late = Haproxy::default();
    let reading = read_until(&late, &program, &moved).await;
    let unapplied = [
        "fe_extra: is in the configuration but does not run: reload HAProxy",
        "extra: is in the configuration but does not run: reload HAProxy",
    ];
    assert_eq!(reading.not_understood, unapplied);

    reload(&program);
    let mut reloaded = shown;
    reloaded.insert(4, "fe_extra [] -> extra".to_owned());
    reloaded.push("extra = [::1]:9009".to_owned());
    let reading = read_until(&source, &program, &reloaded).await;
    assert_eq!(reading.not_understood, [""; 0]);
}

#[tokio::test]
async fn without_a_runtime_socket() {
    let directory = tempfile::tempdir().unwrap();
    let (v4, v6) = (free_port(), free_port());
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(&file, config("maxconn 100", (v4, v6), "")).unwrap();
    let program = start(directory.path(), v4);
    let source = Haproxy::default();
    assert_eq!(source.generation(&instance(&program)), None);
    let mut expected = lines(&source.read(&instance(&program)).await.unwrap());
    assert_eq!(
        expected[5..],
        owned(&[
            "api = 127.0.0.1:9001 [::1]:9002 localhost:9003",
            "pages = 127.0.0.1:9004"
        ])
    );
    let generation = source.generation(&instance(&program));
    assert_eq!(generation, Some(instance(&program).newest_start()));

    let more = "backend extra\n server e1 [::1]:9009\n";
    std::fs::write(&file, config("maxconn 100", (v4, v6), more)).unwrap();
    assert_eq!(source.generation(&instance(&program)), generation);
    read_until(&source, &program, &expected).await;

    reload(&program);
    assert_ne!(source.generation(&instance(&program)), generation);
    expected.push("extra = [::1]:9009".to_owned());
    let reading = read_until(&source, &program, &expected).await;
    let note = &reading.not_understood[..];
    assert!(
        matches!(note, [note] if note.contains("global has no `stats socket`")),
        "{note:?}"
    );
}

#[tokio::test]
async fn with_what_the_operator_says() {
    let directory = tempfile::tempdir().unwrap();
    let (v4, v6, admin) = (free_port(), free_port(), free_port());
    let socket = directory.path().join("admin.sock");
    let setting = format!(
        "stats socket {} level admin\n stats socket ipv4@127.0.0.1:{admin} level admin",
        socket.display()
    );
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(&file, config(&setting, (v4, v6), "")).unwrap();
    let program = start(directory.path(), v4);
    tell(&socket, "set server pages/p1 addr 127.0.0.7 port 9007");
    // A file that names no socket, as one that a tool wrote for somebody else.
    let other = directory.path().join("other.cfg");
    std::fs::write(&other, config("maxconn 100", (v4, v6), "")).unwrap();
    let source = Haproxy::default();
    for place in [
        AdminAddress::Unix(socket.clone()),
        AdminAddress::Tcp(([127, 0, 0, 1], admin).into()),
    ] {
        let chosen = instance(&program).with(Some(other.clone()), Some(place), Access::default());
        let reading = source.read(&chosen).await.unwrap();
        assert_eq!(reading.origin, other.to_str().unwrap());
        assert_eq!(reading.not_understood, [""; 0]);
        let shown = lines(&reading);
        assert_eq!(shown.last().unwrap(), "pages = 127.0.0.7:9007");
        assert_eq!(source.generation(&chosen), None);
    }
    let nobody = AdminAddress::Unix(directory.path().join("none.sock"));
    let chosen = instance(&program).with(None, Some(nobody), Access::default());
    let reading = Haproxy::default().read(&chosen).await.unwrap();
    let note = &reading.not_understood[..];
    assert!(
        matches!(note, [note] if note.contains("none.sock")),
        "{note:?}"
    );
    assert_eq!(lines(&reading).last().unwrap(), "pages = 127.0.0.1:9004");
}
