//! `resetmon routes`: the routes as read from the gateways and the cluster, and what was not
//! understood.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::gateways::wanted;
use super::session;
use crate::attribution::process::Processes;
use crate::config::Config;
use crate::export::terminal::columns;
use crate::pipeline::since_boot;
use crate::routes::discovery::{Discovery, Found};
use crate::routes::kubernetes::{self, Access, ClusterView};
use crate::routes::precedence;
use crate::routes::resolve::follower::Follower;
use crate::routes::source;
use crate::routes::table::{Gateway, Route, RouteTable};
use crate::text::printable;

/// How long the cluster may take to list everything.
const CLUSTER_LIMIT: Duration = Duration::from_secs(10);
/// How long the look-ups of all host names may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(20);

/// Options of `resetmon routes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file (YAML): gateways described by hand, and what discovery does not find
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Only gateways whose name contains this text
    #[arg(value_name = "GATEWAY")]
    gateway: Option<String>,
}

/// Reads the routes of every gateway once and prints them.
///
/// Errors: the configuration file is wrong, `/proc` cannot be listed, or no thread be started.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let config = session::load_config(args.config.as_deref())?;
    let (found, view, warnings) = session::block_on(async {
        let (found, view) = tokio::join!(look(&config), ask_cluster(&config));
        let (found, view) = (found?, view?);
        let warnings = warnings(&config, &view, &found).await?;
        Ok((found, view, warnings))
    })?;
    let views = views(&config, &view, &found, args.gateway.as_deref());
    let text = if args.json {
        serde_json::to_string_pretty(&views)? + "\n"
    } else {
        text(&views, &warnings)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has gone, as `head` does, is a normal end.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

async fn look(config: &Config) -> anyhow::Result<Vec<Found>> {
    if !config.discovery.enabled {
        return Ok(Vec::new());
    }
    let overrides = config.discovery.overrides.clone();
    let mut discovery = Discovery::new(PathBuf::from("/proc"), source::all(), overrides);
    discovery.look().await?;
    Ok(discovery.found())
}

/// What the cluster says, as far as it says it in time.
async fn ask_cluster(config: &Config) -> anyhow::Result<Arc<ClusterView>> {
    let settings = session::cluster(config);
    if settings.access == Access::None {
        return Ok(Arc::default());
    }
    let mut cluster = kubernetes::start(settings).context("the cluster cannot be asked")?;
    let complete = async { while !cluster.next().await.complete {} };
    if tokio::time::timeout(CLUSTER_LIMIT, complete).await.is_ok() {
        return Ok(cluster.view());
    }
    let mut view = ClusterView::clone(&cluster.view());
    view.not_understood.push(format!(
        "Kubernetes: the API server did not list everything within {CLUSTER_LIMIT:?}"
    ));
    Ok(Arc::new(view))
}

/// One gateway, as it is shown.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct View {
    gateway: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    listeners: Vec<String>,
    routes: Vec<RouteView>,
    upstreams: Vec<UpstreamView>,
    not_understood: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RouteView {
    route: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listeners: Vec<String>,
    upstreams: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct UpstreamView {
    upstream: String,
    endpoints: Vec<String>,
}

fn views(
    config: &Config,
    cluster: &ClusterView,
    found: &[Found],
    filter: Option<&str>,
) -> Vec<View> {
    let by_hand = config.gateways.iter().map(|gateway| View {
        kind: "configuration",
        origin: "section `gateways` of the configuration".to_owned(),
        ..view(gateway)
    });
    let found = found.iter().map(|found| View {
        kind: found.kind,
        pid: Some(found.pid),
        origin: safe(&found.origin),
        error: found.error.as_deref().map(safe),
        ..view(&found.gateway)
    });
    let by_cluster = cluster.gateways.iter().map(|gateway| View {
        kind: "kubernetes",
        origin: "API server of the cluster".to_owned(),
        ..view(gateway)
    });
    by_hand
        .chain(by_cluster)
        .chain(found)
        .filter(|view| filter.is_none_or(|text| view.gateway.contains(text)))
        .collect()
}

fn view(gateway: &Gateway) -> View {
    let texts = |list: &[super::super::routes::address::Listener]| {
        list.iter().map(ToString::to_string).collect()
    };
    let route = |route: &Route| RouteView {
        route: safe(&route.name),
        listeners: texts(&route.listeners),
        upstreams: route.upstreams.iter().map(|name| safe(name)).collect(),
    };
    View {
        gateway: safe(&gateway.name),
        kind: "",
        pid: None,
        origin: String::new(),
        error: None,
        listeners: texts(&gateway.listeners),
        routes: gateway.routes.iter().map(route).collect(),
        upstreams: gateway
            .upstreams
            .iter()
            .map(|upstream| UpstreamView {
                upstream: safe(&upstream.name),
                endpoints: upstream.endpoints.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        not_understood: gateway
            .not_understood
            .iter()
            .map(|text| safe(text))
            .collect(),
    }
}

/// What the cluster does not say, and where the gateways together cannot be told apart.
async fn warnings(
    config: &Config,
    cluster: &ClusterView,
    found: &[Found],
) -> anyhow::Result<Vec<String>> {
    let processes = Processes::new(PathBuf::from("/proc"), 1);
    let pod_of = |pid| processes.pod_uid(pid);
    let gateways = precedence::merged(&config.gateways, &cluster.gateways, found, pod_of);
    let gateways = gateways.into_iter().map(|gateway| Gateway {
        not_understood: Vec::new(),
        ..gateway
    });
    let table = RouteTable::new(gateways.collect());
    let follower = Follower::start(PathBuf::from("/proc"), || {})
        .context("no thread can be started to look host names up")?;
    let answers = follower.once(wanted(&table, found), RESOLVE_LIMIT).await;
    let table = table.with_addresses(&answers, since_boot());
    let texts = cluster.not_understood.iter().cloned();
    let texts = texts.chain(table.warnings());
    Ok(texts.map(|text| safe(&text)).collect())
}

/// Names come from files of others: nothing in them steers a terminal.
fn safe(text: &str) -> String {
    printable(text).into_owned()
}

fn text(views: &[View], warnings: &[String]) -> String {
    let mut text = String::new();
    if views.is_empty() {
        let kinds: Vec<&str> = source::all().iter().map(|source| source.kind()).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "no gateway found: no process here is one of {}.\n\
             Others are described in the section `gateways` of a configuration file (--config); \
             `resetmon run --help` shows how.",
            kinds.join(", ")
        );
    }
    for view in views {
        if !text.is_empty() {
            text.push('\n');
        }
        gateway_text(view, &mut text);
    }
    for warning in warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn gateway_text(view: &View, text: &mut String) {
    let process = view
        .pid
        .map(|pid| format!("  process {pid}"))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "{}  ({}){process}  {}",
        view.gateway, view.kind, view.origin
    );
    if let Some(error) = &view.error {
        let _ = writeln!(text, "  NOT READ: {error}");
    }
    if !view.listeners.is_empty() {
        let _ = writeln!(text, "  listens on {}", view.listeners.join(", "));
    }
    let mut rows = vec![["ROUTE", "UPSTREAM", "ENDPOINTS"].map(str::to_owned)];
    let endpoints = |name: &str| {
        let upstream = view
            .upstreams
            .iter()
            .find(|upstream| upstream.upstream == name);
        upstream.map_or_else(|| "-".to_owned(), |upstream| shortened(&upstream.endpoints))
    };
    for route in &view.routes {
        let mut name = route.route.as_str();
        if route.upstreams.is_empty() {
            rows.push([name.to_owned(), "-".to_owned(), "-".to_owned()]);
        }
        for upstream in &route.upstreams {
            rows.push([name.to_owned(), upstream.clone(), endpoints(upstream)]);
            name = "";
        }
    }
    for upstream in &view.upstreams {
        let used = |route: &RouteView| route.upstreams.contains(&upstream.upstream);
        if !view.routes.iter().any(used) {
            let row = [
                "-".to_owned(),
                upstream.upstream.clone(),
                endpoints(&upstream.upstream),
            ];
            rows.push(row);
        }
    }
    if rows.len() > 1 {
        text.push_str(&columns(&rows, 2));
    }
    if !view.not_understood.is_empty() {
        text.push_str("  not understood:\n");
    }
    for line in &view.not_understood {
        let _ = writeln!(text, "    {line}");
    }
}

/// So many endpoints as fit a line.
fn shortened(endpoints: &[String]) -> String {
    const SHOWN: usize = 4;
    if endpoints.is_empty() {
        return "-".to_owned();
    }
    let mut text = endpoints[..endpoints.len().min(SHOWN)].join(", ");
    if endpoints.len() > SHOWN {
        let _ = write!(text, ", and {} more (--json)", endpoints.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests;
