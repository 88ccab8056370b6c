//! Sockets that an administrator destroys: `SOCK_DESTROY`, `tcp_abort`.

use anyhow::Result;

use crate::actor::Socket;
use crate::actor::command::DestroyState;
use crate::actor::plain;
use crate::expected::{ACCEPTED, LISTENER, READ, failed, received, sent};
use crate::scenario::{ALL, BOTH, Need, Scenario};
use crate::scene::{Pair, Scene};
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "destroyed_established",
        families: ALL,
        needs: &[],
        run: established,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("socket_destroyed")
                .server("server", READ)
                .closer("killer"),
            received("client", "server")
                .before("established")
                .cause("aborted_mid_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "destroyed_close_wait",
        families: BOTH,
        needs: &[],
        run: close_wait,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("close_wait")
                .cause("socket_destroyed")
                .server("server", ACCEPTED)
                .closer("killer")
                .fin_received(),
            received("client", "server")
                .before("fin_wait2")
                .cause("aborted_during_setup")
                .client("client")
                .fin_sent(),
        ],
    },
    Scenario {
        name: "destroyed_fin_wait2",
        families: BOTH,
        needs: &[],
        run: fin_wait2,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("fin_wait2")
                .cause("socket_destroyed")
                .server("server", ACCEPTED)
                .closer("killer")
                .fin_sent(),
            received("client", "server")
                .before("close_wait")
                .cause("aborted_during_setup")
                .client("client")
                .fin_received(),
        ],
    },
    Scenario {
        name: "destroyed_fin_wait1",
        families: BOTH,
        needs: &[Need::Tun],
        run: fin_wait1,
        expect: &[sent("client", "remote")
            .reason("tcp_state")
            .before("fin_wait1")
            .cause("socket_destroyed")
            .client("client")
            .closer("killer")
            .fin_sent()],
    },
    Scenario {
        name: "destroyed_syn_sent",
        families: BOTH,
        needs: &[Need::Tun],
        run: syn_sent,
        expect: &[failed("canceled", "client", "remote")
            .before("syn_sent")
            .client("client")
            .closer("killer")],
    },
    Scenario {
        name: "destroyed_listener",
        families: BOTH,
        needs: &[],
        run: listener,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("listener_closed")
                .server("server", LISTENER)
                .closer("killer"),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
        ],
    },
];

/// Destroys the server's end.
fn destroy(scene: &Scene, pair: &Pair) -> Result<()> {
    let server = pair.accepted.local()?;
    let client = pair.connected.local()?;
    scene
        .actor("killer")?
        .destroy(server, client, DestroyState::Connection)
}

fn established(scene: &Scene) -> Result<()> {
    let pair = scene.pair_after_exchange()?;
    destroy(scene, &pair)
}

fn close_wait(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.finish()?;
    pair.connected.wait_for_fin_wait2()?;
    destroy(scene, &pair)
}

fn fin_wait2(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.accepted.finish()?;
    pair.accepted.wait_for_fin_wait2()?;
    destroy(scene, &pair)
}

fn fin_wait1(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.outgoing(&network)?;
    call.socket.finish()?;
    call.remote.hear(flag::FIN | flag::ACK, false)?;
    let local = call.socket.local()?;
    scene
        .actor("killer")?
        .destroy(local, call.remote.at, DestroyState::Connection)
}

/// A connection of which the peer knows nothing yet ends in silence.
fn syn_sent(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let client = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket: Socket = client.socket(to)?;
    let from = socket.start_connect(to)?;
    scene.name("client", from);
    network.called()?;
    scene
        .actor("killer")?
        .destroy(from, plain(to), DestroyState::Connection)
}

fn listener(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (_listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let _connected = scene.connect(&client, "client", to)?;
    let mut any = to;
    any.set_port(0);
    any.set_ip(match to {
        std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    });
    scene
        .actor("killer")?
        .destroy(to, any, DestroyState::Listener)
}
