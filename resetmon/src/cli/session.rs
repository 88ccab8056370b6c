//! What every command that captures has in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aya::maps::{Array, MapData};

use super::CaptureArgs;
use crate::attribution::process::{CAPACITY, Processes};
use crate::config::Config;
use crate::kernel::aggregate::Aggregates;
use crate::kernel::capture::{Capture, Options};
use crate::kernel::object::OBJECT;
use crate::kernel::pin::PinDir;
use crate::kernel::privilege;
use crate::kernel::probes::{Outcome, Verdict};
use crate::kernel::tally::Tallies;
use crate::overflow::{self, Overflow};
use crate::pipeline::Pipeline;
use crate::routes::kubernetes;
use crate::routes::table::RouteTable;
use crate::ticks::Ticks;

/// What failed, where the counts of the eBPF programs cannot be had.
pub(super) const COUNTERS: &str = "the programs' counters cannot be read";
/// What failed, where the timer that reads these cannot be had.
pub(super) const TIMER: &str = "the timer that reads the programs' counters failed";

/// What a look-up that hangs gets when the command ends.
const LEAVE_WITHIN: Duration = Duration::from_millis(100);

/// Runs a command's future on an event loop of one thread.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the event loop cannot start")?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(LEAVE_WITHIN);
    result
}

/// The configuration at `path`; the defaults without one.
pub(super) fn load_config(path: Option<&Path>) -> anyhow::Result<Config> {
    Ok(match path {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    })
}

/// The reference of the configuration file, for `--help`.
pub(super) fn config_help() -> String {
    format!("Configuration file (every key):\n\n{}", Config::REFERENCE)
}

/// Attaches the probes, or takes over those in `pins`, and says what is degraded.
pub(super) fn open(
    args: &CaptureArgs,
    config: &Config,
    pins: Option<PinDir>,
) -> anyhow::Result<Capture> {
    let options = Options {
        ring_buffer_bytes: config.ring_buffer_bytes,
        detail_rate: config.detail_rate,
        refused_resets: config.refused_resets,
        program_log: args.ebpf_log.level(),
    };
    let capture = Capture::open(OBJECT, &options, pins)?;
    match privilege::reduce(|| capture.tallies.read().is_ok()) {
        Ok(kept) => tracing::debug!("capabilities kept: {}", privilege::names(&kept)),
        Err(error) => tracing::warn!("capabilities that are no longer needed are kept: {error}"),
    }
    if let Verdict::Degraded(lost) = capture.attached.verdict() {
        for line in &lost {
            tracing::debug!("degraded: {line}");
        }
        let outcomes = capture.attached.outcomes();
        let missing = outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Missing | Outcome::Refused(_)));
        let names: Vec<&str> = missing.map(|(probe, _)| probe.name).collect();
        tracing::warn!(
            "{} of {} probes could not be attached here ({}); `resetmon doctor` says what is lost by it",
            names.len(),
            outcomes.len(),
            names.join(", ")
        );
    }
    Ok(capture)
}

/// What did not come by the ring buffer, and when to look for it.
pub(super) fn overflow(
    aggregates: Aggregates,
    tallies: Arc<Tallies>,
    delivered: Array<MapData, [u64; 4]>,
) -> anyhow::Result<(Overflow, Ticks)> {
    let overflow = Overflow::new(aggregates, tallies, delivered).context(COUNTERS)?;
    Ok((overflow, overflow::ticks().context(TIMER)?))
}

/// The pipeline behind `capture`.
pub(super) fn pipeline(capture: &Capture, config: &Config) -> Pipeline {
    let processes = Processes::new(PathBuf::from("/proc"), CAPACITY);
    let pipeline = Pipeline::new(capture.clock, capture.reasons.clone(), processes, config);
    warn_of_routes(pipeline.routes());
    pipeline
}

/// Takes over a changed configuration; a broken one changes nothing.
pub(super) fn reload(path: Option<&Path>, config: &mut Config, pipeline: &mut Pipeline) {
    let new = match load_config(path) {
        Ok(new) => new,
        Err(error) => {
            tracing::error!("the configuration is kept as it was: {error:#}");
            return;
        }
    };
    for (key, changed) in [
        ("listen", new.listen != config.listen),
        ("web_config", new.web_config != config.web_config),
        (
            "ring_buffer_bytes",
            new.ring_buffer_bytes != config.ring_buffer_bytes,
        ),
        ("detail_rate", new.detail_rate != config.detail_rate),
        (
            "refused_resets",
            new.refused_resets != config.refused_resets,
        ),
        ("events", new.events != config.events),
        ("metrics", new.metrics != config.metrics),
        ("discovery", new.discovery != config.discovery),
        ("kubernetes", new.kubernetes != config.kubernetes),
        ("nat", new.conntrack != config.conntrack),
        ("log_level", new.log_level != config.log_level),
    ] {
        if changed {
            tracing::warn!("`{key}` has changed and takes effect with the next start");
        }
    }
    pipeline.configure(&new);
    warn_of_routes(pipeline.routes());
    *config = new;
    tracing::info!("configuration reloaded");
}

/// How to reach the cluster, if there is one and it is wanted.
pub(super) fn cluster(config: &Config) -> kubernetes::Settings {
    if !config.kubernetes.enabled {
        return kubernetes::Settings::default();
    }
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    kubernetes::Settings::from_environment(
        config.kubernetes.node.as_deref(),
        |name| std::env::var(name).ok(),
        &host,
    )
}

/// Says what of the routes was not understood or cannot be told apart.
pub(super) fn warn_of_routes(routes: &RouteTable) {
    for warning in routes.warnings() {
        tracing::warn!("routes: {warning}");
    }
}
