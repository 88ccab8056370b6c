//! `resetmon record`: events to a file, and resets as packets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::live::{Live, Viewer, counted_of};
use super::report::time;
use super::selection::SelectionArgs;
use super::{CaptureArgs, session};
use crate::event::Event;
use crate::export::background::{Background, Closed};
use crate::export::filter::Selection;
use crate::export::json::to_event_line;
use crate::export::pcapng::{Packet, PcapngFile};
use crate::export::rotating::{LineFile, Rotating, Rotation};
use crate::text::counted;

/// Events that wait for a writer at most.
const QUEUE: usize = 16_384;
/// What a target gets for the last events, when the command ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Options of `resetmon record`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("output").required(true).multiple(true)))]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// Append events to this file, one JSON object a line; `-` for standard output
    #[arg(long, short, value_name = "FILE", group = "output")]
    write: Option<PathBuf>,

    /// Write resets to this file as packets (pcapng), for Wireshark; `-` for standard output. What
    /// was in the file is replaced
    #[arg(long, value_name = "FILE", group = "output")]
    pcapng: Option<PathBuf>,

    /// Go on with a new file before one exceeds this many bytes, as 500k, 100M or 2G; the one
    /// before it becomes FILE.1, the one before that FILE.2
    #[arg(long, value_name = "SIZE", value_parser = size)]
    rotate_size: Option<u64>,

    /// How many older files to keep; the oldest is removed
    #[arg(long, value_name = "N", default_value_t = 5, requires = "rotate_size", value_parser = clap::value_parser!(u32).range(1..=9999))]
    rotate_count: u32,

    /// How long to record, as 90s, 5m or 2h; until Ctrl-C without it
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    limit: Option<Duration>,

    #[command(flatten)]
    selection: SelectionArgs,
}

/// `500k`, `100M`, `2G` in powers of 1000, or a number of bytes; at least one.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        unit => return Err(format!("`{unit}` is no unit: write k, M or G")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a whole number of bytes, k, M or G".to_owned())?;
    match number.checked_mul(unit) {
        Some(bytes @ 1..) => Ok(bytes),
        _ => Err("not between 1 byte and 18 exabytes".to_owned()),
    }
}

/// Records until SIGTERM, SIGINT, the time is over, or nobody reads standard output any more.
///
/// Errors: a file that cannot be written, at the beginning or in the end.
pub fn main(args: Args) -> anyhow::Result<()> {
    session::block_on(record(args))
}

async fn record(args: Args) -> anyhow::Result<()> {
    // Before privileges are given up, which a file may need.
    let files = Files::open(&args)?;
    let mut live = Live::start(&args.capture)?;
    let mut recorder = Recorder::new(files, Selection::from(&args.selection))?;
    tracing::info!("ready: recording to {}, Ctrl-C ends", recorder.names());
    live.run(&mut recorder, args.limit).await?;
    for (kind, packets) in live.lost() {
        let lost = counted_of(kind, packets);
        tracing::warn!("there was no time to record {lost}");
    }
    drop(live);
    recorder.end()
}

/// The files, open and not written to yet.
struct Files {
    lines: Option<(String, Rotating)>,
    packets: Option<(String, Rotating)>,
}

impl Files {
    fn open(args: &Args) -> anyhow::Result<Self> {
        let rotation = args.rotate_size.map(|size| Rotation {
            size,
            count: args.rotate_count,
        });
        let (lines, packets) = (args.write.as_deref(), args.pcapng.as_deref());
        if lines.is_some() && lines == packets {
            bail!("events and packets cannot go to the same file: name two");
        }
        let open = |path: Option<&Path>| path.map(|path| target(path, rotation)).transpose();
        Ok(Self {
            lines: open(lines)?,
            packets: open(packets)?,
        })
    }
}

/// The file at `path`, and what to call it.
fn target(path: &Path, rotation: Option<Rotation>) -> anyhow::Result<(String, Rotating)> {
    if path.as_os_str() == "-" {
        let stdout = Rotating::stdout().context("standard output cannot be written")?;
        return Ok(("standard output".to_owned(), stdout));
    }
    let name = name_of(path);
    let file = Rotating::open(path, rotation)
        .with_context(|| format!("{name} cannot be written: name a file in a folder that can"))?;
    Ok((name, file))
}

fn name_of(path: &Path) -> String {
    crate::text::printable(&path.display().to_string()).into_owned()
}

/// One of the outputs.
struct Output<T> {
    name: String,
    writer: Background<T>,
}

impl<T: Send + 'static> Output<T> {
    fn end(self, thing: &str, outcome: &mut Outcome) {
        let Closed {
            written,
            lost,
            error,
        } = self.writer.close(LEAVE_WITHIN);
        let name = self.name;
        outcome
            .parts
            .push(format!("{} to {name}", counted(written, thing)));
        outcome.lost += lost;
        if lost > 0 {
            let why = error.unwrap_or_else(|| "it was too slow".to_owned());
            outcome.errors.push(format!(
                "{} could not be written to {name}: {why}",
                counted(lost, thing)
            ));
        }
    }
}

/// What was written, what not, and why.
#[derive(Debug, Default)]
struct Outcome {
    parts: Vec<String>,
    lost: u64,
    errors: Vec<String>,
}

/// Where events go.
struct Recorder {
    selection: Selection,
    lines: Option<Output<String>>,
    packets: Option<Output<Packet>>,
}

impl Recorder {
    fn new(files: Files, selection: Selection) -> anyhow::Result<Self> {
        const WRITER: &str = "the thread that writes cannot start";
        let cannot = |name: &str| format!("{name} cannot be written");
        let lines = match files.lines {
            None => None,
            Some((name, file)) => {
                let file = LineFile::begin(file).with_context(|| cannot(&name))?;
                let writer = Background::new(name.clone(), QUEUE, file).context(WRITER)?;
                Some(Output { name, writer })
            }
        };
        let packets = match files.packets {
            None => None,
            Some((name, file)) => {
                let file = PcapngFile::begin(file).with_context(|| cannot(&name))?;
                let writer = Background::new(name.clone(), QUEUE, file).context(WRITER)?;
                Some(Output { name, writer })
            }
        };
        Ok(Self {
            selection,
            lines,
            packets,
        })
    }

    fn names(&self) -> String {
        let lines = self.lines.as_ref().map(|output| &*output.name);
        let packets = self.packets.as_ref().map(|output| &*output.name);
        let names: Vec<&str> = lines.into_iter().chain(packets).collect();
        names.join(" and ")
    }

    /// Says what was written; a reader that has gone, as `head` does, is a normal end.
    fn end(self) -> anyhow::Result<()> {
        let gone = !self.wants_more();
        let mut outcome = Outcome::default();
        if let Some(lines) = self.lines {
            lines.end("event", &mut outcome);
        }
        if let Some(packets) = self.packets {
            packets.end("packet", &mut outcome);
        }
        let (parts, lost) = (outcome.parts.join(", "), outcome.lost);
        tracing::info!("written: {parts}; lost: {lost}");
        if lost > 0 && !gone {
            bail!("{}", outcome.errors.join("; "));
        }
        Ok(())
    }
}

impl Viewer for Recorder {
    fn show(&mut self, event: &Event) {
        if !self.selection.has(event) {
            return;
        }
        if let Some(lines) = &self.lines {
            lines.writer.put(to_event_line(event));
        }
        if let (Some(packets), Event::Reset(reset)) = (&self.packets, event) {
            packets.writer.put(Packet::from(reset));
        }
    }

    fn wants_more(&self) -> bool {
        let lines = self
            .lines
            .as_ref()
            .is_some_and(|output| output.writer.gone());
        let packets = self
            .packets
            .as_ref()
            .is_some_and(|output| output.writer.gone());
        !lines && !packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_files() {
        for (text, expected) in [
            ("1", Some(1)),
            ("500k", Some(500_000)),
            ("100M", Some(100_000_000)),
            ("2G", Some(2_000_000_000)),
            ("0", None),
            ("0M", None),
            ("", None),
            ("M", None),
            ("-1k", None),
            ("1.5G", None),
            ("1T", None),
            ("99999999999G", None),
            ("é", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text:?}");
        }
    }
}
