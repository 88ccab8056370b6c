//! Requests a second of nginx on the loopback device, without and with each tracer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::median::{alternate, median, ratios};
use super::place::Place;
use super::process::Background;
use super::table::{Goal, Row, Unit};
use super::tracer::Tracer;
use crate::command::Invocation;

/// Where nginx listens, in the namespace of the measurement.
const URL: &str = "http://127.0.0.1:8080/";
/// Part of the throughput without a tracer that is to be left.
const GOAL: f64 = 0.995;

/// Request after request on the same connections, or each on a new one.
const MODES: [(&str, &[&str]); 2] = [
    ("new connections", &["--header", "Connection: close"]),
    ("keep-alive", &[]),
];

/// nginx that answers by itself and writes nothing.
fn config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off;
user root;
worker_processes 1;
pid \"{dir}/nginx.pid\";
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path \"{dir}/nginx-body\";
    proxy_temp_path \"{dir}/nginx-proxy\";
    fastcgi_temp_path \"{dir}/nginx-fastcgi\";
    uwsgi_temp_path \"{dir}/nginx-uwsgi\";
    scgi_temp_path \"{dir}/nginx-scgi\";
    server {{
        listen 127.0.0.1:8080 backlog=4096;
        location / {{ return 200 \"answer\\n\"; }}
    }}
}}
"
    )
}

/// Measures both modes beside each tracer.
///
/// # Errors
/// When nginx, wrk or a tracer fails.
pub(crate) fn measure(place: &Place) -> Result<Vec<Row>> {
    let file = place.dir.join("nginx.conf");
    std::fs::write(&file, config(&place.dir))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let call = Invocation::new("nginx").arg("-c").arg(&file);
    let mut nginx = Background::start(&call, &place.dir.join("nginx.log"), false)?;
    nginx.wait_until(|_| std::net::TcpStream::connect(("127.0.0.1", 8080)).is_ok())?;
    let mut rows = Vec::new();
    for (mode, headers) in MODES {
        for tracer in Tracer::ALL {
            let pairs = alternate(place.rounds(2, 5), |with| {
                let running = with.then(|| tracer.start(place)).transpose()?;
                let rate = requests_a_second(place, headers)?;
                running.map_or(Ok(()), super::tracer::Running::stop)?;
                anyhow::Ok(rate)
            })?;
            let without: Vec<f64> = pairs.iter().map(|(without, _)| *without).collect();
            let row = Row::new(
                format!("nginx, {mode}: with {} / without", tracer.name()),
                Unit::Ratio,
                ratios(&pairs),
            );
            let row = row.note(format!(
                "{:.0} requests/s without",
                median(&without).unwrap_or(0.0)
            ));
            rows.push(if tracer == Tracer::Resetmon {
                row.goal(Goal::AtLeast(GOAL))
            } else {
                row
            });
        }
    }
    nginx.stop(Signal::TERM)?;
    Ok(rows)
}

fn requests_a_second(place: &Place, headers: &[&str]) -> Result<f64> {
    // What the last run left to do in the kernel is not this one's.
    std::thread::sleep(Duration::from_millis(200));
    let duration = if place.quick { "1s" } else { "3s" };
    let said = Invocation::new("wrk")
        .args([
            "--threads",
            "1",
            "--connections",
            "32",
            "--duration",
            duration,
        ])
        .args(headers)
        .arg(URL)
        .read()?;
    parse_rate(&said).with_context(|| format!("wrk is not understood: {said}"))
}

/// The rate in what wrk says; `None` also when requests failed, since errors are quick.
fn parse_rate(said: &str) -> Option<f64> {
    if said.contains("Non-2xx") {
        return None;
    }
    let rate = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    rate.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_unless_requests_failed() {
        let said = "  4 requests in 1.00s\nRequests/sec:  51234.56\nTransfer/sec:      9.1MB\n";
        assert_eq!(parse_rate(said), Some(51234.56));
        let failed = format!("  Non-2xx or 3xx responses: 3\n{said}");
        assert_eq!(parse_rate(&failed), None);
        assert_eq!(parse_rate("unable to connect"), None);
    }
}
