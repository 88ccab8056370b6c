//! Every query of the dashboards and of the rules, asked of a real Prometheus that holds what
//! resetmon counted of real faults.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::actor::command::{Readiness, Setting};
use crate::agent::terminate;
use crate::gateway::{Gateway, NGINX, PAYMENTS, RESETMON};
use crate::prometheus::{PROMETHEUS, ask};
use crate::scenario::Whole;

mod history;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "dashboards_and_rules",
    programs: &["nginx", "curl", "prometheus", "promtool"],
    natively: true,
    run: dashboards_and_rules,
}];

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// What Grafana puts in the place of its variables.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "1m"),
    ("$__range", "1h"),
    ("$cluster", ".*"),
    ("$instance", ".*"),
    ("$gateway", ".*"),
    ("$route", ".*"),
];

/// Panels without data where nothing is amiss, or where the past is too short.
const MAY_BE_EMPTY: [&str; 8] = [
    "Upstreams against their own past",
    "Probes that are missing",
    "Runs left out by the kernel",
    "Events without detail, or lost",
    "Labels folded into `other`",
    "Resets that the kernel refused",
    "Series removed",
    "Unaccounted resets",
];

/// What comes with the second scrape, the rules and the first comparison with the kernel's count.
const AWAITED: [&str; 3] = [
    "cause_route:resetmon_route_resets:increase15m{cause=\"refused\"} > 0",
    "rate(resetmon_route_resets_total{cause=\"refused\"}[1m])",
    "rate(resetmon_kernel_resets_total{counter=\"OutRsts\"}[1m])",
];

/// Alerts that the faults below must raise.
const ALERTS: [&str; 3] = [
    "ResetmonAnswersCut",
    "ResetmonNewCause",
    "ResetmonRouteResets",
];

fn dashboards_and_rules() -> Result<()> {
    let gateway = Gateway::start()?;
    let before = gateway.metrics("application/openmetrics-text;version=1.0.0")?;
    faults(&gateway)?;
    let mut prometheus = start(&gateway, &before.body)?;
    let checked = check(&gateway);
    terminate(&mut prometheus)?;
    checked?;
    gateway.stop()
}

/// Several of each kind that a gateway meets.
fn faults(gateway: &Gateway) -> Result<()> {
    // Nobody listens.
    for _ in 0..30 {
        gateway.curl("/api/chat/1")?.status()?;
    }
    let (_backend, listener) = gateway.backend(PAYMENTS)?;
    for turn in 0..12 {
        let curl = gateway.curl("/api/pay/1")?;
        listener.wait(Readiness::Input)?;
        let (accepted, _) = listener.accept()?;
        accepted.wait(Readiness::Input)?;
        accepted.read(4096)?;
        if turn % 2 == 0 {
            accepted.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")?;
        }
        accepted.set(Setting::Linger(0))?;
        accepted.close()?;
        curl.status()?;
    }
    let client = gateway.actor("client")?;
    let at: SocketAddr = NGINX.parse()?;
    let connection = client.socket(at)?;
    connection.connect(at)?;
    connection.write(b"GET /api/pay/1 HTTP/1.1\r\nHost: gateway\r\n\r\n")?;
    listener.wait(Readiness::Input)?;
    let (_accepted, _) = listener.accept()?;
    connection.set(Setting::Linger(0))?;
    connection.close()?;
    for (leg, cause, upstream) in [
        ("upstream", "refused", "chat"),
        ("upstream", "aborted_mid_response", "payments"),
        ("upstream", "aborted_before_response", "payments"),
        ("downstream", "client_canceled", "payments"),
    ] {
        let mut labels = vec![("leg", leg), ("cause", cause)];
        if leg == "upstream" {
            labels.push(("upstream", upstream));
        }
        gateway.counted("resetmon_route_resets_total", &labels)?;
    }
    Ok(())
}

/// Prometheus with a past of a day and with the rules, at work.
fn start(gateway: &Gateway, before: &str) -> Result<Child> {
    let folder = gateway.folder.path();
    history::write(before, &folder.join("tsdb"), folder)?;
    let rules = Path::new(DEPLOY)
        .join("prometheus/resetmon.rules.yaml")
        .canonicalize()?;
    let config = folder.join("dashboards.yaml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - {{job_name: resetmon, static_configs: [{{targets: ['{RESETMON}']}}]}}\n",
        rules.display()
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("tsdb").display()
        ))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .arg("--enable-feature=exemplar-storage")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = gateway.netns.run_in(&mut command).spawn();
    child.context("start prometheus")
}

fn check(gateway: &Gateway) -> Result<()> {
    for query in AWAITED {
        gateway.wait_for(query, |gateway| {
            // It refuses connections while it starts.
            let series = ask(&gateway.netns, "query", &[("query", query)]).ok();
            Ok(series.filter(|data| !is_empty(data)))
        })?;
    }
    rules(gateway)?;
    let mut wrong = Vec::new();
    let mut asked = 0;
    for name in ["resetmon", "resetmon-agent"] {
        let path = Path::new(DEPLOY).join(format!("grafana/{name}.json"));
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        for panel in dashboard["panels"].as_array().context("panels")? {
            for target in panel["targets"].as_array().into_iter().flatten() {
                asked += 1;
                if let Err(error) = panel_query(gateway, panel, target) {
                    wrong.push(format!("{} of {name}: {error:#}", panel["title"]));
                }
            }
        }
        for variable in dashboard["templating"]["list"]
            .as_array()
            .context("variables")?
        {
            if let Some(query) = variable["query"]["query"].as_str() {
                asked += 1;
                variable_query(gateway, query).with_context(|| query.to_owned())?;
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(asked > 35, "only {asked} queries");
    exemplars(gateway)
}

/// Every rule was evaluated without an error, and the faults raised their alerts.
fn rules(gateway: &Gateway) -> Result<()> {
    let firing = format!(
        "count by (alertname) (ALERTS{{alertname=~\"{}\"}})",
        ALERTS.join("|")
    );
    gateway.wait_for("the alerts", |gateway| {
        let data = ask(&gateway.netns, "query", &[("query", &firing)])?;
        let found = data["result"].as_array().map_or(0, Vec::len);
        Ok((found == ALERTS.len()).then_some(()))
    })?;
    let data = ask(&gateway.netns, "rules", &[])?;
    let mut seen = 0;
    for group in data["groups"].as_array().context("groups")? {
        for rule in group["rules"].as_array().context("rules")? {
            ensure!(rule["health"] == "ok", "{rule:#}");
            seen += 1;
        }
    }
    ensure!(seen > 25, "only {seen} rules");
    Ok(())
}

fn panel_query(gateway: &Gateway, panel: &Value, target: &Value) -> Result<()> {
    let query = filled(target["expr"].as_str().context("an expression")?);
    let data = if target["instant"] == true {
        ask(&gateway.netns, "query", &[("query", &query)])?
    } else {
        // The last point lies after the last scrape.
        let end = history::now() + 5;
        let start = end - 1800;
        let range = [
            ("query", query.as_str()),
            ("start", &start.to_string()),
            ("end", &end.to_string()),
            ("step", "5"),
        ];
        ask(&gateway.netns, "query_range", &range)?
    };
    let title = panel["title"].as_str().context("a title")?;
    if title == "Routes, upstreams and causes" {
        let rows = data["result"].as_array().context("rows")?;
        let refused = rows
            .iter()
            .find(|row| row["metric"]["cause"] == "refused" && row["metric"]["upstream"] == "chat");
        let count = refused.and_then(|row| row["value"][1].as_str()?.parse::<f64>().ok());
        // All of them, though the series began after the first.
        ensure!(
            count.is_some_and(|count| count >= 30.0),
            "{refused:?} of {rows:#?}"
        );
    }
    if is_empty(&data) && !MAY_BE_EMPTY.contains(&title) {
        bail!("no data: {query}");
    }
    Ok(())
}

/// `label_values(metric{…}, label)` of a variable: the metric is there. The label `cluster` comes
/// from other installations than this.
fn variable_query(gateway: &Gateway, query: &str) -> Result<()> {
    let inner = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'))
        .context("no query of label values")?;
    let (metric, label) = inner.rsplit_once(", ").context("no label")?;
    let values = filled(&format!("group by ({label}) ({metric})"));
    let data = ask(&gateway.netns, "query", &[("query", &values)])?;
    ensure!(!is_empty(&data), "no data: {values}");
    // Some series may lack it: a client's connection has no route before its request.
    let series = data["result"].as_array().into_iter().flatten();
    let named = series
        .map(|one| &one["metric"][label])
        .any(Value::is_string);
    ensure!(named || label == "cluster", "no label {label}");
    Ok(())
}

/// The dots of the panel of single resets lead to events that were reported.
fn exemplars(gateway: &Gateway) -> Result<()> {
    let (start, end) = (history::now() - 600, history::now() + 1);
    let range = [
        ("query", "resetmon_route_resets_total"),
        ("start", &start.to_string()),
        ("end", &end.to_string()),
    ];
    let data = ask(&gateway.netns, "query_exemplars", &range)?;
    let mut ids = Vec::new();
    for series in data.as_array().context("series")? {
        for one in series["exemplars"].as_array().context("exemplars")? {
            ids.push(one["labels"]["id"].clone());
        }
    }
    ensure!(!ids.is_empty(), "no exemplars: {data}");
    for id in &ids {
        let reported = gateway.events()?.count(|event| event["id"] == *id);
        ensure!(reported > 0, "no event has the id {id}");
    }
    Ok(())
}

fn filled(query: &str) -> String {
    VARIABLES
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        })
}

fn is_empty(data: &Value) -> bool {
    data["result"].as_array().is_none_or(Vec::is_empty)
}
