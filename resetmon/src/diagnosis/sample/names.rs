//! Names as numbers: an event names a program or a route that thousands of others name too.

use std::collections::HashMap;
use std::sync::Arc;

use crate::text::printable_bytes;

/// Longest name kept, characters.
const LONGEST: usize = 120;

/// A name, by its number in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

impl Name {
    /// No name.
    pub const NONE: Self = Self(0);
    /// One of those that came after the table was full.
    pub const OTHER: Self = Self(1);

    /// True if there is no name.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl Default for Names {
    /// A table without room.
    fn default() -> Self {
        Self::new(0)
    }
}

/// The table of names: bounded, and safe to show.
#[derive(Debug)]
pub struct Names {
    numbers: HashMap<Arc<str>, Name>,
    /// By number, made printable.
    texts: Vec<Arc<str>>,
    limit: usize,
}

impl Names {
    /// A table of `limit` names at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            numbers: HashMap::new(),
            texts: vec![Arc::from(""), Arc::from("(other)")],
            limit,
        }
    }

    /// The number of `text`; an empty one is [`Name::NONE`].
    pub fn intern(&mut self, text: &str) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        // What is too long is known by what is shown of it.
        let long = text.len() > LONGEST;
        let shown = (long || self.texts.len() < self.limit)
            .then(|| printable_bytes(text.as_bytes(), LONGEST));
        let Some(shown) = shown else {
            return Name::OTHER;
        };
        let name = match (self.numbers.get(&*shown), u32::try_from(self.texts.len())) {
            (Some(name), _) => *name,
            (None, Ok(number)) if self.texts.len() < self.limit => {
                let shown: Arc<str> = Arc::from(shown);
                self.texts.push(Arc::clone(&shown));
                self.numbers.insert(shown, Name(number));
                Name(number)
            }
            (None, _) => return Name::OTHER,
        };
        // An escaped text is found by itself; only so many are, as there are names.
        if !long && self.numbers.len() < 2 * self.limit {
            self.numbers.insert(Arc::from(text), name);
        }
        name
    }

    /// The text to show.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        let index = usize::try_from(name.0).unwrap_or(usize::MAX);
        self.texts.get(index).map_or("", |text| text)
    }
}
