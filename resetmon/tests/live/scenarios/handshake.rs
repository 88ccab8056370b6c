//! Resets during the handshake: nobody listens, no room, or the rules are broken.

use anyhow::Result;
use rustix::io::Errno;

use crate::actor::command::{Command, Readiness};
use crate::actor::{Actor, Socket, plain};
use crate::expected::{LISTEN, received, sent};
use crate::remote::Network;
use crate::scenario::{ALL, BOTH, Need, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

/// TCP option "timestamps" that echoes a time that never was, padded to four bytes.
const STALE_TIMESTAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1];

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "closed_port",
        families: ALL,
        needs: &[Need::Socketless],
        run: closed_port,
        expect: &[
            sent("server", "client")
                .reason("no_socket")
                .cause("no_listener")
                .with(&[("/trigger/flags", "\"SYN\""), ("/trigger/len", "0")]),
            received("client", "server")
                .before("syn_sent")
                .cause("refused")
                .client("client"),
        ],
    },
    Scenario {
        name: "refused_by_a_remote_host",
        families: ALL,
        needs: &[Need::Tun],
        run: refused_by_a_remote_host,
        expect: &[received("client", "remote")
            .before("syn_sent")
            .cause("refused")
            .client("client")],
    },
    Scenario {
        name: "overflow",
        families: BOTH,
        needs: &[Need::Tun],
        run: overflow,
        expect: &[sent("server", "remote")
            .reason("invalid_syn")
            .before("listen")
            .cause("listen_overflow")
            .server("server", LISTEN)
            .with(&[
                ("/trigger/flags", "\"ACK\""),
                ("/accept_queue", "3"),
                ("/accept_limit", "2"),
            ])],
    },
    Scenario {
        name: "second_syn",
        families: BOTH,
        needs: &[Need::Tun],
        run: second_syn,
        expect: &[sent("server", "remote")
            .reason("invalid_syn")
            .before("listen")
            .cause("protocol_error")
            .server("server", LISTEN)
            .with(&[("/trigger/flags", "\"SYN\"")])],
    },
    Scenario {
        name: "ack_to_listener",
        families: BOTH,
        needs: &[Need::Tun],
        run: ack_to_listener,
        expect: &[sent("server", "remote")
            .reason("tcp_flags")
            .before("listen")
            .cause("stray_segment")
            .server("server", LISTEN)
            .with(&[("/trigger/flags", "\"ACK\"")])],
    },
    Scenario {
        name: "wrong_final_ack",
        families: BOTH,
        needs: &[Need::Tun],
        run: wrong_final_ack,
        expect: &[sent("server", "remote")
            .reason("tcp_flags")
            .before("listen")
            .cause("stray_segment")
            .server("server", LISTEN)
            .with(&[("/trigger/flags", "\"ACK\"")])],
    },
    Scenario {
        name: "wrong_ack_while_connecting",
        families: BOTH,
        needs: &[Need::Tun],
        run: wrong_ack_while_connecting,
        expect: &[sent("client", "remote")
            .reason("tcp_invalid_ack_sequence")
            .before("syn_sent")
            .cause("protocol_error")
            .client("client")
            .with(&[("/trigger/flags", "\"ACK\"")])],
    },
    Scenario {
        name: "stale_timestamp_while_connecting",
        families: BOTH,
        needs: &[Need::Tun],
        run: stale_timestamp_while_connecting,
        expect: &[sent("client", "remote")
            .reason("tcp_rfc7323_paws")
            .before("syn_sent")
            .cause("protocol_error")
            .client("client")
            .with(&[("/trigger/flags", "\"SYN|ACK\"")])],
    },
    Scenario {
        name: "canceled_while_connecting",
        families: BOTH,
        needs: &[Need::Tun],
        run: canceled_while_connecting,
        expect: &[],
    },
];

fn closed_port(scene: &Scene) -> Result<()> {
    let client = scene.actor("client")?;
    let nobody = client.socket(scene.loopback(0))?;
    let to = nobody.bind(scene.loopback(0))?;
    scene.name("server", to);
    // The port is taken, so that nobody else gets it, but the socket does not listen.
    let socket = client.socket(scene.loopback(0))?;
    scene.name("client", socket.bind(scene.loopback(0))?);
    let command = Command::Connect {
        name: socket.name(),
        to: scene.family.form(to),
    };
    client.fails(&command, Errno::CONNREFUSED)
}

fn refused_by_a_remote_host(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let client = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket = client.socket(to)?;
    let blocking = Command::Connect {
        name: socket.name(),
        to,
    };
    scene.name(
        "client",
        socket.bind(scene.family.form((network.local, 0).into()))?,
    );
    client.start_step(&blocking)?;
    network.called()?.send(flag::RST | flag::ACK, b"")?;
    client.failed(Errno::CONNREFUSED)
}

/// A listener of process `server` that the remote host can reach.
pub(super) fn reachable(scene: &Scene, network: &Network, backlog: i32) -> Result<(Actor, Socket)> {
    let server = scene.actor("server")?;
    let at = scene.family.form((network.local, 0).into());
    let (listener, _) = scene.listen(&server, "server", at, backlog)?;
    scene.remote(network, 40_001);
    Ok((server, listener))
}

/// Two handshakes end when there is room for one connection more.
fn overflow(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    scene.netns.sysctl("ipv4/tcp_abort_on_overflow", "1")?;
    let (_server, listener) = reachable(scene, &network, 2)?;
    let at = plain(listener.local()?);
    for port in [40_002, 40_003] {
        network.connect(port, at)?;
    }
    let mut last = network.begin(40_004, at)?;
    let mut rejected = network.begin(40_001, at)?;
    last.send(flag::ACK, b"")?;
    rejected.send(flag::ACK, b"")?;
    rejected.expect(flag::RST)?;
    // Not left in the queue: the listener's end would reset them.
    for _ in 0..3 {
        listener.accept()?;
    }
    Ok(())
}

fn second_syn(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_server, listener) = reachable(scene, &network, 8)?;
    let mut remote = network.begin(40_001, plain(listener.local()?))?;
    let mut syn = remote.segment(flag::SYN, b"");
    syn.seq = syn.seq.wrapping_add(100);
    remote.put(&syn)?;
    remote.expect(flag::RST | flag::ACK)?;
    Ok(())
}

fn ack_to_listener(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_server, listener) = reachable(scene, &network, 8)?;
    let mut remote = network.endpoint(40_001, plain(listener.local()?));
    remote.heard = 77;
    remote.send(flag::ACK, b"")?;
    remote.expect(flag::RST)?;
    Ok(())
}

fn wrong_final_ack(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_server, listener) = reachable(scene, &network, 8)?;
    let mut remote = network.begin(40_001, plain(listener.local()?))?;
    remote.heard = remote.heard.wrapping_add(1000);
    remote.send(flag::ACK, b"")?;
    remote.expect(flag::RST)?;
    Ok(())
}

/// Process `client` with a SYN under way that the remote host has seen.
fn connecting<'n>(
    scene: &Scene,
    network: &'n Network,
) -> Result<(Actor, Socket, crate::remote::Remote<'n>)> {
    let client = scene.actor("client")?;
    let to = scene.remote(network, 443);
    let socket = client.socket(to)?;
    scene.name("client", socket.start_connect(to)?);
    let remote = network.called()?;
    Ok((client, socket, remote))
}

fn wrong_ack_while_connecting(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_client, socket, mut remote) = connecting(scene, &network)?;
    let mut wrong = remote.segment(flag::ACK, b"");
    wrong.ack = wrong.ack.wrapping_add(1000);
    remote.put(&wrong)?;
    remote.expect(flag::RST)?;
    // It does not disturb the connection.
    remote.send(flag::SYN | flag::ACK, b"")?;
    remote.expect(flag::ACK)?;
    socket.wait(Readiness::Connected)
}

fn stale_timestamp_while_connecting(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_client, _socket, mut remote) = connecting(scene, &network)?;
    let mut stale = remote.segment(flag::SYN | flag::ACK, b"");
    stale.options = STALE_TIMESTAMP.to_vec();
    remote.put(&stale)?;
    remote.expect(flag::RST)?;
    Ok(())
}

/// `close()` in `SYN_SENT` says nothing to anyone.
fn canceled_while_connecting(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let (_client, socket, _remote) = connecting(scene, &network)?;
    socket.close()
}
