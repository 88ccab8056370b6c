//! Rules and dashboards name metrics and labels that the agent has.

use std::collections::BTreeSet;

use crate::files;

/// Files with queries.
const FILES: [&str; 3] = [
    "prometheus/resetmon.rules.yaml",
    "grafana/resetmon.json",
    "grafana/resetmon-agent.json",
];

/// Every word that begins as a metric of the agent does is in the README, which another test
/// compares with the agent.
#[test]
fn only_metrics_of_the_agent_are_named() {
    let readme = include_str!("../../../README.md");
    let known: BTreeSet<&str> = readme
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("resetmon_"))
        .collect();
    let mut seen = BTreeSet::new();
    for name in FILES {
        let text = files::read(name);
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)) {
            // Recorded series and patterns are something else.
            if !word.starts_with("resetmon_") || word.contains(':') || word.ends_with('_') {
                continue;
            }
            let family = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(word);
            assert!(known.contains(family), "{name} names {word}");
            seen.insert(family.to_owned());
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
