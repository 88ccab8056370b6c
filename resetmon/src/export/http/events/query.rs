//! Which events a reader asks for, in the words of `resetmon watch`'s options.

use std::str::FromStr;

use crate::export::filter::{self, FilterError, Selection};

/// Every key, as an error lists them.
const KEYS: &str = "cause, direction, failure, failures, netns, peer, pid, port, process, route";

/// Why it is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    /// No such key.
    #[error("`{}` is no filter; allowed: {KEYS}", .0.escape_debug())]
    Key(String),
    /// A key that was there already.
    #[error("`{0}` is given twice; give it once, several causes or failures separated by commas")]
    Twice(&'static str),
    /// Not a value of that key.
    #[error("{0}: {1}")]
    Value(&'static str, FilterError),
    /// Not a number.
    #[error("{key}: `{}` is not a number from 0 to {most}", .text.escape_debug())]
    Number {
        /// Of which key.
        key: &'static str,
        /// What is given.
        text: String,
        /// The largest that there can be.
        most: u64,
    },
    /// Neither true nor false.
    #[error("failures: `{}` is neither true nor false", .0.escape_debug())]
    Flag(String),
}

/// Reads `cause=keepalive_race,refused&route=%2Fapi`.
pub(super) fn parse(query: &str) -> Result<Selection, QueryError> {
    let mut selection = Selection::default();
    let mut failures = None;
    let filter = &mut selection.filter;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "cause" => once("cause", &mut filter.causes, parsed("cause", &value)?)?,
            "direction" => {
                let direction =
                    filter::direction(&value).map_err(|e| QueryError::Value("direction", e))?;
                once("direction", &mut filter.direction, direction)?;
            }
            "failure" => once("failure", &mut filter.failures, parsed("failure", &value)?)?,
            "failures" => {
                let flag = match &*value {
                    "" | "true" => true,
                    "false" => false,
                    other => return Err(QueryError::Flag(other.to_owned())),
                };
                once("failures", &mut failures, flag)?;
            }
            "netns" => {
                let netns = filter::netns(&value).map_err(|e| QueryError::Value("netns", e))?;
                once("netns", &mut filter.netns, netns)?;
            }
            "peer" => once("peer", &mut filter.peer, parsed("peer", &value)?)?,
            "pid" => once(
                "pid",
                &mut filter.pid,
                number("pid", &value, u32::MAX.into())?,
            )?,
            "port" => once(
                "port",
                &mut filter.port,
                number("port", &value, u16::MAX.into())?,
            )?,
            "process" => once("process", &mut filter.process, value.into_owned())?,
            "route" => once("route", &mut filter.route, value.into_owned())?,
            other => return Err(QueryError::Key(other.to_owned())),
        }
    }
    selection.failures = failures.unwrap_or(false) || selection.filter.failures.is_some();
    Ok(selection)
}

fn once<T>(key: &'static str, target: &mut Option<T>, value: T) -> Result<(), QueryError> {
    match target.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError::Twice(key)),
    }
}

fn parsed<T: FromStr<Err = FilterError>>(key: &'static str, text: &str) -> Result<T, QueryError> {
    text.parse().map_err(|error| QueryError::Value(key, error))
}

/// Digits only: a sign is legal to the parser and not to a reader.
fn number<T: FromStr>(key: &'static str, text: &str, most: u64) -> Result<T, QueryError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| QueryError::Number {
        key,
        text: text.to_owned(),
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::filter::{Causes, Failures, Filter};
    use crate::kernel::observation::Direction;
    use crate::reset::{Cause, FailureKind};

    #[test]
    fn filters() {
        for (query, failures, expected) in [
            ("", false, Filter::default()),
            ("&&", false, Filter::default()),
            ("failures", true, Filter::default()),
            ("failures=true", true, Filter::default()),
            ("failures=false", false, Filter::default()),
            (
                "cause=keepalive_race,refused&route=%2Fapi%2Fpay+x",
                false,
                Filter {
                    causes: Some(Causes(vec![Cause::KeepaliveRace, Cause::Refused])),
                    route: Some("/api/pay x".to_owned()),
                    ..Filter::default()
                },
            ),
            (
                "failure=timed_out&direction=sent&process=nginx&pid=7&port=443&netns=net:[12]",
                true,
                Filter {
                    failures: Some(Failures(vec![FailureKind::TimedOut])),
                    direction: Some(Direction::Sent),
                    process: Some("nginx".to_owned()),
                    pid: Some(7),
                    port: Some(443),
                    netns: Some(12),
                    ..Filter::default()
                },
            ),
            (
                "peer=10.0.0.0/8",
                false,
                Filter {
                    peer: Some("10.0.0.0/8".parse().unwrap()),
                    ..Filter::default()
                },
            ),
        ] {
            let expected = Selection {
                failures,
                filter: expected,
            };
            assert_eq!(parse(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (query, expected) in [
            ("causes=refused", "`causes` is no filter; allowed: cause, "),
            ("Cause=refused", "`Cause` is no filter"),
            ("%1b[31m=x", "`\\u{1b}[31m` is no filter"),
            ("=x", "`` is no filter"),
            (
                "cause=late",
                "cause: `late` is not a cause: use one or more of refused",
            ),
            ("cause", "cause: `` is not a cause"),
            ("route=a&route=b", "`route` is given twice"),
            ("failures=yes", "failures: `yes` is neither true nor false"),
            ("failures&failures", "`failures` is given twice"),
            ("pid=-1", "pid: `-1` is not a number from 0 to 4294967295"),
            ("pid=%2B1", "pid: `+1` is not a number"),
            ("pid=4294967296", "pid: `4294967296` is not a number"),
            (
                "port=65536",
                "port: `65536` is not a number from 0 to 65535",
            ),
            ("port=", "port: `` is not a number"),
            ("direction=up", "direction: `up` is not a direction"),
            ("peer=10.0.0.1:80", "peer: `10.0.0.1:80` has a port"),
            ("netns=x", "netns: `x` is not a network namespace"),
            ("route=%ff%", ""),
        ] {
            match parse(query) {
                Ok(_) => assert_eq!(expected, "", "{query}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        !expected.is_empty() && text.starts_with(expected),
                        "{query}: {text}"
                    );
                    assert!(!text.contains(char::is_control), "{query}: {text:?}");
                }
            }
        }
    }
}
