//! What the kernel's timers send, and what they do not.

use anyhow::Result;
use rustix::io::Errno;

use crate::actor::command::{Readiness, Setting};
use crate::expected::{READ, failed, sent};
use crate::scenario::{BOTH, Need, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "keepalive_timeout",
        families: BOTH,
        needs: &[Need::Tun],
        run: keepalive_timeout,
        expect: &[sent("client", "remote")
            .reason("tcp_keepalive_timeout")
            .before("established")
            .cause("keepalive_timeout")
            .client("client")
            .with(&[("/probes_out", "1")])],
    },
    Scenario {
        name: "user_timeout",
        families: BOTH,
        needs: &[Need::Tun],
        run: user_timeout,
        expect: &[failed("timed_out", "client", "remote")
            .before("established")
            .client("client")
            .with(&[("/socket_error", "\"ETIMEDOUT\"")])],
    },
    Scenario {
        name: "fin_wait2_timeout",
        families: BOTH,
        needs: &[Need::Tun],
        run: fin_wait2_timeout,
        expect: &[
            // Of the same family as TCP_LINGER2: no more waiting for the peer's FIN.
            sent("server", "remote")
                .reason("tcp_state")
                .before("fin_wait2")
                .cause("linger_abort")
                .server("server", READ)
                .fin_sent(),
        ],
    },
];

fn keepalive_timeout(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let call = scene.outgoing(&network)?;
    call.socket.set(Setting::Keepalive)?;
    call.socket.wait(Readiness::Broken)?;
    call.socket.read_fails(Errno::TIMEDOUT)
}

/// Gives up unanswered data without a word to the peer.
fn user_timeout(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let call = scene.outgoing(&network)?;
    call.socket.set(Setting::UserTimeout(300))?;
    call.socket.write(b"request")?;
    call.socket.wait(Readiness::Broken)?;
    call.socket.read_fails(Errno::TIMEDOUT)
}

/// The kernel resets an orphan in `FIN_WAIT2` when its timer finds nothing left to wait for: here
/// because the time to wait was shortened meanwhile.
fn fin_wait2_timeout(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK, b"request")?;
    call.socket.read(64)?;
    scene.netns.sysctl("ipv4/tcp_fin_timeout", "61")?;
    call.socket.finish()?;
    call.remote.hear(flag::FIN | flag::ACK, true)?;
    call.socket.close()?;
    scene.netns.sysctl("ipv4/tcp_fin_timeout", "60")?;
    call.remote.expect(flag::RST | flag::ACK)?;
    Ok(())
}
