//! Resets of processes that do not end by their own will.

use anyhow::Result;

use crate::actor::command::{Command, Readiness};
use crate::cgroup::Cgroup;
use crate::expected::{DEAD, Expected, READ, received, sent};
use crate::scenario::{BOTH, Need, ONE, Scenario};
use crate::scene::{Pair, Scene};

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "killed_for_want_of_memory",
        families: BOTH,
        needs: &[Need::MemoryCgroup],
        run: killed_for_want_of_memory,
        expect: &[
            KILLED.closer("server").with(&[
                ("/closer/exit_signal", "\"SIGKILL\""),
                ("/closer/out_of_memory", "true"),
                ("/unread", "6"),
            ]),
            ABORTED,
        ],
    },
    Scenario {
        name: "killed_in_a_cgroup_with_room",
        families: ONE,
        needs: &[Need::MemoryCgroup],
        run: killed_in_a_cgroup_with_room,
        expect: &[
            KILLED.closer("server").with(&[
                ("/closer/exit_signal", "\"SIGKILL\""),
                ("/closer/out_of_memory", "null"),
            ]),
            ABORTED,
        ],
    },
    Scenario {
        name: "signal_to_another_thread",
        families: ONE,
        needs: &[],
        run: signal_to_another_thread,
        expect: &[
            KILLED
                .closer("server")
                .with(&[("/closer/exit_signal", "\"SIGTERM\"")]),
            ABORTED,
        ],
    },
    Scenario {
        name: "killed_with_the_socket_under_way",
        families: BOTH,
        needs: &[],
        run: killed_with_the_socket_under_way,
        expect: &[
            KILLED
                .closed_for("server", DEAD)
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            ABORTED,
        ],
    },
];

const KILLED: Expected = sent("server", "client")
    .reason("tcp_abort_on_close")
    .before("established")
    .cause("process_killed")
    .server("server", READ);

const ABORTED: Expected = received("client", "server")
    .before("established")
    .cause("aborted_before_response")
    .client("client");

/// A server that has read a part of a request.
fn half_read(scene: &Scene) -> Result<Pair> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.read(1)?;
    Ok(pair)
}

fn killed_for_want_of_memory(scene: &Scene) -> Result<()> {
    let pair = half_read(scene)?;
    let _limited = Cgroup::limited(pair.server.pid(), 32 << 20)?;
    pair.server.start_step(&Command::TakeMemory)?;
    pair.server.ended()?;
    pair.connected.wait(Readiness::Broken)
}

fn killed_in_a_cgroup_with_room(scene: &Scene) -> Result<()> {
    let pair = half_read(scene)?;
    let _limited = Cgroup::limited(pair.server.pid(), 256 << 20)?;
    pair.server.kill()?;
    pair.connected.wait(Readiness::Broken)
}

fn signal_to_another_thread(scene: &Scene) -> Result<()> {
    let pair = half_read(scene)?;
    let command = Box::new(Command::Raise {
        signal: libc::SIGTERM,
    });
    let thread = "other".to_owned();
    pair.server
        .start_step(&Command::InThread { thread, command })?;
    pair.server.ended()?;
    pair.connected.wait(Readiness::Broken)
}

fn killed_with_the_socket_under_way(scene: &Scene) -> Result<()> {
    let pair = half_read(scene)?;
    pair.server.act(&Command::Strand {
        name: pair.accepted.name(),
    })?;
    pair.server.kill()?;
    pair.connected.wait(Readiness::Broken)
}
