//! The lines' JSON Schema and the list of their keys, both made from the types: files below
//! `deploy/events`, which these tests keep current. To write them:
//!
//! ```text
//! UPDATE=1 cargo test -p resetmon --lib schema
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::failed::FailureLine;
use super::line::Line;
use super::{VERSION, to_event_line};
use crate::event::Event;
use crate::export::sample;
use crate::kernel::observation::{Direction, Exit, Hook, KnownBy, Role, RstPacket};
use crate::reset::{Cause, FailureKind, Leg, ResetId, Sender, Stage};

/// The schema in `deploy/events`.
const SCHEMA: &str = "event.schema.json";
/// The page that lists the keys, between two marks.
const PAGE: &str = "README.md";
const BEGIN: &str = "<!-- keys: begin -->\n";
const END: &str = "<!-- keys: end -->\n";

type Object = Map<String, Value>;

/// Values of keys that have closed lists, wherever the key is.
fn words() -> Vec<(&'static str, Vec<&'static str>)> {
    fn all<T: Copy>(values: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
        values.iter().map(|value| name(*value)).collect()
    }
    vec![
        ("cause", all(Cause::ALL, Cause::name)),
        (
            "direction",
            all(&[Direction::Sent, Direction::Received], Direction::name),
        ),
        ("failure", all(FailureKind::ALL, FailureKind::name)),
        (
            "firewall_hook",
            all(&[Hook::Input, Hook::Forward, Hook::Output], Hook::name),
        ),
        ("leg", all(Leg::ALL, Leg::name)),
        ("role", all(&[Role::Client, Role::Server], Role::name)),
        ("sender", all(Sender::ALL, Sender::name)),
        ("stage", all(Stage::ALL, Stage::name)),
    ]
}

fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let reset = generator.subschema_for::<Line<'static>>();
    let failure = generator.subschema_for::<FailureLine<'static>>();
    let mut definitions = generator.take_definitions(true);
    let words = words();
    for (name, definition) in &mut definitions {
        tidy(name, definition.as_object_mut().unwrap(), &words);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("An event of resetmon, version {VERSION}"),
        "description": "One line of what resetmon writes of events: a TCP reset, or a connection \
            that failed without one. A reader passes over keys that it does not know.",
        "oneOf": [reset, failure],
        "$defs": definitions,
    })
}

/// What the types do not say.
fn tidy(name: &str, definition: &mut Object, words: &[(&str, Vec<&str>)]) {
    describe(definition);
    let required: BTreeSet<String> = definition
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect();
    let properties = definition["properties"].as_object_mut().unwrap();
    for (key, property) in properties {
        let property = property.as_object_mut().unwrap();
        describe(property);
        if !required.contains(key) {
            never_null(property);
        }
        if let Some((_, values)) = words.iter().find(|(known, _)| known == key) {
            property.insert("enum".to_owned(), json!(values));
        }
        match (name, &**key) {
            (_, "v") => {
                property.clear();
                property.insert("const".to_owned(), json!(VERSION));
                let text = "Version of the layout; it grows when a key changes its meaning or \
                            disappears.";
                property.insert("description".to_owned(), json!(text));
            }
            ("Line" | "FailureLine", "event") => {
                let kind = if name == "Line" { "reset" } else { "failure" };
                property.insert("const".to_owned(), json!(kind));
            }
            (_, "id" | "repeat_of") if name != "ContainerPart" => {
                property.insert("pattern".to_owned(), json!("^[0-9a-f]{16}$"));
            }
            (_, "time") => {
                property.insert("format".to_owned(), json!("date-time"));
            }
            ("FailureLine", "failure") => {
                // With a RST it is a reset.
                let kinds = FailureKind::ALL
                    .iter()
                    .filter(|kind| **kind != FailureKind::Reset);
                let kinds: Vec<&str> = kinds.map(|kind| kind.name()).collect();
                property.insert("enum".to_owned(), json!(kinds));
            }
            (_, "ip_version") => {
                property.insert("enum".to_owned(), json!([4, 6]));
            }
            _ => {}
        }
    }
}

/// The description in one line.
fn describe(of: &mut Object) {
    if let Some(Value::String(text)) = of.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

/// A key that is left out where it is not known is not `null` either.
fn never_null(property: &mut Object) {
    if let Some(Value::Array(kinds)) = property.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            let kind = kind.clone();
            property.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(mut kinds)) = property.remove("anyOf") {
        kinds.retain(|kind| kind["type"] != "null");
        assert_eq!(kinds.len(), 1, "{kinds:?}");
        property.extend(kinds.remove(0).as_object().unwrap().clone());
    }
}

/// The tables of the page: keys of a line, then of what is in it.
fn tables(schema: &Value) -> String {
    let definitions = schema["$defs"].as_object().unwrap();
    let of = |name: &str| definitions[name]["properties"].as_object().unwrap();
    let (resets, failures) = (of("Line"), of("FailureLine"));
    let keys: BTreeSet<&String> = resets.keys().chain(failures.keys()).collect();
    let mut text = "| key | in | type | meaning |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        let (reset, failure) = (resets.get(key), failures.get(key));
        let place = match (reset, failure) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "resets",
            (None, _) => "failures",
        };
        let property = reset.or(failure).unwrap();
        let always = |name: &str| {
            let required = definitions[name]["required"].as_array().unwrap();
            required.iter().any(|required| *required == **key)
        };
        let always =
            (reset.is_none() || always("Line")) && (failure.is_none() || always("FailureLine"));
        let mark = if always { " *" } else { "" };
        let meaning = meaning(property, failure.filter(|_| reset.is_some()));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{key}`{mark} | {place} | {} | {meaning} |",
            kind(property)
        );
    }
    for (name, definition) in definitions {
        if name == "Line" || name == "FailureLine" {
            continue;
        }
        let about = definition["description"].as_str().unwrap();
        let _ = write!(
            text,
            "\n### {name}\n\n{about}\n\n| key | type | meaning |\n|---|---|---|\n"
        );
        for (key, property) in of(name) {
            let required = definition["required"].as_array();
            let always = required.is_some_and(|all| all.iter().any(|name| *name == **key));
            let mark = if always { " *" } else { "" };
            let (kind, meaning) = (kind(property), meaning(property, None));
            let _ = writeln!(text, "| `{key}`{mark} | {kind} | {meaning} |");
        }
    }
    text
}

/// What a key means; in failures, where that differs.
fn meaning(property: &Value, in_failures: Option<&Value>) -> String {
    let text = |of: &Value| of["description"].as_str().unwrap().replace('|', "\\|");
    let mut meaning = text(property);
    if let Some(other) = in_failures.map(text).filter(|other| *other != meaning) {
        let _ = write!(meaning, " In failures: {other}");
    }
    meaning
}

/// The type of a property, as the page has it.
fn kind(property: &Value) -> String {
    if let Some(reference) = reference(property) {
        return format!("[{reference}](#{})", reference.to_lowercase());
    }
    if let Some(constant) = property.get("const") {
        return format!("`{constant}`").replace('"', "");
    }
    match &property["type"] {
        Value::String(kind) if kind == "array" => "strings".to_owned(),
        Value::String(kind) => kind.clone(),
        other => panic!("{other} in {property}"),
    }
}

fn reference(property: &Value) -> Option<&str> {
    let nullable = property["anyOf"].as_array();
    let one = nullable.map_or(property, |kinds| &kinds[0]);
    one["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn path(name: &str) -> PathBuf {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/events");
    deploy.join(name)
}

/// Fails unless the file holds `expected`; writes it instead where UPDATE is set.
fn assert_current(name: &str, expected: &str) {
    let path = path(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "deploy/events/{name} is stale; write it by: UPDATE=1 cargo test -p resetmon --lib schema"
    );
}

#[test]
fn the_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert_current(SCHEMA, &text);
}

#[test]
fn the_page_lists_every_key() {
    let page = fs::read_to_string(path(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let tables = tables(&schema());
    assert_current(PAGE, &format!("{before}{BEGIN}{tables}{END}{after}"));
}

/// The schema, without leave for keys that are not in it.
fn strict() -> jsonschema::Validator {
    let mut schema = schema();
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        definition["additionalProperties"] = json!(false);
    }
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(validator: &jsonschema::Validator, line: &str) {
    let event: Value = serde_json::from_str(line).unwrap();
    let errors = validator.iter_errors(&event);
    let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{line}");
}

#[test]
fn recorded_events_are_valid() {
    let validator = strict();
    let recorded = include_str!("../../../tests/fixtures/events/faults.jsonl");
    assert!(recorded.lines().count() > 100);
    for line in recorded.lines() {
        assert_valid(&validator, line);
    }
}

/// Events of every kind, with every key that there can be.
fn every_kind() -> Vec<Event> {
    let mut full = sample::received();
    let observation = &mut full.observation;
    let mut task = sample::task(4242, "nginx", KnownBy::Current);
    task.exit = Some(Exit::OutOfMemory);
    observation.closer = Some(task);
    observation.accept_queue = Some((128, 128));
    observation.linger = Some(std::time::Duration::ZERO);
    observation.handshake_ttl = Some(64);
    observation.firewall = Some(Hook::Forward);
    observation.packet = Some(RstPacket {
        ttl: 255,
        ip_id: 1,
        seq_offset: -1,
        flags: 0x14,
    });
    full.closer = full.owner.clone();
    full.repeat_of = Some(ResetId(1));
    let mut aggregate = sample::sent_without_socket();
    aggregate.packets = 1000;
    let mut propagated = sample::received();
    propagated.propagated_from = Some(sample::propagated());
    let mut twin = sample::received();
    twin.twin = Some(sample::twin());
    let mut pod = sample::nginx();
    pod.container = Some(sample::named_container());
    pod.unit = None;
    let mut contained = sample::received();
    contained.owner.as_mut().unwrap().process = Arc::new(pod);
    let mut failures = sample::failure();
    failures.count = 7;
    let mut events = vec![
        Event::Reset(sample::received()),
        Event::Reset(sample::sent_without_socket()),
        Event::Reset(full),
        Event::Reset(aggregate),
        Event::Reset(propagated),
        Event::Reset(twin),
        Event::Reset(contained),
        Event::Failure(sample::failure()),
        Event::Failure(failures),
    ];
    events.extend(Cause::ALL.iter().map(|cause| {
        let mut reset = sample::received();
        reset.diagnosis.cause = *cause;
        Event::Reset(reset)
    }));
    let without_reset = FailureKind::ALL
        .iter()
        .filter(|kind| **kind != FailureKind::Reset);
    events.extend(without_reset.map(|kind| {
        let mut failure = sample::failure();
        failure.kind = *kind;
        Event::Failure(failure)
    }));
    events
}

#[test]
fn events_of_every_kind_are_valid() {
    let validator = strict();
    for event in every_kind() {
        assert_valid(&validator, &to_event_line(&event));
    }
}

#[test]
fn what_is_no_event_is_not_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let line = to_event_line(&Event::Reset(sample::received()));
    let event: Value = serde_json::from_str(&line).unwrap();
    assert!(validator.is_valid(&event));
    for (key, value) in [
        ("v", json!(2)),
        ("v", json!("1")),
        ("event", json!("restart")),
        // A reset is no failure.
        ("event", json!("failure")),
        ("id", json!("2A")),
        ("cause", json!("late")),
        ("cause", Value::Null),
        ("direction", json!("up")),
        ("benign", json!("no")),
        ("age_s", json!("61")),
        ("age_s", Value::Null),
        ("bytes_received", json!(-1)),
        ("ip_version", json!(5)),
        ("process", json!({"pid": 1})),
        ("evidence", json!("one")),
        ("leg", json!("left")),
    ] {
        let mut wrong = event.clone();
        wrong[key] = value;
        assert!(!validator.is_valid(&wrong), "{key} of {wrong}");
    }
    for key in [
        "v", "event", "id", "time", "cause", "process", "local", "evidence",
    ] {
        let mut wrong = event.clone();
        wrong.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&wrong), "{key} is missing");
    }
    let mut later = event;
    later["a_key_of_tomorrow"] = json!({"x": 1});
    assert!(validator.is_valid(&later), "readers pass over new keys");
}
