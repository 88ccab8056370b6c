//! A real Prometheus with the rules, and the queries of the dashboards that it is asked.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::http;
use crate::netns::Netns;

/// Where Prometheus serves.
pub(crate) const PROMETHEUS: &str = "127.0.0.1:9090";

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Names a folder for the answers, for `tests/common/panels.py` to draw.
const KEEP: &str = "RESETMON_PANELS";

/// What Grafana puts in the place of its variables.
const VARIABLES: [(&str, &str); 7] = [
    ("$__rate_interval", "1m"),
    ("$__interval", "5s"),
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

/// A query of a panel, and its answer.
pub(crate) struct Answer<'a> {
    /// Title of the panel.
    pub(crate) title: &'a str,
    /// Of Prometheus' API.
    pub(crate) data: Value,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Starts Prometheus with the rules; it keeps its data in `tsdb` of `folder`, and scrapes the agent
/// at `target`.
pub(crate) fn start(netns: &Netns, folder: &Path, target: &str) -> Result<Child> {
    let rules = Path::new(DEPLOY)
        .join("prometheus/resetmon.rules.yaml")
        .canonicalize()?;
    let config = folder.join("dashboards.yaml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - {{job_name: resetmon, static_configs: [{{targets: ['{target}']}}]}}\n",
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
    let child = netns.run_in(&mut command).spawn();
    child.context("start prometheus")
}

/// What Prometheus' API answers.
///
/// # Errors
/// Where it refuses, with its reason.
pub(crate) fn ask(namespace: &Netns, call: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    let mut path = format!("/api/v1/{call}");
    for (number, (name, value)) in parameters.iter().enumerate() {
        let sign = if number == 0 { '?' } else { '&' };
        write!(path, "{sign}{name}=")?;
        for byte in value.bytes() {
            write!(path, "%{byte:02x}")?;
        }
    }
    let body = http::get(namespace, PROMETHEUS.parse()?, &path, "*/*")
        .with_context(|| format!("{call} {parameters:?}"))?
        .body;
    let mut answer: Value = serde_json::from_str(&body)?;
    ensure!(
        answer["status"] == "success",
        "{call} {parameters:?}: {answer}"
    );
    Ok(answer["data"].take())
}

/// Asks every query of both dashboards for the last `past` seconds, and shows each panel's answer to
/// `judge`.
///
/// # Errors
/// Everything that was wrong: a query that is refused, has no data though it should, or that
/// `judge` does not like.
pub(crate) fn all(
    netns: &Netns,
    past: u64,
    mut judge: impl FnMut(&Answer<'_>) -> Result<()>,
) -> Result<()> {
    let (mut wrong, mut asked, mut kept) = (Vec::new(), 0, Vec::new());
    for name in ["resetmon", "resetmon-agent"] {
        let path = Path::new(DEPLOY).join(format!("grafana/{name}.json"));
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        for panel in dashboard["panels"].as_array().context("panels")? {
            let title = panel["title"].as_str().context("a title")?;
            for target in panel["targets"].as_array().into_iter().flatten() {
                asked += 1;
                let outcome = query(netns, past, title, target).and_then(|answer| {
                    kept.push(json!({"dashboard": name, "panel": panel, "target": target, "data": answer.data}));
                    judge(&answer)
                });
                if let Err(error) = outcome {
                    wrong.push(format!("{title} of {name}: {error:#}"));
                }
            }
        }
        let variables = dashboard["templating"]["list"].as_array();
        for variable in variables.context("variables")? {
            if let Some(query) = variable["query"]["query"].as_str() {
                asked += 1;
                self::variable(netns, query).with_context(|| query.to_owned())?;
            }
        }
    }
    if let Some(folder) = std::env::var_os(KEEP) {
        std::fs::create_dir_all(&folder)?;
        let file = Path::new(&folder).join("panels.json");
        std::fs::write(file, Value::Array(kept).to_string())?;
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(asked > 35, "only {asked} queries");
    Ok(())
}

fn query<'a>(netns: &Netns, past: u64, title: &'a str, target: &Value) -> Result<Answer<'a>> {
    let query = filled(target["expr"].as_str().context("an expression")?);
    let data = if target["instant"] == true {
        ask(netns, "query", &[("query", &query)])?
    } else {
        // The last point lies after the last scrape.
        let end = now() + 5;
        let range = [
            ("query", query.as_str()),
            ("start", &(end - past).to_string()),
            ("end", &end.to_string()),
            ("step", "5"),
        ];
        ask(netns, "query_range", &range)?
    };
    if is_empty(&data) && !MAY_BE_EMPTY.contains(&title) {
        bail!("no data: {query}");
    }
    Ok(Answer { title, data })
}

/// `label_values(metric{…}, label)` of a variable: the metric is there. The label `cluster` comes
/// from other installations than this.
fn variable(netns: &Netns, query: &str) -> Result<()> {
    let inner = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'))
        .context("no query of label values")?;
    let (metric, label) = inner.rsplit_once(", ").context("no label")?;
    let values = filled(&format!("group by ({label}) ({metric})"));
    let data = ask(netns, "query", &[("query", &values)])?;
    ensure!(!is_empty(&data), "no data: {values}");
    // Some series may lack it: a client's connection has no route before its request.
    let series = data["result"].as_array().into_iter().flatten();
    let named = series
        .map(|one| &one["metric"][label])
        .any(Value::is_string);
    ensure!(named || label == "cluster", "no label {label}");
    Ok(())
}

/// A query as Grafana would send it.
pub(crate) fn filled(query: &str) -> String {
    VARIABLES
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query.replace(name, value)
        })
}

/// Whether an answer has no series.
pub(crate) fn is_empty(data: &Value) -> bool {
    data["result"].as_array().is_none_or(Vec::is_empty)
}
