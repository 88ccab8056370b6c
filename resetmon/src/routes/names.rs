//! Names that no two routes of a gateway share.

use std::collections::{HashMap, HashSet};

/// Hands out names, each once.
#[derive(Debug, Default)]
pub struct UniqueNames {
    used: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl UniqueNames {
    /// `name` itself the first time, then `name#2`, `name#3` and so on.
    pub fn of(&mut self, name: String) -> String {
        if self.used.insert(name.clone()) {
            return name;
        }
        let count = self.counts.entry(name.clone()).or_insert(1);
        loop {
            *count += 1;
            let next = format!("{name}#{count}");
            if self.used.insert(next.clone()) {
                return next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_once() {
        let mut names = UniqueNames::default();
        let given = ["a", "a#2", "a", "b", "a", "a#2"];
        let found: Vec<String> = given.map(|name| names.of(name.to_owned())).to_vec();
        assert_eq!(found, ["a", "a#2", "a#3", "b", "a#4", "a#2#2"]);
    }
}
