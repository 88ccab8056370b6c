//! `resetmon report`: what is wrong and what to change.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::time::Instant;

use super::live::{Live, Viewer, counted_of};
use super::{CaptureArgs, session};
use crate::diagnosis::pattern::observed::Observed;
use crate::diagnosis::report::{self, Report};
use crate::diagnosis::sample::Sample;
use crate::event::Event;
use crate::export::json::read::{Read, read};
use crate::export::report::{html, markdown, terminal, to_json};
use crate::export::terminal::Style;
use crate::kernel::probes::Outcome;
use crate::routes::address::Endpoint;
use crate::text::counted;

/// Bytes read at once.
const BUFFER: usize = 1 << 18;
/// Events handed over at once, and how often before they are taken.
const BATCH: usize = 1024;
const QUEUE: usize = 8;

/// What to do about a file that is none of events.
const REMEDY: &str = "name a file that `resetmon run --events`, `resetmon record -w` or `resetmon \
                      watch --json` wrote";

/// Options of `resetmon report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// How long to watch, as 90s, 5m or 2h; Ctrl-C ends early and still reports
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = time)]
    watch: Duration,

    /// Look at saved events instead: JSON lines of `run --events`, `record -w` or `watch
    /// --json`; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["watch", "config"])]
    from: Option<PathBuf>,

    /// One JSON object instead of a page of text
    #[arg(long, group = "format")]
    json: bool,

    /// Markdown instead of a page of text
    #[arg(long, group = "format")]
    markdown: bool,

    /// Write a page with plots to this file, which any browser shows without a network
    #[arg(long, value_name = "FILE", group = "format")]
    html: Option<PathBuf>,
}

/// Watches or reads, then reports.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let report = match &args.from {
        Some(path) => from_file(path)?,
        None => session::block_on(from_node(args))?,
    };
    show(&report, args)
}

/// `90s`, `5m`, `2h`, or a number of seconds; at least one second.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        unit => return Err(format!("`{unit}` is no unit: write s, m or h")),
    };
    let seconds: u64 = digits
        .parse()
        .map_err(|_| "not a whole number of s, m or h".to_owned())?;
    match seconds.checked_mul(unit) {
        Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("not between 1 second and a year".to_owned()),
    }
}

fn from_file(path: &Path) -> anyhow::Result<Report> {
    let (source, (observed, outcome)) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), look_at(io::stdin())?)
    } else {
        let name = crate::text::printable(&path.display().to_string()).into_owned();
        let file = File::open(path)
            .map_err(|error| anyhow!("{name} cannot be opened: {error}: {REMEDY}"))?;
        (name, look_at(file)?)
    };
    let read = outcome.map_err(|error| anyhow!("{source} cannot be read: {error}: {REMEDY}"))?;
    let losses = read.losses();
    // An empty file is one in which nothing has failed yet; one of other things is a mistake.
    if read.events == 0 && !losses.is_empty() {
        bail!("{source} has no event: {}: {REMEDY}", losses.join("; "));
    }
    Ok(report::report(&observed, &source, losses))
}

/// Reads events, and meanwhile, on a thread of its own, looks at them.
fn look_at(input: impl io::Read) -> anyhow::Result<(Observed, io::Result<Read>)> {
    let mut observed = Observed::default();
    let mut names = std::mem::take(&mut observed.names);
    std::thread::scope(|scope| {
        let (batches, queue) = sync_channel::<Vec<Sample>>(QUEUE);
        let looker = scope.spawn(move || {
            for sample in queue.into_iter().flatten() {
                observed.add(sample);
            }
            observed.finish();
            observed
        });
        let mut batch = Vec::with_capacity(BATCH);
        let input = BufReader::with_capacity(BUFFER, input);
        let outcome = read(input, &mut names, |sample| {
            batch.push(sample);
            if batch.len() >= BATCH {
                // Only a looker that panicked takes no more, which is said below.
                let _ = batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
        });
        let _ = batches.send(batch);
        drop(batches);
        let mut observed = looker
            .join()
            .map_err(|_| anyhow::anyhow!("the events could not be looked at"))?;
        observed.names = names;
        Ok((observed, outcome))
    })
}

async fn from_node(args: &Args) -> anyhow::Result<Report> {
    let mut live = Live::start(&args.capture)?;
    let mut watch = Watch::new(args.watch);
    tracing::info!("watching for {} s, Ctrl-C ends early", args.watch.as_secs());
    let from = jiff::Timestamp::now();
    live.run(&mut watch, Some(args.watch)).await?;
    let mut observed = watch.end();
    observed.watched(
        from.as_microsecond(),
        jiff::Timestamp::now().as_microsecond(),
    );
    for gateway in live.pipeline().routes().gateways() {
        for upstream in &gateway.upstreams {
            for endpoint in &upstream.endpoints {
                // A prefix or a name says nothing of how many there are.
                if let Endpoint::Network {
                    network,
                    port: Some(port),
                } = endpoint
                    && network.prefix_len() == network.max_prefix_len()
                {
                    let address = SocketAddr::new(network.addr(), *port);
                    observed.expect_endpoint(&gateway.name, &upstream.name, address);
                }
            }
        }
    }
    observed.finish();
    Ok(report::report(&observed, "this node", unseen(&live)))
}

/// What this kernel and these privileges kept from us.
fn unseen(live: &Live) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, packets) in live.lost() {
        lines.push(format!(
            "{} could not be looked at: there were too many",
            counted_of(kind, packets)
        ));
    }
    let malformed = live.pipeline().malformed();
    if malformed > 0 {
        lines.push(format!(
            "{} of the eBPF programs could not be read",
            counted(malformed, "record")
        ));
    }
    for (probe, outcome) in live.attached().outcomes() {
        if matches!(outcome, Outcome::Missing | Outcome::Refused(_)) {
            lines.push(format!("{} (no probe {})", probe.without, probe.name));
        }
    }
    for missing in live.missing() {
        lines.push(missing.lost.to_owned());
    }
    lines
}

fn show(report: &Report, args: &Args) -> anyhow::Result<()> {
    if let Some(path) = &args.html {
        let name = crate::text::printable(&path.display().to_string()).into_owned();
        std::fs::write(path, html::page(report)).with_context(|| {
            format!("{name} cannot be written: name a file in a folder that can")
        })?;
        tracing::info!("written to {name}");
        return Ok(());
    }
    let mut stdout = io::stdout();
    let text = if args.json {
        to_json(report)
    } else if args.markdown {
        markdown::page(report)
    } else {
        terminal::page(report, Style::of_stdout(&stdout))
    };
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // A reader that has gone, as `head` does, is a normal end.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Takes in events and says how it goes, on a terminal.
struct Watch {
    observed: Observed,
    started: Instant,
    limit: Duration,
    told: Option<u64>,
    tell: bool,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self {
            observed: Observed::default(),
            started: Instant::now(),
            limit,
            told: None,
            tell: io::stderr().is_terminal(),
        }
    }

    /// What was seen; the line of the progress makes room.
    fn end(self) -> Observed {
        if self.told.is_some() {
            eprint!("\r\u{1b}[K");
        }
        self.observed
    }
}

impl Viewer for Watch {
    fn show(&mut self, event: &Event) {
        let sample = Sample::of(event, &mut self.observed.names);
        self.observed.add(sample);
    }

    fn pause(&mut self) {
        let seconds = self.started.elapsed().as_secs();
        if self.tell && self.told.is_none_or(|told| told != seconds) {
            self.told = Some(seconds);
            eprint!(
                "\r\u{1b}[K{seconds} s of {} s, {}",
                self.limit.as_secs(),
                counted(self.observed.taken(), "event")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_watch() {
        for (text, expected) in [
            ("60s", Some(60)),
            ("90", Some(90)),
            ("5m", Some(300)),
            ("5min", Some(300)),
            ("2h", Some(7200)),
            ("0s", None),
            ("", None),
            ("s", None),
            ("-5s", None),
            ("1.5h", None),
            ("5d", None),
            ("99999999999999999999s", None),
            ("9999999999999999h", None),
            ("é", None),
        ] {
            assert_eq!(
                time(text).ok(),
                expected.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }
}
