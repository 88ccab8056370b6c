//! Every query of the dashboards and of the rules, asked of a real Prometheus that holds what
//! resetmon counted of real faults.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use crate::actor::command::{Readiness, Setting};
use crate::agent::terminate;
use crate::gateway::{Gateway, NGINX, PAYMENTS, RESETMON};
use crate::panels::{self, Answer, ask, is_empty};
use crate::scenario::Whole;

mod history;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "dashboards_and_rules",
    programs: &["nginx", "curl", "prometheus", "promtool"],
    natively: true,
    run: dashboards_and_rules,
}];

/// What comes with some scrapes, the rules and the first comparison with the kernel's count.
const AWAITED: [&str; 4] = [
    "cause_route:resetmon_route_resets:increase15m{cause=\"refused\"} > 0",
    "rate(resetmon_route_resets_total{cause=\"refused\"}[1m])",
    "increase(resetmon_kernel_resets_total{counter=\"OutRsts\"}[5s] offset 5s)",
    "increase(resetmon_records_malformed_total[5s] offset 5s)",
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
    let folder = gateway.folder.path();
    history::write(&before.body, &folder.join("tsdb"), folder)?;
    let mut prometheus = panels::start(&gateway.netns, folder, RESETMON)?;
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

fn check(gateway: &Gateway) -> Result<()> {
    for query in AWAITED {
        gateway.wait_for(query, |gateway| {
            // It refuses connections while it starts.
            let series = ask(&gateway.netns, "query", &[("query", query)]).ok();
            Ok(series.filter(|data| !is_empty(data)))
        })?;
    }
    rules(gateway)?;
    panels::all(&gateway.netns, 1800, refused)?;
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

/// The table has all of them, though the series began after the first.
fn refused(answer: &Answer<'_>) -> Result<()> {
    if answer.title != "Routes, upstreams and causes" {
        return Ok(());
    }
    let rows = answer.data["result"].as_array().context("rows")?;
    let refused = rows
        .iter()
        .find(|row| row["metric"]["cause"] == "refused" && row["metric"]["upstream"] == "chat");
    let count = refused.and_then(|row| row["value"][1].as_str()?.parse::<f64>().ok());
    ensure!(
        count.is_some_and(|count| count >= 30.0),
        "{refused:?} of {rows:#?}"
    );
    Ok(())
}

/// The dots of the panel of single resets lead to events that were reported.
fn exemplars(gateway: &Gateway) -> Result<()> {
    let (start, end) = (panels::now() - 600, panels::now() + 1);
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
    let events = gateway.events()?.all();
    for id in &ids {
        let reported = events.iter().any(|event| event["id"] == *id);
        ensure!(reported, "no event has the id {id}");
    }
    Ok(())
}
