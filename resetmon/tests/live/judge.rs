//! Runs one scenario and compares.

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::compare::{self, Kernel, Reporter};
use crate::events::{Events, is_sent};
use crate::netns::Netns;
use crate::scenario::Scenario;
use crate::scene::{Family, Scene};
use crate::service::PATIENCE;

/// Longest time from the end of a fault to the last event of it, on a machine busy with other work.
pub(crate) const REPORTED: Duration = PATIENCE;
/// Endpoint of the reset that closes each scenario. Nobody listens there.
const FENCE: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 99, 99, 99), 9);

/// What a scenario left behind, kept so that its namespace's number is not used again and
/// events that come too late are noticed.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Where it ran.
    pub(crate) netns: Netns,
    /// Events counted when it was judged.
    pub(crate) events: usize,
    /// What was wrong; empty if it passed.
    pub(crate) wrong: Vec<String>,
    /// The events, as reported.
    pub(crate) seen: Vec<Value>,
}

/// Runs `scenario` and compares what `events` has of it.
pub(crate) fn judge(
    scenario: &Scenario,
    family: Family,
    events: &Events,
    reporter: Reporter,
    kernel: Kernel,
) -> Result<Judged> {
    let scene = Scene::new(family, events)?;
    let before = scene.netns.resets_sent()?;
    // Actors end with the script: what that makes is part of the scenario.
    let script = (scenario.run)(&scene);
    let (netns, names, late, _folder) = scene.finish();
    if let Err(error) = script {
        let (wrong, seen) = (vec![format!("the script: {error:#}")], events.of(&netns));
        return Ok(Judged {
            netns,
            events: usize::MAX,
            wrong,
            seen,
        });
    }
    let events = late.as_ref().map_or(events, |agent| &agent.events);
    fence(&netns)?;
    let counted = netns.resets_sent()? - before;

    let expected = compare::due(scenario.expect, reporter).count();
    let all = events.wait(&netns, REPORTED, |all| {
        let (fences, seen): (Vec<&Value>, Vec<&Value>) = all.iter().partition(|e| is_fence(e));
        seen.len() >= expected && fences.len() >= fences_reported(kernel)
    });
    // The common agent saw this scenario too, but is not asked.
    let total = if late.is_some() {
        usize::MAX
    } else {
        all.len()
    };
    let sent = all.iter().filter(|event| is_sent(event)).count();
    let (fences, seen): (Vec<Value>, Vec<Value>) = all.into_iter().partition(is_fence);
    let mut wrong = compare::differences(scenario.expect, &seen, &names, reporter, kernel);
    if reporter == Reporter::Resetmon {
        wrong.extend(unjoined(&seen));
    }
    if fences.len() != fences_reported(kernel) {
        wrong.push(format!(
            "{} of the closing reset's events were reported",
            fences.len()
        ));
    }
    if kernel.socketless && sent as u64 != counted {
        wrong.push(format!(
            "{sent} sent resets were reported; OutRsts grew by {counted}"
        ));
    }
    if let Some(agent) = late {
        agent.stop().context("the scenario's own agent")?;
    }
    Ok(Judged {
        netns,
        events: total,
        wrong,
        seen,
    })
}

/// What is wrong with the joins of received resets with the sent ones that they are.
fn unjoined(events: &[Value]) -> Vec<String> {
    let is_first = |event: &Value| event["repeat_of"].is_null() && event["firewall_hook"].is_null();
    let mirrors = |one: &Value, other: &Value| {
        one["local"] == other["remote"] && one["remote"] == other["local"]
    };
    let mut wrong = Vec::new();
    for event in events {
        let twin = &event["twin"]["id"];
        let sent: Vec<&Value> = events
            .iter()
            .filter(|other| is_sent(other) && mirrors(event, other))
            .collect();
        if !is_sent(event) && is_first(event) {
            let expected = sent.iter().any(|sent| is_first(sent));
            let found = sent.iter().find(|sent| sent["id"] == *twin);
            if expected && found.is_none_or(|sent| sent["cause"] != event["twin"]["cause"]) {
                wrong.push(format!("{event} is not joined with its sender"));
            }
        }
        if twin.is_string() && !sent.iter().any(|sent| sent["id"] == *twin) {
            wrong.push(format!("{event} is joined with what did not send it"));
        }
    }
    wrong
}

/// One more reset, of which everything is known: what was reported before it came before it.
fn fence(netns: &Netns) -> Result<()> {
    match netns.enter(|| TcpStream::connect(FENCE))? {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("the closing connection was not refused: {other:?}"),
    }
}

/// Events that the closing reset makes: received, and sent where the kernel traces it.
const fn fences_reported(kernel: Kernel) -> usize {
    if kernel.socketless { 2 } else { 1 }
}

fn is_fence(event: &Value) -> bool {
    let (ip, port) = FENCE;
    let address = format!("{ip}:{port}");
    event["local"] == address || event["remote"] == address
}
