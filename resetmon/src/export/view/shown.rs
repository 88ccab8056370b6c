//! The events that the view keeps, and what they amount to.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::rc::Rc;

use jiff::Timestamp;

use super::groups::{By, Group, Groups};
use super::tab::Column;
use super::typed::TypedFilter;
use crate::event::Event;
use crate::export::terminal::Row;
use crate::reset::ResetId;

/// Events kept; older ones are counted and no longer shown.
pub const KEPT: usize = 2000;

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
    /// Takes an event that came in `second`.
    pub(super) fn add(&mut self, event: &Rc<Event>, filter: &TypedFilter, second: u64) {
        if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Rc::clone(event));
        count(&mut self.groups, event, second);
        if let Some(filtered) = &mut self.filtered
            && filter.matches(event)
        {
            count(filtered, event, second);
        }
    }

    /// Counts anew what is kept; `now` is in `second`.
    pub(super) fn filter(&mut self, filter: &TypedFilter, now: Timestamp, second: u64) {
        if filter.is_empty() {
            self.filtered = None;
            return;
        }
        let mut groups = <[Groups; 4]>::default();
        for event in self.events.iter().filter(|event| filter.matches(event)) {
            let age = now.duration_since(Row::from(&**event).time).as_secs();
            let age = u64::try_from(age).unwrap_or(0);
            count(&mut groups, event, second.saturating_sub(age));
        }
        self.filtered = Some(groups);
    }

    /// Whether older events than those kept were counted.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= KEPT
    }

    /// The events that `filter` lets through, in the order of `sorted`.
    pub(super) fn events(&self, filter: &TypedFilter, sorted: (Column, bool)) -> Vec<&Rc<Event>> {
        let mut events: Vec<_> = self.events.iter().rev().collect();
        if !filter.is_empty() {
            events.retain(|event| filter.matches(event));
        }
        match sorted.0 {
            Column::Process => events.sort_by(|a, b| process_name(a).cmp(process_name(b))),
            Column::Peer => {
                events.sort_by_key(|event| Row::from(&***event).context.observation.remote);
            }
            Column::Cause => events.sort_by_key(|event| Row::from(&***event).conclusion),
            // What had to wait for its evidence came later than it happened.
            _ => events.sort_by_key(|event| Reverse(Row::from(&***event).time)),
        }
        if sorted.1 {
            events.reverse();
        }
        events
    }

    /// The counts of a tab, of what the filter lets through.
    pub(super) fn groups(&self, by: By) -> &Groups {
        let groups = self.filtered.as_ref().unwrap_or(&self.groups);
        let at = By::ALL.iter().position(|other| *other == by).unwrap_or(0);
        &groups[at]
    }

    /// The same in the order of `sorted`, as seen in `second`.
    pub(super) fn rows(&self, by: By, sorted: (Column, bool), second: u64) -> Vec<(&str, &Group)> {
        let mut rows: Vec<_> = self.groups(by).rows().collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        match sorted.0 {
            Column::Count => rows.sort_by_key(|(_, group)| Reverse(group.count)),
            Column::Minute => {
                rows.sort_by_cached_key(|(_, group)| Reverse(group.minute.sum(second)));
            }
            Column::Latest => rows.sort_by_key(|(_, group)| Reverse(group.latest)),
            _ => (),
        }
        if sorted.1 {
            rows.reverse();
        }
        rows
    }
}

fn count(groups: &mut [Groups; 4], event: &Event, second: u64) {
    for (by, groups) in By::ALL.into_iter().zip(groups) {
        groups.add(by, event, second);
    }
}

/// The name of an event.
pub(super) fn id(event: &Event) -> ResetId {
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
