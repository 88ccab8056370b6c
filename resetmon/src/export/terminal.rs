//! Lines for a terminal.
//!
//! A reset is a row of fixed columns and up to two lines under it that say why. Rows fit 100 columns
//! and use more where there are more.

use std::ffi::OsStr;
use std::io::{IsTerminal, Stdout};

use crate::kernel::observation::Direction;
use crate::reset::{Cause, Reset};

mod detail;
#[cfg(test)]
mod tests;
mod text;

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

const DIM: &str = "2";
const BOLD: &str = "1";

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

    fn paint(self, code: &str, text: &str) -> String {
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

/// The lines of one reset, each ended by a line feed.
///
/// A further packet of a reset already shown is one dim line.
#[must_use]
pub fn lines(reset: &Reset, style: Style) -> String {
    let (process_columns, pair_columns) = style.shared();
    let cause = reset.diagnosis.cause;
    let many = match reset.packets {
        0 | 1 => String::new(),
        packets => format!(" ×{packets}"),
    };
    // Behind the longest causes the number takes its room from the addresses.
    let beyond = (width(cause.name()) + width(&many)).saturating_sub(CAUSE);
    let pair_columns = pair_columns.saturating_sub(beyond);
    let observation = &reset.observation;
    let arrow = match observation.direction {
        Direction::Sent => '→',
        Direction::Received => '←',
    };
    let row = [
        cell(&reset.time.strftime("%H:%M:%S").to_string(), TIME),
        cell(observation.direction.name(), DIRECTION),
        cell(&process(reset, process_columns), process_columns),
        cell(
            &endpoints(observation.local, observation.remote, arrow, pair_columns),
            pair_columns,
        ),
    ]
    .join(" ");
    if reset.repeat_of.is_some() {
        return style.paint(DIM, &format!("{row} (+1 packet)")) + "\n";
    }
    let mut lines = format!("{row} {}{many}\n", style.paint(colour(cause), cause.name()));
    let indent = TIME + 1;
    let room = style.columns.map(|columns| columns.max(NARROWEST) - indent);
    for line in detail::lines(reset, room) {
        lines.push_str(&" ".repeat(indent));
        lines.push_str(&style.paint(DIM, &line));
        lines.push('\n');
    }
    lines
}

/// `nginx[4242]`: the pid stays whole; `-` where no process is known.
fn process(reset: &Reset, columns: usize) -> String {
    let Some(owner) = reset.owner.as_ref().or(reset.closer.as_ref()) else {
        return "-".to_owned();
    };
    let pid = format!("[{}]", owner.process.pid);
    let name = cut(
        &clean(&owner.process.name),
        columns.saturating_sub(width(&pid)),
    );
    name + &pid
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
