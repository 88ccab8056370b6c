//! The example configurations of `deploy/events` name only keys that events have.

use std::collections::BTreeSet;

use resetmon::export::journal;
use serde_json::Value;

use crate::files;

/// Whether events can have the key, inner keys after dots.
fn is_key(schema: &Value, path: &str) -> bool {
    let definition = |reference: &Value| {
        let name = reference["$ref"].as_str()?.strip_prefix("#/$defs/")?;
        schema["$defs"].get(name)
    };
    let mut at: Vec<&Value> = schema["oneOf"]
        .as_array()
        .expect("kinds of events")
        .iter()
        .filter_map(definition)
        .collect();
    let keys: Vec<&str> = path.split('.').collect();
    let (last, parents) = keys.split_last().expect("a key");
    for key in parents {
        at = at
            .into_iter()
            .filter_map(|object| object["properties"].get(key))
            .filter_map(|property| {
                let one = property.get("anyOf").map_or(property, |kinds| &kinds[0]);
                definition(one)
            })
            .collect();
    }
    at.iter()
        .any(|object| object["properties"].get(last).is_some())
}

/// What stands between `begin` and `end`, each time.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    let found = parts.map(|part| part.split_once(end).expect(end).0);
    found.collect()
}

/// Every string below a key of that name.
fn under<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == name {
                    found.extend(strings(value));
                } else {
                    under(value, name, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| under(value, name, found)),
        _ => {}
    }
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Strings below keys of these names in a YAML file.
fn in_yaml(file: &str, names: &[&str]) -> Vec<String> {
    let value = files::yaml(file);
    let mut found = Vec::new();
    for name in names {
        under(&value, name, &mut found);
    }
    found.into_iter().map(str::to_owned).collect()
}

/// The words in a text that begin with `mark`, without it.
fn marked(text: &str, mark: &str) -> Vec<String> {
    let parts = text.split(mark).skip(1);
    let words = parts.map(|part| {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        part[..end.unwrap_or(part.len())].to_owned()
    });
    words.collect()
}

/// The keys of an event that each file names.
fn named() -> Vec<(&'static str, Vec<String>)> {
    let alloy = files::read("events/alloy.config");
    let expressions = between(&alloy, "expressions = {", "}").concat();
    let alloy = between(&expressions, "= \"", "\"");
    let filebeat = in_yaml("events/filebeat.yaml", &["from", "field"]);
    let filebeat = filebeat.iter().map(|field| {
        let key = field.strip_prefix("resetmon.");
        key.unwrap_or_else(|| panic!("{field} is no field of resetmon"))
            .to_owned()
    });
    let props = settings("events/splunk-props.conf");
    let datadog = in_yaml("events/datadog.yaml", &["pattern"]).concat();
    let vector = in_yaml("events/vector.yaml", &["source"]).concat();
    let labels = in_yaml("events/vector.yaml", &["labels"]).concat();
    let mut vector = marked(&vector, "event.");
    vector.extend(
        between(&labels, "{{ ", " }}")
            .into_iter()
            .map(str::to_owned),
    );
    let mut fluent_bit = marked(
        &in_yaml("events/fluent-bit.yaml", &["label_keys"]).concat(),
        "$",
    );
    fluent_bit.extend(in_yaml("events/fluent-bit.yaml", &["time_key"]));
    vec![
        ("alloy", alloy.into_iter().map(str::to_owned).collect()),
        (
            "promtail",
            in_yaml("events/promtail.yaml", &["expressions"]),
        ),
        ("filebeat", filebeat.collect()),
        (
            "splunk",
            props
                .into_iter()
                .filter(|(_, key, _)| key == "TIMESTAMP_FIELDS")
                .map(|(_, _, value)| value)
                .collect(),
        ),
        (
            "datadog",
            // Between each pair of quotes.
            datadog
                .split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
        ),
        ("vector", vector),
        ("fluent-bit", fluent_bit),
    ]
}

/// Section, key and value of each line of one of Splunk's files.
fn settings(file: &str) -> Vec<(String, String, String)> {
    let (mut section, mut settings) = ("", Vec::new());
    let text = files::read(file);
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').expect("a section's end");
            continue;
        }
        let (key, value) = line
            .split_once(" = ")
            .unwrap_or_else(|| panic!("{file}: {line}"));
        assert!(!section.is_empty(), "{file}: {line} is in no section");
        settings.push((section.to_owned(), key.to_owned(), value.to_owned()));
    }
    settings
}

#[test]
fn examples_name_keys_that_there_are() {
    let schema: Value =
        serde_json::from_str(&files::read("events/event.schema.json")).expect("the schema is JSON");
    for (path, expected) in [
        ("cause", true),
        ("process.container.pod", true),
        ("twin.process.name", true),
        ("unanswered", true),
        ("process.pods", false),
        ("causes", false),
        ("cause.name", false),
    ] {
        assert_eq!(is_key(&schema, path), expected, "{path}");
    }
    for (file, keys) in named() {
        let keys: BTreeSet<String> = keys.into_iter().collect();
        assert!(!keys.is_empty(), "{file} names no key");
        for key in keys {
            assert!(is_key(&schema, &key), "{file} names {key}");
        }
    }
}

#[test]
fn examples_belong_together() {
    let inputs = settings("events/splunk-inputs.conf");
    let source = inputs.iter().find(|(_, key, _)| key == "sourcetype");
    let (_, _, source) = source.expect("a source type");
    let props = settings("events/splunk-props.conf");
    assert!(props.iter().all(|(section, _, _)| section == source));
    let page = files::read("events/README.md");
    for id in [journal::RESET_MESSAGE_ID, journal::FAILURE_MESSAGE_ID] {
        assert!(page.contains(&format!("`{id}`")), "{id}");
    }
    let folder = std::fs::read_dir(files::path("events")).expect("a folder");
    for entry in folder {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        assert!(
            name == "README.md" || page.contains(&format!("({name})")),
            "{name}"
        );
    }
    let path = "/var/log/resetmon/events.jsonl";
    for name in [
        "alloy.config",
        "promtail.yaml",
        "filebeat.yaml",
        "splunk-inputs.conf",
        "datadog.yaml",
        "vector.yaml",
        "fluent-bit.yaml",
    ] {
        assert!(
            files::read(&format!("events/{name}")).contains(path),
            "{name}"
        );
    }
    let receivers = &files::yaml("events/otelcol.yaml")["receivers"];
    assert_eq!(
        receivers["otlp"]["protocols"]["http"]["endpoint"],
        "0.0.0.0:4318"
    );
}
