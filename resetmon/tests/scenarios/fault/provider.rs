//! A mock of an LLM provider, which fails in the way that the model's name says.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::filter;
use super::idle::SILENCE;
use crate::actor::Socket;
use crate::actor::command::{Readiness, Setting};
use crate::exchange::{drain, exchanged, request, server_error, status};
use crate::gateway::python::{PYTHON, program};
use crate::owner::{is_stopped, signal};
use crate::scene::{Scene, wait_for};
use crate::sockets::{self, has_unread};

/// A prompt that the provider does not read whole, bytes.
const LONG_PROMPT: usize = 60_000;
/// What a process of the bench is told to write at once, bytes.
const PART: usize = 10_000;
/// What ends a stream that is whole.
const DONE: &[u8] = b"[DONE]";

/// Starts it as process `backend`, and waits until it listens.
fn provider(scene: &Scene<'_>) -> Result<u32> {
    let mut command = Command::new(PYTHON);
    let at = scene.route.back.to_string();
    let pid = scene.start("backend", command.arg(program("provider.py")).arg(at))?;
    let listens = || sockets::listens(scene.netns, scene.route.back);
    wait_for("the provider to listen", || Ok(listens()?.then_some(())))?;
    Ok(pid)
}

/// Asks for a completion by `model`.
fn ask(client: &Socket, model: &str, stream: bool, prompt: &str) -> Result<()> {
    let body = format!(r#"{{"model":"{model}","stream":{stream},"prompt":"{prompt}"}}"#);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = format!("{head}{body}");
    let mut parts = request.as_bytes().chunks(PART);
    parts.try_for_each(|part| client.write(part))
}

/// A client of a fresh provider, which it asks for a completion by `model`.
fn asking(scene: &Scene<'_>, model: &str, stream: bool, prompt: &str) -> Result<Socket> {
    provider(scene)?;
    let (client, _) = scene.connect()?;
    ask(&client, model, stream, prompt)?;
    Ok(client)
}

/// Reads until `part` has come.
fn read_until(client: &Socket, part: &[u8]) -> Result<()> {
    let mut seen = Vec::new();
    while !seen.windows(part.len()).any(|bytes| bytes == part) {
        let bytes = client.read(4096)?;
        let text = || String::from_utf8_lossy(&seen).into_owned();
        ensure!(!bytes.is_empty(), "it ended at {:?}", text());
        seen.extend(bytes);
    }
    Ok(())
}

/// Reads a whole answer with status 200.
fn completion(client: &Socket) -> Result<()> {
    read_until(client, b"hello\"}}]}")
}

/// Reads a stream to its regular end.
fn whole_stream(client: &Socket) -> Result<()> {
    read_until(client, DONE)?;
    // The end of the chunks, which may come on its own.
    sleep(Duration::from_millis(50));
    Ok(())
}

/// Completions and streams over kept connections on both legs.
pub(crate) fn healthy(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "gpt", false, "")?;
    completion(&client)?;
    for _ in 0..2 {
        ask(&client, "gpt", true, "")?;
        whole_stream(&client)?;
        ask(&client, "slow:0.3", false, "")?;
        completion(&client)?;
    }
    client.close()
}

/// The provider resets in the middle of a stream; the client sees an event with the error in a stream of
/// status 200.
pub(crate) fn reset_in_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "reset-mid", true, "")?;
    read_until(&client, b"\"error\"")
}

/// The provider closes in the middle of a stream, in good order.
pub(crate) fn close_in_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "close-mid", true, "")?;
    read_until(&client, b"\"error\"")
}

/// The provider has read the request and closes without an answer.
pub(crate) fn close_before_answer(scene: &Scene<'_>) -> Result<()> {
    server_error(&asking(scene, "close-before", true, "")?)
}

/// The provider resets the pooled connection that was idle for a while.
pub(crate) fn reset_when_idle(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "reset-after:1.5", false, "")?;
    completion(&client)?;
    sleep(Duration::from_millis(1700));
    Ok(())
}

/// The provider closes the pooled connection that was idle for 2 s, as gunicorn does, and only then the
/// gateway asks again. httpcore looks for an end before it uses a connection again.
pub(crate) fn closed_when_idle(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "close-after:2", false, "")?;
    completion(&client)?;
    sleep(Duration::from_millis(2300));
    ask(&client, "gpt", false, "")?;
    completion(&client)
}

/// A backend closes an idle connection and its FIN is lost; the gateway's next request meets nobody. The
/// client takes the whole answer to that.
pub(crate) fn forgotten(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    let port = scene.route.back.port();
    filter::drop_silently(scene, &format!("tcp sport {port} tcp flags & fin == fin"))?;
    backend.close()?;
    sleep(SILENCE);
    client.write(request(scene).as_bytes())?;
    server_error(&client)
}

/// The provider needs longer than the gateway waits, and answers then.
pub(crate) fn slow(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "slow:2.2", false, "")?;
    ensure!(status(&client)? == 504, "the client did not see 504");
    sleep(Duration::from_millis(900));
    Ok(())
}

/// The provider lets no more in: it answers 429 without having read the prompt, and closes.
pub(crate) fn throttled(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "throttle", false, &"x".repeat(LONG_PROMPT))?;
    let seen = status(&client)?;
    // Whether the gateway still reads the answer behind the RST is a matter of its speed.
    ensure!(matches!(seen, 429 | 502), "the client saw {seen}");
    Ok(())
}

/// The provider crashes while it works on a request.
pub(crate) fn crash_before_answer(scene: &Scene<'_>) -> Result<()> {
    server_error(&asking(scene, "crash", false, "")?)
}

/// The provider crashes in the middle of a stream, with a part of the prompt not read yet.
pub(crate) fn crash_in_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "crash-mid", true, &"x".repeat(LONG_PROMPT))?;
    read_until(&client, b"\"error\"")
}

/// The provider is killed with a request on a pooled connection that it has not read.
pub(crate) fn killed_with_request_unread(scene: &Scene<'_>) -> Result<()> {
    let pid = provider(scene)?;
    let (client, _) = scene.connect()?;
    ask(&client, "gpt", false, "")?;
    completion(&client)?;
    stop(pid)?;
    ask(&client, "gpt", false, "")?;
    let waits = || has_unread(scene.netns, |socket| socket.local == scene.route.back);
    wait_for("a request to wait", || Ok(waits()?.then_some(())))?;
    signal(pid, Signal::KILL)?;
    server_error(&client)
}

/// The client resets in the middle of a stream.
pub(crate) fn client_resets_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "pieces:0.3", true, "")?;
    read_until(&client, b"hello")?;
    client.set(Setting::Linger(0))?;
    client.close()?;
    sleep(Duration::from_millis(500));
    Ok(())
}

/// The client closes in the middle of a stream, having read what has come.
pub(crate) fn client_closes_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "pieces:0.3", true, "")?;
    read_until(&client, b"hello")?;
    client.close()?;
    sleep(Duration::from_millis(500));
    Ok(())
}

/// The gateway is killed in the middle of a stream, with a piece of it not read yet.
pub(crate) fn gateway_killed_in_stream(scene: &Scene<'_>) -> Result<()> {
    let client = asking(scene, "pieces:0.3", true, "")?;
    read_until(&client, b"hello")?;
    let pid = scene.gateway.pid();
    scene.held_by(pid);
    stop(pid)?;
    let waits = || has_unread(scene.netns, |socket| socket.remote == scene.route.back);
    wait_for("a piece to wait", || Ok(waits()?.then_some(())))?;
    signal(pid, Signal::KILL)?;
    client.wait(Readiness::PeerClosed)?;
    drain(&client);
    Ok(())
}

/// Stops a process, and waits until it stands still.
fn stop(pid: u32) -> Result<()> {
    signal(pid, Signal::STOP)?;
    wait_for("a process to stop", || Ok(is_stopped(pid).then_some(())))
}
