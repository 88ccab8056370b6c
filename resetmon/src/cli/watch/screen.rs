//! The terminal of the full-screen view.

use std::io::{self, BufWriter, IsTerminal as _, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossterm::cursor::Show;
use crossterm::event::Event as Typed;
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, kill_process};

use super::super::live::Viewer;
use super::super::log;
use super::super::tty::Input;
use crate::event::Event;
use crate::export::filter::Filter;
use crate::export::terminal::Style;
use crate::export::view::draw::draw;
use crate::export::view::pace::Pace;
use crate::export::view::state::{Heading, State};
use crate::kernel::probes::Verdict;

/// A whole screen goes out in one write, so that nobody sees half of it.
const BUFFER: usize = 64 * 1024;

/// Whether there is a terminal on which one can draw and type.
pub(super) fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// The view on standard output, which gets its lines and modes back when this is dropped.
pub(super) struct FullScreen {
    terminal: Screen,
    state: State,
    colour: bool,
    filter: Filter,
    pace: Pace,
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
        let terminal = open()?;
        give_back_upon_panic();
        log::hold();
        // From here on dropping it gives the terminal back.
        let mut screen = Self {
            terminal,
            state: State::new(heading, failures),
            colour,
            filter,
            pace: Pace::default(),
            failed: None,
        };
        take_over()?;
        screen.draw();
        Ok(screen)
    }

    /// Gives the terminal back.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn draw(&mut self) {
        let (state, colour) = (&mut self.state, self.colour);
        match self.terminal.draw(|frame| draw(frame, state, colour)) {
            Ok(_) => self.state.drawn(),
            Err(error) => self.failed = Some(error),
        }
        self.pace.drawn(Instant::now());
    }

    /// Gives the terminal to the shell until that lets the command go on.
    fn suspend(&mut self) {
        give_back();
        // Where no shell could let the command go on, the kernel does not stop it.
        if let Err(error) = kill_process(getpid(), Signal::TSTP) {
            self.failed = Some(error.into());
        }
        self.resume();
    }

    /// Whatever others have made of the terminal meanwhile.
    fn resume(&mut self) {
        // The modes to be given back are those of now.
        let taken = disable_raw_mode().and_then(|()| take_over());
        // A new one draws every cell. (To clear the old one would ask the terminal where its cursor
        // is, and the answer would wait for the thread that reads keys.)
        match taken.and_then(|()| open()) {
            Ok(terminal) => self.terminal = terminal,
            Err(error) => self.failed = Some(error),
        }
        self.draw();
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        give_back();
        log::release();
    }
}

/// What is drawn on, taken for empty.
fn open() -> io::Result<Screen> {
    let out = BufWriter::with_capacity(BUFFER, io::stdout());
    Terminal::new(CrosstermBackend::new(out))
}

/// Whether the terminal is ours: what is given back twice moves the cursor back into old lines.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Keys come one by one, and the lines so far are kept for later.
fn take_over() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    // Not every terminal has a second screen that is empty.
    execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))
}

/// As it was before. What fails does so because there is no terminal any more.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// A message of a panic is to be read.
fn give_back_upon_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
    }));
}

impl Viewer for FullScreen {
    fn show(&mut self, event: &Event) {
        if self.filter.matches_event(event) {
            self.state.advance(Timestamp::now());
            self.state.add(event);
        }
    }

    fn lose(&mut self, count: u64) {
        self.state.add_lost(count);
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Typed(Typed::Key(key)) => self.state.key(&key),
            Input::Typed(_) => self.state.touch(),
            Input::Resumed => self.resume(),
            Input::Lost(error) => self.failed = Some(error),
        }
        if self.state.take_suspend() {
            self.suspend();
        }
        // Who types does not wait.
        self.pace = Pace::default();
    }

    fn pause(&mut self) {
        self.state.advance(Timestamp::now());
        for line in log::take() {
            self.state.note(&line);
        }
        if self.failed.is_none() && self.state.has_changed() && self.pace.is_ready(Instant::now()) {
            self.draw();
        }
    }

    fn due(&self) -> Option<tokio::time::Instant> {
        let due = self.pace.due().filter(|_| self.state.has_changed());
        due.map(tokio::time::Instant::from_std)
    }

    fn wants_more(&self) -> bool {
        self.failed.is_none() && !self.state.is_over()
    }
}
