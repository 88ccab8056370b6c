//! Resets that `close()`, exit and disconnect send: `__tcp_close`, `tcp_disconnect`,
//! `inet_csk_listen_stop`.

use anyhow::Result;

use crate::actor::command::{Readiness, Setting};
use crate::expected::{ACCEPTED, LISTENER, READ, received, sent};
use crate::scenario::{ALL, BOTH, Need, ONE, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "close_with_unread_data",
        families: ALL,
        needs: &[],
        run: close_with_unread_data,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", ACCEPTED)
                .with(&[("/unread", "7"), ("/bytes_received", "7")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client")
                .with(&[("/bytes_sent", "7"), ("/bytes_received", "0")]),
        ],
    },
    Scenario {
        name: "close_after_reading_in_part",
        families: BOTH,
        needs: &[],
        run: close_after_reading_in_part,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", READ)
                .with(&[("/unread", "6")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "close_with_unread_data_after_fin",
        families: BOTH,
        needs: &[],
        run: close_with_unread_data_after_fin,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("close_wait")
                .cause("closed_with_unread_data")
                .server("server", ACCEPTED)
                .fin_received()
                .with(&[("/unread", "7")]),
            received("client", "server")
                .before("fin_wait2")
                .cause("aborted_before_response")
                .client("client")
                .fin_sent(),
        ],
    },
    Scenario {
        name: "client_closes_with_unread_answer",
        families: BOTH,
        needs: &[],
        run: client_closes_with_unread_answer,
        expect: &[
            sent("client", "server")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .client("client")
                .with(&[("/unread", "6")]),
            received("server", "client")
                .before("established")
                .cause("client_canceled")
                .server("server", READ),
        ],
    },
    Scenario {
        name: "linger_zero",
        families: ALL,
        needs: &[],
        run: linger_zero,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .server("server", ACCEPTED)
                .with(&[("/linger_s", "0.0")]),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
        ],
    },
    Scenario {
        name: "linger_zero_with_unread_data",
        families: BOTH,
        needs: &[],
        run: linger_zero_with_unread_data,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", ACCEPTED)
                .with(&[("/linger_s", "0.0"), ("/unread", "7")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "linger_with_a_time",
        families: ONE,
        needs: &[],
        run: linger_with_a_time,
        expect: &[],
    },
    Scenario {
        name: "disconnect",
        families: ALL,
        needs: &[],
        run: disconnect,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .client("client"),
            received("server", "client")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
        ],
    },
    Scenario {
        name: "disconnect_after_shutdown",
        families: BOTH,
        needs: &[],
        run: disconnect_after_shutdown,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("fin_wait2")
                .cause("linger_abort")
                .client("client")
                .fin_sent(),
            received("server", "client")
                .before("close_wait")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED)
                .fin_received(),
        ],
    },
    Scenario {
        name: "disconnect_with_unsent_data",
        families: BOTH,
        needs: &[Need::Tun],
        run: disconnect_with_unsent_data,
        expect: &[sent("client", "remote")
            .reason("tcp_disconnect_with_data")
            .before("last_ack")
            .cause("linger_abort")
            .client("client")
            .fin_received()
            .fin_sent()],
    },
    Scenario {
        name: "listener_closed",
        families: ALL,
        needs: &[],
        run: listener_closed,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("listener_closed")
                .server("server", LISTENER),
            sent("server", "client 2")
                .reason("tcp_state")
                .before("established")
                .cause("listener_closed")
                .server("server", LISTENER),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
            received("client 2", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "listener_killed",
        families: BOTH,
        needs: &[],
        run: listener_killed,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("process_killed")
                .server("server", LISTENER)
                .closer("server")
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
        ],
    },
    Scenario {
        name: "killed_with_unread_data",
        families: ALL,
        needs: &[],
        run: killed_with_unread_data,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("process_killed")
                .server("server", READ)
                .closer("server")
                .with(&[("/closer/exit_signal", "\"SIGKILL\""), ("/unread", "6")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "exits_with_unread_data",
        families: BOTH,
        needs: &[],
        run: exits_with_unread_data,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("process_exit")
                .server("server", ACCEPTED)
                .closer("server")
                .with(&[("/closer/exit_status", "3")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "linger2_below_zero",
        families: BOTH,
        needs: &[],
        run: linger2_below_zero,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_linger")
                .before("fin_wait2")
                .cause("linger_abort")
                .server("server", ACCEPTED)
                .fin_sent(),
            received("client", "server")
                .before("close_wait")
                .cause("aborted_during_setup")
                .client("client")
                .fin_received(),
        ],
    },
    Scenario {
        name: "mptcp_close_with_unread_data",
        families: BOTH,
        needs: &[Need::Mptcp],
        run: mptcp_close_with_unread_data,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("mptcp")
                .server("server", ACCEPTED),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "mptcp_linger_zero",
        families: BOTH,
        needs: &[Need::Mptcp],
        run: mptcp_linger_zero,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("mptcp")
                .server("server", ACCEPTED),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
        ],
    },
];

fn close_with_unread_data(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    pair.accepted.close()
}

fn close_after_reading_in_part(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.read(1)?;
    pair.accepted.close()
}

fn close_with_unread_data_after_fin(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.connected.finish()?;
    pair.connected.wait_for_fin_wait2()?;
    pair.accepted.close()
}

fn client_closes_with_unread_answer(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.read(64)?;
    pair.accepted.write(b"answer")?;
    pair.connected.wait(Readiness::Input)?;
    pair.connected.close()
}

fn linger_zero(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.accepted.set(Setting::Linger(0))?;
    pair.accepted.close()
}

fn linger_zero_with_unread_data(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    pair.accepted.set(Setting::Linger(0))?;
    pair.accepted.close()
}

/// A linger time above zero waits, then closes in good order.
fn linger_with_a_time(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.accepted.set(Setting::Linger(1))?;
    pair.accepted.close()?;
    pair.connected.wait(Readiness::PeerClosed)?;
    pair.connected.close()
}

fn disconnect(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.disconnect()
}

fn disconnect_after_shutdown(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.finish()?;
    pair.connected.wait_for_fin_wait2()?;
    pair.connected.disconnect()
}

/// The peer has closed and takes no data, so what is written and our FIN cannot leave.
fn disconnect_with_unsent_data(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.outgoing(&network)?;
    call.remote.window = 0;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.socket.wait(Readiness::PeerClosed)?;
    call.socket.write(b"request")?;
    call.socket.finish()?;
    call.socket.disconnect()
}

fn listener_closed(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let _first = scene.connect(&client, "client", to)?;
    let second = scene.connect(&client, "client 2", to)?;
    second.write(b"request")?;
    listener.close()
}

fn listener_killed(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (_listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let _connected = scene.connect(&client, "client", to)?;
    server.kill()
}

fn killed_with_unread_data(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.read(1)?;
    pair.server.kill()
}

fn exits_with_unread_data(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    pair.server.exit(3)
}

fn linger2_below_zero(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.accepted.set(Setting::Linger2(-1))?;
    pair.accepted.finish()?;
    pair.accepted.wait_for_fin_wait2()?;
    pair.accepted.close()
}

fn mptcp_close_with_unread_data(scene: &Scene) -> Result<()> {
    mptcp(scene, |connected, accepted| {
        connected.write(b"request")?;
        accepted.wait(Readiness::Input)?;
        accepted.close()
    })
}

fn mptcp_linger_zero(scene: &Scene) -> Result<()> {
    mptcp(scene, |_, accepted| {
        accepted.set(Setting::Linger(0))?;
        accepted.close()
    })
}

/// Like [`Scene::pair`], by Multipath TCP.
fn mptcp(
    scene: &Scene,
    fault: impl FnOnce(&crate::actor::Socket, &crate::actor::Socket) -> Result<()>,
) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let at = scene.loopback(0);
    let listener = server.open(at, true)?;
    let to = listener.listen(at, 8)?;
    scene.name("server", to);
    let connected = client.open(at, true)?;
    scene.name("client", connected.connect(to)?);
    let (accepted, _) = listener.accept()?;
    fault(&connected, &accepted)?;
    connected.wait(Readiness::Broken)
}
