//! `resetmon demo`: harmless resets on the loopback, explained.

use std::io::{self, BufWriter, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::live::{Live, Viewer};
use super::{CaptureArgs, LogLevel, session};
use crate::diagnosis::advice::advice;
use crate::diagnosis::propagation::REACTION;
use crate::event::Event;
use crate::export::json::to_event_line;
use crate::export::terminal::{self, Style};
use crate::reset::Reset;

mod acts;

use acts::{ACTS, Act, Ends};

/// Longest time for all resets to be seen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// Between one act and the next. A process that passes a reset on does so sooner, and these do not
/// cause each other.
const PAUSE: Duration = Duration::from_millis(150);
const _: () = assert!(PAUSE.as_millis() > REACTION.as_millis());

/// Options of `resetmon demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object a line, as `watch --json` has them, on standard output; what was done goes
    /// to standard error
    #[arg(long)]
    json: bool,
}

/// Makes the resets and shows them; needs the privileges of `watch`.
///
/// Errors: the probes cannot be attached, a connection cannot be made, or a reset was not
/// explained as expected.
pub fn main(args: &Args) -> anyhow::Result<()> {
    session::block_on(demo(args))
}

async fn demo(args: &Args) -> anyhow::Result<()> {
    let mut live = Live::start(&CaptureArgs {
        config: None,
        ebpf_log: LogLevel::Off,
    })?;
    let (sender, played) = mpsc::channel();
    let mut screen = Screen::new(args.json, played)?;
    screen.header();
    let actor = tokio::task::spawn_blocking(move || play(&sender));
    live.run(&mut screen, Some(PATIENCE)).await?;
    drop(live);
    let result = actor.await.context("the demonstration broke off")?;
    // Why an act failed says more than that it was not seen.
    result?;
    screen.end()
}

/// Plays all acts, and tells of each on which ends it was.
fn play(sender: &Sender<Ends>) -> anyhow::Result<()> {
    for act in ACTS {
        let ends = (act.play)().with_context(|| {
            format!(
                "a connection on the loopback failed (is the interface `lo` up?) while trying \
                 this: {}",
                act.did
            )
        })?;
        // Nobody listens once the command was interrupted.
        if sender.send(ends).is_err() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Collects the events of each act and shows them once they are complete.
struct Screen {
    out: BufWriter<io::Stdout>,
    style: Style,
    json: bool,
    netns: u32,
    played: Receiver<Ends>,
    ends: Vec<Ends>,
    /// Resets in this network namespace that no act has shown yet.
    waiting: Vec<Reset>,
    /// Acts that have been shown.
    shown: usize,
    /// What was not seen, in words.
    lacking: Vec<String>,
    /// Not every act could be played.
    broken_off: bool,
    failed: Option<io::Error>,
}

impl Screen {
    fn new(json: bool, played: Receiver<Ends>) -> anyhow::Result<Self> {
        let namespace = std::fs::metadata("/proc/self/ns/net")
            .context("the network namespace of this process cannot be read; mount /proc")?;
        let stdout = io::stdout();
        Ok(Self {
            style: Style::of_stdout(&stdout),
            out: BufWriter::new(stdout),
            json,
            netns: u32::try_from(namespace.ino()).context("the network namespace has no number")?,
            played,
            ends: Vec::new(),
            waiting: Vec::new(),
            shown: 0,
            lacking: Vec::new(),
            broken_off: false,
            failed: None,
        })
    }

    fn header(&mut self) {
        if !self.json {
            let header = terminal::header(self.style);
            self.put(&header);
        }
        self.flush();
    }

    /// Shows the acts, in order, of which all is there; `all` of them at the end.
    fn advance(&mut self, all: bool) {
        loop {
            match self.played.try_recv() {
                Ok(ends) => self.ends.push(ends),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.broken_off = self.ends.len() < ACTS.len();
                    break;
                }
            }
        }
        while let (Some(act), Some(ends)) = (ACTS.get(self.shown), self.ends.get(self.shown)) {
            let lacking = lacking(act, &resets_of(*ends, &self.waiting));
            if !lacking.is_empty() && !all {
                break;
            }
            let (own, others): (Vec<Reset>, Vec<Reset>) = self
                .waiting
                .drain(..)
                .partition(|reset| is_between(*ends, reset));
            self.waiting = others;
            self.act(act, &own);
            self.lacking.extend(lacking);
            self.shown += 1;
        }
    }

    fn act(&mut self, act: &Act, resets: &[Reset]) {
        let title = format!("{}. {}", self.shown + 1, act.did);
        if self.json {
            eprintln!("{title}");
        } else {
            self.put(&format!("\n{title}"));
        }
        for reset in resets {
            let text = if self.json {
                to_event_line(&Event::Reset(reset.clone()))
            } else {
                terminal::lines(reset, self.style)
            };
            self.put(&text);
        }
        if !self.json {
            for (_, cause) in act.expected {
                self.put(&format!(
                    "         {} means: {}",
                    cause.name(),
                    advice(*cause).summary
                ));
            }
        }
        self.flush();
    }

    fn put(&mut self, text: &str) {
        if self.failed.is_none() {
            let text = text.trim_end_matches('\n');
            self.failed = writeln!(self.out, "{text}").err();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.flush().err();
        }
    }

    /// The verdict.
    fn end(mut self) -> anyhow::Result<()> {
        self.advance(true);
        match self.failed.take() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Some(error) => return Err(error).context("standard output cannot be written"),
            None => {}
        }
        let untold = ACTS.iter().skip(self.shown).map(|act| act.did.to_owned());
        self.lacking.extend(untold);
        if !self.lacking.is_empty() {
            bail!(
                "not seen as expected: {}; `resetmon doctor` says what this kernel and these \
                 privileges do not allow",
                self.lacking.join("; ")
            );
        }
        let verdict = format!(
            "\nAll {} kinds of reset were explained as expected. `resetmon watch` shows those of this machine.",
            ACTS.len()
        );
        if self.json {
            eprintln!("{}", verdict.trim_start());
        } else {
            self.put(&verdict);
            self.flush();
        }
        Ok(())
    }
}

impl Viewer for Screen {
    fn show(&mut self, event: &Event) {
        if let Event::Reset(reset) = event
            && reset.observation.netns == self.netns
            && reset.observation.local.ip().is_loopback()
        {
            self.waiting.push(reset.clone());
        }
    }

    fn pause(&mut self) {
        self.advance(false);
    }

    fn wants_more(&self) -> bool {
        self.failed.is_none() && self.shown < ACTS.len() && !self.broken_off
    }
}

/// Whether a reset is of the connection between `ends`.
fn is_between(ends: Ends, reset: &Reset) -> bool {
    let pair: (SocketAddr, SocketAddr) = (reset.observation.local, reset.observation.remote);
    pair == (ends.server, ends.client) || pair == (ends.client, ends.server)
}

fn resets_of(ends: Ends, resets: &[Reset]) -> Vec<&Reset> {
    resets
        .iter()
        .filter(|reset| is_between(ends, reset))
        .collect()
}

/// What of `act` is not among `resets`, in words.
fn lacking(act: &Act, resets: &[&Reset]) -> Vec<String> {
    act.expected
        .iter()
        .filter(|(direction, cause)| {
            !resets.iter().any(|reset| {
                (reset.observation.direction, reset.diagnosis.cause) == (*direction, *cause)
            })
        })
        .map(|(direction, cause)| {
            let instead: Vec<&str> = resets
                .iter()
                .filter(|reset| reset.observation.direction == *direction)
                .map(|reset| reset.diagnosis.cause.name())
                .collect();
            let what = format!("a reset {} with cause {}", direction.name(), cause.name());
            if instead.is_empty() {
                what
            } else {
                format!("{what} (but {})", instead.join(", "))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
