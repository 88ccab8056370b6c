//! Requests through a gateway, some of which break, and which connections each was on.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;

use super::GATEWAY;
use crate::netns::Netns;

/// In place of a request that the backend could not read any more.
pub(super) const UNREAD: u64 = u64::MAX;
/// Bytes of an answer.
pub(super) const ANSWER: usize = 100_000;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
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

/// Requests by the gateway's peers on the two legs: `(leg, port)`.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth(Arc<Mutex<Requests>>);

type Requests = HashMap<(&'static str, u16), Vec<u64>>;

impl Truth {
    pub(super) fn note(&self, leg: &'static str, port: u16, request: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((leg, port)).or_default().push(request);
    }

    /// The requests that an event may be of; several if a port was used again.
    pub(super) fn of(&self, event: &Value) -> Vec<u64> {
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

/// Sends requests, a connection each, and breaks those that it is to break.
pub(super) fn be_client(
    netns: &Netns,
    (client, requests): (u64, u64),
    faults: &[Fault],
    truth: &Truth,
) -> Result<()> {
    let gateway: SocketAddr = GATEWAY.parse()?;
    let mut random = client + 1;
    for number in 0..requests {
        std::thread::sleep(Duration::from_millis(10 + next(&mut random) % 40));
        let request = client * requests + number;
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
pub(super) fn serve(listener: TcpListener, truth: &Truth) {
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
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (request, fault) = wanted(path)?;
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

/// The request and the fault (by [`number`]) that a path asks for.
pub(super) fn wanted(path: &str) -> std::io::Result<(u64, u64)> {
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let numbers =
        parts.and_then(|(request, fault)| Some((request.parse().ok()?, fault.parse().ok()?)));
    numbers.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// What stands for `fault` in a path.
pub(super) const fn number(fault: Fault) -> u64 {
    fault as u64
}

/// Makes closing `stream` reset it.
pub(super) fn reset(stream: &TcpStream) -> std::io::Result<()> {
    Ok(set_socket_linger(stream, Some(Duration::ZERO))?)
}

/// Linear congruential (Knuth, MMIX): the same requests in every run.
const fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
