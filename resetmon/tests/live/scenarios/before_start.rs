//! Sockets that are older than the agent. Each scenario starts an agent of its own.

use anyhow::Result;

use crate::actor::command::Readiness;
use crate::expected::{BEFORE_START, BEFORE_START_SHARED, LISTENER, received, sent};
use crate::scenario::{BOTH, Need, ONE, Scenario};
use crate::scene::Scene;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "open_before_start",
        families: BOTH,
        needs: &[Need::OwnAgent],
        run: open_before_start,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", BEFORE_START),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .owner("client", BEFORE_START)
                .role("client"),
        ],
    },
    Scenario {
        name: "open_in_two_processes_before_start",
        families: ONE,
        needs: &[Need::OwnAgent],
        run: open_in_two_processes_before_start,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", BEFORE_START_SHARED),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .owner("client", BEFORE_START)
                .role("client"),
        ],
    },
    Scenario {
        name: "listening_before_start",
        families: BOTH,
        needs: &[Need::OwnAgent],
        run: listening_before_start,
        expect: &[
            sent("server", "client")
                .reason("tcp_state")
                .before("established")
                .cause("listener_closed")
                .server("server", LISTENER),
            received("client", "server")
                .before("established")
                .cause("aborted_during_setup")
                .client("client"),
        ],
    },
];

fn open_before_start(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    scene.start_agent()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    pair.accepted.close()
}

fn open_in_two_processes_before_start(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    let child = scene.fork(&pair.server, "child")?;
    scene.start_agent()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    child.inherited(&pair.accepted).close()?;
    pair.accepted.close()
}

fn listening_before_start(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    scene.start_agent()?;
    let _connected = scene.connect(&client, "client", to)?;
    listener.close()
}
