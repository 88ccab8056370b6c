//! Data from outside, hostile: every parser with many damaged inputs, and the agent's memory with
//! many peers and processes.
//!
//!     cargo test --test hostile -- [--list] [NAME…]
//!     RESETMON_FUZZ_INPUTS=1000000 cargo test --profile hostile --test hostile
//!
//! No input may panic, hang or break the rules that the target states. Inputs are made from good
//! ones by damage that depends on the seed alone: `RESETMON_FUZZ_SEED` repeats a run,
//! `RESETMON_FUZZ_INPUTS` says how many inputs each target gets.

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use run::{Progress, Row};

mod exposition;
mod growth;
mod mutate;
mod procfs;
mod random;
mod records;
mod resets;
mod run;
mod targets;
mod yaml_text;

/// The seed of a run that names none.
const SEED: u64 = 0x5eed_1e55_0b7f_0003;

/// An input that takes longer hangs. No input takes a thousandth of it.
const HANGS: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut filters: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--list" => {
                for name in names() {
                    println!("{name}: test");
                }
                return ExitCode::SUCCESS;
            }
            // Options of the built-in test harness, which `cargo test -- …` gives to all.
            other if other.starts_with('-') => {}
            _ => filters.push(argument),
        }
    }
    let seed = number("RESETMON_FUZZ_SEED").unwrap_or(SEED);
    let inputs = number("RESETMON_FUZZ_INPUTS");
    run::keep_panics();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|part| name.contains(part));
    let mut tally = Tally::default();
    println!("seed {seed:#x}: repeat with RESETMON_FUZZ_SEED={seed:#x}");
    // First, while nothing else has touched the memory of this process.
    for (name, test) in growth::TESTS {
        if wanted(name) {
            let start = Instant::now();
            let outcome = catch_unwind(test);
            let took = start.elapsed().as_secs_f64();
            match outcome {
                Ok(said) => tally.passed(name, &format!("{took:>7.1} s  {said}")),
                Err(_) => tally.failed(name, &run::latest_panic()),
            }
        }
    }
    let rows = targets::ALL.iter().filter(|row| wanted(row.name));
    attack(rows.copied().collect(), seed, inputs, &mut tally);
    println!(
        "{} passed, {} failed, 0 skipped",
        tally.passed, tally.failed
    );
    if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let growth = growth::TESTS.iter().map(|(name, _)| *name);
    growth.chain(targets::ALL.iter().map(|row| row.name))
}

/// The number in a variable, decimal or hexadecimal after `0x`.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{variable}: `{text}` is not a number")))
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn passed(&mut self, name: &str, said: &str) {
        println!("{name:<16} {said}");
        self.passed += 1;
    }

    fn failed(&mut self, name: &str, said: &str) {
        println!("{name:<16} FAILED: {said}");
        self.failed += 1;
    }
}

/// Runs the rows on every processor. A target runs in one thread, so that its seed repeats it.
fn attack(rows: VecDeque<Row>, seed: u64, inputs: Option<u64>, tally: &mut Tally) {
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(rows.len());
    let queue = Mutex::new(rows);
    let tally = Mutex::new(tally);
    let done = AtomicBool::new(false);
    let slots: Vec<Slot> = (0..workers).map(|_| Slot::default()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&slots, &done));
        let threads: Vec<_> = slots
            .iter()
            .map(|slot| {
                scope.spawn(|| {
                    while let Some(row) = pop(&queue) {
                        *slot.name.lock().unwrap() = row.name;
                        let outcome = row.run(seed, inputs, &slot.progress);
                        let mut tally = tally.lock().unwrap();
                        match outcome {
                            Ok(report) => tally.passed(row.name, &report.to_string()),
                            Err(failure) => tally.failed(row.name, &failure.to_string()),
                        }
                    }
                    *slot.name.lock().unwrap() = "";
                })
            })
            .collect();
        let ended: Vec<_> = threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        for thread in ended {
            thread.unwrap_or_else(|_| panic!("a worker panicked"));
        }
    });
}

fn pop(queue: &Mutex<VecDeque<Row>>) -> Option<Row> {
    queue.lock().unwrap().pop_front()
}

/// What a worker is at.
#[derive(Debug, Default)]
struct Slot {
    name: Mutex<&'static str>,
    progress: Progress,
}

/// Ends everything when an input hangs: nothing else could.
fn watch(slots: &[Slot], done: &AtomicBool) {
    let mut seen: Vec<(u64, Instant)> = slots
        .iter()
        .map(|slot| (slot.progress.get(), Instant::now()))
        .collect();
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        for (slot, (last, since)) in slots.iter().zip(&mut seen) {
            let now = slot.progress.get();
            let name = *slot.name.lock().unwrap();
            if now != *last || name.is_empty() {
                (*last, *since) = (now, Instant::now());
            } else if since.elapsed() > HANGS {
                println!("{name:<16} FAILED: an input hangs\n0 passed, 1 failed, 0 skipped");
                std::process::exit(1);
            }
        }
    }
}
