//! The terminal of the full-screen view.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use crossterm::event::Event as Input;
use jiff::Timestamp;
use ratatui::DefaultTerminal;
use tokio::time::Instant;

use super::super::live::Viewer;
use super::super::log;
use crate::event::Event;
use crate::export::filter::Filter;
use crate::export::terminal::Style;
use crate::export::view::draw::draw;
use crate::export::view::state::{Heading, State};
use crate::kernel::probes::Verdict;

/// Shortest time between two drawings: an eye needs no more.
const BETWEEN: Duration = Duration::from_millis(100);

/// Whether there is a terminal on which one can draw and type.
pub(super) fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// The view on standard output, which gets its lines and modes back when this is dropped.
pub(super) struct FullScreen {
    terminal: DefaultTerminal,
    state: State,
    colour: bool,
    failures: bool,
    filter: Filter,
    last: Option<Instant>,
    failed: Option<io::Error>,
}

impl FullScreen {
    /// Takes over the terminal. Shows what `filter` lets through, and connections that failed
    /// without a reset if `failures`.
    ///
    /// Errors: the terminal does not take the modes or sequences.
    pub(super) fn new(filter: Filter, failures: bool, verdict: &Verdict) -> io::Result<Self> {
        let host = rustix::system::uname();
        let degraded = match verdict {
            Verdict::Degraded(lost) => lost.len(),
            _ => 0,
        };
        let heading = Heading {
            host: host.nodename().to_string_lossy().into_owned(),
            since: Timestamp::now(),
            degraded,
        };
        let colour = Style::of_stdout(&io::stdout()).colour;
        // Also sets a panic hook that gives the terminal back before the message is printed.
        let terminal = ratatui::try_init()?;
        log::hold();
        let mut screen = Self {
            terminal,
            state: State::new(heading),
            colour,
            failures,
            filter,
            last: None,
            failed: None,
        };
        screen.pause();
        Ok(screen)
    }

    /// Gives the terminal back.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        ratatui::restore();
        log::release();
    }
}

impl Viewer for FullScreen {
    fn show(&mut self, event: &Event) {
        let wanted = self.failures || matches!(event, Event::Reset(_));
        if wanted && self.filter.matches_event(event) {
            self.state.advance(Timestamp::now());
            self.state.add(event);
        }
    }

    fn lose(&mut self, count: u64) {
        self.state.add_lost(count);
    }

    fn input(&mut self, input: io::Result<Input>) {
        match input {
            Ok(Input::Key(key)) => self.state.key(&key),
            Ok(_) => self.state.touch(),
            Err(error) => self.failed = Some(error),
        }
        self.pause();
    }

    fn pause(&mut self) {
        self.state.advance(Timestamp::now());
        let now = Instant::now();
        let early = self.due().is_none_or(|due| due > now);
        if early || self.failed.is_some() {
            return;
        }
        self.last = Some(now);
        let (state, colour) = (&mut self.state, self.colour);
        match self.terminal.draw(|frame| draw(frame, state, colour)) {
            Ok(_) => self.state.drawn(),
            Err(error) => self.failed = Some(error),
        }
    }

    fn due(&self) -> Option<Instant> {
        let due = self.last.map_or_else(Instant::now, |last| last + BETWEEN);
        self.state.has_changed().then_some(due)
    }

    fn wants_more(&self) -> bool {
        self.failed.is_none() && !self.state.is_over()
    }
}
