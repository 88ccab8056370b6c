//! The reference that `resetmon run --help` prints, against the types behind it.

use super::*;

/// Replaces the mapping at `path` of the reference by one that has a wrong key too, and takes the
/// keys that the error allows: those of the type behind it.
fn allowed_at(reference: &Value, pointer: &str) -> Vec<String> {
    let mut wrong = reference.clone();
    let mapping = wrong.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    mapping.insert("wrong_key".to_owned(), json!(1));
    let error = errors(&wrong.to_string());
    let (_, keys) = error.split_once("allowed here: ").expect(&error);
    keys.split(", ").map(str::to_owned).collect()
}

fn mappings(value: &Value, pointer: String, found: &mut Vec<(String, Vec<String>)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                mappings(value, format!("{pointer}/{key}"), found);
            }
            found.push((pointer, map.keys().cloned().collect()));
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                mappings(value, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_reference_has_every_key_of_the_types_and_no_other() {
    let reference: Value = serde_saphyr::from_str(Config::REFERENCE).unwrap();
    let mut found = Vec::new();
    mappings(&reference, String::new(), &mut found);
    assert!(found.len() > 6, "{found:?}");
    for (pointer, mut keys) in found {
        let mut allowed = allowed_at(&reference, &pointer);
        // Beside `token_file` it cannot stand, so a comment has it.
        allowed.retain(|key| key != "basic_auth_file");
        allowed.sort();
        keys.sort();
        assert_eq!(keys, allowed, "at {pointer:?}");
    }
}

#[test]
fn the_reference_is_valid_and_shows_the_defaults() {
    let config = Config::parse(Config::REFERENCE, "reference").unwrap();
    let default = Config {
        web_config: Some("/etc/resetmon/web.yaml".into()),
        events: Events {
            path: Some(EventsPath::Stdout),
            otlp: config.events.otlp.clone(),
            ..Events::default()
        },
        peers: config.peers.clone(),
        discovery: Settings {
            overrides: config.discovery.overrides.clone(),
            ..Settings::default()
        },
        kubernetes: Kubernetes {
            node: Some("node-1".into()),
            ..Kubernetes::default()
        },
        gateways: config.gateways.clone(),
        ..Config::default()
    };
    assert_eq!(config, default);
    let table = crate::routes::table::RouteTable::new(config.gateways);
    assert_eq!(
        table.warnings(),
        ["host api.example.com of edge is not resolved: it matches nothing"]
    );
    let long = Config::REFERENCE.lines().find(|line| line.len() > 100);
    assert_eq!(long, None, "fits --help");
}
