//! The dashboard for the incident: is it happening, since when, where, who, why, what to do.

use resetmon::diagnosis::advice::{Advice, advice};
use resetmon::reset::Cause;
use serde_json::{Map, Value, json};

use super::panel::{Dashboard, Kind, Panel, variable};
use super::query::{grown, grown_in_range};

const ON: &str = r#"cluster=~"$cluster", instance=~"$instance""#;
const ROUTE: &str =
    r#"cluster=~"$cluster", instance=~"$instance", gateway=~"$gateway", route=~"$route""#;

const ALL: &str = "resetmon_resets_total";
const ROUTES: &str = "resetmon_route_resets_total";
const PROCESSES: &str = "resetmon_process_resets_total";
const PEERS: &str = "resetmon_peer_resets_total";

/// `matchers`, and no cause that is harmless.
fn harmful(matchers: &str) -> String {
    let benign: Vec<&str> = Cause::ALL
        .iter()
        .filter(|cause| cause.benign())
        .map(|cause| cause.name())
        .collect();
    format!("{matchers}, cause!~\"{}\"", benign.join("|"))
}

/// For every cause the words of the advice that `part` takes.
fn words(part: fn(&Advice) -> &'static str) -> Value {
    let causes = Cause::ALL.iter();
    let rows = causes.map(|cause| {
        let text = part(advice(*cause));
        (cause.name().to_owned(), json!({"text": text}))
    });
    Value::Object(rows.collect::<Map<_, _>>())
}

pub(super) fn dashboard() -> Value {
    Dashboard {
        uid: "resetmon",
        title: "resetmon: connections reset",
        description: "Every TCP reset, explained: is it happening, since when, which route, pod and peer, \
                      who sends, why, and what to change.",
        variables: vec![
            variable("cluster", "cluster", "label_values(resetmon_build_info, cluster)"),
            variable(
                "instance",
                "node",
                "label_values(resetmon_build_info{cluster=~\"$cluster\"}, instance)",
            ),
            variable(
                "gateway",
                "gateway",
                "label_values(resetmon_route_resets_total{cluster=~\"$cluster\"}, gateway)",
            ),
            variable(
                "route",
                "route",
                "label_values(resetmon_route_resets_total{cluster=~\"$cluster\", gateway=~\"$gateway\"}, route)",
            ),
        ],
        rows: vec![
            ("Is it happening, and since when?", happening()),
            ("Which route and upstream?", routes()),
            ("Whose process, which pod, which peer?", who()),
            ("Who sends, and what does the kernel say?", senders()),
            ("Why, and what to change?", why()),
            ("After how long? A timeout shows as a line", times()),
            ("Which connections failed, also without a reset?", failures()),
        ],
        link: ("resetmon-agent", "the agent itself"),
    }
    .json()
}

fn happening() -> Vec<Panel> {
    let now = format!("sum({})", grown_in_range(ALL, &harmful(ON)));
    let routes = |more: &str| {
        let matchers = format!("{}, {more}", harmful(ROUTE));
        format!("sum({}) or vector(0)", grown_in_range(ROUTES, &matchers))
    };
    let cut = grown_in_range(
        ROUTES,
        &format!("{ROUTE}, leg=\"upstream\", cause=\"aborted_mid_response\""),
    );
    vec![
        Panel::new(
            Kind::Stat,
            "Resets",
            "RST packets sent and received in the time shown, without the harmless ones.",
        )
        .query(format!("{now} or vector(0)"), "resets"),
        Panel::new(
            Kind::Stat,
            "On upstream legs",
            "Resets between gateways and their backends in the time shown.",
        )
        .red_above(20.0)
        .query(routes("leg=\"upstream\""), "upstream"),
        Panel::new(
            Kind::Stat,
            "On downstream legs",
            "Resets between clients and gateways in the time shown; many are clients that left.",
        )
        .query(routes("leg=\"downstream\""), "downstream"),
        Panel::new(
            Kind::Stat,
            "Answers cut off",
            "The backend reset in the middle of an answer. The gateway's access log may say 200.",
        )
        .red_above(1.0)
        .query(format!("sum({cut}) or vector(0)"), "cut"),
        Panel::new(Kind::Stat, "Alerts", "Alerts of resetmon that fire now.")
            .red_above(1.0)
            .query(
                "count(ALERTS{alertname=~\"Resetmon.*\", alertstate=\"firing\"}) or vector(0)",
                "alerts",
            ),
        Panel::new(
            Kind::Stat,
            "Agents",
            "Agents that are scraped; the other dashboard says how they are.",
        )
        .query(
            "count(resetmon_build_info{cluster=~\"$cluster\", instance=~\"$instance\"})",
            "agents",
        ),
        Panel::new(
            Kind::Bars,
            "Resets by cause",
            "RST packets in each step, by what resetmon concludes; the harmless ones are left out.",
        )
        .wide(24)
        .query(
            format!("sum by (cause) ({}) > 0", grown(ALL, &harmful(ON))),
            "{{cause}}",
        ),
    ]
}

fn routes() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Bars,
            "Resets by route",
            "A dot is one reset, with the id that its event has in the JSON lines.",
        )
        .query(
            format!("sum by (gateway, route, leg) ({}) > 0", grown(ROUTES, &harmful(ROUTE))),
            "{{gateway}} {{route}} {{leg}}",
        ),
        Panel::new(
            Kind::Lines,
            "Single resets",
            "The counters themselves, which carry the exemplars: a dot leads to the event of one reset.",
        )
        .with_exemplars()
        .query(
            format!("sum by (gateway, route) (rate(resetmon_route_resets_total{{{}}}[$__rate_interval]))", harmful(ROUTE)),
            "{{gateway}} {{route}}",
        ),
        Panel::new(
            Kind::Table,
            "Routes, upstreams and causes",
            "Resets in the time shown.",
        )
        .query(
            format!(
                "sort_desc(sum by (gateway, route, upstream, leg, direction, cause) ({}) > 0)",
                grown_in_range(ROUTES, &harmful(ROUTE))
            ),
            "",
        )
        .columns(&["gateway", "route", "upstream", "leg", "direction", "cause"], "resets"),
        Panel::new(
            Kind::Bars,
            "Upstreams against their own past",
            "Resets of 15 minutes on the upstream leg, divided by the mean of the day before: 1 is as usual. \
             From the recording rules.",
        )
        .wide(24)
        .query(
            "upstream:resetmon_route_resets:increase15m{cluster=~\"$cluster\", gateway=~\"$gateway\"} \
             / (upstream:resetmon_route_resets:increase15m_avg1d > 0)",
            "{{gateway}} {{upstream}}",
        ),
    ]
}

fn who() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Table,
            "Processes and pods",
            "Owners of the connections that were reset, in the time shown.",
        )
        .wide(14)
        .query(
            format!(
                "sort_desc(topk(30, sum by (process, namespace, pod, container, direction, cause) ({}) > 0))",
                grown_in_range(PROCESSES, &harmful(ON))
            ),
            "",
        )
        .columns(&["process", "namespace", "pod", "container", "direction", "cause"], "resets"),
        Panel::new(
            Kind::Table,
            "Peers",
            "The other ends, in the time shown. One that is far above its siblings is the one to look at.",
        )
        .wide(10)
        .query(
            format!(
                "sort_desc(topk(30, sum by (peer, direction, cause) ({}) > 0))",
                grown_in_range(PEERS, &harmful(ON))
            ),
            "",
        )
        .columns(&["peer", "direction", "cause"], "resets"),
        Panel::new(
            Kind::Bars,
            "Resets by node",
            "RST packets in each step, by the node that saw them.",
        )
        .query(format!("sum by (instance) ({}) > 0", grown(ALL, &harmful(ON))), "{{instance}}"),
        Panel::new(
            Kind::Bars,
            "Resets received, by peer",
            "The ten other ends from which most came.",
        )
        .query(
            format!(
                "topk(10, sum by (peer) ({}) > 0)",
                grown(PEERS, &format!("{}, direction=\"received\"", harmful(ON)))
            ),
            "{{peer}}",
        ),
    ]
}

fn senders() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Bars,
            "Who made the RST",
            "local: this node's stack; peer: the other end; firewall: a packet filter of this node; \
             middlebox: a box in between, suspected on packet evidence.",
        )
        .query(
            format!("sum by (direction, sender) ({}) > 0", grown(ALL, &harmful(ON))),
            "{{direction}} by {{sender}}",
        ),
        Panel::new(
            Kind::Bars,
            "The kernel's reasons, and the stage",
            "Reasons are given for resets sent, from Linux 6.10 on.",
        )
        .query(
            format!("sum by (reason, stage) ({}) > 0", grown(ALL, &harmful(ON))),
            "{{reason}} ({{stage}})",
        ),
    ]
}

fn why() -> Vec<Panel> {
    let causes = format!("sum by (cause) ({}) > 0", grown_in_range(ALL, ON));
    let twice = |query: String, label: &str| {
        format!("label_replace({query}, \"{label}\", \"$1\", \"cause\", \"(.*)\")")
    };
    vec![
        Panel::new(
            Kind::Table,
            "Causes in the time shown",
            "What each cause means and what to change, in the agent's own words.",
        )
        .query(
            format!("sort_desc({})", twice(twice(causes, "meaning"), "change")),
            "",
        )
        .columns(&["cause", "meaning", "change"], "resets")
        .words("meaning", words(|row| row.meaning))
        .words("change", words(|row| row.change)),
    ]
}

fn failures() -> Vec<Panel> {
    let failed = "failure!=\"canceled\"";
    vec![
        Panel::new(
            Kind::Bars,
            "Failed connections",
            "reset, refused, timed_out, unreachable, empty_response: as the user of the connection saw it. Who gave \
             up first is left out.",
        )
        .query(
            format!(
                "sum by (failure) ({}) > 0",
                grown("resetmon_connection_failures_total", &format!("{ON}, {failed}"))
            ),
            "{{failure}}",
        ),
        Panel::new(
            Kind::Bars,
            "Failed connections by route",
            "empty_response is a backend that closed without an answer: as common as a reset, and in no log of resets.",
        )
        .query(
            format!(
                "sum by (gateway, route, leg, failure) ({}) > 0",
                grown("resetmon_route_connection_failures_total", &format!("{ROUTE}, {failed}"))
            ),
            "{{gateway}} {{route}} {{leg}} {{failure}}",
        ),
        Panel::new(
            Kind::Table,
            "Failed connections by process",
            "In the time shown.",
        )
        .query(
            format!(
                "sort_desc(topk(30, sum by (process, namespace, pod, container, role, failure) ({}) > 0))",
                grown_in_range("resetmon_connection_failures_total", &format!("{ON}, {failed}"))
            ),
            "",
        )
        .columns(&["process", "namespace", "pod", "container", "role", "failure"], "connections"),
    ]
}

fn times() -> Vec<Panel> {
    let heat = |metric: &str| {
        let matchers = format!("{ON}, route=~\"$route|\"");
        format!("sum by (le) ({})", grown(metric, &matchers))
    };
    vec![
        Panel::new(
            Kind::Heatmap,
            "Idle before the reset",
            "Silence between the last payload and the reset. A timeout of a proxy, load balancer or firewall \
             is a line: 60 s nginx and AWS ALB, 75 s nginx keep-alive, 240 s Azure, 350 s AWS NLB.",
        )
        .unit("s")
        .query(heat("resetmon_reset_connection_idle_seconds_bucket"), "{{le}}"),
        Panel::new(
            Kind::Heatmap,
            "Age at the reset",
            "From the handshake to the reset. A limit on a connection's life is a line.",
        )
        .unit("s")
        .query(heat("resetmon_reset_connection_age_seconds_bucket"), "{{le}}"),
    ]
}
