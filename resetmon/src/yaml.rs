//! YAML in which every value knows where it stands, and what is wrong with it.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, de};
use serde_saphyr::{Error, Location, MessageFormatter, Spanned, UserMessageFormatter};

use crate::text::printable;

/// A scalar as written, with its place.
pub type Text = Spanned<String>;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, both from 1; `None` if the problem has no place.
    pub place: Option<(u64, u64)>,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// One line a problem, as `name:line:column: what`.
#[must_use]
pub fn listed(name: &str, problems: &[Problem]) -> String {
    let mut lines = String::new();
    for problem in problems {
        let newline = if lines.is_empty() { "" } else { "\n" };
        let gap = if problem.place.is_none() { " " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(lines, "{newline}{name}:{gap}{problem}");
    }
    lines
}

/// The problems found so far, so that one reading reports them all.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem at `location`.
    pub fn at(&mut self, location: Location, what: impl Into<String>) {
        self.0.push(Problem {
            place: place(location),
            what: what.into(),
        });
    }

    /// The value of `result`, or `None` with its error noted at `location`.
    pub fn keep<T, E: fmt::Display>(
        &mut self,
        location: Location,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.at(location, error.to_string()))
            .ok()
    }

    /// All problems, in the order of the text.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.place);
        self.0
    }
}

/// `a` or `[a, b]`: where one value is the rule and several are allowed.
#[derive(Clone, Debug)]
pub enum OneOrMany {
    /// A scalar.
    One(String),
    /// A list.
    Many(Vec<Text>),
}

impl OneOrMany {
    /// Every value with its place.
    #[must_use]
    pub fn texts(value: Spanned<Self>) -> Vec<Text> {
        match value.value {
            Self::One(text) => vec![Spanned {
                value: text,
                referenced: value.referenced,
                defined: value.defined,
            }],
            Self::Many(texts) => texts,
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text (in quotes if it looks like a number) or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// Reads one document into `T`. The first error ends the reading.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        Problem {
            place: error.location().and_then(place),
            what: explain(error),
        }
    })
}

/// Line and column of the first byte that is not UTF-8, given how many bytes before it are.
#[must_use]
pub fn place_after(valid: &str) -> (u64, u64) {
    let line = valid.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = valid.chars().rev().take_while(|char| *char != '\n').count() + 1;
    (line as u64, column as u64)
}

fn place(location: Location) -> Option<(u64, u64)> {
    (location != Location::UNKNOWN).then(|| (location.line(), location.column()))
}

/// The parser's error in the words of somebody who writes the file.
fn explain(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => explain(error),
        Error::SerdeUnknownField {
            field, expected, ..
        } => format!(
            "unknown key `{}`; allowed here: {}",
            field.escape_debug(),
            expected.join(", ")
        ),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Error::DuplicateMappingKey { key, .. } => format!(
            "the key `{}` is given twice; keep one",
            key.as_deref().unwrap_or("?").escape_debug()
        ),
        Error::Unexpected { expected, .. } => match *expected {
            "string scalar" => "expected a text or number; put quotes around one that begins \
                                with [, {, *, & or !, as in \"[::]:443\""
                .to_owned(),
            "mapping start" => "expected keys, each as `key: value`".to_owned(),
            "sequence start" => {
                "expected a list: `- item` on lines of their own, or [item, item]".to_owned()
            }
            other => format!("expected {}", other.escape_debug()),
        },
        other => printable(&UserMessageFormatter.format_message(other)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[expect(dead_code, reason = "only its errors matter")]
        text: Text,
        names: Option<Spanned<OneOrMany>>,
    }

    #[test]
    fn errors_say_where_and_what_is_allowed() {
        for (text, place, part) in [
            (
                "txt: a\n",
                Some((1, 1)),
                "unknown key `txt`; allowed here: text, names",
            ),
            ("names: a\n", Some((1, 1)), "the key `text` is missing"),
            (
                "text: a\n\ntext: b\n",
                Some((3, 1)),
                "`text` is given twice",
            ),
            ("text: [::]:443\n", Some((1, 7)), "as in \"[::]:443\""),
            ("text: {a: b}\n", Some((1, 7)), "expected a text or number"),
            ("- a\n", Some((1, 1)), "expected keys"),
            ("text: a\nnames: {b: c}\n", Some((2, 8)), "a list of texts"),
            ("text: a\nnames: 12\n", Some((2, 1)), "in quotes"),
            ("text: \"a\n", Some((2, 1)), "quoted scalar"),
            ("text: a\n---\ntext: b\n", Some((3, 1)), "multiple"),
            ("text: *none\n", Some((1, 7)), "unknown"),
            ("\"t\\u001b[31m\": a\n", Some((1, 1)), "\\u{1b}"),
        ] {
            let problem = parse::<Shape>(text).unwrap_err();
            assert_eq!(problem.place, place, "{text:?}: {problem}");
            assert!(problem.what.contains(part), "{text:?}: {problem}");
            assert!(!problem.what.contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn one_or_many_keep_their_places() {
        for (text, expected) in [
            ("text: a\nnames: x\n", vec![("x", 2, 8)]),
            ("text: a\nnames: [x, y]\n", vec![("x", 2, 9), ("y", 2, 12)]),
            (
                "text: a\nnames:\n  - x\n  - 7\n",
                vec![("x", 3, 5), ("7", 4, 5)],
            ),
            ("text: a\nnames: []\n", vec![]),
        ] {
            let shape: Shape = parse(text).unwrap();
            let names = OneOrMany::texts(shape.names.unwrap());
            let found: Vec<_> = names
                .iter()
                .map(|name| {
                    let place = name.referenced;
                    (name.value.as_str(), place.line(), place.column())
                })
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn place_after_counts_characters() {
        for (text, expected) in [
            ("", (1, 1)),
            ("ab", (1, 3)),
            ("ä\n", (2, 1)),
            ("\nxä", (2, 3)),
        ] {
            assert_eq!(place_after(text), expected, "{text:?}");
        }
    }
}
