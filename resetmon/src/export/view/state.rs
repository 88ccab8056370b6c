//! What the view shows, and how events and keys change it.

use std::collections::VecDeque;
use std::rc::Rc;

use crossterm::event::KeyEvent;
use jiff::Timestamp;

use super::groups::{By, Group, Groups, Minute};
use super::keys::{Action, Edit, Move, action, edit};
use crate::event::Event;
use crate::export::filter::Filter;
use crate::export::terminal::Row;
use crate::kernel::observation::Direction;
use crate::reset::ResetId;

/// Events kept; older ones are counted and no longer shown.
pub const KEPT: usize = 2000;

/// Letters of a filter at most.
const TYPED: usize = 200;

/// Rows of a page.
const PAGE: usize = 10;

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

/// Events and what they amount to.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Oldest first.
    events: VecDeque<Rc<Event>>,
    /// Of all events, in the order of [`By::ALL`].
    groups: [Groups; 4],
    /// Of those that the typed filter lets through.
    filtered: Option<[Groups; 4]>,
}

impl Shown {
    fn add(&mut self, event: &Rc<Event>, filter: Option<&Filter>, second: u64) {
        if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Rc::clone(event));
        count(&mut self.groups, event, second);
        if let (Some(filtered), Some(filter)) = (&mut self.filtered, filter)
            && filter.matches_event(event)
        {
            count(filtered, event, second);
        }
    }

    /// Counts anew what is kept.
    fn filter(&mut self, filter: Option<&Filter>, now: Timestamp, second: u64) {
        self.filtered = filter.map(|filter| {
            let mut groups = <[Groups; 4]>::default();
            for event in self
                .events
                .iter()
                .filter(|event| filter.matches_event(event))
            {
                let age = now.duration_since(Row::from(&**event).time).as_secs();
                let age = u64::try_from(age).unwrap_or(0);
                count(&mut groups, event, second.saturating_sub(age));
            }
            groups
        });
    }
}

fn count(groups: &mut [Groups; 4], event: &Event, second: u64) {
    for (by, groups) in By::ALL.into_iter().zip(groups) {
        groups.add(by, event, second);
    }
}

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
            Self::Events => &[Column::Time, Column::Process, Column::Remote, Column::Cause],
            Self::Groups(_) => &[Column::Count, Column::Minute, Column::Latest, Column::Name],
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0)
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Time of the event, newest first.
    Time,
    /// Name of the process.
    Process,
    /// The remote address.
    Remote,
    /// Cause or kind of failure.
    Cause,
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
            Self::Process => "process",
            Self::Remote => "remote end",
            Self::Cause => "cause",
            Self::Count => "count",
            Self::Minute => "last minute",
            Self::Latest => "latest",
            Self::Name => "name",
        }
    }
}

/// What lies over the table.
#[derive(Clone, Debug)]
pub(super) enum Over {
    Nothing,
    Help,
    /// One event, from this line on.
    Details(Rc<Event>, usize),
}

/// Totals since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Resets sent.
    pub sent: u64,
    /// Resets received.
    pub received: u64,
    /// Connections that failed without one.
    pub failed: u64,
    /// Of any kind, too many to be shown.
    pub lost: u64,
}

/// The state of the view.
#[derive(Debug)]
pub struct State {
    pub(super) heading: Heading,
    pub(super) totals: Totals,
    pub(super) minute: Minute,
    /// Seconds since the beginning.
    pub(super) second: u64,
    now: Timestamp,
    live: Shown,
    /// What is shown while the display stands still, and how many events have come since.
    paused: Option<(Shown, u64)>,
    pub(super) tab: Tab,
    sort: [usize; 5],
    reversed: [bool; 5],
    selected: Option<ResetId>,
    /// By tab; the first is not used.
    chosen: [Option<String>; 5],
    pub(super) over: Over,
    /// The filter in force, and as it was typed.
    filter: Option<Filter>,
    pub(super) filter_text: String,
    /// The filter that is being typed.
    pub(super) typing: Option<String>,
    /// Why the typed filter cannot be used.
    pub(super) complaint: Option<String>,
    quit: bool,
    changed: bool,
}

impl State {
    /// With nothing seen yet.
    #[must_use]
    pub fn new(heading: Heading) -> Self {
        Self {
            now: heading.since,
            heading,
            totals: Totals::default(),
            minute: Minute::default(),
            second: 0,
            live: Shown::default(),
            paused: None,
            tab: Tab::Events,
            sort: [0; 5],
            reversed: [false; 5],
            selected: None,
            chosen: [const { None }; 5],
            over: Over::Nothing,
            filter: None,
            filter_text: String::new(),
            typing: None,
            complaint: None,
            quit: false,
            changed: true,
        }
    }

    /// Whether the user has asked for the end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.quit
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

    /// Time goes on; what was counted in the last minute gets older.
    pub fn advance(&mut self, now: Timestamp) {
        let second = now.duration_since(self.heading.since).as_secs();
        let second = u64::try_from(second).unwrap_or(0).max(self.second);
        if second > self.second {
            self.changed |= self.minute.sum(self.second) > 0;
        }
        self.second = second;
        self.now = now;
    }

    /// Takes an event.
    pub fn add(&mut self, event: &Event) {
        let packets = Row::from(event).count.max(1);
        let total = match event {
            Event::Reset(reset) => match reset.observation.direction {
                Direction::Sent => &mut self.totals.sent,
                Direction::Received => &mut self.totals.received,
            },
            Event::Failure(_) => &mut self.totals.failed,
        };
        *total = total.saturating_add(packets);
        self.minute.add(self.second, packets);
        let event = Rc::new(event.clone());
        self.live.add(&event, self.filter.as_ref(), self.second);
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

    /// Events that have come since the display was stopped; `None` while it is not.
    #[must_use]
    pub fn waiting(&self) -> Option<u64> {
        self.paused.as_ref().map(|(_, new)| *new)
    }

    /// The column by which the shown tab is sorted, and whether the other way round.
    #[must_use]
    pub fn sorted_by(&self) -> (Column, bool) {
        let tab = self.tab.index();
        (self.tab.columns()[self.sort[tab]], self.reversed[tab])
    }

    fn shown(&self) -> &Shown {
        self.paused.as_ref().map_or(&self.live, |(shown, _)| shown)
    }

    /// The events to show, in their order.
    pub(super) fn events(&self) -> Vec<&Rc<Event>> {
        let filter = self.filter.as_ref();
        let mut events: Vec<_> = self.shown().events.iter().rev().collect();
        events.retain(|event| filter.is_none_or(|filter| filter.matches_event(event)));
        match self.sorted_by().0 {
            Column::Process => events.sort_by(|a, b| process_name(a).cmp(process_name(b))),
            Column::Remote => {
                events.sort_by_key(|event| Row::from(&***event).context.observation.remote);
            }
            Column::Cause => events.sort_by_key(|event| Row::from(&***event).conclusion),
            _ => (),
        }
        if self.sorted_by().1 {
            events.reverse();
        }
        events
    }

    /// The counts of a tab.
    pub(super) fn groups(&self, by: By) -> &Groups {
        let shown = self.shown();
        let groups = shown.filtered.as_ref().unwrap_or(&shown.groups);
        let at = By::ALL.iter().position(|other| *other == by).unwrap_or(0);
        &groups[at]
    }

    /// The rows of a tab of counts, in their order.
    pub(super) fn rows(&self, by: By) -> Vec<(&str, &Group)> {
        let mut rows: Vec<_> = self.groups(by).rows().collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        let second = self.second;
        match self.sorted_by().0 {
            Column::Count => rows.sort_by_key(|(_, group)| std::cmp::Reverse(group.count)),
            Column::Minute => {
                rows.sort_by_cached_key(|(_, group)| std::cmp::Reverse(group.minute.sum(second)));
            }
            Column::Latest => rows.sort_by_key(|(_, group)| std::cmp::Reverse(group.latest)),
            _ => (),
        }
        if self.sorted_by().1 {
            rows.reverse();
        }
        rows
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
                let chosen = rows
                    .get(at)
                    .filter(|_| at > 0)
                    .map(|(key, _)| (*key).to_owned());
                self.chosen[self.tab.index()] = chosen;
            }
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: &KeyEvent) {
        self.changed = true;
        if let Some(typed) = &mut self.typing {
            match edit(key) {
                Edit::Quit => self.quit = true,
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
                }
                Edit::Erase => drop(typed.pop()),
                Edit::Clear => typed.clear(),
                Edit::Ignore => (),
            }
            return;
        }
        self.act(action(key));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Quit => self.quit = true,
            Action::Help => {
                self.over = match self.over {
                    Over::Help => Over::Nothing,
                    _ => Over::Help,
                };
            }
            Action::Pause => {
                self.paused = match self.paused {
                    Some(_) => None,
                    None => Some((self.live.clone(), 0)),
                };
            }
            Action::Back => self.back(),
            Action::Row(to) => self.step(to, 1),
            Action::Page(to) => self.step(to, PAGE),
            Action::Top => self.step(Move::Previous, usize::MAX),
            Action::Bottom => self.step(Move::Next, usize::MAX),
            Action::Ignore => (),
            _ if !matches!(self.over, Over::Nothing) => (),
            Action::Tab(to) => {
                let count = Tab::ALL.len();
                let by = match to {
                    Move::Next => 1,
                    Move::Previous => count - 1,
                };
                self.tab = Tab::ALL[(self.tab.index() + by) % count];
            }
            Action::ShowTab(at) => self.tab = Tab::ALL.get(at).copied().unwrap_or(self.tab),
            Action::Open => self.open(),
            Action::Sort => {
                let tab = self.tab.index();
                self.sort[tab] = (self.sort[tab] + 1) % self.tab.columns().len();
            }
            Action::Reverse => {
                let tab = self.tab.index();
                self.reversed[tab] = !self.reversed[tab];
            }
            Action::Filter => self.typing = Some(self.filter_text.clone()),
        }
    }

    fn step(&mut self, to: Move, rows: usize) {
        let moved = |at: usize| match to {
            Move::Next => at.saturating_add(rows),
            Move::Previous => at.saturating_sub(rows),
        };
        match &mut self.over {
            Over::Details(_, line) => *line = moved(*line),
            Over::Help => (),
            Over::Nothing => self.select(moved(self.cursor())),
        }
    }

    /// The drawing knows how many lines there are.
    pub(super) fn limit_details(&mut self, last: usize) {
        if let Over::Details(_, line) = &mut self.over {
            *line = (*line).min(last);
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
                let event = self
                    .events()
                    .get(self.cursor())
                    .map(|event| Rc::clone(event));
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
                    self.set_filter(&condition);
                    self.tab = Tab::Events;
                }
            }
        }
    }

    /// Takes over a filter, or says why not.
    fn set_filter(&mut self, text: &str) {
        match text.parse::<Filter>() {
            Ok(filter) => {
                self.filter = Some(filter).filter(|filter| *filter != Filter::default());
                text.clone_into(&mut self.filter_text);
                self.typing = None;
                self.complaint = None;
                let filter = self.filter.as_ref();
                self.live.filter(filter, self.now, self.second);
                if let Some((shown, _)) = &mut self.paused {
                    shown.filter(filter, self.now, self.second);
                }
            }
            Err(error) => {
                self.typing = Some(text.to_owned());
                self.complaint = Some(error.to_string());
            }
        }
    }
}

fn id(event: &Event) -> ResetId {
    match event {
        Event::Reset(reset) => reset.id,
        Event::Failure(failure) => failure.id,
    }
}

fn process_name(event: &Event) -> &str {
    let context = Row::from(event).context;
    let owner = context.owner.or(context.closer);
    owner.map_or("", |owner| &owner.process.name)
}
