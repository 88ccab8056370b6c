//! Opens the kernel side as a whole: resolve, load, attach, and hand out what it yields.

use std::num::NonZeroU32;
use std::time::Duration;

use aya::EbpfLoader;
use aya::maps::{Array, MapData};
use aya_log::EbpfLogger;
use gateway_ebpf_common::layout::{Layout, Switches};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::aggregate::Aggregates;
use super::attach::{self, AttachError, Attached, Loader, Stay};
use super::btf::{Btf, BtfError};
use super::clock::{Anchor, Clock, hz_from_pair, hz_from_sample};
use super::offsets::{self, Missing};
use super::pin::{PinDir, PinError};
use super::privilege;
use super::reasons::Reasons;
use super::refusals::{DropReasons, Refusals};
use super::ring::Ring;
use super::tally::Tallies;

/// Between two samples of the kernel's clocks: tells every HZ in use from the others.
const SAMPLES_APART: Duration = Duration::from_secs(1);
/// Further samples: on a virtual machine that was kept from running, ticks come late and all at
/// once, which weighs less the longer the time is.
const SAMPLES: u32 = 10;

/// What the operator chooses.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the ring buffer: a power of two and a multiple of the page size.
    pub ring_buffer_bytes: u32,
    /// Resets of one source that are reported one by one, a second and CPU; 0 for all.
    pub detail_rate: u32,
    /// Count the resets that the kernel refuses.
    pub refused_resets: bool,
    /// Level of the programs' own diagnostics; `None` compiles them out of the loaded programs.
    pub program_log: Option<tracing::Level>,
}

/// Why capture cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Capabilities are missing.
    #[error("{names} missing: needed to {purposes}\n{remedy}")]
    Privilege {
        /// Their names.
        names: String,
        /// What for.
        purposes: String,
        /// How to give them.
        remedy: String,
    },
    /// The capabilities cannot be told.
    #[error("{0}")]
    Capabilities(String),
    /// The kernel's types cannot be read.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// Members without which nothing can be reported.
    #[error("this kernel's BTF lacks {0}; resetmon needs Linux 5.15 or newer")]
    Members(String),
    /// Load or attach failed.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The pins of earlier runs cannot be put in order.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The event loop did not take the ring buffer.
    #[error("the ring buffer cannot be waited for: {0}")]
    Ring(#[from] std::io::Error),
    /// Kernel ticks cannot be converted.
    #[error("the kernel's tick rate (HZ) cannot be told: {0}")]
    Clock(String),
}

/// The kernel side at work.
pub struct Capture {
    /// The programs; detached when dropped.
    pub attached: Attached,
    /// Their records.
    pub ring: Ring,
    /// What could not be delivered.
    pub tallies: Tallies,
    /// What was not reported one by one.
    pub aggregates: Aggregates,
    /// Up to where bare totals of the tallies have been counted: sent, received, rejected, failed.
    pub delivered: Array<MapData, [u64; 4]>,
    /// Resets that the kernel refused.
    pub refusals: Refusals,
    /// Kernel time to ours.
    pub clock: Clock,
    /// Names of the kernel's reasons.
    pub reasons: Reasons,
    /// Other differences of this kernel.
    pub switches: Switches,
    /// Members that this kernel lacks, and what is lost.
    pub missing: Vec<Missing>,
}

/// What the kernel's types say, before anything is loaded.
pub struct Kernel {
    /// Offsets for the programs.
    pub layout: Layout,
    /// Other differences.
    pub switches: Switches,
    /// Members that this kernel lacks, and what is lost.
    pub missing: Vec<Missing>,
    /// Names of the kernel's reasons.
    pub reasons: Reasons,
    /// For the load.
    pub loader: Loader,
    /// Names of its reasons to drop a packet.
    pub drop_reasons: DropReasons,
}

impl Kernel {
    /// Reads the running kernel's BTF.
    pub fn read() -> Result<Self, BtfError> {
        // It reads the same, in its own way and as slowly: so at the same time.
        let loader = std::thread::spawn(EbpfLoader::new);
        let btf = Btf::from_kernel()?;
        let resolved = offsets::resolve(&btf);
        Ok(Self {
            layout: resolved.layout,
            switches: offsets::switches(&btf),
            missing: resolved.missing,
            reasons: Reasons::from_btf(&btf),
            loader: Loader::new(loader.join().unwrap_or_default(), &btf),
            drop_reasons: DropReasons::from_btf(&btf),
        })
    }

    /// The missing members without which nothing can be reported.
    pub fn fatal(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|missing| missing.required)
    }
}

/// Says which capabilities are missing, if any are required.
pub fn check_privilege() -> Result<(), OpenError> {
    let effective = privilege::effective().map_err(OpenError::Capabilities)?;
    let missing = privilege::missing(&effective);
    if missing.is_empty() {
        return Ok(());
    }
    let path = std::env::current_exe()
        .map_or_else(|_| "resetmon".to_owned(), |path| path.display().to_string());
    let names: Vec<String> = missing
        .iter()
        .map(|need| need.capability.to_string())
        .collect();
    let purposes: Vec<&str> = missing.iter().map(|need| need.purpose).collect();
    Err(OpenError::Privilege {
        names: names.join(" and "),
        purposes: purposes.join("; "),
        remedy: privilege::remedy(&missing, &path),
    })
}

impl Capture {
    /// Attaches every probe, or takes over what is attached by `pins`; needs a running event loop.
    pub fn open(object: &[u8], options: &Options, pins: Option<PinDir>) -> Result<Self, OpenError> {
        check_privilege()?;
        let kernel = Kernel::read()?;
        let fatal: Vec<String> = kernel
            .fatal()
            .map(|missing| format!("{} ({})", missing.path, missing.why))
            .collect();
        if !fatal.is_empty() {
            return Err(OpenError::Members(fatal.join(", ")));
        }
        for missing in &kernel.missing {
            tracing::warn!(
                "degraded: {} is not in this kernel's BTF: {}",
                missing.path,
                missing.lost
            );
        }
        let load = attach::Options {
            ring_buffer_bytes: options.ring_buffer_bytes,
            layout: kernel.layout,
            switches: kernel.switches,
            detail_rate: options.detail_rate,
            refused_resets: options.refused_resets,
            log_level: options.program_log.map_or(0, program_level),
        };
        let mut attached = attach_pinned(kernel.loader, object, &load, pins)?;
        if options.program_log.is_some() {
            forward_program_log(&mut attached);
        }
        let clock = Clock::new(tick_rate(&mut attached)?, Anchor::now());
        let ring = Ring::new(
            attached.take_events()?,
            options.ring_buffer_bytes,
            attached.take_sleeping()?,
        )?;
        let tallies = Tallies::new(attached.take_tally()?);
        let aggregates = attached.take_aggregates()?;
        let delivered = attached.take_delivered()?;
        let refusals = Refusals::new(attached.take_refused()?, kernel.drop_reasons);
        give_back_memory();
        Ok(Self {
            attached,
            ring,
            tallies,
            aggregates,
            delivered,
            refusals,
            clock,
            reasons: kernel.reasons,
            switches: kernel.switches,
            missing: kernel.missing,
        })
    }
}

/// Attaches, and removes what other versions pinned once that is done: so no moment is without.
fn attach_pinned(
    loader: Loader,
    object: &[u8],
    options: &attach::Options,
    pins: Option<PinDir>,
) -> Result<Attached, OpenError> {
    let set = pins.as_ref().map(|pins| pins.set(options.key(object)));
    let mut attached = attach::attach(loader, object, options, set.as_ref())?;
    if let (Some(pins), Some(set)) = (pins, &set) {
        let removed = pins.remove_others(Some(set))?;
        attached.hold(pins);
        if !removed.is_empty() {
            tracing::info!(
                "replaced {removed} pinned by another version or with other settings; what they \
                 had not delivered is gone"
            );
        }
        let (path, probes) = (set.path().display(), attached.pinned());
        match attached.stay() {
            Stay::TakenOver => tracing::info!(
                "took over {probes} probes that stayed attached in {path}: resets since then are \
                 counted now"
            ),
            Stay::Pinned => tracing::info!(
                "pinned {probes} probes in {path}: they stay attached when resetmon ends, until \
                 `resetmon detach`"
            ),
            Stay::No => {}
        }
    }
    Ok(attached)
}

/// Returns to the kernel what reading its types took: several times what the agent needs later.
fn give_back_memory() {
    // glibc keeps freed memory that lies below what is still used; others have no such call.
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, and touches freed memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The kernel's HZ, from one sample of its clocks, else from two of them ever further apart.
fn tick_rate(attached: &mut Attached) -> Result<NonZeroU32, OpenError> {
    let first = attached.sample_clock().map_err(OpenError::Clock)?;
    if let Some(hz) = hz_from_sample(first) {
        return Ok(hz);
    }
    // Some minutes after boot one sample is not enough.
    let mut last = first;
    for _ in 0..SAMPLES {
        std::thread::sleep(SAMPLES_APART);
        last = attached.sample_clock().map_err(OpenError::Clock)?;
        if let Some(hz) = hz_from_pair(first, last) {
            return Ok(hz);
        }
    }
    Err(OpenError::Clock(format!(
        "no known rate fits {first:?} and {last:?}"
    )))
}

/// `aya_log::Level` numbers.
fn program_level(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 1,
        tracing::Level::WARN => 2,
        tracing::Level::INFO => 3,
        tracing::Level::DEBUG => 4,
        tracing::Level::TRACE => 5,
    }
}

/// Hands the programs' own diagnostics to `tracing`, through the `log` facade.
fn forward_program_log(attached: &mut Attached) {
    let logger = match EbpfLogger::init(attached.ebpf_mut()) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!("the programs' diagnostics cannot be read: {error}");
            return;
        }
    };
    // SAFETY: the map's descriptor is open and the same for as long as `logger` lives.
    let fd = match unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) } {
        Ok(fd) => fd,
        Err(error) => {
            let error = std::io::Error::from(error);
            tracing::warn!("the programs' diagnostics cannot be waited for: {error}");
            return;
        }
    };
    tokio::spawn(async move {
        let mut fd = fd;
        while let Ok(mut ready) = fd.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
}
