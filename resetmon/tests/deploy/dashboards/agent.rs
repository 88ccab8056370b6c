//! The dashboard of the agent itself: is it there, is its count complete, what does it lose.

use serde_json::Value;

use super::panel::{Dashboard, Kind, Panel, variable};
use super::query::grown;

const ON: &str = r#"cluster=~"$cluster", instance=~"$instance""#;

pub(super) fn dashboard() -> Value {
    Dashboard {
        uid: "resetmon-agent",
        title: "resetmon: the agent itself",
        description: "Whether resetmon sees everything: agents, probes, its count beside the kernel's, losses.",
        variables: vec![
            variable("cluster", "cluster", "label_values(resetmon_build_info, cluster)"),
            variable(
                "instance",
                "node",
                "label_values(up{job=\"resetmon\", cluster=~\"$cluster\"}, instance)",
            ),
        ],
        rows: vec![
            ("Is it there?", there()),
            ("Is its count complete?", complete()),
            ("What does it lose?", lost()),
            ("How large is it?", size()),
        ],
        link: ("resetmon", "connections reset"),
    }
    .json()
}

fn there() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Stat, "Agents scraped", "Agents that answer.")
            .query(format!("count(up{{job=\"resetmon\", {ON}}} == 1) or vector(0)"), "up"),
        Panel::new(Kind::Stat, "Agents down", "Agents that do not answer.")
            .red_above(1.0)
            .query(format!("count(up{{job=\"resetmon\", {ON}}} == 0) or vector(0)"), "down"),
        Panel::new(
            Kind::Stat,
            "Agents without a probe",
            "Their kernel does not give everything; /status and `resetmon doctor` say what is lost.",
        )
        .query(
            format!("count(count by (instance) (resetmon_probe_attached{{{ON}}} == 0)) or vector(0)"),
            "degraded",
        ),
        Panel::new(Kind::Bars, "Versions", "How many agents run which version.")
            .query(format!("count by (version, arch) (resetmon_build_info{{{ON}}})"), "{{version}} {{arch}}"),
        Panel::new(
            Kind::Table,
            "Probes that are missing",
            "By probe, on how many nodes. A gauge of 0: the kernel has not got it, or refuses it.",
        )
        .query(format!("sum by (probe) (1 - resetmon_probe_attached{{{ON}}}) > 0"), "")
        .columns(&["probe"], "nodes"),
    ]
}

fn complete() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Lines,
            "Resets sent: the kernel's count and resetmon's",
            "OutRsts of all network namespaces, and what resetmon counted as sent by this node's TCP. The two lie \
             on each other, but for namespaces that end before they are read again: only resetmon has theirs.",
        )
        .query(
            format!("sum(increase(resetmon_kernel_resets_total{{counter=\"OutRsts\", {ON}}}[$__interval]))"),
            "the kernel",
        )
        .query(
            format!(
                "sum({})",
                grown("resetmon_resets_total", &format!("direction=\"sent\", sender=\"local\", {ON}"))
            ),
            "resetmon",
        ),
        Panel::new(
            Kind::Lines,
            "Unaccounted resets",
            "Sent by the kernel's count, and neither counted by resetmon nor explained: 0 when nothing is missing.",
        )
        .query(format!("resetmon_unaccounted_resets{{{ON}}}"), "{{instance}}"),
        Panel::new(
            Kind::Lines,
            "The kernel's own counters",
            "Their growth, over all network namespaces of the nodes.",
        )
        .query(
            format!("sum by (counter) (rate(resetmon_kernel_resets_total{{{ON}}}[$__rate_interval]))"),
            "{{counter}}",
        ),
        Panel::new(
            Kind::Lines,
            "Runs left out by the kernel",
            "A program that was at work on the CPU already; what reset_sent, reset_received and socket_state \
             miss is made up for by their stand-ins.",
        )
        .query(
            format!("sum by (probe) (rate(resetmon_program_recursion_misses_total{{{ON}}}[$__rate_interval])) > 0"),
            "{{probe}}",
        ),
    ]
}

fn lost() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Bars,
            "Events without detail, or lost",
            "aggregated_…: counted with all labels, not reported one by one. total_…: counted as bare numbers. \
             Others: an owner or a line of events is missing.",
        )
        .query(
            format!("sum by (where) ({}) > 0", grown("resetmon_events_lost_total", ON)),
            "{{where}}",
        ),
        Panel::new(
            Kind::Bars,
            "Labels folded into `other`",
            "The family is full: the count is kept, the label value is not.",
        )
        .query(
            format!("sum by (family) (increase(resetmon_series_folded_total{{{ON}}}[$__interval])) > 0"),
            "{{family}}",
        ),
        Panel::new(
            Kind::Lines,
            "Records that could not be decoded",
            "Agent and programs do not fit. It stays at 0.",
        )
        .query(
            format!("sum by (instance) (increase(resetmon_records_malformed_total{{{ON}}}[$__interval]))"),
            "{{instance}}",
        ),
        Panel::new(
            Kind::Bars,
            "Resets that the kernel refused",
            "RSTs received that it did not believe, by its reason; counted where refused_resets is on.",
        )
        .query(
            format!("sum by (reason) ({}) > 0", grown("resetmon_refused_resets_total", ON)),
            "{{reason}}",
        ),
    ]
}

fn size() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Lines, "Series of each node", "What Prometheus took at each scrape.")
            .query(format!("scrape_samples_post_metric_relabeling{{job=\"resetmon\", {ON}}}"), "{{instance}}"),
        Panel::new(Kind::Lines, "Series of resets by family", "Over all nodes.")
            .query(
                format!(
                    "count by (__name__) ({{__name__=~\"resetmon_(process_|route_|peer_)?resets_total\", {ON}}})"
                ),
                "{{__name__}}",
            ),
        Panel::new(Kind::Lines, "Time of a scrape", "Seconds that the page took.")
            .unit("s")
            .query(format!("scrape_duration_seconds{{job=\"resetmon\", {ON}}}"), "{{instance}}"),
        Panel::new(
            Kind::Bars,
            "Series removed",
            "They were idle for longer than metrics.idle_series_ttl.",
        )
        .query(
            format!("sum by (family) (increase(resetmon_series_evicted_total{{{ON}}}[$__interval])) > 0"),
            "{{family}}",
        ),
    ]
}
