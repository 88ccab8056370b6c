//! The README's tables say what the program does.

use resetmon::diagnosis::advice::advice;
use resetmon::export::metrics::{Format, Limits, Metrics};
use resetmon::reset::Cause;

const README: &str = include_str!("../../README.md");

#[test]
fn every_cause_stands_with_its_summary() {
    for cause in Cause::ALL {
        let row = format!("| `{}` | {} |", cause.name(), advice(*cause).summary);
        assert!(README.contains(&row), "README lacks the row: {row}");
    }
}

#[test]
fn every_metric_stands_and_none_that_is_not() {
    let metrics = Metrics::new(Limits::default());
    let mut page = String::new();
    metrics.encode(Format::Text, &mut page).expect("written");
    let mut names = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().expect("a name").to_owned());
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        assert!(README.contains(&format!("`{name}`")), "README lacks {name}");
    }
    for word in README.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("resetmon_") {
            assert!(names.iter().any(|name| name == word), "README names {word}");
        }
    }
}

#[test]
fn every_capability_stands() {
    for need in resetmon::kernel::privilege::NEEDS {
        let name = format!("| `{}` |", need.capability);
        assert!(README.contains(&name), "README lacks {name}");
    }
}
