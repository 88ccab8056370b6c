//! The words of rules and of the page of causes are the agent's.

use std::fmt::Write as _;

use resetmon::diagnosis::advice::{Advice, advice, failure_advice};
use resetmon::reset::{Cause, FailureKind};

use crate::files;

const RULES: &str = "prometheus/resetmon.rules.yaml";

/// The rules with every `meaning` and `advice` in the words of the table: of the cause that the
/// alert's label names, else of whatever cause the series has.
fn with_words(rules: &str) -> String {
    let (mut cause, mut failures) = (None, false);
    let mut text = String::new();
    for line in rules.lines() {
        let bare = line.trim_start();
        let indent = &line[..line.len() - bare.len()];
        if bare.starts_with("- alert: ") {
            cause = None;
        }
        if let Some(name) = bare.strip_prefix("cause: ") {
            let known = Cause::from_name(name);
            cause = Some(known.unwrap_or_else(|| panic!("{RULES}: no cause is called {name}")));
        }
        if bare.starts_with("expr: ") {
            failures = false;
        }
        failures |= bare.contains("_connection_failures:");
        let words = match (bare.split_once(": ").map(|(key, _)| key), cause) {
            (Some("meaning"), Some(cause)) => Some(("meaning", advice(cause).meaning.to_owned())),
            (Some("advice"), Some(cause)) => Some(("advice", advice(cause).change.to_owned())),
            (Some("meaning"), None) if failures => Some(("meaning", any_failure())),
            (Some("meaning"), None) => Some(("meaning", any_cause())),
            _ => None,
        };
        // Writing to a string does not fail.
        let _ = match words {
            // JSON is YAML, and stays on one line.
            Some((key, words)) => writeln!(text, "{indent}{key}: {}", serde_json::json!(words)),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

/// The summary of the series' cause.
fn any_cause() -> String {
    template(
        "cause",
        alarming().map(|cause| (cause.name(), advice(cause).summary)),
    )
}

/// The summary of the series' kind of failure.
fn any_failure() -> String {
    let rows = FailureKind::ALL.iter();
    template(
        "failure",
        rows.map(|kind| (kind.name(), failure_advice(*kind).summary)),
    )
}

/// A template of Prometheus that gives the text of a row by its name, which is in `label`.
fn template<'a>(label: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, summary) in rows {
        let word = if text.is_empty() { "if" } else { "else if" };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{{{{ {word} eq $labels.{label} \"{name}\" }}}}{summary}"
        );
    }
    text + "{{ end }}"
}

fn alarming() -> impl Iterator<Item = Cause> {
    Cause::ALL.iter().copied().filter(|cause| !cause.benign())
}

/// The rules as they should be.
pub(crate) fn rules() -> String {
    with_words(&files::read(RULES))
}

#[test]
fn alerts_speak_the_agents_words() {
    files::assert_current(RULES, &rules());
}

#[test]
fn the_page_of_causes_is_the_table() {
    let mut page = String::from(
        "# Causes and failures, what they mean and what to change\n\n\
         The agent's own table of advice, to which the alerts lead. Written by\n\
         `UPDATE=1 cargo test -p resetmon --test deploy`.\n",
    );
    for cause in Cause::ALL {
        let remark = if cause.benign() {
            " (raises no alert)"
        } else {
            ""
        };
        chapter(&mut page, cause.name(), remark, advice(*cause));
    }
    page.push_str("\nConnections fail without a reset too:\n");
    for kind in FailureKind::ALL {
        let title = format!("{kind} (failure)");
        chapter(&mut page, &title, "", failure_advice(*kind));
    }
    files::assert_current("prometheus/CAUSES.md", &page);
}

fn chapter(page: &mut String, title: &str, remark: &str, row: &Advice) {
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "\n## {title}\n\n**{}**{remark}\n\n{}\n\n- What usually makes it: {}\n- To be sure: {}\n\
         - What to change: {}\n",
        row.summary, row.meaning, row.makers, row.check, row.change
    );
}

/// Every series of resets that a rule reads leaves out the harmless causes, or chooses others.
#[test]
fn harmless_causes_are_in_no_rule() {
    let rules = files::yaml(RULES);
    let mut seen = 0;
    for rule in rules["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
    {
        let expression = rule["expr"].as_str().expect("an expression");
        for (at, _) in expression.match_indices("_resets_total") {
            let rest = &expression[at + "_resets_total".len()..];
            // `unless … offset` only takes series away.
            let Some((selector, _)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) else {
                assert!(rest.starts_with(" offset"), "no selector: {expression}");
                continue;
            };
            let (_, matcher) = selector.split_once("cause").expect("a matcher of causes");
            let (operator, list) = matcher.split_once('"').expect("a value");
            let chosen: Vec<&str> = list
                .split('"')
                .next()
                .unwrap_or_default()
                .split('|')
                .collect();
            for cause in &chosen {
                assert!(Cause::from_name(cause).is_some(), "{cause}: {expression}");
            }
            for cause in Cause::ALL.iter().filter(|cause| cause.benign()) {
                let named = chosen.contains(&cause.name());
                assert_eq!(named, operator.starts_with('!'), "{cause}: {expression}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} selectors");
}
