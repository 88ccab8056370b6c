//! Resets that a socket accepts (`tcp_reset`), in each state.

use anyhow::Result;
use rustix::io::Errno;

use crate::actor::command::{Command, Readiness};
use crate::expected::{ACCEPTED, READ, received};
use crate::scenario::{ALL, BOTH, Need, Scenario};
use crate::scene::{Call, Scene};
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "reset_before_any_data",
        families: ALL,
        needs: &[Need::Tun],
        run: |scene| reset(scene, Stage::Fresh),
        expect: &[received("client", "remote")
            .before("established")
            .cause("aborted_during_setup")
            .client("client")],
    },
    Scenario {
        name: "reset_before_the_answer",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| reset(scene, Stage::Asked),
        expect: &[received("client", "remote")
            .before("established")
            .cause("aborted_before_response")
            .client("client")],
    },
    Scenario {
        name: "reset_in_the_answer",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| reset(scene, Stage::Answered),
        expect: &[received("client", "remote")
            .before("established")
            .cause("aborted_mid_response")
            .client("client")],
    },
    Scenario {
        name: "reset_of_a_blocking_read",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_of_a_blocking_read,
        expect: &[received("client", "remote")
            .before("established")
            .cause("aborted_during_setup")
            .client("client")],
    },
    Scenario {
        name: "client_leaves",
        families: ALL,
        needs: &[Need::Tun],
        run: client_leaves,
        expect: &[received("server", "remote")
            .before("established")
            .cause("client_canceled")
            .server("server", READ)],
    },
    Scenario {
        name: "client_leaves_at_once",
        families: BOTH,
        needs: &[Need::Tun],
        run: client_leaves_at_once,
        expect: &[received("server", "remote")
            .before("established")
            .cause("aborted_during_setup")
            .server("server", ACCEPTED)],
    },
    Scenario {
        name: "reset_in_close_wait",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_in_close_wait,
        expect: &[received("client", "remote")
            .before("close_wait")
            .cause("aborted_before_response")
            .client("client")
            .fin_received()],
    },
    Scenario {
        name: "reset_in_fin_wait1",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| reset_after_shutdown(scene, false),
        expect: &[received("client", "remote")
            .before("fin_wait1")
            .cause("aborted_before_response")
            .client("client")
            .fin_sent()],
    },
    Scenario {
        name: "reset_in_fin_wait2",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| reset_after_shutdown(scene, true),
        expect: &[received("client", "remote")
            .before("fin_wait2")
            .cause("aborted_before_response")
            .client("client")
            .fin_sent()],
    },
    Scenario {
        name: "reset_of_an_orphan_in_fin_wait1",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_of_an_orphan_in_fin_wait1,
        expect: &[received("client", "remote")
            .before("fin_wait1")
            .cause("reset_after_close")
            .client("client")
            .fin_sent()],
    },
    Scenario {
        name: "reset_of_an_orphan_in_fin_wait2",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_of_an_orphan_in_fin_wait2,
        expect: &[received("client", "remote")
            .before("fin_wait2")
            .cause("reset_after_close")
            .client("client")
            .fin_sent()],
    },
    Scenario {
        name: "reset_in_last_ack",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_in_last_ack,
        expect: &[received("client", "remote")
            .before("last_ack")
            .cause("reset_after_close")
            .client("client")
            .fin_received()
            .fin_sent()],
    },
    Scenario {
        name: "reset_in_closing",
        families: BOTH,
        needs: &[Need::Tun],
        run: reset_in_closing,
        expect: &[received("client", "remote")
            .before("closing")
            .cause("reset_after_close")
            .client("client")
            .fin_received()
            .fin_sent()],
    },
];

/// How far an exchange with the remote host had come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Fresh,
    Asked,
    Answered,
}

pub(super) fn exchange<'n>(
    scene: &Scene,
    network: &'n crate::remote::Network,
    stage: Stage,
) -> Result<Call<'n>> {
    let mut call = scene.outgoing(network)?;
    if stage >= Stage::Asked {
        call.socket.write(b"request")?;
        call.remote.hear(flag::ACK, true)?;
    }
    if stage >= Stage::Answered {
        call.remote.send(flag::ACK | flag::PSH, b"answer")?;
        call.socket.read(64)?;
    }
    Ok(call)
}

fn reset(scene: &Scene, stage: Stage) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, stage)?;
    call.remote.send(flag::RST, b"")?;
    call.socket.read_fails(Errno::CONNRESET)
}

fn reset_of_a_blocking_read(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Fresh)?;
    call.actor.start_step(&Command::Read {
        name: call.socket.name(),
        length: 1,
    })?;
    call.remote.send(flag::RST, b"")?;
    call.actor.failed(Errno::CONNRESET)
}

/// While the server answers.
fn client_leaves(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK | flag::PSH, b"request")?;
    call.socket.read(64)?;
    call.socket.write(b"answer")?;
    call.remote.hear(flag::ACK, false)?;
    call.remote.send(flag::RST, b"")?;
    call.socket.read_fails(Errno::CONNRESET)
}

fn client_leaves_at_once(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::RST, b"")?;
    call.socket.read_fails(Errno::CONNRESET)
}

fn reset_in_close_wait(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Asked)?;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.socket.wait(Readiness::PeerClosed)?;
    call.remote.send(flag::RST, b"")?;
    call.actor.fails(
        &Command::Write {
            name: call.socket.name(),
            bytes: vec![0],
        },
        Errno::PIPE,
    )
}

fn reset_after_shutdown(scene: &Scene, acknowledged: bool) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Asked)?;
    call.socket.finish()?;
    call.remote.hear(flag::FIN | flag::ACK, acknowledged)?;
    call.remote.send(flag::RST, b"")?;
    call.socket.read_fails(Errno::CONNRESET)
}

/// Looks like data after close, which fires the same tracepoint, but is a RST.
fn reset_of_an_orphan_in_fin_wait1(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Answered)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, false)?;
    call.remote.send(flag::RST, b"")
}

fn reset_of_an_orphan_in_fin_wait2(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    scene.netns.sysctl("ipv4/tcp_fin_timeout", "120")?;
    let mut call = exchange(scene, &network, Stage::Answered)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.remote.send(flag::RST, b"")
}

fn reset_in_last_ack(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Answered)?;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.socket.wait(Readiness::PeerClosed)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, false)?;
    call.remote.send(flag::RST, b"")
}

fn reset_in_closing(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = exchange(scene, &network, Stage::Answered)?;
    call.socket.close()?;
    let fin = call.remote.expect(flag::FIN | flag::ACK)?;
    call.remote.heard = fin.seq;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.remote.send(flag::RST, b"")
}
