//! Faults behind a real gateway: the reset that nginx meets, its worker, leg, route, upstream and
//! cause, in the event and in the metric.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::actor::command::{Readiness, Setting};
use crate::actor::{Actor, Socket};
use crate::gateway::{CHAT, Gateway, NGINX, PAYMENTS};
use crate::owner::{is_stopped, signal};
use crate::scenario::Whole;

pub(crate) mod failures;

/// An answer that goes on for longer than it is sent.
const HALF_AN_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 880\r\n\r\nhalf";
/// A whole answer on a connection that stays open.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "nginx_reset_mid_response",
        programs: &["nginx", "curl"],
        natively: false,
        run: reset_mid_response,
    },
    Whole {
        name: "nginx_reset_before_answering",
        programs: &["nginx", "curl"],
        natively: false,
        run: reset_before_answering,
    },
    Whole {
        name: "nginx_backend_killed",
        programs: &["nginx", "curl"],
        natively: false,
        run: backend_killed,
    },
    Whole {
        name: "nginx_keepalive_race",
        programs: &["nginx"],
        natively: false,
        run: keepalive_race,
    },
    Whole {
        name: "nginx_idle_loss",
        programs: &["nginx", "nft"],
        natively: false,
        run: idle_loss,
    },
    Whole {
        name: "nginx_not_listening",
        programs: &["nginx", "curl"],
        natively: false,
        run: not_listening,
    },
    Whole {
        name: "nginx_client_leaves",
        programs: &["nginx"],
        natively: false,
        run: client_leaves,
    },
];

/// What nginx must be said to have met on its way to an upstream.
struct Expected {
    cause: &'static str,
    route: &'static str,
    upstream: &'static str,
    at: &'static str,
}

/// Checks event and metric of the reset that nginx received from its upstream. `worker` is who
/// held the connection; otherwise any worker will do.
fn check(gateway: &Gateway, expected: &Expected, worker: Option<u32>) -> Result<Value> {
    let event = gateway.nginx_received(expected.at.parse()?)?;
    let checks = [
        ("cause", json!(expected.cause)),
        ("leg", json!("upstream")),
        ("gateway", json!("edge")),
        ("route", json!(expected.route)),
        ("upstream", json!(expected.upstream)),
        ("role", json!("client")),
    ];
    for (key, value) in checks {
        ensure!(
            event[key] == value,
            "{key} is {}, not {value}: {event}",
            event[key]
        );
    }
    let process = &event["process"];
    ensure!(
        process["name"] == "nginx",
        "the process is not nginx: {event}"
    );
    ensure!(
        process["known_by"] == "connect",
        "known_by is not connect: {event}"
    );
    let pid = process["pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())
        .context("pid")?;
    match worker {
        Some(worker) => ensure!(
            pid == worker,
            "worker {worker} held the connection: {event}"
        ),
        None => ensure!(gateway.workers.contains(&pid), "no worker: {event}"),
    }
    let labels = [
        ("direction", "received"),
        ("leg", "upstream"),
        ("cause", expected.cause),
        ("gateway", "edge"),
        ("route", expected.route),
        ("upstream", expected.upstream),
    ];
    gateway.counted("resetmon_route_resets_total", &labels)?;
    let labels = [
        ("direction", "received"),
        ("cause", expected.cause),
        ("process", "nginx"),
    ];
    gateway.counted("resetmon_process_resets_total", &labels)?;
    let failure = match expected.cause {
        "refused" => "refused",
        _ => "reset",
    };
    ensure!(
        event["failure"] == failure,
        "failure is not {failure}: {event}"
    );
    failures::counted(gateway, failure, expected.route, expected.upstream)?;
    Ok(event)
}

/// The backend's end of a connection over which nginx has sent a request, and nginx's worker.
pub(crate) fn asked(gateway: &Gateway, listener: &Socket, at: &str) -> Result<(Socket, u32)> {
    listener.wait(Readiness::Input)?;
    let (accepted, nginx) = listener.accept()?;
    accepted.wait(Readiness::Input)?;
    let worker = gateway.holder(nginx, at.parse()?)?;
    Ok((accepted, worker))
}

fn reset_mid_response() -> Result<()> {
    let gateway = Gateway::start()?;
    let (_backend, listener) = gateway.backend(PAYMENTS)?;
    let curl = gateway.curl("/api/pay/1")?;
    let (accepted, worker) = asked(&gateway, &listener, PAYMENTS)?;
    accepted.read(4096)?;
    accepted.write(HALF_AN_ANSWER)?;
    accepted.set(Setting::Linger(0))?;
    accepted.close()?;
    let expected = Expected {
        cause: "aborted_mid_response",
        route: "/api/pay",
        upstream: "payments",
        at: PAYMENTS,
    };
    check(&gateway, &expected, Some(worker))?;
    curl.status()?;
    gateway.stop()
}

fn reset_before_answering() -> Result<()> {
    let gateway = Gateway::start()?;
    let (_backend, listener) = gateway.backend(CHAT)?;
    let curl = gateway.curl("/api/chat/1")?;
    let (accepted, worker) = asked(&gateway, &listener, CHAT)?;
    accepted.read(4096)?;
    accepted.set(Setting::Linger(0))?;
    accepted.close()?;
    let expected = Expected {
        cause: "aborted_before_response",
        route: "/api/chat",
        upstream: "chat",
        at: CHAT,
    };
    check(&gateway, &expected, Some(worker))?;
    ensure!(curl.status()? == "502", "curl saw another status than 502");
    gateway.stop()
}

fn backend_killed() -> Result<()> {
    let gateway = Gateway::start()?;
    let (backend, listener) = gateway.backend(PAYMENTS)?;
    let curl = gateway.curl("/api/pay/1")?;
    let (_accepted, worker) = asked(&gateway, &listener, PAYMENTS)?;
    backend.kill()?;
    let expected = Expected {
        cause: "aborted_before_response",
        route: "/api/pay",
        upstream: "payments",
        at: PAYMENTS,
    };
    check(&gateway, &expected, Some(worker))?;
    sent_by(&gateway, PAYMENTS, &["process_killed"], &backend)?;
    ensure!(curl.status()? == "502", "curl saw another status than 502");
    gateway.stop()
}

/// The other end of the same reset: who sent it and why.
fn sent_by(gateway: &Gateway, at: &str, causes: &[&str], backend: &Actor) -> Result<()> {
    let is = |event: &Value| event["direction"] == "sent" && event["local"] == at;
    let events = gateway.events()?;
    let seen = events.wait(&gateway.netns, crate::service::PATIENCE, |all| {
        all.iter().any(is)
    });
    let event = seen
        .iter()
        .find(|event| is(event))
        .context("the backend's reset")?;
    let cause = event["cause"].as_str().unwrap_or("");
    ensure!(
        causes.contains(&cause),
        "cause is {cause}, not {causes:?}: {event}"
    );
    ensure!(
        event["process"]["pid"] == backend.pid(),
        "not the backend's: {event}"
    );
    Ok(())
}

fn not_listening() -> Result<()> {
    let gateway = Gateway::start()?;
    let status = gateway.curl("/api/chat/1")?.status()?;
    ensure!(status == "502", "curl saw {status}, not 502");
    let expected = Expected {
        cause: "refused",
        route: "/api/chat",
        upstream: "chat",
        at: CHAT,
    };
    check(&gateway, &expected, None)?;
    gateway.stop()
}

/// A client connection that is kept, over which one request to `path` was answered: nginx keeps
/// the connection to the backend too.
pub(crate) fn exchanged(
    gateway: &Gateway,
    listener: &Socket,
    path: &str,
) -> Result<(Actor, Socket, Socket, SocketAddr)> {
    let client = gateway.actor("client")?;
    let at: SocketAddr = NGINX.parse()?;
    let connection = client.socket(at)?;
    connection.connect(at)?;
    connection.write(request(path).as_bytes())?;
    listener.wait(Readiness::Input)?;
    let (accepted, nginx) = listener.accept()?;
    accepted.read(4096)?;
    accepted.write(ANSWER)?;
    answered(&connection)?;
    Ok((client, connection, accepted, nginx))
}

pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n")
}

/// Reads a whole answer with status 200.
pub(crate) fn answered(connection: &Socket) -> Result<()> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nok") {
        let bytes = connection.read(4096)?;
        if bytes.is_empty() {
            bail!("the answer ended at {:?}", String::from_utf8_lossy(&seen));
        }
        seen.extend(bytes);
    }
    ensure!(
        seen.starts_with(b"HTTP/1.1 200 "),
        "{:?}",
        String::from_utf8_lossy(&seen)
    );
    Ok(())
}

/// While nginx is stopped, the client's next request comes in and then the backend closes. So
/// nginx sees the request first and sends it over a connection that is closed at the other end.
fn keepalive_race() -> Result<()> {
    let gateway = Gateway::start()?;
    let (backend, listener) = gateway.backend(PAYMENTS)?;
    let (_client, connection, accepted, nginx) = exchanged(&gateway, &listener, "/api/pay/1")?;
    let worker = gateway.holder(nginx, PAYMENTS.parse()?)?;
    signal(worker, Signal::STOP)?;
    gateway.wait_for("the worker to stop", |_| {
        Ok(is_stopped(worker).then_some(()))
    })?;
    connection.write(request("/api/pay/2").as_bytes())?;
    accepted.close()?;
    signal(worker, Signal::CONT)?;
    // nginx tries again over a new connection, so that the client notices nothing.
    let (again, _) = asked(&gateway, &listener, PAYMENTS)?;
    again.read(4096)?;
    again.write(ANSWER)?;
    answered(&connection)?;
    let expected = Expected {
        cause: "keepalive_race",
        route: "/api/pay",
        upstream: "payments",
        at: PAYMENTS,
    };
    let event = check(&gateway, &expected, Some(worker))?;
    ensure!(
        event["fin_received"] == true,
        "the FIN was not seen: {event}"
    );
    sent_by(
        &gateway,
        PAYMENTS,
        &["timewait", "data_after_close"],
        &backend,
    )?;
    gateway.stop()
}

/// The backend closes an idle connection and its FIN is lost on the way: nginx learns of it only
/// by the answer to its next request.
fn idle_loss() -> Result<()> {
    let gateway = Gateway::start()?;
    let (backend, listener) = gateway.backend(CHAT)?;
    let (_client, connection, accepted, nginx) = exchanged(&gateway, &listener, "/api/chat/1")?;
    let worker = gateway.holder(nginx, CHAT.parse()?)?;
    gateway.netns.nft(
        "table inet test {\nchain output {\ntype filter hook output priority 0;\n\
         tcp sport 9002 tcp flags & fin == fin drop\n}\n}",
    )?;
    accepted.close()?;
    // The silence itself is what the cause is told by.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    connection.write(request("/api/chat/2").as_bytes())?;
    let (again, _) = asked(&gateway, &listener, CHAT)?;
    again.read(4096)?;
    again.write(ANSWER)?;
    answered(&connection)?;
    let expected = Expected {
        cause: "idle_timeout",
        route: "/api/chat",
        upstream: "chat",
        at: CHAT,
    };
    let event = check(&gateway, &expected, Some(worker))?;
    ensure!(event["fin_received"] == false, "there was a FIN: {event}");
    sent_by(&gateway, CHAT, &["data_after_close"], &backend)?;
    gateway.stop()
}

/// The client leaves while nginx waits for the backend.
fn client_leaves() -> Result<()> {
    let gateway = Gateway::start()?;
    let (_backend, listener) = gateway.backend(PAYMENTS)?;
    let client = gateway.actor("client")?;
    let at: SocketAddr = NGINX.parse()?;
    let connection = client.socket(at)?;
    let from = connection.connect(at)?;
    connection.write(request("/api/pay/1").as_bytes())?;
    let (_accepted, worker) = asked(&gateway, &listener, PAYMENTS)?;
    connection.set(Setting::Linger(0))?;
    connection.close()?;
    let event = gateway.nginx_received(from)?;
    let checks = [
        ("cause", json!("client_canceled")),
        ("leg", json!("downstream")),
        ("gateway", json!("edge")),
        ("role", json!("server")),
    ];
    for (key, value) in checks {
        ensure!(
            event[key] == value,
            "{key} is {}, not {value}: {event}",
            event[key]
        );
    }
    ensure!(
        event["process"]["pid"] == worker,
        "not the worker {worker}: {event}"
    );
    let labels = [
        ("direction", "received"),
        ("leg", "downstream"),
        ("cause", "client_canceled"),
        ("gateway", "edge"),
    ];
    gateway.counted("resetmon_route_resets_total", &labels)?;
    gateway.stop()
}
