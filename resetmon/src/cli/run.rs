//! `resetmon run`: the agent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use super::signals::{Request, Signals};
use super::{CaptureArgs, session};
use crate::config::{Config, EventsPath};
use crate::export::http::{self, Pages, ProbeStatus, StatusPage};
use crate::export::json::to_json_line;
use crate::export::lines::LineWriter;
use crate::export::metrics::{Format, Limits, Metrics};
use crate::kernel::attach::Attached;
use crate::kernel::capture::Capture;
use crate::kernel::probes::{Outcome, Verdict};
use crate::kernel::tally::Tallies;
use crate::overflow::{self, Overflow};
use crate::pipeline::pump;
use crate::reset::Reset;

/// Options of `resetmon run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = session::config_help())]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// Where to serve /metrics, /healthz, /readyz and /status; overrides the configuration
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,

    /// Write every reset as a JSON line to a file, or to standard output with `-`
    #[arg(long, value_name = "FILE|-")]
    events: Option<PathBuf>,
}

const COUNTERS: &str = "the programs' counters cannot be read";

/// Runs until SIGTERM or SIGINT.
pub fn main(args: Args) -> anyhow::Result<()> {
    session::block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    let mut config = session::load_config(args.capture.config.as_deref())?;
    let listen = args.listen.unwrap_or(config.listen);
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; choose another address with --listen or `listen:`")
    })?;
    let address = listener
        .local_addr()
        .context("the listening address cannot be read")?;
    let events = open_events(&args, &config)?;

    let capture = session::open(&args.capture, &config)?;
    let mut pipeline = session::pipeline(&capture, &config);
    let Capture {
        attached,
        mut ring,
        tallies,
        aggregates,
        ..
    } = capture;
    let tallies = Arc::new(tallies);
    let mut overflow = Overflow::new(aggregates, Arc::clone(&tallies));
    let mut look = tokio::time::interval(overflow::EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let metrics = Metrics::new(Limits {
        max_series: config.metrics.max_series_per_family,
        max_idle: config.metrics.idle_series_ttl,
    });
    let page = Arc::new(AgentPages::new(
        &attached,
        tallies,
        metrics.clone(),
        events.as_ref(),
    ));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(http::serve(
        listener,
        Arc::clone(&page) as Arc<dyn Pages>,
        http::Limits::default(),
        async {
            // An error means that the agent is gone, which is the same.
            let _ = stopped.await;
        },
    ));
    tracing::info!("ready: serving http://{address}/metrics");

    let take = |reset: Reset| {
        metrics.record(&reset);
        page.resets.fetch_add(reset.packets, Ordering::Relaxed);
        if let Some(events) = &events {
            events.write(to_json_line(&reset));
        }
    };
    let bare = |direction, packets| {
        metrics.record_bare(direction, packets);
        page.resets.fetch_add(packets, Ordering::Relaxed);
    };
    let mut resolver = session::Resolver::start(pipeline.routes());
    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => break,
                Request::Reload => {
                    session::reload(args.capture.config.as_deref(), &mut config, &mut pipeline);
                    resolver = session::Resolver::start(pipeline.routes());
                }
            },
            _ = look.tick() => {
                overflow.collect(&mut pipeline, take, bare).context(COUNTERS)?;
            }
            addresses = resolver.next() => pipeline.set_addresses(&addresses),
            result = pump(&mut ring, &mut pipeline, take) => {
                result.context("the ring buffer cannot be read")?;
                metrics.set_malformed(pipeline.malformed());
            }
        }
    }
    tracing::info!("stopping");
    ring.drain(|record| pipeline.feed(record, take));
    pipeline.end(take);
    overflow
        .collect(&mut pipeline, take, bare)
        .context(COUNTERS)?;
    drop(attached);
    drop(stop);
    server.await.context("the HTTP server failed")?;
    Ok(())
}

fn open_events(args: &Args, config: &Config) -> anyhow::Result<Option<LineWriter>> {
    let target = match &args.events {
        Some(path) if path.as_os_str() == "-" => Some(EventsPath::Stdout),
        Some(path) => Some(EventsPath::File(path.clone())),
        None => config.events.clone(),
    };
    Ok(match target {
        None => None,
        Some(EventsPath::Stdout) => {
            Some(LineWriter::stdout().context("standard output cannot be written")?)
        }
        Some(EventsPath::File(path)) => Some(LineWriter::file(&path).with_context(|| {
            format!(
                "the events file {} cannot be opened; name another with --events",
                path.display()
            )
        })?),
    })
}

/// What the HTTP side shows.
struct AgentPages {
    started: Instant,
    metrics: Metrics,
    tallies: Arc<Tallies>,
    lost_lines: Option<Arc<AtomicU64>>,
    resets: AtomicU64,
    verdict: &'static str,
    lost: Vec<String>,
    probes: Vec<ProbeStatus>,
}

impl AgentPages {
    fn new(
        attached: &Attached,
        tallies: Arc<Tallies>,
        metrics: Metrics,
        events: Option<&LineWriter>,
    ) -> Self {
        let (verdict, lost) = match attached.verdict() {
            Verdict::Ok => ("ok", Vec::new()),
            Verdict::Degraded(lost) => ("degraded", lost),
            Verdict::Unusable(why) => ("unusable", why),
        };
        let mut probes = Vec::new();
        for (probe, outcome) in attached.outcomes() {
            let is_attached = *outcome == Outcome::Attached;
            metrics.set_probe(probe.name, is_attached);
            probes.push(ProbeStatus {
                name: probe.name.to_owned(),
                attached: is_attached,
                detail: match outcome {
                    Outcome::Attached => probe.purpose.to_owned(),
                    Outcome::NotNeeded => "not needed on this kernel".to_owned(),
                    Outcome::Missing => "this kernel does not have it".to_owned(),
                    Outcome::Refused(why) => format!("refused: {why}"),
                },
            });
        }
        Self {
            started: Instant::now(),
            metrics,
            tallies,
            lost_lines: events.map(LineWriter::lost_handle),
            resets: AtomicU64::new(0),
            verdict,
            lost,
            probes,
        }
    }

    /// Totals that are kept elsewhere, by place.
    fn lost_totals(&self) -> Vec<(&'static str, u64)> {
        let mut totals: Vec<(&'static str, u64)> = match self.tallies.read() {
            Ok(tallies) => tallies
                .into_iter()
                .filter(|(tally, _)| tally.is_loss())
                .map(|(tally, total)| (tally.name(), total))
                .collect(),
            Err(error) => {
                tracing::warn!("the programs' counters cannot be read: {error}");
                Vec::new()
            }
        };
        if let Some(lines) = &self.lost_lines {
            totals.push(("events", lines.load(Ordering::Relaxed)));
        }
        totals
    }
}

impl Pages for AgentPages {
    fn metrics(&self, format: Format) -> String {
        for (place, total) in self.lost_totals() {
            self.metrics.set_events_lost(place, total);
        }
        let mut page = String::new();
        if let Err(error) = self.metrics.encode(format, &mut page) {
            // Only a String out of memory could fail to be written to.
            tracing::error!("the metrics page could not be written: {error}");
        }
        page
    }

    fn status(&self) -> StatusPage {
        let mut counts =
            BTreeMap::from([("resets".to_owned(), self.resets.load(Ordering::Relaxed))]);
        for (place, total) in self.lost_totals() {
            counts.insert(format!("lost_{place}"), total);
        }
        StatusPage {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            ready: true,
            verdict: self.verdict.to_owned(),
            lost: self.lost.clone(),
            probes: self.probes.clone(),
            counts,
        }
    }

    fn ready(&self) -> Result<(), String> {
        // The server starts once every required probe is attached.
        Ok(())
    }
}
