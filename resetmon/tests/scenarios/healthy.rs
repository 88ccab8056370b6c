//! Healthy traffic for a while: nobody may be told of a failure, and the report may find nothing.
//!
//! Kept connections, connections that their server closes when idle, fresh ones, TLS, HTTP/2, downloads,
//! `HAProxy`'s checks of both kinds (one that only connects ends by a RST), and clients that connect
//! and leave.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Agent, terminate};
use crate::certificates::{Files, NAME};
use crate::netns::Netns;
use crate::scene::wait_for;
use crate::sockets;

/// Its name among the rows.
pub(crate) const TITLE: &str = "report healthy_run";
/// How long it takes in a run of all rows.
pub(crate) const SHORT: Duration = Duration::from_secs(40);

/// nginx: plain, TLS, and the backend of both.
const WEB: &str = "127.0.0.1:18080";
const TLS: &str = "127.0.0.1:18443";
const BACKEND: &str = "127.0.0.1:19001";
/// `HAProxy`: with checks by HTTP, and with those that only connect.
const PROXY: &str = "127.0.0.1:18100";
const TUNNEL: &str = "127.0.0.1:18101";

const HAPROXY_CFG: &str = "
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    default-server check inter 1s
frontend web
    mode http
    bind 127.0.0.1:18100
    default_backend web
backend web
    mode http
    option httpchk GET /ok
    server one 127.0.0.1:18080
frontend tunnel
    mode tcp
    bind 127.0.0.1:18101
    default_backend tunnel
backend tunnel
    mode tcp
    server one 127.0.0.1:18080
";

/// A client that goes on until an instant.
type Client = fn(&Netns, Instant) -> Result<u64>;

/// All of them; each counts what it got.
const CLIENTS: [(&str, Client); 6] = [
    ("kept connections", kept),
    ("fresh connections", fresh),
    ("idle connections", idle),
    ("downloads", downloads),
    ("clients that only connect", checks),
    ("clients of HAProxy", proxied),
];

/// What was wrong, a line each.
pub(crate) fn run(length: Duration) -> Result<Vec<String>> {
    let netns = Netns::new()?;
    let folder = TempDir::new().context("temporary folder")?;
    let mut agent = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    agent.args(["run", "--no-pin", "--failures", "--events", "-"]);
    // Pages in a namespace of their own are in nobody's way.
    let pages = Netns::new()?;
    let agent = Agent::spawn_resetmon(pages.run_in(&mut agent)).context("resetmon")?;
    let programs = start(&netns, folder.path())?;
    let end = Instant::now() + length;
    let requests = thread::scope(|scope| {
        let netns = &netns;
        let clients = CLIENTS.map(|(name, client)| (name, scope.spawn(move || client(netns, end))));
        clients.into_iter().try_fold(0, |sum, (name, client)| {
            let done = client.join().map_err(|_| anyhow!("it panicked"));
            let done = done.flatten().with_context(|| name.to_owned())?;
            ensure!(done > 0, "{name}: nothing was done");
            Ok(sum + done)
        })
    })?;
    // Its end hands over what was held back.
    let events = agent.events.clone();
    agent.stop()?;
    let events = events.of(&netns);
    drop(programs);
    let seconds = length.as_secs();
    let count = events.len();
    println!("{TITLE}: {requests} requests in {seconds} s, {count} resets of checks");
    let mut wrong: Vec<String> = events
        .iter()
        .filter(|event| !event["failure"].is_null())
        .map(|event| format!("a failure: {event}"))
        .collect();
    let report = report(&events, folder.path())?;
    let findings = report["findings"].as_array().context("no findings")?;
    wrong.extend(findings.iter().map(|found| format!("found: {found:#}")));
    Ok(wrong)
}

/// What `resetmon report` says of `events`.
fn report(events: &[Value], folder: &Path) -> Result<Value> {
    let path = folder.join("events.jsonl");
    let mut text = String::new();
    for event in events {
        writeln!(text, "{event}")?;
    }
    fs::write(&path, text)?;
    let mut report = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    let report = report.args(["report", "--json", "--from"]);
    let output = report.arg(path).output().context("resetmon report")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "resetmon report: {said}");
    serde_json::from_slice(&output.stdout).context("the report is JSON")
}

/// Programs, ended when dropped.
struct Programs(Vec<Child>);

impl Drop for Programs {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = terminate(child);
        }
    }
}

fn start(netns: &Netns, folder: &Path) -> Result<Programs> {
    for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).create(folder.join(name))?;
    }
    fs::write(folder.join("big"), vec![b'x'; 2 << 20])?;
    let files = Files::make(folder)?;
    fs::write(folder.join("nginx.conf"), nginx(folder, &files))?;
    fs::write(folder.join("haproxy.cfg"), HAPROXY_CFG)?;
    let mut web = Command::new("nginx");
    web.arg("-p").arg(folder).args(["-c", "nginx.conf"]);
    let mut proxy = Command::new("haproxy");
    proxy.arg("-db").arg("-f").arg(folder.join("haproxy.cfg"));
    let mut programs = Programs(Vec::new());
    for (command, at) in [
        (&mut web, [WEB, TLS, BACKEND].as_slice()),
        (&mut proxy, &[PROXY, TUNNEL]),
    ] {
        let log = fs::File::create(folder.join("log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = netns.run_in(command).spawn();
        let name = command.get_program().display();
        programs
            .0
            .push(child.with_context(|| format!("start {name}"))?);
        for at in at {
            let at: SocketAddr = at.parse()?;
            wait_for(&format!("a listener at {at}"), || {
                Ok(sockets::listens(netns, at)?.then_some(()))
            })?;
        }
    }
    Ok(programs)
}

fn nginx(folder: &Path, files: &Files) -> String {
    format!(
        "user root;
worker_processes 2;
daemon off;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream backend {{ server {BACKEND}; keepalive 4; keepalive_timeout 3s; }}
    server {{
        listen {WEB};
        listen {TLS} ssl http2;
        ssl_certificate {};
        ssl_certificate_key {};
        keepalive_timeout 2s;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        location / {{ proxy_pass http://backend; }}
    }}
    server {{
        listen {BACKEND};
        location = /ok {{ return 200 \"ok\"; }}
        location = /big {{ root {}; }}
    }}
}}
",
        files.certificate.display(),
        files.key.display(),
        folder.display()
    )
}

/// curl gets all of `urls` by one connection where that is possible; how many these were.
fn curl(netns: &Netns, options: &[&str], urls: &[String]) -> Result<u64> {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--insecure",
        "--max-time",
        "30",
    ]);
    for url in urls {
        command.args(["--output", "/dev/null"]).arg(url);
    }
    let output = netns.run_in(command.args(options)).output();
    let output = output.context("curl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl {urls:?}: {said}");
    Ok(u64::try_from(urls.len())?)
}

/// Does `work` again and again.
fn again(end: Instant, pause: u64, mut work: impl FnMut() -> Result<u64>) -> Result<u64> {
    let mut sum = 0;
    while Instant::now() < end {
        sum += work()?;
        thread::sleep(Duration::from_millis(pause));
    }
    Ok(sum)
}

fn kept(netns: &Netns, end: Instant) -> Result<u64> {
    let plain = vec![format!("http://{WEB}/ok"); 20];
    let tls = vec![format!("https://{TLS}/ok"); 20];
    again(end, 300, || {
        // 1.5 s of silence and less, below nginx's 2 s.
        let rare = curl(netns, &["--rate", "60/m"], &plain[..3])?;
        let plain = curl(netns, &["--http1.1"], &plain)?;
        Ok(rare + plain + curl(netns, &["--http1.1"], &tls)? + curl(netns, &["--http2"], &tls)?)
    })
}

fn fresh(netns: &Netns, end: Instant) -> Result<u64> {
    let [plain, tls] = [format!("http://{WEB}/ok"), format!("https://{TLS}/ok")];
    again(end, 100, || {
        let plain = curl(netns, &[], std::slice::from_ref(&plain))?;
        let closed = curl(
            netns,
            &["--header", "Connection: close"],
            std::slice::from_ref(&tls),
        )?;
        Ok(plain + closed + curl(netns, &["--head"], std::slice::from_ref(&tls))?)
    })
}

/// The server closes them when they have been idle.
fn idle(netns: &Netns, end: Instant) -> Result<u64> {
    let request = format!("GET /ok HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    again(end, 100, || {
        let stream = netns.enter(|| TcpStream::connect(WEB))?;
        let mut stream = stream.with_context(|| WEB.to_owned())?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "no answer");
        Ok(1)
    })
}

fn downloads(netns: &Netns, end: Instant) -> Result<u64> {
    let urls = [WEB, PROXY, TUNNEL].map(|at| format!("http://{at}/big"));
    again(end, 300, || {
        curl(netns, &[], &urls)?;
        curl(netns, &["--limit-rate", "4M"], &urls[..1])
    })
}

fn checks(netns: &Netns, end: Instant) -> Result<u64> {
    again(end, 500, || {
        for at in [WEB, TLS, PROXY, TUNNEL] {
            let stream = netns.enter(|| TcpStream::connect(at))?;
            drop(stream.with_context(|| at.to_owned())?);
        }
        Ok(1)
    })
}

fn proxied(netns: &Netns, end: Instant) -> Result<u64> {
    let kept = vec![format!("http://{PROXY}/ok"); 10];
    let tunneled = vec![format!("http://{TUNNEL}/ok"); 10];
    again(end, 100, || {
        let single = curl(netns, &[], &kept[..1])?;
        Ok(single + curl(netns, &[], &kept)? + curl(netns, &[], &tunneled)?)
    })
}
