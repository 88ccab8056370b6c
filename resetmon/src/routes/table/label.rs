//! Labels made of several names.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that a label of several shows; of the rest it says how many there are.
pub(super) const SHOWN: usize = 4;

/// The set of `names`, sorted and joined by `|`: at most four, then `+` and the number of the rest.
///
/// It depends on the names alone, neither on their order nor on the rest of the configuration.
pub(super) fn joined(names: impl IntoIterator<Item = Arc<str>>) -> Arc<str> {
    let names: BTreeSet<Arc<str>> = names.into_iter().collect();
    if names.len() == 1 {
        return names.into_iter().next().unwrap_or_default();
    }
    let mut shown: Vec<&str> = names.iter().map(|name| &**name).take(SHOWN).collect();
    let rest = format!("+{}", names.len().saturating_sub(SHOWN));
    if names.len() > SHOWN {
        shown.push(&rest);
    }
    Arc::from(shown.join("|"))
}

/// The same for a reader: `a, b, c, d and 3 more`.
pub(super) fn listed(names: impl IntoIterator<Item = Arc<str>>) -> String {
    let names: BTreeSet<Arc<str>> = names.into_iter().collect();
    let mut shown: Vec<&str> = names.iter().map(|name| &**name).take(SHOWN).collect();
    if names.len() > SHOWN {
        return format!("{} and {} more", shown.join(", "), names.len() - SHOWN);
    }
    match shown.pop() {
        Some(last) if !shown.is_empty() => format!("{} and {last}", shown.join(", ")),
        last => last.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_lists_are_sorted_and_bounded() {
        for (names, label, list) in [
            ("", "", ""),
            ("a", "a", "a"),
            ("b a b", "a|b", "a and b"),
            ("d c b a", "a|b|c|d", "a, b, c and d"),
            ("e d c b a", "a|b|c|d|+1", "a, b, c, d and 1 more"),
            ("g e d c b a f", "a|b|c|d|+3", "a, b, c, d and 3 more"),
        ] {
            let names = || names.split_whitespace().map(Arc::from);
            assert_eq!(&*joined(names()), label);
            assert_eq!(listed(names()), list);
        }
    }
}
