//! What the view shows, and how events and keys change it.

use std::rc::Rc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;

use super::groups::{By, Group, Groups, Minute};
use super::keys::{Action, Edit, Move, action, edit};
use super::notes::Notes;
use super::shown::{Shown, id};
use super::tab::{Column, Sorting, Tab};
use super::typed::TypedFilter;
use crate::event::Event;
use crate::export::terminal::Row;
use crate::kernel::observation::Direction;
use crate::reset::ResetId;

/// Letters of a filter at most.
const TYPED: usize = 200;

/// What stands above everything and does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Name of this machine.
    pub host: String,
    /// When watching began.
    pub since: Timestamp,
    /// Probes that could not be attached.
    pub degraded: usize,
}

/// What lies over the table.
#[derive(Clone, Debug)]
pub(super) enum Over {
    Nothing,
    /// The keys, from this line on.
    Help(usize),
    /// The notes, from this line on.
    Log(usize),
    /// One event, from this line on.
    Details(Rc<Event>, usize),
}

/// What the user wants of the terminal.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Stay,
    Suspend,
    Quit,
}

/// Totals since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Resets sent.
    pub sent: u64,
    /// Resets received.
    pub received: u64,
    /// Connections that failed without one, where these are taken.
    pub failed: u64,
    /// Of any kind, too many to be shown.
    pub lost: u64,
}

/// The state of the view.
#[derive(Debug)]
pub struct State {
    pub(super) heading: Heading,
    /// Connections that failed without a reset are taken too.
    pub(super) failures: bool,
    pub(super) totals: Totals,
    pub(super) minute: Minute,
    /// Seconds since the beginning.
    pub(super) second: u64,
    pub(super) now: Timestamp,
    live: Shown,
    /// What is shown while the display stands still, and how many events have come since.
    paused: Option<(Shown, u64)>,
    pub(super) tab: Tab,
    sorting: Sorting,
    selected: Option<ResetId>,
    /// By tab; the first is not used.
    chosen: [Option<String>; 5],
    /// Rows that a screen has; the drawing knows.
    page: usize,
    pub(super) over: Over,
    /// The filter in force, and as it was typed.
    filter: TypedFilter,
    pub(super) filter_text: String,
    /// The filter that is being typed.
    pub(super) typing: Option<String>,
    /// Why the typed filter cannot be used.
    pub(super) complaint: Option<String>,
    pub(super) notes: Notes,
    wish: Wish,
    changed: bool,
}

impl State {
    /// With nothing seen yet; takes connections that failed without a reset if `failures`.
    #[must_use]
    pub fn new(heading: Heading, failures: bool) -> Self {
        Self {
            now: heading.since,
            heading,
            failures,
            totals: Totals::default(),
            minute: Minute::default(),
            second: 0,
            live: Shown::default(),
            paused: None,
            tab: Tab::Events,
            sorting: Sorting::default(),
            selected: None,
            chosen: [const { None }; 5],
            page: 1,
            over: Over::Nothing,
            filter: TypedFilter::default(),
            filter_text: String::new(),
            typing: None,
            complaint: None,
            notes: Notes::default(),
            wish: Wish::Stay,
            changed: true,
        }
    }

    /// Whether the user has asked for the end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.wish, Wish::Quit)
    }

    /// Whether the user has asked for the shell; once.
    pub const fn take_suspend(&mut self) -> bool {
        let asked = matches!(self.wish, Wish::Suspend);
        if asked {
            self.wish = Wish::Stay;
        }
        asked
    }

    /// Whether there is anything to draw.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.changed
    }

    /// Something else has changed the screen, such as its size.
    pub const fn touch(&mut self) {
        self.changed = true;
    }

    /// It has been drawn.
    pub const fn drawn(&mut self) {
        self.changed = false;
    }

    /// Time goes on: the clock, and what was counted in the last minute gets older.
    pub fn advance(&mut self, now: Timestamp) {
        let second = now.duration_since(self.heading.since).as_secs();
        let second = u64::try_from(second).unwrap_or(0).max(self.second);
        self.changed |= second > self.second;
        self.second = second;
        self.now = now;
    }

    /// Takes an event.
    pub fn add(&mut self, event: &Event) {
        let total = match event {
            Event::Reset(reset) => match reset.observation.direction {
                Direction::Sent => &mut self.totals.sent,
                Direction::Received => &mut self.totals.received,
            },
            Event::Failure(_) if !self.failures => return,
            Event::Failure(_) => &mut self.totals.failed,
        };
        let packets = Row::from(event).count.max(1);
        *total = total.saturating_add(packets);
        self.minute.add(self.second, packets);
        let event = Rc::new(event.clone());
        self.live.add(&event, &self.filter, self.second);
        if let Some((_, new)) = &mut self.paused {
            *new += 1;
        }
        self.changed = true;
    }

    /// Takes the number of events of which no more is known.
    pub const fn add_lost(&mut self, count: u64) {
        self.totals.lost = self.totals.lost.saturating_add(count);
        self.changed = true;
    }

    /// Takes a line of the log.
    pub fn note(&mut self, line: &str) {
        self.notes.add(line);
        if matches!(self.over, Over::Log(_)) {
            self.notes.read();
        }
        self.changed = true;
    }

    /// Events that have come since the display was stopped; `None` while it is not.
    #[must_use]
    pub fn waiting(&self) -> Option<u64> {
        self.paused.as_ref().map(|(_, new)| *new)
    }

    /// The column by which the shown tab is sorted, and whether the other way round.
    #[must_use]
    pub fn sorted_by(&self) -> (Column, bool) {
        self.sorting.of(self.tab)
    }

    fn shown(&self) -> &Shown {
        self.paused.as_ref().map_or(&self.live, |(shown, _)| shown)
    }

    /// Whether older events than those kept were counted.
    pub(super) fn has_forgotten(&self) -> bool {
        self.shown().is_full()
    }

    /// The events to show, in their order.
    pub(super) fn events(&self) -> Vec<&Rc<Event>> {
        self.shown()
            .events(&self.filter, self.sorting.of(Tab::Events))
    }

    /// The counts of a tab.
    pub(super) fn groups(&self, by: By) -> &Groups {
        self.shown().groups(by)
    }

    /// The rows of a tab of counts, in their order.
    pub(super) fn rows(&self, by: By) -> Vec<(&str, &Group)> {
        let sorted = self.sorting.of(Tab::Groups(by));
        self.shown().rows(by, sorted, self.second)
    }

    /// The row that is selected, from the top; the first one unless the user chose another.
    pub(super) fn cursor(&self) -> usize {
        let at = match self.tab {
            Tab::Events => self.selected.and_then(|selected| {
                let mut events = self.events().into_iter();
                events.position(|event| id(event) == selected)
            }),
            Tab::Groups(by) => self.chosen[self.tab.index()].as_ref().and_then(|chosen| {
                let mut rows = self.rows(by).into_iter();
                rows.position(|(key, _)| key == chosen)
            }),
        };
        at.unwrap_or(0)
    }

    fn select(&mut self, at: usize) {
        match self.tab {
            Tab::Events => {
                let events = self.events();
                let at = at.min(events.len().saturating_sub(1));
                // The first row stays the first one when others come.
                self.selected = events.get(at).filter(|_| at > 0).map(|event| id(event));
            }
            Tab::Groups(by) => {
                let rows = self.rows(by);
                let at = at.min(rows.len().saturating_sub(1));
                let chosen = rows.get(at).filter(|_| at > 0);
                self.chosen[self.tab.index()] = chosen.map(|(key, _)| (*key).to_owned());
            }
        }
    }

    /// The drawing knows how many rows a screen has.
    pub(super) fn set_page(&mut self, rows: usize) {
        self.page = rows.max(1);
    }

    /// The drawing knows how many lines there are.
    pub(super) fn limit_scroll(&mut self, last: usize) {
        if let Over::Details(_, line) | Over::Log(line) | Over::Help(line) = &mut self.over {
            *line = (*line).min(last);
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: &KeyEvent) {
        self.changed = true;
        let Some(typed) = &mut self.typing else {
            self.act(action(key));
            return;
        };
        match edit(key) {
            Edit::Quit => self.wish = Wish::Quit,
            Edit::Accept => {
                let text = typed.trim().to_owned();
                self.set_filter(&text);
            }
            Edit::Cancel => {
                self.typing = None;
                self.complaint = None;
            }
            Edit::Insert(letter) => {
                if typed.chars().count() < TYPED && !letter.is_control() {
                    typed.push(letter);
                }
                self.complaint = None;
            }
            Edit::Erase => {
                typed.pop();
                self.complaint = None;
            }
            Edit::Clear => {
                typed.clear();
                self.complaint = None;
            }
            Edit::Ignore => (),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Quit => self.wish = Wish::Quit,
            Action::Suspend => self.wish = Wish::Suspend,
            Action::Help => {
                self.over = match self.over {
                    Over::Help(_) => Over::Nothing,
                    _ => Over::Help(0),
                };
            }
            Action::Log => {
                self.notes.read();
                self.over = match self.over {
                    Over::Log(_) => Over::Nothing,
                    _ => Over::Log(0),
                };
            }
            Action::Pause => {
                self.paused = match self.paused {
                    Some(_) => None,
                    None => Some((self.live.clone(), 0)),
                };
            }
            Action::Failures => self.failures = !self.failures,
            Action::Back => self.back(),
            Action::Row(to) => self.step(to, 1),
            Action::Page(to) => self.step(to, self.page),
            Action::Top => self.step(Move::Previous, usize::MAX),
            Action::Bottom => self.step(Move::Next, usize::MAX),
            Action::Tab(to) if matches!(self.over, Over::Details(..)) => {
                self.select(moved(self.cursor(), to, 1));
                self.open();
            }
            Action::Ignore => (),
            _ if !matches!(self.over, Over::Nothing) => (),
            Action::Tab(to) => self.tab = self.tab.neighbour(to == Move::Next),
            Action::ShowTab(at) => self.tab = Tab::ALL.get(at).copied().unwrap_or(self.tab),
            Action::Open => self.open(),
            Action::Sort => self.sorting.next(self.tab),
            Action::Reverse => self.sorting.reverse(self.tab),
            Action::Filter => self.typing = Some(self.filter_text.clone()),
        }
    }

    fn step(&mut self, to: Move, rows: usize) {
        match &mut self.over {
            Over::Details(_, line) | Over::Log(line) | Over::Help(line) => {
                *line = moved(*line, to, rows);
            }
            Over::Nothing => self.select(moved(self.cursor(), to, rows)),
        }
    }

    fn back(&mut self) {
        if !matches!(self.over, Over::Nothing) {
            self.over = Over::Nothing;
        } else if self.tab != Tab::Events {
            self.tab = Tab::Events;
        } else {
            self.selected = None;
            self.set_filter("");
        }
    }

    fn open(&mut self) {
        match self.tab {
            Tab::Events => {
                let events = self.events();
                let event = events.get(self.cursor()).map(|event| Rc::clone(event));
                if let Some(event) = event {
                    // The row stays the selected one, also where it was the newest.
                    self.selected = Some(id(&event));
                    self.over = Over::Details(event, 0);
                }
            }
            Tab::Groups(by) => {
                let rows = self.rows(by);
                let key = rows.get(self.cursor()).map(|(key, _)| *key);
                if let Some(condition) = key.and_then(|key| by.condition(key)) {
                    self.tab = Tab::Events;
                    self.selected = None;
                    let text = format!("{} {condition}", self.filter_text);
                    self.set_filter(text.trim_start());
                }
            }
        }
    }

    /// Takes over a filter, or says why not.
    fn set_filter(&mut self, text: &str) {
        match text.parse::<TypedFilter>() {
            Ok(filter) => {
                self.filter = filter;
                text.clone_into(&mut self.filter_text);
                self.typing = None;
                self.complaint = None;
                self.live.filter(&self.filter, self.now, self.second);
                if let Some((shown, _)) = &mut self.paused {
                    shown.filter(&self.filter, self.now, self.second);
                }
            }
            Err(error) => {
                self.typing = Some(text.to_owned());
                self.complaint = Some(error.to_string());
            }
        }
    }
}

/// So many rows on or back.
fn moved(at: usize, to: Move, rows: usize) -> usize {
    match to {
        Move::Next => at.saturating_add(rows),
        Move::Previous => at.saturating_sub(rows),
    }
}
