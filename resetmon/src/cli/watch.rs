//! `resetmon watch`: live resets in a terminal or a pipe.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context as _;

use super::gateways::Gateways;
use super::session::{COUNTERS, TIMER};
use super::signals::{Request, Signals};
use super::{CaptureArgs, session};
use crate::event::Event;
use crate::export::filter::{self, Causes, Failures, Filter, PeerFilter};
use crate::export::json::to_event_line;
use crate::export::terminal::{self, Style};
use crate::kernel::capture::Capture;
use crate::kernel::observation::Direction;
use crate::overflow::Kind;
use crate::pipeline::pump;

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
    let mut signals = Signals::new().context("signals cannot be received")?;
    let mut config = session::load_config(args.capture.config.as_deref())?;
    let mut gateways = Gateways::start(&config);
    let capture = session::open(&args.capture, &config, None)?;
    let mut pipeline = session::pipeline(&capture, &config);
    let Capture {
        attached,
        mut ring,
        tallies,
        aggregates,
        delivered,
        ..
    } = capture;
    let tallies = Arc::new(tallies);
    let (mut overflow, look) = session::overflow(aggregates, Arc::clone(&tallies), delivered)?;
    let mut screen = Screen::new(&args);
    tracing::info!("ready: watching for resets, Ctrl-C ends");
    screen.header();

    let mut bare: Vec<(Kind, u64)> = Vec::new();
    gateways.first_look(&config, &mut pipeline).await;
    while screen.open() {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => break,
                Request::Reload => {
                    session::reload(args.capture.config.as_deref(), &mut config, &mut pipeline);
                    gateways.reload(&pipeline);
                }
            },
            tick = look.tick() => {
                tick.context(TIMER)?;
                let bare = |kind, packets| bare.push((kind, packets));
                overflow.collect(&mut pipeline, |event| screen.show(&event), bare)
                    .context(COUNTERS)?;
                screen.flush();
            }
            change = gateways.next() => gateways.apply(change, &mut pipeline),
            result = pump(&mut ring, &mut pipeline, |event| screen.show(&event)) => {
                result.context("the ring buffer cannot be read")?;
                gateways.nudge(&mut pipeline);
                screen.flush();
            }
        }
    }
    ring.drain(|record| pipeline.feed(record, |event| screen.show(&event)));
    pipeline.end(|event| screen.show(&event));
    let count = |kind, packets| bare.push((kind, packets));
    overflow
        .collect(&mut pipeline, |event| screen.show(&event), count)
        .context(COUNTERS)?;
    screen.flush();
    drop(attached);
    for kind in [Kind::Sent, Kind::Received, Kind::Rejected, Kind::Failed] {
        let packets: u64 = bare
            .iter()
            .filter(|(which, _)| *which == kind)
            .map(|(_, packets)| packets)
            .sum();
        if packets > 0 {
            let what = match kind {
                Kind::Failed => "connections",
                Kind::Sent | Kind::Received | Kind::Rejected => "resets",
            };
            tracing::warn!("{packets} {} {what} were too many to be shown", kind.name());
        }
    }
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

    fn open(&self) -> bool {
        self.failed.is_none()
    }

    fn header(&mut self) {
        if !self.json {
            let header = terminal::header(self.style);
            self.put(&header);
            self.flush();
        }
    }

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
