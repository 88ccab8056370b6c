//! As much HTTP as the tests speak.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use crate::netns::Netns;
use crate::service::PATIENCE;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Head, with the status line.
    pub(crate) head: String,
    /// Body, without any transfer coding.
    pub(crate) body: String,
}

/// GET `path` from `server`, from within `namespace`; only status 200 is no error.
pub(crate) fn get(
    namespace: &Netns,
    server: SocketAddr,
    path: &str,
    accept: &str,
) -> Result<Answer> {
    let mut stream = namespace
        .enter(|| TcpStream::connect(server))?
        .with_context(|| server.to_string())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("no end of the answer's head")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("GET {path}: {head}");
    }
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Ok(Answer {
        head: head.to_owned(),
        body,
    })
}

fn unchunk(mut body: &str) -> Result<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").context("length of a chunk")?;
        let length = usize::from_str_radix(length.trim(), 16)?;
        if length == 0 {
            return Ok(whole);
        }
        whole.push_str(rest.get(..length).context("chunk cut short")?);
        body = rest.get(length + 2..).context("chunk cut short")?;
    }
}
