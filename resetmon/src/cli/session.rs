//! What every command that captures has in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::CaptureArgs;
use crate::attribution::process::{CAPACITY, Processes};
use crate::config::Config;
use crate::kernel::capture::{Capture, Options};
use crate::kernel::object::OBJECT;
use crate::kernel::probes::Verdict;
use crate::pipeline::Pipeline;
use crate::routes::resolve::{Addresses, resolve};
use crate::routes::table::RouteTable;

/// How often host names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// How long one look-up may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);
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

/// Attaches the probes and says what is degraded.
pub(super) fn open(args: &CaptureArgs, config: &Config) -> anyhow::Result<Capture> {
    let options = Options {
        ring_buffer_bytes: config.ring_buffer_bytes,
        program_log: args.ebpf_log.level(),
    };
    let capture = Capture::open(OBJECT, &options)?;
    if let Verdict::Degraded(lost) = capture.attached.verdict() {
        for line in lost {
            tracing::warn!("degraded: {line}");
        }
    }
    Ok(capture)
}

/// The pipeline behind `capture`.
pub(super) fn pipeline(capture: &Capture, config: &Config) -> Pipeline {
    let processes = Processes::new(PathBuf::from("/proc"), CAPACITY);
    let pipeline = Pipeline::new(capture.clock, capture.reasons.clone(), processes, config);
    warn_of_routes(pipeline.routes());
    pipeline
}

/// Says what of the routes was not understood or cannot be told apart.
pub(super) fn warn_of_routes(routes: &RouteTable) {
    for warning in routes.warnings() {
        tracing::warn!("routes: {warning}");
    }
}

/// Looks host names up now and then.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    next: Option<tokio::time::Instant>,
}

impl Resolver {
    /// Look up at once: the configuration has changed.
    pub(super) fn restart(&mut self) {
        self.next = None;
    }

    /// Waits until it is time and looks the names of `routes` up; for ever if there are none.
    pub(super) async fn next(&mut self, routes: &RouteTable) -> Addresses {
        let names = routes.host_names();
        if names.is_empty() {
            return std::future::pending().await;
        }
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
        }
        let resolution = resolve(names, RESOLVE_LIMIT).await;
        self.next = Some(tokio::time::Instant::now() + RESOLVE_EVERY);
        for (name, reason) in &resolution.failed {
            tracing::warn!("the host name {name} of the configuration has no address: {reason}");
        }
        resolution.addresses
    }
}
