//! As much HTTP/1.1 as the scripts speak.

use anyhow::{Context, Result, bail, ensure};

use crate::actor::Socket;
use crate::scene::Scene;

/// A whole answer on a connection that stays open.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// An answer that goes on for longer than it is sent.
pub(crate) const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 880\r\n\r\nhalf";

/// What separates head and body.
const BLANK: &[u8] = b"\r\n\r\n";

/// What clients say of themselves: a request as long as those of the field.
const HEADERS: &str = "Host: gateway.example\r\nUser-Agent: python-httpx/0.27.0\r\n\
    Accept: application/json\r\nAuthorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n";

/// A request for the row's route.
pub(crate) fn request(scene: &Scene<'_>) -> String {
    format!("GET /{} HTTP/1.1\r\n{HEADERS}\r\n", scene.route.name)
}

/// Process `client` connects to the gateway and asks for the row's route.
pub(crate) fn ask(scene: &Scene<'_>) -> Result<Socket> {
    let (socket, _) = scene.connect()?;
    socket.write(request(scene).as_bytes())?;
    Ok(socket)
}

/// Process `client` connects to the gateway and posts the first `part` of a body of `length` bytes, or less
/// if the gateway takes no more.
pub(crate) fn ask_with(scene: &Scene<'_>, length: usize, part: usize) -> Result<Socket> {
    let (socket, _) = scene.connect()?;
    let head = format!(
        "POST /{} HTTP/1.1\r\n{HEADERS}Content-Length: {length}\r\n\r\n",
        scene.route.name
    );
    socket.write(head.as_bytes())?;
    // The channel to the process takes no more at once.
    let piece = [b'x'; 8192];
    let mut pieces = 0..part.div_ceil(piece.len());
    while pieces.next().is_some() && socket.write(&piece).is_ok() {}
    Ok(socket)
}

/// The backend's end of the connection over which the gateway asks next; the request was read.
pub(crate) fn asked(scene: &Scene<'_>, listener: &Socket) -> Result<Socket> {
    let backend = scene.accept(listener)?;
    read_request(&backend)?;
    Ok(backend)
}

/// Process `client` asks and process `backend` answers, both over connections that stay open. Answers
/// the two ends.
pub(crate) fn exchanged(scene: &Scene<'_>, listener: &Socket) -> Result<(Socket, Socket)> {
    let client = ask(scene)?;
    let backend = asked(scene, listener)?;
    backend.write(ANSWER)?;
    answered(&client)?;
    Ok((client, backend))
}

/// Reads a request without a body.
pub(crate) fn read_request(backend: &Socket) -> Result<()> {
    until(backend, |seen| seen.ends_with(BLANK)).map(drop)
}

/// The status of the next answer; of its body, some bytes are read.
pub(crate) fn status(client: &Socket) -> Result<u16> {
    let seen = until(client, |seen| {
        seen.windows(BLANK.len()).any(|bytes| bytes == BLANK)
    })?;
    let status = seen.split(' ').nth(1).context("no status")?;
    status.parse().with_context(|| seen.clone())
}

/// Checks that the next answer is a server error, as gateways give where a backend fails.
pub(crate) fn server_error(client: &Socket) -> Result<()> {
    let seen = status(client)?;
    ensure!((500..600).contains(&seen), "the client saw {seen}");
    Ok(())
}

/// Checks that the gateway gives no answer but a server error: some close a client's kept connection
/// instead, so that it asks again. Then the client closes too.
pub(crate) fn no_answer(client: &Socket) -> Result<()> {
    let seen = client.read(4096)?;
    let seen = String::from_utf8_lossy(&seen);
    let is_error = seen.starts_with("HTTP/1.1 5");
    ensure!(seen.is_empty() || is_error, "the client saw {seen}");
    client.close()
}

/// Reads a whole answer like [`ANSWER`], with status 200.
pub(crate) fn answered(client: &Socket) -> Result<()> {
    let seen = until(client, |seen| seen.ends_with(b"\r\n\r\nok"))?;
    ensure!(seen.starts_with("HTTP/1.1 200 "), "the answer was {seen:?}");
    Ok(())
}

/// Reads until the peer's FIN or RST.
pub(crate) fn drain(socket: &Socket) {
    // How it ended is what resetmon is asked.
    while socket.read(4096).is_ok_and(|bytes| !bytes.is_empty()) {}
}

fn until(socket: &Socket, enough: impl Fn(&[u8]) -> bool) -> Result<String> {
    let mut seen = Vec::new();
    while !enough(&seen) {
        let bytes = socket.read(4096)?;
        if bytes.is_empty() {
            bail!("it ended at {:?}", String::from_utf8_lossy(&seen));
        }
        seen.extend(bytes);
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}
