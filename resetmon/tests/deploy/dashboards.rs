//! The Grafana dashboards, written from here: every query once, every panel in the same form.

use serde_json::Value;

use crate::files;

mod agent;
mod incident;
mod panel;
mod query;

#[test]
fn the_dashboard_of_resets_is_current() {
    files::assert_current("grafana/resetmon.json", &text(&incident::dashboard()));
}

#[test]
fn the_dashboard_of_the_agent_is_current() {
    files::assert_current("grafana/resetmon-agent.json", &text(&agent::dashboard()));
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
