//! Rules and dashboards name metrics that the agent has.

use std::collections::BTreeSet;

use crate::files;

/// Files with queries.
const FILES: [&str; 3] = [
    "prometheus/resetmon.rules.yaml",
    "grafana/resetmon.json",
    "grafana/resetmon-agent.json",
];

/// Where the agent writes its page: families are there by name, without what a kind or a unit adds.
const PAGE: &str = include_str!("../../src/export/metrics/page.rs");

#[test]
fn only_metrics_of_the_agent_are_named() {
    let known: BTreeSet<&str> = PAGE
        .split('"')
        .filter(|text| text.starts_with("resetmon_"))
        .collect();
    assert!(known.len() > 10, "{known:?}");
    let mut seen = BTreeSet::new();
    for name in FILES {
        let text = files::read(name);
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)) {
            // Recorded series and patterns are something else.
            if !word.starts_with("resetmon_") || word.contains(':') || word.ends_with('_') {
                continue;
            }
            let ends = [
                "_seconds_bucket",
                "_seconds_count",
                "_seconds_sum",
                "_total",
                "",
            ];
            let family = ends.iter().find_map(|end| word.strip_suffix(end));
            let family = family.unwrap_or(word);
            assert!(known.contains(family), "{name} names {word}");
            seen.insert(family.to_owned());
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
