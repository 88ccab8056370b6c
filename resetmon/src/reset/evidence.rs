//! The facts behind a conclusion.

use std::ops::Deref;

/// Facts in a reader's words: those that led to the conclusion, then what else was found, and the
/// one that decided stands last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    facts: Vec<String>,
    /// How many led to the conclusion, once the last one decided.
    decided: Option<usize>,
}

impl Evidence {
    /// Adds a fact that does not decide by itself.
    pub fn say(&mut self, fact: impl Into<String>) {
        let at = self.facts.len() - usize::from(self.decided.is_some());
        self.facts.insert(at, fact.into());
    }

    /// Adds the fact that decides; one that did before has then led to it, as have all the others.
    pub fn decide(&mut self, fact: impl Into<String>) {
        self.decided = Some(self.facts.len());
        self.facts.push(fact.into());
    }

    /// Adds the fact that decides and returns what follows from it.
    pub fn so<T>(&mut self, conclusion: T, fact: impl Into<String>) -> T {
        self.decide(fact);
        conclusion
    }

    /// The fact that decided; where none did, the last one.
    #[must_use]
    pub fn deciding(&self) -> Option<&str> {
        self.facts.last().map(String::as_str)
    }

    /// What led to the conclusion, and what was found beside it.
    #[must_use]
    pub fn others(&self) -> (&[String], &[String]) {
        let others = self
            .facts
            .split_last()
            .map_or(&[][..], |(_, others)| others);
        others.split_at(self.decided.unwrap_or(others.len()))
    }
}

/// All of them, the deciding one last.
impl Deref for Evidence {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.facts
    }
}

/// The last one decides.
impl From<Vec<String>> for Evidence {
    fn from(facts: Vec<String>) -> Self {
        let decided = facts.len().checked_sub(1);
        Self { facts, decided }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deciding_fact_stays_last() {
        let mut e = Evidence::default();
        assert_eq!(e.deciding(), None);
        e.say("a");
        e.say("b");
        assert_eq!(e.deciding(), Some("b"));
        assert_eq!(e.so(7, "c"), 7);
        e.say("d");
        assert_eq!(*e, ["a", "b", "d", "c"]);
        let of = |facts: &[&str]| {
            facts
                .iter()
                .map(|fact| (*fact).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(e.others(), (&*of(&["a", "b"]), &*of(&["d"])));
        e.decide("e");
        e.say("f");
        assert_eq!(*e, ["a", "b", "d", "c", "f", "e"]);
        assert_eq!(e.deciding(), Some("e"));
        assert_eq!(e.others(), (&*of(&["a", "b", "d", "c"]), &*of(&["f"])));
    }

    #[test]
    fn of_a_list_the_last_one_decides() {
        let mut e = Evidence::from(vec!["a".to_owned(), "b".to_owned()]);
        e.say("c");
        assert_eq!(*e, ["a", "c", "b"]);
        let mut none = Evidence::from(Vec::new());
        none.say("a");
        assert_eq!(*none, ["a"]);
        assert_eq!(none.others(), (&[][..], &[][..]));
    }
}
