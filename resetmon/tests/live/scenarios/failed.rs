//! Connections that fail without a reset.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use rustix::io::Errno;

use crate::actor::command::{Readiness, Setting};
use crate::actor::{Socket, plain};
use crate::expected::{Expected, READ, failed};
use crate::scenario::{ALL, BOTH, Need, Scenario};
use crate::scene::{Pair, Scene};
use crate::wire::flag;

/// As a proxy passes it on: longer than what wants no answer.
pub(super) const REQUEST: &[u8] = &[b'r'; 300];

/// Longer than the time for which an answer must be waited for.
pub(super) const A_WHILE: Duration = Duration::from_millis(150);

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "connect_times_out",
        families: ALL,
        needs: &[Need::Tun],
        run: connect_times_out,
        expect: &[failed("timed_out", "client", "remote")
            .before("syn_sent")
            .client("client")
            .with(&[("/stage", "\"connecting\"")])],
    },
    Scenario {
        name: "connect_unreachable_by_icmp",
        families: ALL,
        needs: &[Need::Nft],
        run: unreachable,
        expect: &[failed("unreachable", "client", "server")
            .before("syn_sent")
            .client("client")
            .with(&[("/socket_error", "\"EHOSTUNREACH\"")])],
    },
    Scenario {
        name: "connect_given_up",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| given_up(scene, Duration::from_millis(1200)),
        expect: &[failed("canceled", "client", "remote")
            .before("syn_sent")
            .client("client")
            .with(&[("/stage", "\"connecting\"")])],
    },
    Scenario {
        name: "server_times_out",
        families: BOTH,
        needs: &[Need::Tun],
        run: server_times_out,
        expect: &[failed("timed_out", "server", "remote")
            .before("established")
            .server("server", READ)],
    },
    Scenario {
        name: "empty_response",
        families: ALL,
        needs: &[],
        run: |scene| empty_response(&scene.pair()?),
        expect: &[EMPTY.with(&[("/unanswered", "300"), ("/bytes_received", "0")])],
    },
    Scenario {
        name: "empty_response_later",
        families: BOTH,
        needs: &[],
        run: |scene| empty_response(&scene.pair_after_exchange()?),
        expect: &[EMPTY.with(&[("/unanswered", "300"), ("/bytes_received", "6")])],
    },
    Scenario {
        name: "empty_response_by_death",
        families: BOTH,
        needs: &[],
        run: empty_response_by_death,
        expect: &[EMPTY],
    },
    Scenario {
        name: "canceled",
        families: ALL,
        needs: &[],
        run: |scene| canceled(&scene.pair()?),
        expect: &[CANCELED.with(&[("/unanswered", "300"), ("/bytes_received", "0")])],
    },
    Scenario {
        name: "canceled_later",
        families: BOTH,
        needs: &[],
        run: |scene| canceled(&scene.pair_after_exchange()?),
        expect: &[CANCELED.with(&[("/unanswered", "300"), ("/bytes_received", "6")])],
    },
    Scenario {
        name: "canceled_by_shutdown",
        families: BOTH,
        needs: &[],
        run: canceled_by_shutdown,
        expect: &[CANCELED],
    },
    Scenario {
        name: "canceled_by_death",
        families: BOTH,
        needs: &[],
        run: canceled_by_death,
        expect: &[CANCELED
            .closer("client")
            .with(&[("/closer/exit_signal", "\"SIGKILL\"")])],
    },
];

const EMPTY: Expected = failed("empty_response", "client", "server")
    .before("close_wait")
    .client("client")
    .fin_received()
    .fin_sent();

const CANCELED: Expected = failed("canceled", "client", "server")
    .before("established")
    .client("client")
    .fin_sent();

fn connect_times_out(scene: &Scene) -> Result<()> {
    scene.netns.sysctl("ipv4/tcp_syn_retries", "1")?;
    let network = scene.network()?;
    let client = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket = client.socket(to)?;
    scene.name("client", socket.start_connect(to)?);
    socket.wait(Readiness::Broken)?;
    socket.read_fails(Errno::TIMEDOUT)
}

/// A packet filter refuses the SYN without a RST. The first one is refused while the call holds the
/// socket, which only the second one ends.
fn unreachable(scene: &Scene) -> Result<()> {
    scene.netns.nft(
        "table inet test {\nchain input {\ntype filter hook input priority 0;\n\
         tcp dport 7777 reject with icmpx type host-unreachable\n}\n}",
    )?;
    let client = scene.actor("client")?;
    let to = scene.loopback(7777);
    scene.name("server", plain(to));
    let socket = client.socket(to)?;
    scene.name("client", socket.start_connect(to)?);
    socket.wait(Readiness::Broken)?;
    socket.read_fails(Errno::HOSTUNREACH)
}

/// The remote host is silent, and the client closes after `patience`.
pub(super) fn given_up(scene: &Scene, patience: Duration) -> Result<()> {
    let network = scene.network()?;
    let client = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket = client.socket(to)?;
    scene.name("client", socket.start_connect(to)?);
    sleep(patience);
    socket.close()
}

fn server_times_out(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK, b"request")?;
    call.socket.read(64)?;
    call.socket.set(Setting::UserTimeout(300))?;
    call.socket.write(b"answer")?;
    call.socket.wait(Readiness::Broken)?;
    call.socket.read_fails(Errno::TIMEDOUT)
}

/// The server reads a request and closes.
fn empty_response(pair: &Pair) -> Result<()> {
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    pair.accepted.close()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    pair.connected.close()
}

fn empty_response_by_death(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    pair.server.kill()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    pair.connected.close()
}

/// The server reads a request, and the client does not wait for the answer.
fn canceled(pair: &Pair) -> Result<()> {
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    sleep(A_WHILE);
    pair.connected.close()?;
    pair.accepted.wait(Readiness::PeerClosed)?;
    pair.accepted.close()
}

fn canceled_by_shutdown(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(REQUEST)?;
    read_all(&pair.accepted, REQUEST.len())?;
    sleep(A_WHILE);
    pair.connected.shut()?;
    pair.accepted.wait(Readiness::PeerClosed)?;
    pair.accepted.close()?;
    pair.connected.close()
}

fn canceled_by_death(scene: &Scene) -> Result<()> {
    let server = scene.actor("server")?;
    let client = scene.actor("client")?;
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let connected = scene.connect(&client, "client", to)?;
    let (accepted, _) = listener.accept()?;
    connected.write(REQUEST)?;
    read_all(&accepted, REQUEST.len())?;
    sleep(A_WHILE);
    client.kill()?;
    accepted.wait(Readiness::PeerClosed)?;
    accepted.close()
}

/// Reads so many bytes.
pub(super) fn read_all(socket: &Socket, length: usize) -> Result<()> {
    let mut seen = 0;
    while seen < length {
        let bytes = socket.read(length - seen)?;
        anyhow::ensure!(!bytes.is_empty(), "the end after {seen} bytes");
        seen += bytes.len();
    }
    Ok(())
}
