//! Resets that real gateways pass on from one leg to the other, under concurrent load: which reset
//! led to which is known here by the request that was broken, there by resetmon's evidence alone.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::netns::Netns;
use crate::scenario::Whole;

/// Where the gateway serves.
const GATEWAY: &str = "127.0.0.1:8080";
/// Where its backend is.
const BACKEND: &str = "127.0.0.1:9001";
/// Clients at the same time.
const CLIENTS: u64 = 4;
/// Requests of each, one a connection.
const REQUESTS: u64 = 240;
/// Least share of the resets passed on that is to be linked.
const PERCENT: usize = 95;
/// In place of a request that the backend could not read any more.
const UNREAD: u64 = u64::MAX;
/// Bytes of an answer.
const ANSWER: usize = 100_000;

const NGINX_CONF: &str = "
user root;
worker_processes 2;
daemon off;
pid nginx.pid;
error_log error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream app { server 127.0.0.1:9001; }
    server {
        listen 127.0.0.1:8080 reuseport;
        proxy_buffering off;
        location / { proxy_pass http://app; }
    }
}
";

const HAPROXY_CFG: &str = "
global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend fe
  bind 127.0.0.1:8080
  default_backend app
backend app
  server one 127.0.0.1:9001
";

const RESETMON_YAML: &str = "
listen: 127.0.0.1:9435
gateways:
  - name: edge
    process: [nginx, haproxy]
    listeners: 127.0.0.1:8080
    routes:
      - name: /
        upstream: app
    upstreams:
      - name: app
        endpoints: 127.0.0.1:9001
";

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "propagation_nginx",
        programs: &["nginx"],
        natively: true,
        run: || {
            run(
                "nginx",
                NGINX_CONF,
                &["-p", ".", "-c", "gateway.conf"],
                NGINX_FAULTS,
            )
        },
    },
    Whole {
        name: "propagation_haproxy",
        programs: &["haproxy"],
        natively: true,
        run: || {
            run(
                "haproxy",
                HAPROXY_CFG,
                &["-db", "-f", "gateway.conf"],
                HAPROXY_FAULTS,
            )
        },
    },
];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It is answered.
    None,
    /// The backend resets before it answers.
    BackendFirst,
    /// The backend resets in the middle of the answer.
    BackendMiddle,
    /// The backend resets in the middle of an upload.
    Upload,
    /// The client resets while it waits.
    ClientWaiting,
    /// The client resets in the middle of the answer.
    ClientMiddle,
}

/// nginx tells its client of a backend's reset by a FIN, so only clients' are passed on.
const NGINX_FAULTS: &[Fault] = &[
    Fault::None,
    Fault::BackendFirst,
    Fault::BackendMiddle,
    Fault::ClientWaiting,
    Fault::ClientMiddle,
];
const HAPROXY_FAULTS: &[Fault] = &[
    Fault::None,
    Fault::BackendMiddle,
    Fault::Upload,
    Fault::ClientWaiting,
    Fault::ClientMiddle,
];

/// Requests by the gateway's peers on the two legs: `(leg, port)`.
#[derive(Clone, Debug, Default)]
struct Truth(Arc<Mutex<Requests>>);

type Requests = HashMap<(&'static str, u16), Vec<u64>>;

impl Truth {
    fn note(&self, leg: &'static str, port: u16, request: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((leg, port)).or_default().push(request);
    }

    /// The requests that an event may be of; several if a port was used again.
    fn of(&self, event: &Value) -> Vec<u64> {
        let (leg, end) = match event["leg"].as_str() {
            Some("downstream") => ("downstream", &event["remote"]),
            _ => ("upstream", &event["local"]),
        };
        let port = end.as_str().and_then(|end| end.parse::<SocketAddr>().ok());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = port.and_then(|end| known.get(&(leg, end.port())));
        requests.cloned().unwrap_or_default()
    }
}

/// A gateway, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = crate::agent::terminate(&mut self.0);
    }
}

fn run(program: &str, configuration: &str, arguments: &[&str], faults: &[Fault]) -> Result<()> {
    let netns = Netns::new()?;
    let folder = TempDir::new().context("temporary folder")?;
    std::fs::write(folder.path().join("gateway.conf"), configuration)?;
    let config = folder.path().join("resetmon.yaml");
    std::fs::write(&config, RESETMON_YAML)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin", "--events", "-", "--config"]);
    let agent = Agent::spawn_resetmon(netns.run_in(command.arg(config)))?;

    let backend = netns
        .enter(|| TcpListener::bind(BACKEND))?
        .context(BACKEND)?;
    let truth = Truth::default();
    serve(backend, &truth);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = netns.run_in(&mut command).spawn();
    let _gateway = Running(child.with_context(|| program.to_owned())?);
    until_it_serves(&netns)?;

    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let (netns, truth) = (&netns, &truth);
                    move || be_client(netns, client, faults, truth)
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            let done = client.join();
            done.map_err(|_| anyhow!("a client panicked"))?
        })
    })?;
    // The last ones are held for a moment.
    std::thread::sleep(Duration::from_millis(500));
    let events = agent.events.of(&netns);
    agent.stop()?;
    judge(&events, &truth)
}

fn until_it_serves(netns: &Netns) -> Result<()> {
    for _ in 0..600 {
        if netns.enter(|| TcpStream::connect(GATEWAY))?.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nobody serves at {GATEWAY}")
}

/// Sends requests, a connection each, and breaks those that it is to break.
fn be_client(netns: &Netns, client: u64, faults: &[Fault], truth: &Truth) -> Result<()> {
    let gateway: SocketAddr = GATEWAY.parse()?;
    let mut random = client + 1;
    for number in 0..REQUESTS {
        std::thread::sleep(Duration::from_millis(10 + next(&mut random) % 40));
        let request = client * REQUESTS + number;
        let chosen = usize::try_from(next(&mut random))? % faults.len();
        let mut stream = netns.enter(|| TcpStream::connect(gateway))??;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        truth.note("downstream", stream.local_addr()?.port(), request);
        // What happens to the connection is what the test is about.
        let _ = ask(&mut stream, request, faults[chosen], &mut random);
    }
    Ok(())
}

fn ask(
    stream: &mut TcpStream,
    request: u64,
    fault: Fault,
    random: &mut u64,
) -> std::io::Result<()> {
    let upload = if fault == Fault::Upload {
        1_000_000_000
    } else {
        0
    };
    write!(
        stream,
        "POST /{request}/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {upload}\r\n\r\n",
        number(fault)
    )?;
    let mut bytes = [0; 16384];
    match fault {
        Fault::Upload => loop {
            stream.write_all(&bytes)?;
            std::thread::sleep(Duration::from_micros(500));
        },
        Fault::ClientWaiting => {
            std::thread::sleep(Duration::from_millis(5 + next(random) % 10));
            reset(stream)
        }
        Fault::ClientMiddle => {
            stream.read_exact(&mut bytes)?;
            std::thread::sleep(Duration::from_millis(next(random) % 10));
            reset(stream)
        }
        _ => {
            while stream.read(&mut bytes)? > 0 {}
            Ok(())
        }
    }
}

/// The backend, until the test ends.
fn serve(listener: TcpListener, truth: &Truth) {
    let truth = truth.clone();
    std::thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            let truth = truth.clone();
            std::thread::spawn(move || {
                // As with the clients, every error is one that the test is about.
                let _ = answer(stream, peer.port(), &truth);
            });
        }
    });
}

fn answer(mut stream: TcpStream, port: u16, truth: &Truth) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut bytes = [0; 16384];
    while !text.windows(4).any(|window| window == b"\r\n\r\n") {
        let Ok(length @ 1..) = stream.read(&mut bytes) else {
            truth.note("upstream", port, UNREAD);
            return Ok(());
        };
        text.extend_from_slice(&bytes[..length]);
    }
    let text = String::from_utf8_lossy(&text);
    let path = text
        .split(' ')
        .nth(1)
        .and_then(|path| path.strip_prefix('/'));
    let (request, fault) = path
        .and_then(|path| path.split_once('/'))
        .and_then(|(request, fault)| Some((request.parse().ok()?, fault.parse::<u64>().ok()?)))
        .ok_or(ErrorKind::InvalidData)?;
    truth.note("upstream", port, request);
    let pause = |request: u64| Duration::from_millis(2 + request * 7 % 11);
    std::thread::sleep(pause(request));
    if [Fault::BackendFirst, Fault::Upload]
        .map(number)
        .contains(&fault)
    {
        return reset(&stream);
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {ANSWER}\r\n\r\n"
    )?;
    stream.write_all(&vec![b'a'; ANSWER / 2])?;
    std::thread::sleep(pause(request + 5));
    if fault == number(Fault::BackendMiddle) {
        return reset(&stream);
    }
    if fault == number(Fault::None) {
        return stream.write_all(&vec![b'a'; ANSWER / 2]);
    }
    // Until the client's end comes through.
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(10));
        stream.write_all(b"a")?;
    }
    Ok(())
}

const fn number(fault: Fault) -> u64 {
    fault as u64
}

/// Makes closing `stream` reset it.
fn reset(stream: &TcpStream) -> std::io::Result<()> {
    Ok(set_socket_linger(stream, Some(Duration::ZERO))?)
}

/// Linear congruential (Knuth, MMIX): the same requests in every run.
const fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Every link is right, and most of those are there that should be.
fn judge(events: &[Value], truth: &Truth) -> Result<()> {
    let first = |event: &&Value| event["repeat_of"].is_null() && event["gateway"] == "edge";
    let events: Vec<&Value> = events.iter().filter(first).collect();
    let of: Vec<Vec<u64>> = events.iter().map(|event| truth.of(event)).collect();
    // Reset before the backend had read which request it was: nothing can be said of it.
    let unread = |requests: &&Vec<u64>| requests.contains(&UNREAD);
    let unread = of.iter().filter(unread).count();
    let all = events.len();
    ensure!(
        unread * 20 <= all,
        "{unread} of {all} events have no request"
    );
    let together = |one: usize, other: usize| {
        of[one].contains(&UNREAD) || of[one].iter().any(|request| of[other].contains(request))
    };
    let (mut expected, mut linked) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        let origin = &event["propagated_from"]["id"];
        if let Some(origin) = events.iter().position(|other| other["id"] == *origin) {
            ensure!(
                together(index, origin),
                "{event} is not of the same request as {}",
                events[origin]
            );
        } else {
            ensure!(
                origin.is_null(),
                "{event} names a reset that was not reported"
            );
        }
        let led = |(other, reset): (usize, &&Value)| {
            reset["direction"] == "received"
                && reset["leg"] != event["leg"]
                && together(index, other)
        };
        let known = !of[index].contains(&UNREAD);
        if known && event["direction"] == "sent" && events.iter().enumerate().any(led) {
            expected += 1;
            linked += usize::from(!origin.is_null());
        }
    }
    println!("    {linked} of {expected} resets passed on are linked, none wrongly");
    ensure!(
        expected >= 50,
        "only {expected} resets were passed on: {} events",
        events.len()
    );
    ensure!(
        linked * 100 >= expected * PERCENT,
        "only {linked} of {expected} are linked"
    );
    Ok(())
}
