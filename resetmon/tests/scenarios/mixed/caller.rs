//! A client that asks for completions, over one connection that it keeps.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::site::at;
use crate::netns::Netns;

/// How long it waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open connection.
pub(super) struct Caller(TcpStream);

impl Caller {
    /// Connects.
    pub(super) fn new(netns: &Netns, port: u16) -> Result<Self> {
        let stream = netns.enter(|| TcpStream::connect(at(port)))?;
        let stream = stream.with_context(|| format!("connect to port {port}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Asks, and answers the status once the answer is whole.
    pub(super) fn call(&mut self, path: &str, model: &str) -> Result<u16> {
        self.ask(path, model, 0)?;
        self.status()
    }

    /// Asks for a stream where the model is one of chat.
    pub(super) fn ask(&mut self, path: &str, model: &str, prompt: usize) -> Result<()> {
        let stream = path.starts_with("/v1/");
        let prompt = "x".repeat(prompt);
        let body = format!(r#"{{"model":"{model}","stream":{stream},"prompt":"{prompt}"}}"#);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: gateway.example\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let request = format!("{head}{body}");
        self.0.write_all(request.as_bytes()).context("ask")
    }

    /// Reads a whole answer; its status.
    pub(super) fn status(&mut self) -> Result<u16> {
        let mut seen = Vec::new();
        loop {
            let mut part = [0; 4096];
            let length = self.0.read(&mut part).context("read an answer")?;
            seen.extend(&part[..length]);
            let text = String::from_utf8_lossy(&seen);
            ensure!(length > 0, "the answer ended at {text:?}");
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_ascii_lowercase();
            let value = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map(|line| line.trim().to_owned())
            };
            let is_whole = match value("content-length:") {
                Some(length) => body.len() >= length.parse()?,
                None if value("transfer-encoding:").is_some() => body.ends_with("0\r\n\r\n"),
                None => bail!("an answer without an end: {head:?}"),
            };
            if is_whole {
                let status = head.split(' ').nth(1).context("no status")?;
                return status.parse().with_context(|| head.clone());
            }
        }
    }
}
