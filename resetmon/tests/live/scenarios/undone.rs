//! RSTs that reset nothing: nobody may report one.

use anyhow::Result;

use crate::actor::command::Readiness;
use crate::actor::plain;
use crate::scenario::{BOTH, Need, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rst_out_of_window",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| forged(scene, 10_000_000, false),
        expect: &[],
    },
    Scenario {
        name: "rst_in_window_not_exact",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| forged(scene, 100, true),
        expect: &[],
    },
    Scenario {
        name: "rst_to_nothing",
        families: BOTH,
        needs: &[Need::Tun],
        run: rst_to_nothing,
        expect: &[],
    },
    Scenario {
        name: "rst_to_listener",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| to_listener(scene, false),
        expect: &[],
    },
    Scenario {
        name: "rst_to_half_open",
        families: BOTH,
        needs: &[Need::Tun],
        run: |scene| to_listener(scene, true),
        expect: &[],
    },
    Scenario {
        name: "rst_without_ack_while_connecting",
        families: BOTH,
        needs: &[Need::Tun],
        run: rst_without_ack_while_connecting,
        expect: &[],
    },
    Scenario {
        name: "rst_in_time_wait",
        families: BOTH,
        needs: &[Need::Tun],
        run: rst_in_time_wait,
        expect: &[],
    },
    Scenario {
        name: "orderly_close",
        families: BOTH,
        needs: &[],
        run: orderly_close,
        expect: &[],
    },
];

/// A RST that is off by `distance`; the connection goes on.
fn forged(scene: &Scene, distance: u32, challenged: bool) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.outgoing(&network)?;
    let mut rst = call.remote.segment(flag::RST, b"");
    rst.seq = rst.seq.wrapping_add(distance);
    call.remote.put(&rst)?;
    if challenged {
        call.remote.expect(flag::ACK)?;
    }
    call.remote.send(flag::ACK | flag::PSH, b"alive")?;
    call.socket.read(64)?;
    Ok(())
}

fn rst_to_nothing(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut remote = network.endpoint(40_001, (network.local, 50_001).into());
    remote.send(flag::RST, b"")
}

fn to_listener(scene: &Scene, half_open: bool) -> Result<()> {
    let network = scene.network()?;
    let server = scene.actor("server")?;
    let at = scene.family.form((network.local, 0).into());
    let (listener, _) = scene.listen(&server, "server", at, 8)?;
    let at = plain(listener.local()?);
    let mut remote = if half_open {
        network.begin(40_001, at)?
    } else {
        network.endpoint(40_001, at)
    };
    remote.send(flag::RST, b"")?;
    // The listener goes on.
    network.connect(40_002, at)?;
    listener.accept()?;
    Ok(())
}

fn rst_without_ack_while_connecting(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let client = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket = client.socket(to)?;
    socket.start_connect(to)?;
    let mut remote = network.called()?;
    let rst = remote.segment(flag::RST, b"");
    remote.put(&rst)?;
    remote.send(flag::SYN | flag::ACK, b"")?;
    remote.expect(flag::ACK)?;
    socket.wait(Readiness::Connected)
}

fn rst_in_time_wait(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.outgoing(&network)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.remote.expect(flag::ACK)?;
    call.remote.send(flag::RST, b"")
}

fn orderly_close(scene: &Scene) -> Result<()> {
    let pair = scene.pair_after_exchange()?;
    pair.connected.close()?;
    pair.accepted.wait(Readiness::PeerClosed)?;
    pair.accepted.close()
}
