//! `resetmon run`: the agent.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use gateway_ebpf_common::layout::Switches;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::gateways::Gateways;
use super::rounds::{Progress, Rounds};
use super::session::{COUNTERS, TIMER};
use super::signals::{Request, Signals};
use super::{CaptureArgs, session};
use crate::config::Config;
use crate::event::Event;
use crate::export::http::{self, Pages, Web};
use crate::export::metrics::{Limits, Metrics};
use crate::kernel::attach::{Attached, Stay};
use crate::kernel::capture::Capture;
use crate::kernel::observation::Direction;
use crate::kernel::pin::{self, PinDir, PinError};
use crate::overflow::Kind;
use crate::pipeline::pump;
use crate::reconcile::{Reconciler, Tracing};
use crate::reset::{Reset, Sender};

mod outputs;
mod pages;

use outputs::{EventArgs, Opened, Outputs, Wanted};
use pages::AgentPages;

/// Options of `resetmon run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help())]
pub struct Args {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// Where to serve /metrics, /healthz, /readyz and /status; overrides the configuration
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,

    /// Serve these with TLS, basic auth and headers as a web configuration file has them
    ///
    /// The file has the form of Prometheus' exporters (their --web.config.file); every key is below.
    /// Overrides the configuration.
    #[arg(long, visible_alias = "web.config.file", value_name = "FILE")]
    web_config: Option<PathBuf>,

    #[command(flatten)]
    events: EventArgs,

    /// Detach the programs when resetmon ends; else they stay, and record for the next start
    #[arg(long)]
    no_pin: bool,

    /// Where on a bpffs to pin programs and maps; one agent a directory
    #[arg(long, value_name = "DIR", default_value = pin::DEFAULT_DIR, conflicts_with = "no_pin")]
    pin_dir: PathBuf,
}

fn help() -> String {
    let (config, web_config) = (session::config_help(), http::web_config::REFERENCE);
    format!("{config}\nWeb configuration file (every key):\n\n{web_config}")
}

/// Runs until SIGTERM or SIGINT.
pub fn main(args: Args) -> anyhow::Result<()> {
    session::block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    let mut config = session::load_config(args.capture.config.as_deref())?;
    let web = Arc::new(open_web(&args, &config)?);
    let pins = hold_pins(&args)?;
    let (listener, address) = listen(args.listen.unwrap_or(config.listen)).await?;
    // Opened with all privileges; the thread that writes starts without them.
    let outputs = Opened::open(&Wanted::new(&args.events, &config))?;
    let mut gateways = Gateways::start(&config);
    let capture = session::open(&args.capture, &config, pins)?;
    let outputs = outputs.start()?;
    let mut pipeline = session::pipeline(&capture, &config);
    let Capture {
        attached,
        mut ring,
        tallies,
        aggregates,
        switches,
        delivered,
        refusals,
        ..
    } = capture;
    let tallies = Arc::new(tallies);
    let (mut overflow, look) = session::overflow(aggregates, Arc::clone(&tallies), delivered)?;
    let metrics = Metrics::new(limits(&config));
    let page = Arc::new(AgentPages::new(
        &attached,
        tallies,
        refusals,
        metrics.clone(),
        &outputs,
        gateways.nat_status(),
    ));
    let (stop, server) = serve(listener, Arc::clone(&page) as _, Arc::clone(&web));
    say_ready(&outputs, &web, address);

    let reconciler = RefCell::new(Reconciler::new(tracing_by(&switches, &attached)));
    let mut rounds = Rounds::new(config.metrics.max_network_namespaces);
    let books = Books {
        metrics: &metrics,
        page: &page,
        reconciler: &reconciler,
        outputs: &outputs,
    };
    let take = |event: Event| books.enter(event);
    gateways.first_look(&config, &mut pipeline).await;
    page.show_gateways(&gateways, pipeline.routes());
    tracing::info!("{}", gateways.seen());
    loop {
        page.turn();
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => break,
                Request::Reload => {
                    web.reload();
                    session::reload(args.capture.config.as_deref(), &mut config, &mut pipeline);
                    gateways.reload(&pipeline);
                }
            },
            tick = look.tick() => {
                tick.context(TIMER)?;
                overflow.collect(&mut pipeline, take, |kind, n| books.bare(kind, n)).context(COUNTERS)?;
            }
            progress = rounds.next() => match progress {
                Progress::Read(readings) => {
                    reconciler.borrow_mut().open_round(&readings);
                    pipeline.learn_counters(&readings);
                    ring.catch_up(|record| pipeline.feed(record, take)).await;
                    overflow.collect(&mut pipeline, take, |kind, n| books.bare(kind, n)).context(COUNTERS)?;
                    rounds.read_again(reconciler.borrow_mut().caught_up());
                }
                Progress::ReadAgain(readings) => {
                    let mut reconciler = reconciler.borrow_mut();
                    reconciler.close_round(&readings);
                    rounds.rest(reconciler.is_doubtful());
                    page.show(&reconciler, &attached);
                }
            },
            change = gateways.next() => {
                gateways.apply(change, &mut pipeline);
                page.show_gateways(&gateways, pipeline.routes());
            }
            result = pump(&mut ring, &mut pipeline, take) => {
                result.context("the ring buffer cannot be read")?;
                metrics.set_malformed(pipeline.malformed());
                gateways.nudge(&mut pipeline);
            }
        }
    }
    say_farewell(attached.stay());
    ring.drain(|record| pipeline.feed(record, take));
    pipeline.end(take);
    overflow
        .collect(&mut pipeline, take, |kind, n| books.bare(kind, n))
        .context(COUNTERS)?;
    drop(attached);
    outputs.close();
    drop(stop);
    server.await.context("the HTTP server failed")?;
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another address with --listen or `listen:`")
    })?;
    let address = listener
        .local_addr()
        .context("the listening address cannot be read")?;
    Ok((listener, address))
}

/// Serves until the sender is dropped.
fn serve(
    listener: TcpListener,
    pages: Arc<dyn Pages>,
    web: Arc<Web>,
) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = http::serve(listener, pages, web, http::Limits::default(), async {
        // An error means that the agent is gone, which is the same.
        let _ = stopped.await;
    });
    (stop, tokio::spawn(server))
}

/// What the configuration allows of series and labels.
fn limits(config: &Config) -> Limits {
    Limits {
        max_series: config.metrics.max_series_per_family,
        max_idle: config.metrics.idle_series_ttl,
        max_label: config.metrics.max_label_length,
    }
}

/// Whether every reset sent is traced here.
fn tracing_by(switches: &Switches, attached: &Attached) -> Tracing {
    let untraced = attached.has("untraced_v4") && attached.has("untraced_v6");
    Tracing::of(switches.has_reason != 0 || untraced)
}

fn open_web(args: &Args, config: &Config) -> anyhow::Result<Web> {
    let path = args.web_config.as_ref().or(config.web_config.as_ref());
    Ok(path.map_or_else(|| Ok(Web::plain()), |path| Web::open(path))?)
}

/// Takes the pin directory; `None`, with a warning, where pinning does not work.
fn hold_pins(args: &Args) -> anyhow::Result<Option<PinDir>> {
    if args.no_pin {
        return Ok(None);
    }
    match PinDir::open(&args.pin_dir) {
        Ok(pins) => Ok(Some(pins)),
        Err(error @ PinError::Busy(_)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                "resets will not be recorded between the end of this run and the next start: \
                 {error}; --no-pin silences this"
            );
            Ok(None)
        }
    }
}

fn say_ready(outputs: &Outputs, web: &Web, address: SocketAddr) {
    // Events hold command lines, and those may hold secrets.
    if outputs.feed().is_some() && !web.asks_who() && !address.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {address} can read every event with its command line at /events: give \
             --web-config with basic auth or client certificates, or listen on the loopback"
        );
    }
    tracing::info!("ready: serving {}://{address}/metrics", web.scheme());
}

fn say_farewell(stay: Stay) {
    match stay {
        Stay::No => tracing::info!("stopping"),
        Stay::Pinned | Stay::TakenOver => tracing::info!(
            "stopping; the probes stay attached for the next start, `resetmon detach` removes them"
        ),
    }
}

/// Where a finished reset is entered.
struct Books<'a> {
    metrics: &'a Metrics,
    page: &'a AgentPages,
    reconciler: &'a RefCell<Reconciler>,
    outputs: &'a Outputs,
}

impl Books<'_> {
    fn enter(&self, event: Event) {
        self.metrics.record_event(&event);
        match &event {
            Event::Reset(reset) => self.reset(reset),
            Event::Failure(failure) => self.failed(failure.count),
        }
        self.outputs.put(event);
    }

    fn reset(&self, reset: &Reset) {
        let observation = &reset.observation;
        let kind = match (observation.direction, observation.firewall) {
            (Direction::Sent, Some(_)) => Kind::Rejected,
            (Direction::Sent, None) => Kind::Sent,
            (Direction::Received, _) => Kind::Received,
        };
        self.count(kind, observation.netns, reset.packets);
    }

    fn failed(&self, connections: u64) {
        self.page.failures.fetch_add(connections, Ordering::Relaxed);
    }

    /// Resets and failures of which only their kind is known.
    fn bare(&self, kind: Kind, packets: u64) {
        let (direction, sender) = match kind {
            Kind::Failed => {
                self.metrics.record_bare_failures(packets);
                self.failed(packets);
                return;
            }
            Kind::Sent => (Direction::Sent, Sender::Local),
            Kind::Received => (Direction::Received, Sender::Peer),
            Kind::Rejected => (Direction::Sent, Sender::Firewall),
        };
        self.metrics.record_bare(direction, sender, packets);
        self.count(kind, 0, packets);
    }

    fn count(&self, kind: Kind, netns: u32, packets: u64) {
        // `OutRsts` does not count what the packet filter makes.
        if kind == Kind::Sent {
            self.reconciler.borrow_mut().record_sent(netns, packets);
        }
        self.page.resets.fetch_add(packets, Ordering::Relaxed);
    }
}
