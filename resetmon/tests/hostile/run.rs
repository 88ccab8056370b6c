//! Feeds targets with inputs and says what became of them.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::random::Random;

/// Something that takes data from outside.
pub(crate) trait Target {
    /// Its name.
    const NAME: &'static str;
    /// Inputs of a quick run.
    const QUICK: u64;
    /// Whether some inputs must be refused: true for a parser, false for what takes everything.
    const REFUSES: bool;

    /// One input.
    type Input: fmt::Debug;

    /// The next input.
    fn make(&mut self, random: &mut Random) -> Self::Input;

    /// Gives it to the code and panics where a rule is broken. True if it was accepted.
    fn check(&mut self, input: &Self::Input) -> bool;
}

/// A target without its type.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    quick: u64,
    run: fn(u64, u64, &Progress) -> Result<Report, Failure>,
}

impl Row {
    /// The row of a target.
    pub(crate) const fn of<T: Target + Default>() -> Self {
        Self {
            name: T::NAME,
            quick: T::QUICK,
            run: run::<T>,
        }
    }

    /// Runs it with `inputs`, or as many as a quick run has.
    pub(crate) fn run(
        &self,
        seed: u64,
        inputs: Option<u64>,
        progress: &Progress,
    ) -> Result<Report, Failure> {
        (self.run)(seed, inputs.unwrap_or(self.quick), progress)
    }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report {
    inputs: u64,
    accepted: u64,
    took: Duration,
    /// Time on a processor, which other work on the machine does not lengthen.
    busy: Duration,
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "only shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, busy) = (self.took.as_secs_f64(), self.busy.as_secs_f64());
        write!(
            f,
            "{:>9} inputs {seconds:>7.1} s, {:>7.0} per CPU second, {:>3.0} % accepted",
            self.inputs,
            self.inputs as f64 / busy.max(1e-9),
            100.0 * self.accepted as f64 / (self.inputs.max(1)) as f64,
        )
    }
}

/// A rule that was broken.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    input: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        write!(f, "    input: {}", self.input)
    }
}

/// How far a run is: read by the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    /// A number that differs at every input.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// Text and place of the latest panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the text of panics instead of printing it: a failure shows it beside its input.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|text| *text = info.to_string());
    }));
}

/// What the latest panic of this thread said.
pub(crate) fn latest_panic() -> String {
    PANIC.with_borrow(Clone::clone)
}

fn run<T: Target + Default>(
    seed: u64,
    inputs: u64,
    progress: &Progress,
) -> Result<Report, Failure> {
    let (start, busy) = (Instant::now(), cpu_time());
    let mut target = T::default();
    let mut accepted = 0;
    for index in 0..inputs {
        progress.0.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::of(seed, T::NAME, index);
        let Ok(input) = catch_unwind(AssertUnwindSafe(|| target.make(&mut random))) else {
            return Err(Failure {
                what: format!("input {index} cannot be made: {}", latest_panic()),
                input: "none".to_owned(),
            });
        };
        match catch_unwind(AssertUnwindSafe(|| target.check(&input))) {
            Ok(true) => accepted += 1,
            Ok(false) => {}
            Err(_) => {
                return Err(Failure {
                    what: format!("input {index} of seed {seed:#x}: {}", latest_panic()),
                    input: format!("{input:?}"),
                });
            }
        }
    }
    // Damage that only ever meets the first check, or never any, tests nothing.
    if accepted == 0 || T::REFUSES && accepted == inputs {
        return Err(Failure {
            what: format!("{accepted} of {inputs} inputs were accepted"),
            input: "all of them".to_owned(),
        });
    }
    Ok(Report {
        inputs,
        accepted,
        took: start.elapsed(),
        busy: cpu_time().saturating_sub(busy),
    })
}

/// Time that this thread has been on a processor.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
