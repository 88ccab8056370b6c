//! The keys of a JSON line as a flat list, for outputs that know no objects.

use serde_json::Value;

use crate::event::Event;

/// Calls `take` with each value that is known, under its keys joined by dots
/// (`process.container.pod`). Values are strings, numbers, true, false, and lists of strings.
///
/// The keys are those of [`Line`](super::line::Line) and
/// [`FailureLine`](super::failed::FailureLine).
pub fn each(event: &Event, mut take: impl FnMut(&str, &Value)) {
    let mut path = String::with_capacity(64);
    walk(&mut path, &super::to_event_value(event), &mut take);
}

fn walk(path: &mut String, value: &Value, take: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => take(path, value),
        Value::Object(members) => {
            let parent = path.len();
            for (key, value) in members {
                if parent > 0 {
                    path.push('.');
                }
                path.push_str(key);
                walk(path, value, take);
                path.truncate(parent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::export::sample;

    #[test]
    fn every_value_under_its_keys() {
        let value = json!({
            "a": 1, "b": {"c": {"d": "x"}, "e": true}, "f": ["y", "z"], "g": null, "h": {}, "i": [],
        });
        let mut found = Vec::new();
        walk(&mut String::new(), &value, &mut |path, value| {
            found.push(format!("{path}={value}"));
        });
        assert_eq!(
            found,
            ["a=1", "b.c.d=\"x\"", "b.e=true", "f=[\"y\",\"z\"]", "i=[]"]
        );
    }

    #[test]
    fn a_reset_with_its_process_and_facts() {
        let mut found = Vec::new();
        each(&Event::Reset(sample::received()), |path, value| {
            found.push(format!("{path}={value}"));
        });
        for expected in [
            "cause=\"aborted_mid_response\"",
            "process.pid=4242",
            "benign=false",
            "bytes_received=12345",
            "evidence=[\"no FIN was seen\",\"12345 bytes of the answer had come\"]",
        ] {
            assert!(
                found.iter().any(|line| line == expected),
                "{expected}\n{found:#?}"
            );
        }
    }
}
