//! Connections of a real gateway that fail without a reset, and healthy ones.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{ANSWER, answered, asked, exchanged, request};
use crate::actor::Socket;
use crate::actor::command::Readiness;
use crate::gateway::{CHAT, Gateway, NGINX, PAYMENTS, SLOW};
use crate::scenario::Whole;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "nginx_connect_given_up",
        programs: &["nginx", "curl", "nft"],
        natively: false,
        run: connect_given_up,
    },
    Whole {
        name: "nginx_empty_response",
        programs: &["nginx", "curl"],
        natively: false,
        run: empty_response,
    },
    Whole {
        name: "nginx_empty_response_later",
        programs: &["nginx"],
        natively: false,
        run: empty_response_later,
    },
    Whole {
        name: "nginx_read_timeout",
        programs: &["nginx", "curl"],
        natively: false,
        run: read_timeout,
    },
    Whole {
        name: "nginx_healthy",
        programs: &["nginx", "curl"],
        natively: false,
        run: healthy,
    },
];

/// Waits until the route's counter of failures of the upstream leg is what the events add up to.
pub(super) fn counted(gateway: &Gateway, failure: &str, route: &str, upstream: &str) -> Result<()> {
    let labels = [
        ("failure", failure),
        ("leg", "upstream"),
        ("gateway", "edge"),
        ("route", route),
        ("upstream", upstream),
    ];
    gateway.counted("resetmon_route_connection_failures_total", &labels)?;
    let labels = [
        ("failure", failure),
        ("role", "client"),
        ("process", "nginx"),
    ];
    gateway.counted("resetmon_connection_failures_total", &labels)
}

/// Checks event and metrics of the failure of nginx's connection to the upstream `slow`.
fn check(gateway: &Gateway, failure: &str, stage: &str, worker: Option<u32>) -> Result<Value> {
    let event = gateway.nginx_failed(SLOW.parse()?)?;
    let checks = [
        ("failure", json!(failure)),
        ("stage", json!(stage)),
        ("leg", json!("upstream")),
        ("gateway", json!("edge")),
        ("route", json!("/api/slow")),
        ("upstream", json!("slow")),
        ("role", json!("client")),
    ];
    for (key, value) in checks {
        ensure!(
            event[key] == value,
            "{key} is {}, not {value}: {event}",
            event[key]
        );
    }
    let pid = event["process"]["pid"].as_u64().context("pid")?;
    let pid = u32::try_from(pid)?;
    let right = worker.map_or_else(|| gateway.workers.contains(&pid), |worker| worker == pid);
    ensure!(right, "not worker {worker:?}: {event}");
    counted(gateway, failure, "/api/slow", "slow")?;
    Ok(event)
}

/// Nothing answers, and nginx closes after `proxy_connect_timeout`.
fn connect_given_up() -> Result<()> {
    let gateway = Gateway::start()?;
    gateway.netns.nft(
        "table inet test {\nchain input {\ntype filter hook input priority 0;\n\
         tcp dport 9003 drop\n}\n}",
    )?;
    let status = gateway.curl("/api/slow/1")?.status()?;
    ensure!(status == "504", "curl saw {status}, not 504");
    check(&gateway, "canceled", "connecting", None)?;
    gateway.stop()
}

/// The backend is killed when it has read the request: the kernel sends a FIN for it.
fn empty_response() -> Result<()> {
    let gateway = Gateway::start()?;
    let (backend, listener) = gateway.backend(SLOW)?;
    let curl = gateway.curl("/api/slow/1")?;
    let (accepted, worker) = asked(&gateway, &listener, SLOW)?;
    accepted.read(4096)?;
    backend.kill()?;
    check(&gateway, "empty_response", "closing", Some(worker))?;
    ensure!(curl.status()? == "502", "curl saw another status than 502");
    gateway.stop()
}

/// The same on a connection over which a request was answered before.
fn empty_response_later() -> Result<()> {
    let gateway = Gateway::start()?;
    let (backend, listener) = gateway.backend(SLOW)?;
    let (_client, connection, accepted, nginx) = exchanged(&gateway, &listener, "/api/slow/1")?;
    let worker = gateway.holder(nginx, SLOW.parse()?)?;
    let path = format!("/api/slow/2?{}", "x".repeat(200));
    connection.write(request(&path).as_bytes())?;
    accepted.read(4096)?;
    // nginx would try again over a new connection.
    listener.close()?;
    backend.kill()?;
    let event = check(&gateway, "empty_response", "closing", Some(worker))?;
    ensure!(event["bytes_received"] != 0, "no answer before: {event}");
    gateway.stop()
}

/// The backend does not answer, and nginx closes after `proxy_read_timeout`.
fn read_timeout() -> Result<()> {
    let gateway = Gateway::start()?;
    let (_backend, listener) = gateway.backend(SLOW)?;
    let curl = gateway.curl("/api/slow/1")?;
    let (accepted, worker) = asked(&gateway, &listener, SLOW)?;
    accepted.read(4096)?;
    check(&gateway, "canceled", "established", Some(worker))?;
    ensure!(curl.status()? == "504", "curl saw another status than 504");
    accepted.wait(Readiness::PeerClosed)?;
    accepted.close()?;
    gateway.stop()
}

/// What may not be reported: short and kept connections, closed by either end, and checks.
fn healthy() -> Result<()> {
    let gateway = Gateway::start()?;
    let (_backend, listener) = gateway.backend(PAYMENTS)?;
    let (_client, connection, accepted, _) = exchanged(&gateway, &listener, "/api/pay/1")?;
    connection.write(request("/api/pay/2").as_bytes())?;
    accepted.read(4096)?;
    accepted.write(ANSWER)?;
    answered(&connection)?;
    sleep(Duration::from_millis(200));
    accepted.close()?;
    connection.close()?;
    let prober = gateway.actor("prober")?;
    for at in [NGINX, PAYMENTS] {
        let at = at.parse()?;
        let check: Socket = prober.socket(at)?;
        check.connect(at)?;
        check.close()?;
    }
    listener.accept()?.0.close()?;
    for _ in 0..3 {
        let curl = gateway.curl("/api/pay/3")?;
        let (accepted, _) = asked(&gateway, &listener, PAYMENTS)?;
        accepted.read(4096)?;
        accepted.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok")?;
        accepted.close()?;
        ensure!(curl.status()? == "200", "curl saw another status than 200");
    }
    // What is reported is reported in order: after this nothing is under way.
    ensure!(gateway.curl("/api/chat/1")?.status()? == "502", "not 502");
    gateway.nginx_received(CHAT.parse()?)?;
    let seen = gateway
        .events()?
        .wait(&gateway.netns, Duration::ZERO, |_| true);
    let wrong: Vec<&Value> = seen
        .iter()
        .filter(|event| !event["failure"].is_null() && event["failure"] != "refused")
        .collect();
    ensure!(wrong.is_empty(), "healthy connections failed: {wrong:#?}");
    gateway.stop()
}
