//! Resets that answer a packet which came too late: `tcp_rcv_state_process`,
//! `tcp_timewait_state_process`, no socket.

use anyhow::Result;

use crate::actor::command::{Readiness, Setting};
use crate::expected::{ACCEPTED, EARLIER, READ, received, sent};
use crate::remote::Network;
use crate::scenario::{BOTH, Need, Scenario};
use crate::scene::{Call, Scene};
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "data_in_fin_wait1",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_in_fin_wait1,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("fin_wait1")
            .cause("data_after_close")
            .server("server", READ)
            .fin_sent()
            .with(&[("/trigger/len", "4")])],
    },
    Scenario {
        // The FIN counts as acknowledged first.
        name: "data_in_fin_wait1_that_acknowledges",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_in_fin_wait1_that_acknowledges,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("fin_wait2")
            .cause("data_after_close")
            .server("server", READ)
            .fin_sent()
            .with(&[("/trigger/len", "4")])],
    },
    Scenario {
        name: "linger2_below_zero_in_fin_wait1",
        families: BOTH,
        needs: &[Need::Tun],
        run: linger2_below_zero_in_fin_wait1,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("fin_wait2")
            .cause("linger_abort")
            .server("server", READ)
            .fin_sent()
            .with(&[("/trigger/len", "0")])],
    },
    Scenario {
        name: "data_in_fin_wait2",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_in_fin_wait2,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("fin_wait2")
            .cause("data_after_close")
            .server("server", READ)
            .fin_sent()],
    },
    Scenario {
        name: "data_after_shutdown",
        families: BOTH,
        needs: &[],
        run: data_after_shutdown,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_data")
                .before("fin_wait2")
                .cause("data_after_close")
                .server("server", ACCEPTED)
                .fin_sent(),
            received("client", "server")
                .before("close_wait")
                .cause("aborted_before_response")
                .client("client")
                .fin_received(),
        ],
    },
    Scenario {
        name: "data_in_last_ack",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_in_last_ack,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("last_ack")
            .cause("data_after_close")
            .server("server", READ)
            .fin_sent()
            .fin_received()],
    },
    Scenario {
        name: "data_in_closing",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_in_closing,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("closing")
            .cause("data_after_close")
            .server("server", READ)
            .fin_sent()
            .fin_received()],
    },
    Scenario {
        name: "data_past_the_fin_in_close_wait",
        families: BOTH,
        needs: &[Need::Tun],
        run: data_past_the_fin_in_close_wait,
        expect: &[sent("server", "remote")
            .reason("tcp_abort_on_data")
            .before("close_wait")
            .cause("protocol_error")
            .server("server", READ)
            .fin_received()],
    },
    Scenario {
        name: "data_in_time_wait",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: data_in_time_wait,
        expect: &[sent("server", "remote")
            .reason("tcp_timewait_socket")
            .before("time_wait")
            .cause("timewait")
            .server("server", READ)
            .fin_sent()
            .with(&[("/trigger/len", "4")])],
    },
    Scenario {
        name: "syn_in_time_wait",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: syn_in_time_wait,
        expect: &[sent("server", "remote")
            .reason("tcp_timewait_socket")
            .before("time_wait")
            .cause("timewait")
            .server("server", READ)
            .fin_sent()
            .with(&[("/trigger/flags", "\"SYN\"")])],
    },
    Scenario {
        name: "stray_ack",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: stray_ack,
        expect: &[sent("local", "remote")
            .reason("no_socket")
            .cause("stray_segment")
            .with(&[("/trigger/flags", "\"ACK\"")])],
    },
    Scenario {
        name: "stray_syn_ack",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: stray_syn_ack,
        expect: &[sent("local", "remote")
            .reason("no_socket")
            .cause("stray_segment")
            .with(&[("/trigger/flags", "\"SYN|ACK\"")])],
    },
    Scenario {
        name: "repeated_by_late_packets",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: repeated_by_late_packets,
        expect: &[
            sent("server", "remote")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", ACCEPTED),
            sent("server", "remote")
                .reason("no_socket")
                .cause("stray_segment")
                .server("server", EARLIER)
                .repeat(),
            sent("server", "remote")
                .reason("no_socket")
                .cause("stray_segment")
                .server("server", EARLIER)
                .repeat(),
        ],
    },
];

/// A connection from the remote host over which a request was read.
fn served<'n>(scene: &Scene, network: &'n Network) -> Result<Call<'n>> {
    let mut call = scene.incoming(network)?;
    call.remote.send(flag::ACK | flag::PSH, b"request")?;
    call.socket.read(64)?;
    Ok(call)
}

fn data_in_fin_wait1(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    let fin = call.remote.expect(flag::FIN | flag::ACK)?;
    let mut data = call.remote.segment(flag::ACK | flag::PSH, b"more");
    data.ack = fin.seq;
    call.remote.put(&data)?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

fn data_in_fin_wait1_that_acknowledges(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    call.remote.expect(flag::FIN | flag::ACK)?;
    call.remote.send(flag::ACK | flag::PSH, b"more")?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

fn linger2_below_zero_in_fin_wait1(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.set(Setting::Linger2(-1))?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

/// An orphan stays in `FIN_WAIT2` if it may wait for longer than `TIME_WAIT` lasts.
fn data_in_fin_wait2(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    scene.netns.sysctl("ipv4/tcp_fin_timeout", "120")?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.remote.send(flag::ACK | flag::PSH, b"more")?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

/// `shutdown()` of both directions without `close()`: the socket is no orphan.
fn data_after_shutdown(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.accepted.shut()?;
    pair.accepted.wait_for_fin_wait2()?;
    pair.connected.write(b"request")?;
    pair.connected.wait(Readiness::Broken)
}

fn data_in_last_ack(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.socket.wait(Readiness::PeerClosed)?;
    call.socket.close()?;
    let fin = call.remote.expect(flag::FIN | flag::ACK)?;
    past_the_fin(&mut call, fin.seq)
}

/// Both ends close at once.
fn data_in_closing(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    let fin = call.remote.expect(flag::FIN | flag::ACK)?;
    call.remote.heard = fin.seq;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    past_the_fin(&mut call, fin.seq)
}

fn data_past_the_fin_in_close_wait(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.remote.send(flag::FIN | flag::ACK, b"")?;
    call.socket.wait(Readiness::PeerClosed)?;
    let heard = call.remote.heard;
    past_the_fin(&mut call, heard)
}

/// Data that starts at the peer's FIN and goes on past it, which no peer may send.
fn past_the_fin(call: &mut Call<'_>, ack: u32) -> Result<()> {
    let mut data = call.remote.segment(flag::ACK | flag::PSH, b"more");
    data.seq = data.seq.wrapping_sub(1);
    data.ack = ack;
    call.remote.put(&data)?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

/// The peer has acknowledged our FIN but not closed: the kernel keeps only a `TIME_WAIT` entry.
fn data_in_time_wait(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.remote.send(flag::ACK | flag::PSH, b"more")?;
    call.remote.expect(flag::RST)?;
    Ok(())
}

fn syn_in_time_wait(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = served(scene, &network)?;
    call.socket.close()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    let mut syn = call.remote.segment(flag::SYN, b"");
    syn.seq = syn.seq.wrapping_add(100);
    call.remote.put(&syn)?;
    call.remote.expect(flag::RST | flag::ACK)?;
    Ok(())
}

fn stray_ack(scene: &Scene) -> Result<()> {
    stray(scene, flag::ACK, flag::RST)
}

fn stray_syn_ack(scene: &Scene) -> Result<()> {
    stray(scene, flag::SYN | flag::ACK, flag::RST)
}

fn stray(scene: &Scene, flags: u8, answer: u8) -> Result<()> {
    let network = scene.network()?;
    let local = (network.local, 50_001).into();
    scene.name("local", local);
    let mut remote = network.endpoint(40_001, local);
    scene.name("remote", remote.at);
    remote.heard = 77;
    remote.send(flags, b"")?;
    remote.expect(answer)?;
    Ok(())
}

/// As a TLS client does it that closes while tickets are still coming in.
fn repeated_by_late_packets(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK | flag::PSH, b"request")?;
    call.socket.wait(Readiness::Input)?;
    call.socket.close()?;
    call.remote.expect(flag::RST | flag::ACK)?;
    for _ in 0..2 {
        call.remote.send(flag::ACK | flag::PSH, b"more")?;
        call.remote.expect(flag::RST)?;
    }
    Ok(())
}
