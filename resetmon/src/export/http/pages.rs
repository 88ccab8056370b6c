//! What each path answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::accept::{Offer, choose};
use super::events::{self, Feed};
use crate::export::metrics::Format;
use crate::reconcile::Summary;

/// Where the pages get their content.
pub trait Pages: Send + Sync + 'static {
    /// The metrics.
    fn metrics(&self, format: Format) -> String;
    /// What the agent can see and what it cannot.
    fn status(&self) -> StatusPage;
    /// Whether the agent still does its work; else what has stopped, which only a restart mends.
    fn alive(&self) -> Result<(), String>;
    /// Whether resets are being seen; else what is missing.
    fn ready(&self) -> Result<(), String>;
    /// The events of `/events`; `None` where they are not served.
    fn events(&self) -> Option<&Arc<Feed>> {
        None
    }
}

/// The content of `/status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusPage {
    /// Version of the agent.
    pub version: String,
    /// Since the agent started, seconds.
    pub uptime_s: f64,
    /// Resets are being seen.
    pub ready: bool,
    /// `ok`, `degraded` or `unusable`.
    pub verdict: String,
    /// What is not seen, with the remedy, one sentence each.
    pub lost: Vec<String>,
    /// Every probe.
    pub probes: Vec<ProbeStatus>,
    /// Gateways that were found by themselves.
    pub gateways: Vec<GatewayStatus>,
    /// What names and routes do without, and why.
    pub notes: Vec<String>,
    /// Totals since the start: resets, events lost …
    pub counts: BTreeMap<String, u64>,
    /// Resets sent, by the kernel's count and by ours; `None` before the first comparison.
    pub sent: Option<Summary>,
}

/// One gateway on the status page; `resetmon routes` says more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayStatus {
    /// Label `gateway`.
    pub gateway: String,
    /// Its main process.
    pub pid: u32,
    /// How many routes were read.
    pub routes: usize,
    /// How many upstreams.
    pub upstreams: usize,
    /// Where they were read.
    pub origin: String,
    /// Why they cannot be read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One probe on the status page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeStatus {
    /// Its name, as in `resetmon_probe_attached`.
    pub name: String,
    /// It is attached.
    pub attached: bool,
    /// What it is for, or why it is missing.
    pub detail: String,
}

const METRICS: &[Offer] = &[
    Offer {
        media: "text/plain",
        version: Some("0.0.4"),
    },
    Offer {
        media: "application/openmetrics-text",
        version: Some("1.0.0"),
    },
];

const STATUS: &[Offer] = &[
    Offer {
        media: "text/plain",
        version: None,
    },
    Offer {
        media: "application/json",
        version: None,
    },
];

/// Text for a reader.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

const INDEX: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><title>resetmon</title></head><body>
<h1>resetmon</h1>
<p>Every TCP reset on this node, explained.</p>
<ul>
<li><a href=\"/metrics\">metrics</a></li>
<li><a href=\"/status\">status</a></li>
<li><a href=\"/healthz\">healthz</a></li>
<li><a href=\"/readyz\">readyz</a></li>
";

const INDEX_EVENTS: &str = "<li><a href=\"/events\">events</a></li>\n";

const INDEX_END: &str = "</ul>
</body></html>
";

/// The word, or why it is not so.
fn verdict(word: &str, found: &Result<(), String>) -> Response<Full<Bytes>> {
    match found {
        Ok(()) => respond(StatusCode::OK, TEXT, format!("{word}\n")),
        Err(reason) => respond(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            format!("not {word}: {reason}\n"),
        ),
    }
}

/// Answers one request for a page, of which `/events` is none where it is served. The body, which no
/// page needs, is not read.
pub fn answer<B: Body>(pages: &dyn Pages, request: &Request<B>) -> Response<Full<Bytes>> {
    let page: fn(&dyn Pages, &HeaderMap) -> Response<Full<Bytes>> = match request.uri().path() {
        "/" => index,
        "/metrics" => metrics,
        "/healthz" => |pages, _| verdict("ok", &pages.alive()),
        "/readyz" => |pages, _| verdict("ready", &pages.ready()),
        "/status" => status,
        events::PATH => {
            return respond(
                StatusCode::NOT_FOUND,
                TEXT,
                "events are not served; ask for them by `events: {http: true}` or --http-events\n",
            );
        }
        _ => {
            return respond(
                StatusCode::NOT_FOUND,
                TEXT,
                "not found; / lists the pages\n",
            );
        }
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed();
    }
    page(pages, request.headers())
}

/// For a method that would change something.
pub(super) fn not_allowed() -> Response<Full<Bytes>> {
    let text = "only GET and HEAD are allowed\n";
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn index(pages: &dyn Pages, _: &HeaderMap) -> Response<Full<Bytes>> {
    let events = pages.events().map_or("", |_| INDEX_EVENTS);
    respond(StatusCode::OK, HTML, [INDEX, events, INDEX_END].concat())
}

fn metrics(pages: &dyn Pages, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let format = match choose(&accept(headers), METRICS) {
        1 => Format::OpenMetrics,
        _ => Format::Text,
    };
    let page = pages.metrics(format);
    varying(respond(StatusCode::OK, format.content_type(), page))
}

fn status(pages: &dyn Pages, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let status = pages.status();
    let response = match choose(&accept(headers), STATUS) {
        1 => match serde_json::to_string_pretty(&status) {
            Ok(json) => respond(StatusCode::OK, JSON, json + "\n"),
            Err(error) => respond(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("status as JSON: {error}\n"),
            ),
        },
        _ => respond(StatusCode::OK, TEXT, status.to_text()),
    };
    varying(response)
}

/// Every `Accept` header, as one.
fn accept(headers: &HeaderMap) -> String {
    let values: Vec<_> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    values.join(",")
}

/// An answer of this content, not to be stored by caches.
pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Says that the page depends on `Accept`.
fn varying(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

impl StatusPage {
    /// The page for a reader.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let ready = if self.ready { "ready" } else { "not ready" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "resetmon {}: {}, {ready}", self.version, self.verdict);
        let _ = writeln!(text, "up {:.0} s", self.uptime_s);
        if !self.lost.is_empty() {
            let _ = writeln!(text, "\nnot seen:");
        }
        for lost in &self.lost {
            let _ = writeln!(text, "  {lost}");
        }
        let _ = writeln!(text, "\nprobes:");
        for probe in &self.probes {
            let state = if probe.attached {
                "attached"
            } else {
                "missing"
            };
            let _ = writeln!(text, "  {:<24} {state:<9} {}", probe.name, probe.detail);
        }
        if !self.gateways.is_empty() {
            let _ = writeln!(text, "\ngateways:");
        }
        for gateway in &self.gateways {
            let (routes, upstreams) = (gateway.routes, gateway.upstreams);
            let _ = write!(
                text,
                "  {:<24} process {}, routes {routes}, upstreams {upstreams}, from {}",
                gateway.gateway, gateway.pid, gateway.origin
            );
            let _ = match &gateway.error {
                Some(error) => writeln!(text, "; cannot be read now: {error}"),
                None => writeln!(text),
            };
        }
        if !self.notes.is_empty() {
            let _ = writeln!(text, "\nnames and routes:");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        let _ = writeln!(text, "\ncounts:");
        for (name, count) in &self.counts {
            let _ = writeln!(text, "  {name:<24} {count}");
        }
        if let Some(sent) = &self.sent {
            let _ = writeln!(text, "\nresets sent, compared with the kernel:");
            for line in sent.to_string().lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}
