//! Loads the programs and attaches them: try each, classify what happens.

use std::io::Read as _;
use std::os::fd::AsFd as _;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, FEntry, FExit, Iter, Program, ProgramError};
use aya::{Btf as AyaBtf, Ebpf, EbpfLoader, Endianness};
use gateway_ebpf_common::layout::{Layout, Switches};
use thiserror::Error;

use super::aggregate::Aggregates;
use super::btf::{Btf, Kind};
use super::clock::Sample;
use super::marks::MarkError;
use super::pin::{Kept, Key, PinDir, PinError, PinSet};
use super::probes::{AttachPoint, Need, Outcome, PROBES, Probe, Verdict, verdict};
use super::recursion;

mod open;

/// What the agent decides before load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the ring buffer: a power of two and a multiple of the page size.
    pub ring_buffer_bytes: u32,
    /// Member offsets of this kernel.
    pub layout: Layout,
    /// Other differences of this kernel.
    pub switches: Switches,
    /// Resets of one source that are reported one by one, a second and CPU; 0 for all.
    pub detail_rate: u32,
    /// Count the resets that the kernel refuses.
    pub refused_resets: bool,
    /// The programs' own diagnostics; 0 for none, else an `aya_log::Level` number.
    pub log_level: u8,
}

impl Options {
    /// Of the programs that `object` makes with these options.
    #[must_use]
    pub fn key(&self, object: &[u8]) -> Key {
        Key::new(object, &format!("{self:?}"))
    }
}

/// What a load needs of the kernel's types besides the offsets.
pub struct Loader {
    /// Has read the kernel's BTF, as it does without being asked.
    ebpf: EbpfLoader<'static>,
    /// The attach points, as BTF.
    targets: Vec<u8>,
}

impl Loader {
    /// For the attach points that `btf` has; `ebpf` may come from another thread, since making it
    /// takes its time.
    #[must_use]
    pub fn new(ebpf: EbpfLoader<'static>, btf: &Btf) -> Self {
        let names: Vec<(Kind, String)> = PROBES.iter().map(|probe| target(probe.at)).collect();
        Self {
            ebpf,
            targets: btf.excerpt(&names),
        }
    }
}

/// An attach point's name in BTF, as the kernel and the loader have it.
fn target(at: AttachPoint) -> (Kind, String) {
    match at {
        AttachPoint::Tracepoint(name) => (Kind::Typedef, format!("btf_trace_{name}")),
        AttachPoint::FunctionEntry(name) | AttachPoint::FunctionExit(name) => {
            (Kind::Func, name.to_owned())
        }
        AttachPoint::Iterator(name) => (Kind::Func, format!("bpf_iter_{name}")),
    }
}

/// Why nothing could be attached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The kernel refused the maps or the object.
    #[error("the eBPF object could not be loaded: {0}; {REMEDY}")]
    Load(String),
    /// This kernel's offsets could not be written to the programs.
    #[error(transparent)]
    Marks(#[from] MarkError),
    /// One or more required probes did not attach.
    #[error("required probes could not be attached:\n  {}\n{REMEDY}", .0.join("\n  "))]
    Unusable(Vec<String>),
    /// The object and the agent do not belong together.
    #[error(
        "the eBPF object lacks the map {0}: agent and object are of different builds; build both with `cargo xtask build`"
    )]
    MapMissing(&'static str),
    /// Pins of an earlier run are in the way.
    #[error(transparent)]
    Pin(#[from] PinError),
}

const REMEDY: &str = "see `resetmon doctor`";

/// The programs at work.
///
/// They stay attached as long as this value lives; where they are pinned, beyond.
#[derive(Debug)]
pub struct Attached {
    ebpf: Ebpf,
    outcomes: Vec<(&'static Probe, Outcome)>,
    holds: Vec<(&'static str, Hold)>,
    /// The pins, held against other agents.
    pins: Option<PinDir>,
    stay: Stay,
}

/// What keeps a program attached.
#[derive(Debug)]
enum Hold {
    /// Our descriptor alone.
    Link { _link: FdLink },
    /// A pin.
    Pin(Box<Kept>),
}

/// Whether the programs outlive the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// They are detached with it.
    No,
    /// They are pinned.
    Pinned,
    /// They are, and were attached before it: their maps hold what happened meanwhile.
    TakenOver,
}

/// Loads `object` and attaches every probe of the table; with `pins`, keeps or takes over what is
/// pinned there.
///
/// Required probes that fail are an error; the outcomes of the others are kept.
pub fn attach(
    loader: Loader,
    object: &[u8],
    options: &Options,
    pins: Option<&PinSet>,
) -> Result<Attached, AttachError> {
    let attached = try_attach(loader, object, options, pins)?;
    match attached.verdict() {
        Verdict::Unusable(why) => {
            if let Some(pins) = pins {
                drop(attached);
                pins.remove()?;
            }
            Err(AttachError::Unusable(why))
        }
        Verdict::Ok | Verdict::Degraded(_) => Ok(attached),
    }
}

/// As [`attach`], but leaves the verdict to the caller.
pub fn try_attach(
    loader: Loader,
    object: &[u8],
    options: &Options,
    pins: Option<&PinSet>,
) -> Result<Attached, AttachError> {
    let btf = AyaBtf::parse(&loader.targets, Endianness::default())
        .map_err(|error| AttachError::Load(chain(&error)))?;
    let (mut ebpf, stay) = open::open(loader.ebpf, object, options, pins)?;
    let pins = pins.filter(|_| stay != Stay::No);
    if stay == Stay::TakenOver {
        open::forget_announcements(&mut ebpf);
    }

    let mut holds = Vec::new();
    let mut outcomes: Vec<(&'static Probe, Outcome)> = Vec::with_capacity(PROBES.len());
    for probe in PROBES {
        let not_needed = match probe.need {
            Need::WithoutReasons => options.switches.has_reason != 0,
            Need::OnRequest => !options.refused_resets,
            _ => false,
        };
        let outcome = if let Some(kept) = pins.and_then(|pins| pins.kept(probe.name)) {
            holds.push((probe.name, Hold::Pin(Box::new(kept))));
            Outcome::Attached
        } else if not_needed {
            Outcome::NotNeeded
        } else {
            match ebpf.program_mut(probe.name) {
                Some(program) => match start(program, probe, &btf, pins) {
                    Ok(hold) => {
                        holds.extend(hold.map(|hold| (probe.name, hold)));
                        Outcome::Attached
                    }
                    Err(error) => classify(error, probe),
                },
                None => Outcome::Refused("not in the eBPF object".to_owned()),
            }
        };
        tracing::debug!(probe = probe.name, at = %probe.at, ?outcome, "probe");
        outcomes.push((probe, outcome));
    }
    Ok(Attached {
        ebpf,
        outcomes,
        holds,
        pins: None,
        stay,
    })
}

fn classify(error: StartError, probe: &Probe) -> Outcome {
    match error {
        StartError::Program(ProgramError::Btf(_)) => Outcome::Missing,
        StartError::Program(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => {
            let log = verifier_log.to_string();
            tracing::debug!(probe = probe.name, "verifier: {log}");
            Outcome::Refused(match last_words(&log) {
                Some(words) => format!("{io_error} (verifier: {words})"),
                None => io_error.to_string(),
            })
        }
        StartError::Program(error) => Outcome::Refused(chain(&error)),
        StartError::Iterator(error) => Outcome::Refused(format!("the iterator failed: {error}")),
    }
}

#[derive(Debug, Error)]
enum StartError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Iterator(#[from] std::io::Error),
}

/// Loads and attaches a program, or runs it if it is an iterator; returns what keeps it attached.
fn start(
    program: &mut Program,
    probe: &Probe,
    btf: &AyaBtf,
    pins: Option<&PinSet>,
) -> Result<Option<Hold>, StartError> {
    match probe.at {
        AttachPoint::Tracepoint(name) => {
            <&mut BtfTracePoint>::try_from(&mut *program)?.load(name, btf)?;
        }
        AttachPoint::FunctionEntry(name) => {
            <&mut FEntry>::try_from(&mut *program)?.load(name, btf)?;
        }
        AttachPoint::FunctionExit(name) => {
            <&mut FExit>::try_from(&mut *program)?.load(name, btf)?;
        }
        AttachPoint::Iterator(name) => {
            let program: &mut Iter = program.try_into()?;
            program.load(name, btf)?;
            iterate(program)?;
            return Ok(None);
        }
    }
    let link = hook(program)?;
    let Some(pins) = pins else {
        return Ok(Some(Hold::Link { _link: link }));
    };
    match pins.keep(probe.name, program, link) {
        Ok(kept) => Ok(Some(Hold::Pin(Box::new(kept)))),
        Err(error) => {
            tracing::warn!("{} ends with the agent: {error}", probe.name);
            let link = hook(program)?;
            Ok(Some(Hold::Link { _link: link }))
        }
    }
}

/// Attaches a program that is loaded.
fn hook(program: &mut Program) -> Result<FdLink, ProgramError> {
    macro_rules! attach {
        ($program:ident) => {{
            let id = $program.attach()?;
            Ok($program.take_link(id)?.into())
        }};
    }
    match program {
        Program::BtfTracePoint(program) => attach!(program),
        Program::FEntry(program) => attach!(program),
        Program::FExit(program) => attach!(program),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Runs an iterator over everything there is.
fn iterate(program: &mut Iter) -> Result<(), StartError> {
    let id = program.attach()?;
    let link = program.take_link(id)?;
    let mut file = link.into_file().map_err(std::io::Error::other)?;
    // The programs write nothing to it; reading drives the iteration.
    file.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The verifier's complaint: its last line that is neither statistics nor an instruction.
fn last_words(log: &str) -> Option<&str> {
    log.lines().rev().map(str::trim).find(|line| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time")
            && !line.starts_with("stack depth")
            && !line.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        source = error.source();
    }
    text
}

impl Attached {
    /// Each probe and what became of it, in the table's order.
    #[must_use]
    pub fn outcomes(&self) -> &[(&'static Probe, Outcome)] {
        &self.outcomes
    }

    /// Whether this probe is attached.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.outcomes
            .iter()
            .any(|(probe, outcome)| probe.name == name && *outcome == Outcome::Attached)
    }

    /// What the outcomes mean.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict(
            self.outcomes
                .iter()
                .map(|(probe, outcome)| (*probe, outcome)),
        )
    }

    /// How often each attached program was suppressed because it was running already on the same
    /// CPU; none on kernels that do not count it.
    pub fn recursion_misses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.holds.iter().filter_map(|(probe, hold)| {
            let fd = match hold {
                Hold::Link { .. } => self.ebpf.program(probe)?.fd().ok()?.as_fd(),
                Hold::Pin(kept) => kept.program()?,
            };
            Some((*probe, recursion::misses(fd).ok()??))
        })
    }

    /// Keeps the pin directory from other agents as long as the programs are at work.
    pub fn hold(&mut self, pins: PinDir) {
        self.pins = Some(pins);
    }

    /// Whether the programs outlive the agent.
    #[must_use]
    pub fn stay(&self) -> Stay {
        self.stay
    }

    /// How many of them are pinned.
    #[must_use]
    pub fn pinned(&self) -> usize {
        let pins = self.holds.iter();
        pins.filter(|(_, hold)| matches!(hold, Hold::Pin(_)))
            .count()
    }

    fn take(&mut self, name: &'static str) -> Result<Map, AttachError> {
        self.ebpf
            .take_map(name)
            .ok_or(AttachError::MapMissing(name))
    }

    /// The ring buffer; once.
    pub fn take_events(&mut self) -> Result<RingBuf<MapData>, AttachError> {
        RingBuf::try_from(self.take("EVENTS")?).map_err(|_| AttachError::MapMissing("EVENTS"))
    }

    /// Where the reader of the ring buffer says that it sleeps; once.
    pub fn take_sleeping(&mut self) -> Result<Array<MapData, u32>, AttachError> {
        Array::try_from(self.take("SLEEPING")?).map_err(|_| AttachError::MapMissing("SLEEPING"))
    }

    /// The per-CPU tally; once.
    pub fn take_tally(&mut self) -> Result<PerCpuArray<MapData, u64>, AttachError> {
        PerCpuArray::try_from(self.take("TALLY")?).map_err(|_| AttachError::MapMissing("TALLY"))
    }

    /// The mark up to which bare totals have been counted; once.
    pub fn take_delivered(&mut self) -> Result<Array<MapData, [u64; 4]>, AttachError> {
        Array::try_from(self.take("DELIVERED")?).map_err(|_| AttachError::MapMissing("DELIVERED"))
    }

    /// Refused resets by the kernel's number of the reason; once.
    pub fn take_refused(&mut self) -> Result<PerCpuArray<MapData, u64>, AttachError> {
        PerCpuArray::try_from(self.take("REFUSED")?).map_err(|_| AttachError::MapMissing("REFUSED"))
    }

    /// The aggregates; once.
    pub fn take_aggregates(&mut self) -> Result<Aggregates, AttachError> {
        let mut map =
            |name| HashMap::try_from(self.take(name)?).map_err(|_| AttachError::MapMissing(name));
        let maps = [
            [map("AGGREGATES_0")?, map("SPARE_0")?],
            [map("AGGREGATES_1")?, map("SPARE_1")?],
        ];
        let generation = Array::try_from(self.take("GENERATION")?)
            .map_err(|_| AttachError::MapMissing("GENERATION"))?;
        Aggregates::new(maps, generation).map_err(|_| AttachError::MapMissing("GENERATION"))
    }

    /// Reads the kernel's clocks, by running the iterator that samples them once more.
    ///
    /// Errors: this kernel runs no BPF iterators.
    pub fn sample_clock(&mut self) -> Result<Sample, String> {
        let name = "existing_listeners";
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or("the program is not in the object")?;
        let program: &mut Iter = program.try_into().map_err(|error| chain(&error))?;
        iterate(program).map_err(|error| format!("the iterator failed: {}", chain(&error)))?;
        let map = self
            .ebpf
            .map("CLOCK")
            .ok_or("the map CLOCK is not in the object")?;
        let clock: Array<_, [u64; 2]> = map.try_into().map_err(|error| chain(&error))?;
        let [ktime_ns, jiffies] = clock.get(&0, 0).map_err(|error| chain(&error))?;
        Ok(Sample { jiffies, ktime_ns })
    }

    /// The programs, for their log.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn the_verifiers_complaint_is_found() {
        let log = "func#0 @0\n0: R1=ctx() R10=fp0\n; fn\n1: (79) r2 = *(u64 *)(r1 +0)\n\
                   R2 invalid mem access 'trusted_ptr_or_null_'\n\
                   verification time 80 usec\nstack depth 0\nprocessed 2 insns (limit 1000000)\n";
        assert_eq!(
            last_words(log),
            Some("R2 invalid mem access 'trusted_ptr_or_null_'")
        );
        assert_eq!(last_words(""), None);
        assert_eq!(last_words("processed 0 insns"), None);
    }
}
