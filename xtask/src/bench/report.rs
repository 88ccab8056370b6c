//! `resetmon report` over a file of many events: how long, and how much memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::place::Place;
use super::process::{Background, status_value, to_f64};
use super::table::{Goal, Row, Unit};
use crate::command::Invocation;

/// Events of the file.
const EVENTS: u64 = 10_000_000;
/// Seconds for them.
const SECONDS: f64 = 60.0;
/// MiB at most.
const MIB: f64 = 200.0;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);

/// Measures one pass over the file.
///
/// # Errors
/// When the file cannot be written, or the report is not about all of its events.
pub(crate) fn measure(place: &Place) -> Result<Vec<Row>> {
    let events = if place.quick { EVENTS / 50 } else { EVENTS };
    let file = place.dir.join("events.jsonl");
    let bytes = write_events(&file, events)?;
    let result = report(place, &file, events);
    std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    let (took, peak) = result?;
    let seconds = took.as_secs_f64();
    // A shorter file has its part of the time.
    let limit = SECONDS * to_f64(events) / to_f64(EVENTS);
    Ok(vec![
        Row::new(
            format!("report over {events} saved events"),
            Unit::Ms,
            vec![seconds * 1e3],
        )
        .goal(Goal::AtMost(limit * 1e3))
        .note(format!(
            "{:.0} bytes an event, {:.0} MB/s",
            to_f64(bytes) / to_f64(events),
            to_f64(bytes) / 1e6 / seconds
        )),
        Row::new("report, resident at most", Unit::MiB, vec![peak]).goal(Goal::AtMost(MIB)),
    ])
}

/// Time and greatest memory, MiB, of one report.
fn report(place: &Place, file: &Path, events: u64) -> Result<(Duration, f64)> {
    let call = Invocation::new(&place.agent)
        .args(["report", "--json", "--from"])
        .arg(file);
    let log = place.dir.join("report.log");
    let start = Instant::now();
    let mut program = Background::start(&call, &log, true)?;
    let mut peak = 0;
    let output = program.take_stdout().context("the report has no output")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(output));
    // The report is written at the end; who has not come to it is at work still.
    while !reader.is_finished() {
        let path = format!("/proc/{}/status", program.pid());
        if let Ok(status) = std::fs::read_to_string(path) {
            peak = status_value(&status, "VmHWM").unwrap_or(0).max(peak);
        }
        std::thread::sleep(LOOK);
    }
    let took = start.elapsed();
    let Ok(text) = reader.join() else {
        bail!("the reader of the report ended early");
    };
    let report: Value = serde_json::from_str(&text.context("cannot read the report")?)
        .context("the report is no JSON")?;
    if report["totals"]["events"].as_u64() != Some(events) {
        bail!("the report is about {} events", report["totals"]["events"]);
    }
    Ok((took, to_f64(peak) / 1024.0))
}

const CAUSES: [&str; 6] = [
    "aborted_mid_response",
    "keepalive_race",
    "refused",
    "reset_after_close",
    "client_canceled",
    "aborted_before_response",
];

/// Writes events as `resetmon run` does, and returns how many bytes they are.
fn write_events(path: &Path, events: u64) -> Result<u64> {
    let failed = || format!("cannot write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(failed)?);
    let mut bytes = 0;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut line = Vec::new();
    for number in 0..events {
        // Marsaglia's xorshift64: the same file each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        line.clear();
        event(&mut line, number, state).with_context(failed)?;
        bytes += line.len() as u64;
        out.write_all(&line).with_context(failed)?;
    }
    out.flush().with_context(failed)?;
    Ok(bytes)
}

/// One line: a gateway with some hundred backends, a day long.
fn event(out: &mut Vec<u8>, number: u64, random: u64) -> std::io::Result<()> {
    let pick = |shift: u32, of: u64| (random >> shift) % of;
    let cause = CAUSES[usize::try_from(pick(0, 6)).unwrap_or_default()];
    let (upstream, endpoint, worker) = (pick(8, 40), pick(16, 4), pick(20, 8));
    let micros = number * 8_000;
    let (hour, minute) = (micros / 3_600_000_000 % 24, micros / 60_000_000 % 60);
    let (second, micro) = (micros / 1_000_000 % 60, micros % 1_000_000);
    writeln!(
        out,
        r#"{{"v":1,"event":"reset","id":"{id:016x}","time":"2025-03-04T{hour:02}:{minute:02}:{second:02}.{micro:06}Z","direction":"received","sender":"peer","cause":"{cause}","benign":{benign},"failure":"reset","stage":"established","state_before":"established","socket":"full","netns":4026531840,"cookie":"{cookie}","ip_version":4,"local":"10.0.0.1:{port}","remote":"10.1.{upstream}.{endpoint}:8080","role":"client","process":{{"pid":{pid},"name":"nginx","comm":"nginx","exe":"/usr/sbin/nginx","cmdline":"nginx: worker process","unit":"nginx.service","known_by":"connect"}},"peer":"10.1.{upstream}.{endpoint}","gateway":"nginx","route":"/api/v1/service-{upstream}","upstream":"service-{upstream}","leg":"upstream","age_s":{age}.{fraction:06},"idle_in_s":{idle}.{fraction:06},"idle_out_s":{idle}.{fraction:06},"ack_s":0.004,"tick_s":0.004,"bytes_received":12345,"bytes_acked":340,"bytes_sent":340,"segs_in":12,"segs_out":9,"data_segs_in":10,"data_segs_out":1,"unread":0,"unacked":0,"srtt_s":0.00042,"retransmits":0,"probes_out":0,"fin_received":false,"fin_sent":false,"socket_error":"ECONNRESET","uid":33,"rst":{{"ttl":64,"ip_id":0,"seq_offset":0,"flags":"RST|ACK"}},"handshake_ttl":64,"flags":["has_file"],"evidence":["no FIN was seen","12345 bytes of the answer had come"]}}"#,
        id = number + (1 << 40),
        benign = cause == "reset_after_close",
        cookie = number + 1000,
        port = 32_768 + number % 28_000,
        pid = 1000 + worker,
        age = pick(24, 900),
        idle = pick(34, 90),
        fraction = pick(40, 1_000_000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_lines() {
        let mut line = Vec::new();
        for number in [0, 1, EVENTS - 1] {
            line.clear();
            event(
                &mut line,
                number,
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            )
            .unwrap();
            assert!(line.ends_with(b"}\n"));
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["v"], 1);
        }
    }
}
