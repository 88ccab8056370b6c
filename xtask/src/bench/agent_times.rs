//! Times of the agent itself: start, delay of an event, scrape, and what it does when idle.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::agent::{self, Agent};
use super::load;
use super::place::{OURS_V4, Place};
use super::process::{cpu_seconds, to_f64, voluntary_switches};
use super::table::{Goal, Row, Unit};

/// ms from start to attached.
const START_MS: f64 = 300.0;
/// ms from the reset to its line, and to its metric.
const DELAY_MS: f64 = 50.0;
/// ms of one scrape.
const SCRAPE_MS: f64 = 20.0;
/// Series of that scrape.
const SERIES: usize = 10_000;
/// Wake-ups a second by one timer of 1 s: tokio's timer wheel wakes once more on the way to each
/// (its slots are of 64 ms), and each fourth time twice (of 4.1 s).
const WAKE_UPS: f64 = 2.3;
/// Longest wait for what must come.
const LIMIT: Duration = Duration::from_secs(20);

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// From the start of the process until every probe is attached.
///
/// # Errors
/// When the agent does not start.
pub(crate) fn start(place: &Place) -> Result<Vec<Row>> {
    let mut times = Vec::new();
    for _ in 0..place.rounds(3, 15) {
        let agent = Agent::start(place, "", false)?;
        times.push(ms(agent.start));
        agent.stop()?;
    }
    Ok(vec![
        Row::new("start to attached", Unit::Ms, times).goal(Goal::AtMost(START_MS)),
    ])
}

/// From the call that makes a reset to its JSON line and to its count in a scrape.
///
/// # Errors
/// When a line or count does not come.
pub(crate) fn delay(place: &Place) -> Result<Vec<Row>> {
    let mut agent = Agent::start(place, "", true)?;
    let stdout = agent
        .program
        .take_stdout()
        .context("the agent has no standard output")?;
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout)
            .lines()
            .map_while(std::io::Result::ok)
        {
            if sender.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    let peer = format!("\"{OURS_V4}\"");
    let (mut to_line, mut to_metric) = (Vec::new(), Vec::new());
    for _ in 0..place.rounds(20, 200) {
        let before = Instant::now();
        load::refused(OURS_V4)?;
        to_line.push(ms(
            line_with(&lines, &peer)?.saturating_duration_since(before)
        ));
        // The other direction's, and a pause, so that the agent sleeps again.
        line_with(&lines, &peer)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let count = || -> Result<u64> {
        let page = agent::get("/metrics")?;
        let own = OURS_V4.to_string();
        let labels = [("direction", "sent"), ("peer", own.as_str())];
        Ok(agent::sum(&page, "resetmon_peer_resets_total", &labels))
    };
    for _ in 0..place.rounds(10, 50) {
        let old = count()?;
        let before = Instant::now();
        load::refused(OURS_V4)?;
        while count()? == old {
            if before.elapsed() > LIMIT {
                bail!("a reset is not counted");
            }
        }
        to_metric.push(ms(before.elapsed()));
        std::thread::sleep(Duration::from_millis(10));
    }
    agent.stop()?;
    drop(lines);
    // It has ended with the agent's output.
    let _ = reader.join();
    Ok(vec![
        Row::new("reset to JSON line", Unit::Ms, to_line).goal(Goal::AtMost(DELAY_MS)),
        Row::new("reset to metric", Unit::Ms, to_metric)
            .goal(Goal::AtMost(DELAY_MS))
            .note("with the scrapes that look for it"),
    ])
}

fn line_with(lines: &Receiver<(Instant, String)>, text: &str) -> Result<Instant> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        // Others' resets on the machine are passed over.
        let (time, line) = lines
            .recv_timeout(LIMIT)
            .context("a reset has no JSON line")?;
        if line.contains(text) {
            return Ok(time);
        }
    }
    bail!("a reset has no JSON line")
}

/// A scrape of many series.
///
/// # Errors
/// When the series do not come.
pub(crate) fn scrape(place: &Place) -> Result<Vec<Row>> {
    let config = "detail_rate: 0\nmetrics:\n  max_series_per_family: 20000\n";
    let agent = Agent::start(place, config, false)?;
    for index in 0_u16.. {
        if usize::from(index) == SERIES {
            break;
        }
        let [high, low] = index.to_be_bytes();
        load::refused(IpAddr::V4(Ipv4Addr::new(127, 1, high, low)))?;
    }
    let start = Instant::now();
    while series(&agent::get("/metrics")?) < SERIES {
        if start.elapsed() > LIMIT {
            bail!("the series do not come");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut times = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for _ in 0..place.rounds(10, 50) {
        let before = Instant::now();
        let page = agent::get("/metrics")?;
        times.push(ms(before.elapsed()));
        (count, bytes) = (series(&page), page.len());
    }
    agent.stop()?;
    Ok(vec![
        Row::new("scrape of 10,000 series", Unit::Ms, times)
            .goal(Goal::AtMost(SCRAPE_MS))
            .note(format!("{count} series, {} KiB", bytes / 1024)),
    ])
}

fn series(page: &str) -> usize {
    page.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .count()
}

/// Wake-ups and CPU while nothing is reset.
///
/// # Errors
/// When the agent does not answer.
pub(crate) fn idle(place: &Place) -> Result<Vec<Row>> {
    let agent = Agent::start(place, "", false)?;
    let pid = agent.program.pid();
    let window = Duration::from_secs(if place.quick { 5 } else { 10 });
    let (mut wakes, mut cpu) = (Vec::new(), Vec::new());
    let mut others = 0;
    for _ in 0..place.rounds(1, 3) {
        let resets = resets_seen()?;
        // The server lingers for a second after an answer.
        std::thread::sleep(Duration::from_millis(2500));
        let before = (voluntary_switches(pid)?, cpu_seconds(pid)?);
        std::thread::sleep(window);
        let after = (voluntary_switches(pid)?, cpu_seconds(pid)?);
        wakes.push(to_f64(after.0 - before.0) / window.as_secs_f64());
        cpu.push(100.0 * (after.1 - before.1) / window.as_secs_f64());
        others += resets_seen()? - resets;
    }
    agent.stop()?;
    let note = if others == 0 {
        "goal: no timer but of 1 s or more; tokio wakes twice for one".to_owned()
    } else {
        format!("disturbed: others on this machine made {others} resets meanwhile")
    };
    Ok(vec![
        Row::new("wake-ups, nothing reset", Unit::PerSecond, wakes)
            .goal(Goal::AtMost(WAKE_UPS))
            .note(note),
        Row::new("agent CPU, nothing reset", Unit::Percent, cpu).note("of one core"),
    ])
}

fn resets_seen() -> Result<u64> {
    Ok(agent::sum(
        &agent::get("/metrics")?,
        "resetmon_resets_total",
        &[],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_the_lines_with_values() {
        assert_eq!(series("# TYPE a counter\na{b=\"#\"} 1\n\na 2\n# EOF\n"), 2);
    }
}
