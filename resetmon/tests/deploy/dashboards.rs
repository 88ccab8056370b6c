//! The Grafana dashboards, written from here: every query once, every panel in the same form.

use serde_json::Value;

use crate::files;

mod agent;
mod incident;
mod panel;
mod query;

/// Both, by the names of their files.
pub(crate) fn texts() -> [(&'static str, String); 2] {
    [
        ("resetmon.json", text(&incident::dashboard())),
        ("resetmon-agent.json", text(&agent::dashboard())),
    ]
}

#[test]
fn the_dashboards_are_current() {
    for (name, text) in texts() {
        files::assert_current(&format!("grafana/{name}"), &text);
    }
}

/// One key a line, so that a change can be reviewed.
fn text(dashboard: &Value) -> String {
    let text = serde_json::to_string_pretty(dashboard).expect("JSON");
    text + "\n"
}

/// A table has a place for each label that its query leaves, and names what it counts.
#[test]
fn tables_have_a_column_for_each_label() {
    let mut seen = 0;
    for dashboard in [incident::dashboard(), agent::dashboard()] {
        let panels = dashboard["panels"].as_array().expect("panels");
        for panel in panels.iter().filter(|panel| panel["type"] == "table") {
            let options = &panel["transformations"][0]["options"];
            let query = panel["targets"][0]["expr"].as_str().expect("a query");
            let (_, labels) = query.split_once("sum by (").expect("a sum");
            let labels = labels.split(')').next().expect("an end");
            for label in labels.split(", ") {
                let at = &options["indexByName"][label];
                assert!(at.is_u64(), "{}: where is {label}?", panel["title"]);
            }
            let counted = options["renameByName"]["Value"].as_str();
            assert!(counted.is_some_and(|word| !word.is_empty()), "{panel}");
            seen += 1;
        }
    }
    assert!(seen > 4, "{seen}");
}

/// Panels have places of their own, and say what they show.
#[test]
fn panels_do_not_overlap_and_are_described() {
    for dashboard in [incident::dashboard(), agent::dashboard()] {
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut taken = std::collections::HashSet::new();
        for panel in panels {
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            for x in place("x")..place("x") + place("w") {
                assert!(x < 24, "{panel}");
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{panel}");
                }
            }
            let described = panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 10);
            assert!(described || panel["type"] == "row", "{panel}");
        }
        assert!(panels.len() > 8);
    }
}
