//! A filter as it is typed while events come.

use std::str::FromStr;

use crate::event::{Context, Event};
use crate::export::filter::{Filter, FilterError};
use crate::export::terminal::Row;

/// Conditions as the options of `resetmon watch` know them, and words that a row has somewhere:
/// `nginx cause=refused,unknown route="/my api"`. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedFilter {
    conditions: Filter,
    /// In small letters.
    words: Vec<String>,
}

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypedFilterError {
    /// A condition that cannot be understood.
    #[error(transparent)]
    Condition(#[from] FilterError),
    /// A quote that is not closed.
    #[error("a double quote is not closed")]
    Quote,
}

impl TypedFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it lets the event through.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.conditions.matches_event(event)
            && (self.words.is_empty() || {
                let text = searched(event).to_lowercase();
                self.words.iter().all(|word| text.contains(word))
            })
    }
}

/// What words are looked for in: what a row says, and the names behind it.
fn searched(event: &Event) -> String {
    let row = Row::from(event);
    let Context {
        observation,
        owner,
        closer,
        peer,
        route,
    } = row.context;
    let remote = observation.remote.to_string();
    let local = observation.local.to_string();
    let mut texts = vec![row.word, row.conclusion, peer, &remote, &local];
    for process in [owner, closer].into_iter().flatten().map(|by| &by.process) {
        texts.extend([&*process.name, &*process.comm]);
        texts.extend(process.unit.as_deref());
        let container = process.container.as_ref();
        if let Some(names) = container.and_then(|container| container.names.as_deref()) {
            texts.extend([&*names.namespace, &*names.pod]);
        }
    }
    if let Some(route) = route {
        texts.extend([&*route.gateway, &*route.route, &*route.upstream]);
        texts.push(route.leg.name());
    }
    // No word has this letter: none is found across two texts.
    texts.join("\n")
}

impl FromStr for TypedFilter {
    type Err = TypedFilterError;

    fn from_str(text: &str) -> Result<Self, TypedFilterError> {
        let mut filter = Self::default();
        for word in words(text)? {
            match word.split_once('=') {
                Some((name, value)) => filter.conditions.set(name, value)?,
                None => filter.words.push(word.to_lowercase()),
            }
        }
        Ok(filter)
    }
}

/// Words separated by blanks, without the quotes that may be around a part of them.
fn words(text: &str) -> Result<Vec<String>, TypedFilterError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            _ if letter.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    if quoted {
        return Err(TypedFilterError::Quote);
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    #[test]
    fn words_are_found_wherever_they_stand() {
        let received = Event::Reset(sample::received());
        for (text, expected) in [
            ("", true),
            ("  ", true),
            ("nginx", true),
            ("NGI", true),
            ("nginx PAY", true),
            ("nginx mail", false),
            ("payments-1", true),
            ("10.0.0.9:8080", true),
            ("mid_resp", true),
            ("received", true),
            ("sent", false),
            ("upstream", true),
            ("nginx cause=aborted_mid_response", true),
            ("nginx cause=refused", false),
            ("route=/api/pay port=8080 peer=10.0.0.0/8", true),
            ("port=8081", false),
            ("\"/api pay\"", false),
        ] {
            let filter: TypedFilter = text.parse().unwrap();
            assert_eq!(filter.matches(&received), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_keep_blanks_and_must_be_closed() {
        let route = |text: &str| {
            let mut filter = TypedFilter::default();
            filter.conditions.route = Some(text.to_owned());
            Ok(filter)
        };
        let condition = |error| Err(TypedFilterError::Condition(error));
        for (text, expected) in [
            ("route=\"/a b\"", route("/a b")),
            ("\"route=/a b\"", route("/a b")),
            (" route=/a  route=/b ", route("/b")),
            ("route=\"/a", Err(TypedFilterError::Quote)),
            ("route=", condition(FilterError::Value("route"))),
            (
                "colour=red",
                condition(FilterError::Condition("colour".to_owned())),
            ),
            (
                "cause = refused",
                condition(FilterError::Condition(String::new())),
            ),
        ] {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }
}
