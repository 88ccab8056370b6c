//! The tables of the view and what their rows are sorted by.

use super::groups::By;

/// Which table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// One row an event.
    Events,
    /// One row a route, process, peer, cause.
    Groups(By),
}

impl Tab {
    /// Every tab, from left to right.
    pub const ALL: [Self; 5] = [
        Self::Events,
        Self::Groups(By::Route),
        Self::Groups(By::Process),
        Self::Groups(By::Peer),
        Self::Groups(By::Cause),
    ];

    /// The columns by which its rows are sorted in turn, the usual one first.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Events => &[Column::Time, Column::Cause, Column::Process, Column::Peer],
            Self::Groups(_) => &[Column::Count, Column::Minute, Column::Latest, Column::Name],
        }
    }

    /// Its place, from 0.
    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0)
    }

    /// The tab after it, or before it, round and round.
    pub(super) fn neighbour(self, forward: bool) -> Self {
        let count = Self::ALL.len();
        let by = if forward { 1 } else { count - 1 };
        Self::ALL[(self.index() + by) % count]
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Groups(by) => by.name(),
        }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Time of the event, newest first.
    Time,
    /// Cause or kind of failure.
    Cause,
    /// Name of the process.
    Process,
    /// The remote address.
    Peer,
    /// Events, most first.
    Count,
    /// Events of the last minute, most first.
    Minute,
    /// Time of the last event, newest first.
    Latest,
    /// Name of the row.
    Name,
}

impl Column {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Cause => "cause",
            Self::Process => "process",
            Self::Peer => "peer address",
            Self::Count => "count",
            Self::Minute => "last minute",
            Self::Latest => "latest",
            Self::Name => "name",
        }
    }
}

/// How the rows of each tab are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sorting {
    column: [usize; 5],
    reversed: [bool; 5],
}

impl Sorting {
    /// The column, and whether the other way round.
    pub(super) fn of(&self, tab: Tab) -> (Column, bool) {
        let at = tab.index();
        (tab.columns()[self.column[at]], self.reversed[at])
    }

    /// Takes the next column.
    pub(super) fn next(&mut self, tab: Tab) {
        let column = &mut self.column[tab.index()];
        *column = (*column + 1) % tab.columns().len();
    }

    /// Turns it round.
    pub(super) fn reverse(&mut self, tab: Tab) {
        let reversed = &mut self.reversed[tab.index()];
        *reversed = !*reversed;
    }
}
