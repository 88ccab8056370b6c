//! What else held at the moment of a reset, told in its evidence.

use std::time::Duration;

use anyhow::Result;

use super::handshake::reachable;
use crate::actor::command::{Command, Readiness};
use crate::actor::plain;
use crate::cgroup::Cgroup;
use crate::expected::{Expected, LISTEN, READ, received, sent};
use crate::scenario::{BOTH, Need, ONE, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        // How much has come together since is told from the second one on.
        name: "overflow_again",
        families: BOTH,
        needs: &[Need::Tun],
        run: overflow_again,
        expect: &[
            overflow("remote"),
            overflow("other").saying(&["accept queues were full for 1 handshake within "]),
        ],
    },
    Scenario {
        name: "killed_in_a_cgroup_without_room",
        families: ONE,
        needs: &[Need::MemoryCgroup],
        run: killed_in_a_cgroup_without_room,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("process_killed")
                .server("server", READ)
                .closer("server")
                .with(&[("/closer/out_of_memory", "true")])
                .saying(&[
                    "the cgroup of its process was at its memory limit ",
                    " so far and had 1 process killed for it",
                ]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
];

/// From when on the agent reads the counters of a namespace again.
const READ_AGAIN: Duration = Duration::from_secs(2);

const fn overflow(remote: &'static str) -> Expected {
    sent("server", remote)
        .reason("invalid_syn")
        .before("listen")
        .cause("listen_overflow")
        .server("server", LISTEN)
}

/// Two handshakes end when there is room for one connection more; some time later again.
fn overflow_again(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    scene.netns.sysctl("ipv4/tcp_abort_on_overflow", "1")?;
    let (_server, listener) = reachable(scene, &network, 2)?;
    let at = plain(listener.local()?);
    for port in [40_002, 40_003] {
        network.connect(port, at)?;
    }
    for (round, port) in [(1, 40_001), (2, 40_011)] {
        let mut last = network.begin(port + 3, at)?;
        let mut rejected = network.begin(port, at)?;
        last.send(flag::ACK, b"")?;
        rejected.send(flag::ACK, b"")?;
        rejected.expect(flag::RST)?;
        scene.reported(round)?;
        listener.accept()?;
        std::thread::sleep(READ_AGAIN);
    }
    scene.name("other", (network.remote, 40_011).into());
    // Not left in the queue: the listener's end would reset them.
    for _ in 0..2 {
        listener.accept()?;
    }
    Ok(())
}

/// The process is in its cgroup before it is seen for the first time.
fn killed_in_a_cgroup_without_room(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let _limited = Cgroup::limited(server.pid(), 32 << 20)?;
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let connected = scene.connect(&client, "client", to)?;
    let (accepted, _) = listener.accept()?;
    connected.write(b"request")?;
    accepted.read(1)?;
    server.start_step(&Command::TakeMemory)?;
    server.ended()?;
    connected.wait(Readiness::Broken)?;
    // Its cgroup is there until then.
    scene.reported(2)
}
