//! Lines and words of Apache httpd's configuration language.

use std::sync::Arc;

use crate::routes::directive::{Directive, Place};

/// The lines of a text that say something: continued ones joined, blanks around them gone.
pub(super) fn lines(text: &str, file: &Arc<str>) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    let mut joined = String::new();
    let mut start = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let first = *start.get_or_insert(index + 1);
        if let Some(more) = line.strip_suffix('\\') {
            joined.push_str(more);
            continue;
        }
        joined.push_str(line);
        let whole = joined.trim();
        if !whole.is_empty() && !whole.starts_with('#') {
            let place = Place {
                file: Arc::clone(file),
                line: first,
            };
            found.push((place, whole.to_owned()));
        }
        joined.clear();
        start = None;
    }
    found
}

/// A name and its arguments; the name in lower case.
pub(super) fn directive(line: &str, place: &Place) -> Directive {
    let mut words = words(line);
    let name = words.next().unwrap_or_default().to_ascii_lowercase();
    Directive {
        name,
        arguments: words.collect(),
        place: place.clone(),
        block: None,
    }
}

/// The words of a line: quotes of both kinds, in which a backslash guards a quote or another one.
fn words(line: &str) -> impl Iterator<Item = String> {
    let mut letters = line.chars().peekable();
    std::iter::from_fn(move || {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let quote = letters.next_if(|letter| matches!(letter, '"' | '\''));
        let mut word = String::new();
        if quote.is_none() {
            letters.peek()?;
        }
        while let Some(letter) = letters.next() {
            if Some(letter) == quote || quote.is_none() && letter.is_whitespace() {
                break;
            }
            let guarded = |next: &char| *next == '\\' || Some(*next) == quote;
            match letters.next_if(|next| letter == '\\' && guarded(next)) {
                Some(next) => word.push(next),
                None => word.push(letter),
            }
        }
        Some(word)
    })
}

/// `line` with `values` in place of the parameters of a macro.
pub(super) fn substitute(line: &str, parameters: &[(usize, String)], values: &[String]) -> String {
    let mut done = String::with_capacity(line.len());
    let mut rest = line;
    'next: while let Some(letter) = rest.chars().next() {
        for (index, name) in parameters {
            if let Some(after) = rest.strip_prefix(name.as_str()) {
                done.push_str(values.get(*index).map_or("", String::as_str));
                rest = after;
                continue 'next;
            }
        }
        done.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    done
}
