//! `resetmon demo`: shows its own resets, all of them and no others.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Netns;
use crate::scenario::Whole;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "demo_explains_its_resets",
        programs: &[],
        natively: false,
        run: explains,
    },
    Whole {
        name: "demo_says_what_was_not_seen",
        programs: &["ip"],
        natively: false,
        run: fails,
    },
];

/// What it has to say, whatever the kernel tells besides.
const EXPECTED: [(&str, &str); 7] = [
    ("received", "refused"),
    ("sent", "closed_with_unread_data"),
    ("received", "aborted_before_response"),
    ("sent", "linger_abort"),
    ("received", "aborted_mid_response"),
    ("sent", "data_after_close"),
    ("received", "keepalive_race"),
];

fn demo(netns: &Netns, options: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.arg("demo").args(options);
    netns
        .run_in(&mut command)
        .output()
        .context("resetmon demo does not start")
}

fn explains() -> Result<()> {
    let (netns, elsewhere) = (Netns::new()?, Netns::new()?);
    let (text, json) = std::thread::scope(|scope| -> Result<_> {
        // Another namespace has resets on its loopback meanwhile.
        let noise = scope.spawn(|| {
            elsewhere.enter(|| -> Result<()> {
                for _ in 0..20 {
                    crate::restart::aborted(&crate::restart::listeners()?[0])?;
                }
                Ok(())
            })
        });
        let both = (demo(&netns, &[])?, demo(&netns, &["--json"])?);
        noise.join().ok().context("the noise panicked")???;
        Ok(both)
    })?;
    for output in [&text, &json] {
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", output.status);
    }
    let lines = String::from_utf8(text.stdout)?;
    for word in EXPECTED.iter().map(|(_, cause)| *cause).chain(["All 4"]) {
        ensure!(lines.contains(word), "no {word} in {lines}");
    }
    let events = String::from_utf8(json.stdout)?;
    let events: Vec<Value> = events
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut seen: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            let word = |name: &str| event[name].as_str().unwrap_or_default();
            (word("direction"), word("cause"))
        })
        .collect();
    for expected in EXPECTED {
        let at = seen.iter().position(|one| *one == expected);
        let at = at.with_context(|| format!("{expected:?} is missing: {events:?}"))?;
        seen.remove(at);
    }
    // A refusal has no socket, and not every kernel tells of it.
    seen.retain(|one| *one != ("sent", "no_listener"));
    ensure!(seen.is_empty(), "these are not its own: {seen:?}");
    Ok(())
}

/// Without a loopback no connection can be made.
fn fails() -> Result<()> {
    let netns = Netns::new()?;
    let status = netns
        .run_in(Command::new("ip").args(["link", "set", "lo", "down"]))
        .status()?;
    ensure!(status.success(), "ip: {status}");
    let output = demo(&netns, &[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("loopback"), "{said}");
    Ok(())
}
