//! Runs the rows and reports, a line each.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::agent::Agent;
use crate::compare::Reporter;
use crate::judge::{self, Judged};
use crate::scenario::{Scenario, Whole};
use crate::scene::Family;
use crate::{machine, oracle};

/// Set where the tests run in a virtual machine of `cargo xtask vm`.
const GUEST: &str = "RESETMON_GUEST";

/// How a run goes.
#[derive(Debug, Default)]
pub(crate) struct Runner {
    /// Show the events of what passed too.
    pub(crate) verbose: bool,
    /// Rows so far that passed.
    pub(crate) passed: usize,
    /// Rows so far that failed.
    pub(crate) failed: usize,
    /// Rows so far that this machine cannot run.
    pub(crate) skipped: usize,
}

impl Runner {
    /// Runs scenarios with one agent, or the other tracer, for all of them.
    pub(crate) fn scenarios(
        &mut self,
        rows: &[(&Scenario, Family)],
        reporter: Reporter,
    ) -> Result<()> {
        let probes = machine::Probes::of(reporter)?;
        let kernel = machine::kernel(probes.as_ref())?;
        let missing = machine::missing(kernel, probes.as_ref())?;
        let agent = match reporter {
            Reporter::Resetmon => Agent::start().context("resetmon")?,
            Reporter::Tracer => oracle::start().context("bpftrace")?,
        };
        let mut judged: Vec<(String, Judged)> = Vec::new();
        for (scenario, family) in rows {
            let title = format!("{} {}", scenario.name, family.name());
            if let Some((_, why)) = missing
                .iter()
                .find(|(need, _)| scenario.needs.contains(need))
            {
                self.skip(&title, why);
                continue;
            }
            let start = Instant::now();
            match judge::judge(scenario, *family, &agent.events, reporter, kernel) {
                Ok(one) => {
                    self.done(&title, start, &one.wrong, &one.seen);
                    judged.push((title, one));
                }
                Err(error) => self.done(&title, start, &[format!("{error:#}")], &[]),
            }
        }
        for (title, one) in &judged {
            let now = agent.events.of(&one.netns);
            if let Some(late) = now.get(one.events..).filter(|late| !late.is_empty()) {
                println!("{title:<44} FAILED: {} events came too late", late.len());
                print(late);
                self.failed += 1;
                self.passed -= usize::from(one.wrong.is_empty());
            }
        }
        for line in agent.complaints() {
            println!("not a line of JSON: {line}");
            self.failed += 1;
        }
        match reporter {
            Reporter::Resetmon => agent.stop().context("resetmon"),
            Reporter::Tracer => Ok(()),
        }
    }

    /// Runs a test of the whole.
    pub(crate) fn whole(&mut self, test: &Whole) {
        let program = test
            .programs
            .iter()
            .find(|program| !machine::is_installed(program));
        if let Some(program) = program {
            self.skip(test.name, &format!("{program} is not installed"));
            return;
        }
        if test.natively && std::env::var_os(GUEST).is_some() {
            self.skip(test.name, "not in a virtual machine");
            return;
        }
        let start = Instant::now();
        let wrong = (test.run)().err().map(|error| format!("{error:#}"));
        self.done(test.name, start, wrong.as_slice(), &[]);
    }

    fn skip(&mut self, title: &str, why: &str) {
        println!("{title:<44} skipped: {why}");
        self.skipped += 1;
    }

    fn done(&mut self, title: &str, start: Instant, wrong: &[String], seen: &[Value]) {
        let word = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("{title:<44} {word} ({} ms)", start.elapsed().as_millis());
        for line in wrong {
            println!("    {line}");
        }
        if self.verbose || !wrong.is_empty() {
            print(seen);
        }
        if wrong.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

fn print(events: &[Value]) {
    for event in events {
        println!("    | {event}");
    }
}
