//! Which processes there were and when: a program whose process was replaced has been restarted.

use std::collections::HashMap;

use super::series::SECOND;
use crate::diagnosis::sample::{Actor, Death, Name};

/// Programs remembered at most.
const PROGRAMS: usize = 256;
/// Processes of one program remembered at most: the latest.
const PROCESSES: usize = 64;
/// Deaths remembered at most: the first.
const DEATHS: usize = 256;
/// Events of a program before and after, for a replacement to be believed.
const ENOUGH: u64 = 2;

/// Processes by program.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    programs: HashMap<Name, Vec<Life>>,
    deaths: Vec<Dead>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    pid: u32,
    home: Name,
    first: i64,
    last: i64,
    events: u64,
}

/// A process that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its program.
    pub name: Name,
    /// Its id.
    pub pid: u32,
    /// How.
    pub death: Death,
    /// When that was first seen, microseconds.
    pub time: i64,
}

/// Every process of a program gave way to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The program.
    pub name: Name,
    /// The old ones were last seen then, microseconds.
    pub after: i64,
    /// The new ones were first seen then.
    pub before: i64,
    /// The new ones are in another pod or container.
    pub moved: bool,
}

impl Lives {
    /// An event shows this process at `time`.
    pub fn meet(&mut self, actor: &Actor, time: i64) {
        if let Some(death) = actor.death
            && self.deaths.len() < DEATHS
            && !self
                .deaths
                .iter()
                .any(|dead| dead.pid == actor.pid && dead.name == actor.name)
        {
            self.deaths.push(Dead {
                name: actor.name,
                pid: actor.pid,
                death,
                time,
            });
        }
        if self.programs.len() >= PROGRAMS && !self.programs.contains_key(&actor.name) {
            return;
        }
        let lives = self.programs.entry(actor.name).or_default();
        if let Some(life) = lives.iter_mut().rev().find(|life| life.pid == actor.pid) {
            life.first = life.first.min(time);
            life.last = life.last.max(time);
            life.events = life.events.saturating_add(1);
            return;
        }
        if lives.len() >= PROCESSES {
            lives.remove(0);
        }
        lives.push(Life {
            pid: actor.pid,
            home: actor.home,
            first: time,
            last: time,
            events: 1,
        });
    }

    /// Processes that died within the time, microseconds.
    pub fn deaths(&self, from: i64, to: i64) -> impl Iterator<Item = &Dead> {
        let within = move |dead: &&Dead| (from..=to).contains(&dead.time);
        self.deaths.iter().filter(within)
    }

    /// The replacement of the program that may have been at `time`, give or take a second.
    #[must_use]
    pub fn replaced(&self, name: Name, time: i64) -> Option<Replaced> {
        let lives = self.programs.get(&name)?;
        let (old, new): (Vec<&Life>, Vec<&Life>) = lives
            .iter()
            .partition(|life| life.first < time.saturating_sub(SECOND));
        let after = old.iter().map(|life| life.last).max()?;
        let before = new.iter().map(|life| life.first).min()?;
        let events = |lives: &[&Life]| lives.iter().map(|life| life.events).sum::<u64>();
        // The new ones have greater ids, as long as those do not begin anew.
        let later = old.iter().map(|life| life.pid).max() < new.iter().map(|life| life.pid).min();
        let apart = after <= before && after <= time.saturating_add(SECOND);
        let enough = events(&old) >= ENOUGH && events(&new) >= ENOUGH;
        let homes = |lives: &[&Life]| lives.iter().map(|life| life.home).max();
        (later && apart && enough).then(|| Replaced {
            name,
            after,
            before,
            moved: homes(&old) != homes(&new),
        })
    }
}
