//! `resetmon watch`: live resets, full-screen in a terminal, as lines in a pipe.

use std::io::{self, Write};

use anyhow::Context as _;

use super::live::{Live, Viewer, counted_of};
use super::selection::SelectionArgs;
use super::tty::Inputs;
use super::{CaptureArgs, session};
use crate::event::Event;
use crate::export::filter::Selection;
use crate::export::json::to_event_line;
use crate::export::terminal::{self, Style};
use screen::FullScreen;

mod screen;

/// Options of `resetmon watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// One JSON object a line instead of the table
    #[arg(long)]
    json: bool,

    /// Lines on a terminal too, not the full-screen view
    #[arg(long, conflicts_with = "json")]
    plain: bool,

    #[command(flatten)]
    selection: SelectionArgs,
}

/// Watches until SIGTERM, SIGINT, a key that ends the view, or until nobody reads standard output
/// any more.
pub fn main(args: Args) -> anyhow::Result<()> {
    session::block_on(watch(args))
}

async fn watch(args: Args) -> anyhow::Result<()> {
    let mut live = Live::start(&args.capture)?;
    if !args.plain && !args.json && screen::is_possible() {
        let ended = full_screen(&args, &mut live).await;
        warn_of_lost(&live);
        return ended;
    }
    let mut screen = Screen::new(&args);
    tracing::info!("ready: watching for resets, Ctrl-C ends");
    screen.header();
    live.run(&mut screen, None).await?;
    warn_of_lost(&live);
    drop(live);
    screen.end()
}

async fn full_screen(args: &Args, live: &mut Live) -> anyhow::Result<()> {
    const TERMINAL: &str = "the terminal cannot be used; --plain shows lines";
    let verdict = live.attached().verdict();
    let selection = Selection::from(&args.selection);
    let screen = FullScreen::new(selection.filter, selection.failures, &verdict);
    let mut screen = screen.context(TERMINAL)?;
    let inputs = Inputs::start().context(TERMINAL)?;
    let ended = live.run_with(&mut screen, None, inputs).await;
    screen.end().context(TERMINAL)?;
    ended
}

fn warn_of_lost(live: &Live) {
    for (kind, packets) in live.lost() {
        let lost = counted_of(kind, packets);
        tracing::warn!("there was no time to show {lost}");
    }
}

/// Where the lines go.
struct Screen {
    out: io::BufWriter<io::Stdout>,
    style: Style,
    json: bool,
    selection: Selection,
    failed: Option<io::Error>,
}

impl Screen {
    fn new(args: &Args) -> Self {
        let stdout = io::stdout();
        Self {
            style: Style::of_stdout(&stdout),
            out: io::BufWriter::new(stdout),
            json: args.json,
            selection: Selection::from(&args.selection),
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
        if self.selection.has(event) {
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
