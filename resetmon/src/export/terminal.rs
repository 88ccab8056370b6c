//! Lines for a terminal.
//!
//! A reset is a row of fixed columns and up to two lines under it that say why. Rows fit 100 columns
//! and use more where there are more.

use std::ffi::OsStr;
use std::io::{IsTerminal, Stdout};

use jiff::Timestamp;

use crate::event::{Context, Event};
use crate::failure::Failure;
use crate::kernel::observation::Direction;
use crate::reset::{Cause, FailureKind, Reset};

pub(in crate::export) mod detail;
mod sentence;
#[cfg(test)]
mod tests;
pub(in crate::export) mod text;

pub use sentence::sentence;
pub use text::columns;

use text::{cell, clean, cut, endpoints, width};

/// How lines are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None` if the output is none, and then nothing under a row is cut.
    pub columns: Option<usize>,
    /// Use colours.
    pub colour: bool,
}

/// Columns of the time, direction and cause; the rest is shared by process and endpoints.
const TIME: usize = 8;
const DIRECTION: usize = 8;
const CAUSE: usize = 23;

/// Narrowest and widest rows. Below, lines wrap; beyond, there is nothing to gain.
const NARROWEST: usize = 80;
const WIDEST: usize = 160;

/// Columns of rows that no terminal shows.
const UNBOUNDED: usize = 120;

pub(in crate::export) const DIM: &str = "2";
pub(in crate::export) const BOLD: &str = "1";

impl Style {
    /// The style of an output: colours only on a terminal, and neither with a non-empty `NO_COLOR`
    /// (<https://no-color.org>) nor on one that is `dumb`.
    #[must_use]
    pub fn of(columns: Option<usize>, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let refused = no_color.is_some_and(|value| !value.is_empty());
        let dumb = term.is_some_and(|value| value == "dumb");
        Self {
            columns,
            colour: columns.is_some() && !refused && !dumb,
        }
    }

    /// The style of standard output as it is now; cheap enough to ask anew after a resize.
    #[must_use]
    pub fn of_stdout(stdout: &Stdout) -> Self {
        let columns = stdout.is_terminal().then(|| {
            // A terminal that does not tell its size, such as a serial line, says 0.
            match rustix::termios::tcgetwinsize(stdout) {
                Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
                _ => NARROWEST,
            }
        });
        Self::of(
            columns,
            std::env::var_os("NO_COLOR").as_deref(),
            std::env::var_os("TERM").as_deref(),
        )
    }

    /// Columns for `(process, endpoints)`.
    fn shared(self) -> (usize, usize) {
        let row = self.columns.unwrap_or(UNBOUNDED).clamp(NARROWEST, WIDEST);
        let rest = row - TIME - DIRECTION - CAUSE - 4;
        let process = (rest / 4).clamp(12, 32);
        (process, rest - process)
    }

    pub(in crate::export) fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The line above the rows, without line feed.
#[must_use]
pub fn header(style: Style) -> String {
    let (process, pair) = style.shared();
    let line = [
        cell("TIME UTC", TIME),
        cell("RESET", DIRECTION),
        cell("PROCESS", process),
        cell("LOCAL AND REMOTE END", pair),
        "CAUSE".to_owned(),
    ]
    .join(" ");
    style.paint(BOLD, &line)
}

/// The lines of one event, each ended by a line feed.
#[must_use]
pub fn event_lines(event: &Event, style: Style) -> String {
    match event {
        Event::Reset(reset) => lines(reset, style),
        Event::Failure(failure) => failure_lines(failure, style),
    }
}

/// The lines of one reset, each ended by a line feed.
///
/// A further packet of a reset already shown is one dim line.
#[must_use]
pub fn lines(reset: &Reset, style: Style) -> String {
    let row = Row::from(reset);
    if reset.repeat_of.is_some() {
        return style.paint(DIM, &format!("{} (+1 packet)", row.cells(style))) + "\n";
    }
    row.lines(style, |room| detail::lines(reset, room))
}

/// The lines of a connection that failed without a RST, each ended by a line feed.
#[must_use]
pub fn failure_lines(failure: &Failure, style: Style) -> String {
    Row::from(failure).lines(style, |room| detail::failure_lines(failure, room))
}

/// The first line of an event.
pub(in crate::export) struct Row<'a> {
    /// Wall-clock time.
    pub(in crate::export) time: Timestamp,
    /// What happened: `sent`, `received`, `failed`.
    pub(in crate::export) word: &'static str,
    /// Between the local and the remote end.
    pub(in crate::export) arrow: char,
    /// The connection.
    pub(in crate::export) context: Context<'a>,
    /// Cause or kind of failure.
    pub(in crate::export) conclusion: &'static str,
    /// SGR code of the conclusion.
    pub(in crate::export) colour: &'static str,
    /// How many it stands for.
    pub(in crate::export) count: u64,
}

impl<'a> From<&'a Event> for Row<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Reset(reset) => Self::from(reset),
            Event::Failure(failure) => Self::from(failure),
        }
    }
}

impl<'a> From<&'a Reset> for Row<'a> {
    fn from(reset: &'a Reset) -> Self {
        let cause = reset.diagnosis.cause;
        let direction = reset.observation.direction;
        Self {
            time: reset.time,
            word: direction.name(),
            arrow: match direction {
                Direction::Sent => '→',
                Direction::Received => '←',
            },
            context: Context::from(reset),
            conclusion: cause.name(),
            colour: colour(cause),
            count: reset.packets,
        }
    }
}

impl<'a> From<&'a Failure> for Row<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            time: failure.time,
            word: "failed",
            arrow: '×',
            context: Context::from(failure),
            conclusion: failure.kind.name(),
            colour: failure_colour(failure.kind),
            count: failure.count,
        }
    }
}

impl Row<'_> {
    /// How many events it stands for, if several.
    pub(in crate::export) fn many(&self) -> String {
        match self.count {
            0 | 1 => String::new(),
            count => format!(" ×{count}"),
        }
    }

    /// All but the conclusion.
    fn cells(&self, style: Style) -> String {
        let (process_columns, pair_columns) = style.shared();
        // Behind the longest causes the number takes its room from the addresses.
        let beyond = (width(self.conclusion) + width(&self.many())).saturating_sub(CAUSE);
        let pair_columns = pair_columns.saturating_sub(beyond);
        let observation = self.context.observation;
        [
            cell(&self.time.strftime("%H:%M:%S").to_string(), TIME),
            cell(self.word, DIRECTION),
            cell(&process(self.context, process_columns), process_columns),
            cell(
                &endpoints(
                    observation.local,
                    observation.remote,
                    self.arrow,
                    pair_columns,
                ),
                pair_columns,
            ),
        ]
        .join(" ")
    }

    /// With `detail`, made for that many columns, under it.
    fn lines(&self, style: Style, detail: impl FnOnce(Option<usize>) -> Vec<String>) -> String {
        let row = self.cells(style);
        let conclusion = style.paint(self.colour, self.conclusion);
        let mut lines = format!("{row} {conclusion}{}\n", self.many());
        let indent = TIME + 1;
        let room = style.columns.map(|columns| columns.max(NARROWEST) - indent);
        for line in detail(room) {
            lines.push_str(&" ".repeat(indent));
            lines.push_str(&style.paint(DIM, &line));
            lines.push('\n');
        }
        lines
    }
}

/// `nginx[4242]`: the pid stays whole; `-` where no process is known.
pub(in crate::export) fn process(context: Context<'_>, columns: usize) -> String {
    let Some(owner) = context.owner.or(context.closer) else {
        return "-".to_owned();
    };
    let pid = format!("[{}]", owner.process.pid);
    let name = cut(
        &clean(&owner.process.name),
        columns.saturating_sub(width(&pid)),
    );
    name + &pid
}

/// SGR code of a failure: red where a request that was sent had no answer.
const fn failure_colour(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::EmptyResponse | FailureKind::TimedOut | FailureKind::Reset => "31",
        FailureKind::Refused | FailureKind::Unreachable => "33",
        FailureKind::Canceled => "",
    }
}

/// SGR code by severity: red where requests were lost or the node is in trouble, yellow where
/// something is worth a look, dim where all is well, magenta where the cause is not known.
const fn colour(cause: Cause) -> &'static str {
    match cause {
        Cause::AbortedBeforeResponse
        | Cause::AbortedMidResponse
        | Cause::Injected
        | Cause::ListenOverflow
        | Cause::MemoryPressure
        | Cause::ProcessKilled => "31",
        Cause::Refused
        | Cause::KeepaliveRace
        | Cause::IdleTimeout
        | Cause::AbortedDuringSetup
        | Cause::NoListener
        | Cause::ClosedWithUnreadData
        | Cause::DataAfterClose
        | Cause::ProcessExit
        | Cause::KeepaliveTimeout
        | Cause::UserTimeout
        | Cause::SocketDestroyed
        | Cause::FirewallReject
        | Cause::ListenerClosed
        | Cause::ProtocolError => "33",
        Cause::ClientCanceled
        | Cause::StraySegment
        | Cause::LingerAbort
        | Cause::Timewait
        | Cause::Mptcp => "",
        Cause::ResetAfterClose => DIM,
        Cause::Unknown => "35",
    }
}
