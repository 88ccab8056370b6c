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
