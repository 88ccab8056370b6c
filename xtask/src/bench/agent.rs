//! The agent under measurement.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::place::Place;
use super::process::Background;
use crate::command::Invocation;

/// Where it serves, in the namespace of the measurement.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9435);
/// Longest time for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A running `resetmon run`.
#[derive(Debug)]
pub(crate) struct Agent {
    /// The process.
    pub(crate) program: Background,
    /// From its start until every probe was attached.
    pub(crate) start: Duration,
}

impl Agent {
    /// Starts it with the configuration `config` (YAML) and waits until it is ready.
    ///
    /// With `events` every reset comes as a JSON line by [`Background::take_stdout`].
    ///
    /// # Errors
    /// When it does not start; the error says what it said.
    pub(crate) fn start(place: &Place, config: &str, events: bool) -> Result<Self> {
        let file = place.dir.join("resetmon.yaml");
        std::fs::write(&file, config)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut call = Invocation::new(&place.agent)
            // Each start is one of its own, and nothing stays behind.
            .args(["run", "--no-pin", "--listen"])
            .arg(SocketAddr::from(ADDRESS).to_string())
            .arg("--config")
            .arg(&file);
        if events {
            call = call.args(["--events", "-"]);
        }
        let start = Instant::now();
        let mut program = Background::start(&call, &place.dir.join("resetmon.log"), events)?;
        program.wait_until(|program| program.said().contains("ready: serving"))?;
        Ok(Self {
            start: start.elapsed(),
            program,
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn stop(self) -> Result<()> {
        self.program.stop(Signal::TERM).map(drop)
    }
}

/// The body of the agent's answer to GET `path`.
///
/// # Errors
/// When it does not answer, or with another status than 200.
pub(crate) fn get(path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from(ADDRESS))?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of headers")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("GET {path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// The sum of a metric's series that have all of `labels`.
pub(crate) fn sum(page: &str, metric: &str, labels: &[(&str, &str)]) -> u64 {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    let value = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix(metric)?;
        let (set, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?,
            None => ("", rest),
        };
        let all = labels
            .iter()
            .all(|label| set.split(',').any(|own| own == label));
        if !all {
            return None;
        }
        value.strip_prefix(' ')?.split(' ').next()?.parse().ok()
    };
    page.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_series_with_the_labels() {
        type Labels = &'static [(&'static str, &'static str)];
        let page = "# TYPE r counter\n\
                    r_total{direction=\"sent\",peer=\"a\"} 3\n\
                    r_total{direction=\"sent\",peer=\"ab\"} 40\n\
                    r_total{direction=\"received\",peer=\"a\"} 500\n\
                    r_total_more{direction=\"sent\",peer=\"a\"} 6000\n\
                    s_total 7\n";
        let rows: [(&str, Labels, u64); 6] = [
            ("r_total", &[("direction", "sent"), ("peer", "a")], 3),
            ("r_total", &[("peer", "a")], 503),
            ("r_total", &[], 543),
            ("r_total", &[("peer", "b")], 0),
            ("s_total", &[], 7),
            ("s_total", &[("peer", "a")], 0),
        ];
        for (metric, labels, expected) in rows {
            assert_eq!(sum(page, metric, labels), expected, "{metric} {labels:?}");
        }
    }
}
