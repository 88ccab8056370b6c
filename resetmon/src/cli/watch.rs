//! `resetmon watch`: live resets in a terminal or a pipe.

use std::io::{self, Write};

use anyhow::Context as _;

use super::live::{Live, Viewer, what_of};
use super::{CaptureArgs, session};
use crate::event::Event;
use crate::export::filter::{self, Causes, Failures, Filter, PeerFilter};
use crate::export::json::to_event_line;
use crate::export::terminal::{self, Style};
use crate::kernel::observation::Direction;

/// Options of `resetmon watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// One JSON object a line instead of the table
    #[arg(long)]
    json: bool,

    /// Show connections that failed without a reset too
    #[arg(long)]
    failures: bool,

    /// Only resets `sent` or `received` by this node
    #[arg(long, value_name = "DIRECTION", value_parser = filter::direction, help_heading = "Filters")]
    direction: Option<Direction>,

    /// Only of the process of this name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    process: Option<String>,

    /// Only of the process with this id
    #[arg(long, value_name = "PID", help_heading = "Filters")]
    pid: Option<u32>,

    /// Only with this local or remote port
    #[arg(long, value_name = "PORT", help_heading = "Filters")]
    port: Option<u16>,

    /// Only with this peer: address, network or configured name
    #[arg(long, value_name = "PEER", help_heading = "Filters")]
    peer: Option<PeerFilter>,

    /// Only of these causes, separated by commas
    #[arg(long, value_name = "CAUSE,…", help_heading = "Filters")]
    cause: Option<Causes>,

    /// Only connections that failed in these ways, separated by commas, with or without a reset
    #[arg(long, value_name = "FAILURE,…", help_heading = "Filters")]
    failure: Option<Failures>,

    /// Only of this route
    #[arg(long, value_name = "ROUTE", help_heading = "Filters")]
    route: Option<String>,

    /// Only in this network namespace, by inode number
    #[arg(long, value_name = "INODE", value_parser = filter::netns, help_heading = "Filters")]
    netns: Option<u32>,
}

impl Args {
    fn filter(&self) -> Filter {
        Filter {
            direction: self.direction,
            process: self.process.clone(),
            pid: self.pid,
            port: self.port,
            peer: self.peer.clone(),
            causes: self.cause.clone(),
            failures: self.failure.clone(),
            route: self.route.clone(),
            netns: self.netns,
        }
    }
}

/// Watches until SIGTERM, SIGINT, or until nobody reads standard output any more.
pub fn main(args: Args) -> anyhow::Result<()> {
    session::block_on(watch(args))
}

async fn watch(args: Args) -> anyhow::Result<()> {
    let mut live = Live::start(&args.capture)?;
    let mut screen = Screen::new(&args);
    tracing::info!("ready: watching for resets, Ctrl-C ends");
    screen.header();
    live.run(&mut screen, None).await?;
    for (kind, packets) in live.lost() {
        let what = what_of(kind);
        tracing::warn!("{packets} {} {what} were too many to be shown", kind.name());
    }
    drop(live);
    screen.end()
}

/// Where the lines go.
struct Screen {
    out: io::BufWriter<io::Stdout>,
    style: Style,
    json: bool,
    failures: bool,
    filter: Filter,
    failed: Option<io::Error>,
}

impl Screen {
    fn new(args: &Args) -> Self {
        let stdout = io::stdout();
        Self {
            style: Style::of_stdout(&stdout),
            out: io::BufWriter::new(stdout),
            json: args.json,
            failures: args.failures || args.failure.is_some(),
            filter: args.filter(),
            failed: None,
        }
    }

    fn header(&mut self) {
        if !self.json {
            let header = terminal::header(self.style);
            self.put(&header);
            self.flush();
        }
    }

    fn put(&mut self, text: &str) {
        if self.failed.is_none()
            && let Err(error) = writeln!(self.out, "{}", text.trim_end_matches('\n'))
        {
            self.failed = Some(error);
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.out.flush()
        {
            self.failed = Some(error);
        }
    }

    /// A reader that has gone, as `head` does, is a normal end.
    fn end(self) -> anyhow::Result<()> {
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("standard output cannot be written")
            }
            _ => Ok(()),
        }
    }
}

impl Viewer for Screen {
    fn show(&mut self, event: &Event) {
        let wanted = self.failures || matches!(event, Event::Reset(_));
        if wanted && self.filter.matches_event(event) {
            let text = if self.json {
                to_event_line(event)
            } else {
                terminal::event_lines(event, self.style)
            };
            self.put(&text);
        }
    }

    fn pause(&mut self) {
        self.flush();
    }

    fn wants_more(&self) -> bool {
        self.failed.is_none()
    }
}
