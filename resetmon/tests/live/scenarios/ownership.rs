//! Whose socket it is, and who closed it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use rustix::io::Errno;

use crate::actor::command::{Command, Readiness, Setting};
use crate::actor::{Actor, Socket};
use crate::expected::{ACCEPTED, LISTENER, READ, received, sent};
use crate::scenario::{BOTH, Need, ONE, Scenario};
use crate::scene::Scene;

/// A name that must not break a line of output: a quote, a line feed, a byte that is not UTF-8,
/// a backslash and an escape.
const HOSTILE: &[u8] = b"a\"b\nc\xffd\\e\x1bf";

/// What must be known of a client from an executable of its own.
const SHORT_LIVED: &[(&str, &str)] = &[
    ("/process/name", "\"short-lived\""),
    ("/process/comm", "\"short-lived\""),
    ("/process/exe", "\"{program}\""),
    ("/process/cmdline", "\"{program} actor client\""),
];

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "forked_child_closes",
        families: BOTH,
        needs: &[],
        run: forked_child_closes,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", READ)
                .closer("child"),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "passed_on_and_closed",
        families: BOTH,
        needs: &[],
        run: passed_on_and_closed,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", ACCEPTED)
                .closer("heir"),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "worker_reads",
        families: BOTH,
        needs: &[],
        run: worker_reads,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("worker", READ),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "worker_accepts_only",
        families: BOTH,
        needs: &[Need::AcceptSeen],
        run: worker_accepts_only,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("worker", &["accept"]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "worker_accepts_only_unseen",
        families: BOTH,
        needs: &[Need::AcceptUnseen],
        run: worker_accepts_only,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("server", LISTENER)
                .closer("worker"),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "worker_is_reset",
        families: BOTH,
        needs: &[],
        run: worker_is_reset,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .client("client"),
            received("server", "client")
                .before("established")
                .cause("client_canceled")
                .server("worker", READ),
        ],
    },
    Scenario {
        name: "workers_share_a_listener",
        families: BOTH,
        needs: &[],
        run: workers_share_a_listener,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("worker 1", READ),
            sent("server", "client 2")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("closed_with_unread_data")
                .server("worker 2", READ),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
            received("client 2", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "worker_killed",
        families: BOTH,
        needs: &[],
        run: worker_killed,
        expect: &[
            sent("server", "client")
                .reason("tcp_abort_on_close")
                .before("established")
                .cause("process_killed")
                .server("worker", READ)
                .closer("worker")
                .with(&[("/closer/exit_signal", "\"SIGKILL\"")]),
            received("client", "server")
                .before("established")
                .cause("aborted_before_response")
                .client("client"),
        ],
    },
    Scenario {
        name: "thread_with_a_name",
        families: ONE,
        needs: &[],
        run: thread_with_a_name,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .client("client")
                .with(&[("/process/comm", "\"main-thread\"")]),
            received("server", "client")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
        ],
    },
    Scenario {
        name: "gone_when_reported",
        families: BOTH,
        needs: &[],
        run: gone_when_reported,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .client("client")
                .with(SHORT_LIVED),
            received("server", "client")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
            sent("client 2", "server")
                .reason("tcp_state")
                .before("established")
                .cause("process_exit")
                .client("client")
                .closer("client")
                .with(SHORT_LIVED),
            received("server", "client 2")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
        ],
    },
    Scenario {
        name: "gone_at_once",
        families: BOTH,
        needs: &[],
        run: gone_at_once,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("process_exit")
                .client("client")
                .closer("client")
                // Not its executable: nobody had the time to look at /proc.
                .with(&[
                    ("/process/name", "\"short-lived\""),
                    ("/process/comm", "\"short-lived\""),
                    ("/process/cmdline", "\"{program} actor client\""),
                    ("/closer/exit_status", "0"),
                ]),
            received("server", "client")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
        ],
    },
    Scenario {
        name: "hostile_name",
        families: ONE,
        needs: &[],
        run: hostile_name,
        expect: &[
            sent("client", "server")
                .reason("tcp_state")
                .before("established")
                .cause("linger_abort")
                .client("client")
                // As a label may hold it: control characters are spelled out.
                .with(&[("/process/comm", r#""a\"b\\nc\ufffdd\\e\\u{1b}f""#)]),
            received("server", "client")
                .before("established")
                .cause("aborted_during_setup")
                .server("server", ACCEPTED),
        ],
    },
];

fn forked_child_closes(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.read(1)?;
    let child = scene.fork(&pair.server, "child")?;
    pair.accepted.close()?;
    child.inherited(&pair.accepted).close()
}

fn passed_on_and_closed(scene: &Scene) -> Result<()> {
    let pair = scene.pair()?;
    pair.connected.write(b"request")?;
    pair.accepted.wait(Readiness::Input)?;
    let heir = scene.actor("heir")?;
    let passed = heir.take(&pair.accepted)?;
    pair.accepted.close()?;
    passed.close()
}

/// A master that listens, a forked worker that accepts, and a client with a request for it, of
/// which the worker has read one byte.
fn prefork(scene: &Scene) -> Result<[Actor; 3]> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let worker = scene.fork(&server, "worker")?;
    scene.connect(&client, "client", to)?.write(b"request")?;
    worker.inherited(&listener).accept()?.0.read(1)?;
    Ok([server, client, worker])
}

fn worker_reads(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let worker = scene.fork(&server, "worker")?;
    scene.connect(&client, "client", to)?.write(b"request")?;
    let (accepted, _) = worker.inherited(&listener).accept()?;
    accepted.read(1)?;
    accepted.close()
}

fn worker_accepts_only(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let worker = scene.fork(&server, "worker")?;
    scene.connect(&client, "client", to)?.write(b"request")?;
    let (accepted, _) = worker.inherited(&listener).accept()?;
    accepted.wait(Readiness::Input)?;
    accepted.close()
}

fn worker_is_reset(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let worker = scene.fork(&server, "worker")?;
    let connected = scene.connect(&client, "client", to)?;
    connected.write(b"request")?;
    let (accepted, _) = worker.inherited(&listener).accept()?;
    accepted.read(64)?;
    connected.set(Setting::Linger(0))?;
    connected.close()?;
    accepted.read_fails(Errno::CONNRESET)
}

fn workers_share_a_listener(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let one = scene.fork(&server, "worker 1")?;
    let two = scene.fork(&server, "worker 2")?;
    for (worker, name) in [(&one, "client"), (&two, "client 2")] {
        scene.connect(&client, name, to)?.write(b"request")?;
        let (accepted, _) = worker.inherited(&listener).accept()?;
        accepted.read(1)?;
        accepted.close()?;
    }
    Ok(())
}

fn worker_killed(scene: &Scene) -> Result<()> {
    let [_server, _client, worker] = prefork(scene)?;
    worker.kill()
}

/// The kernel's current task is a thread; a reader knows the process.
fn thread_with_a_name(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    client.act(&Command::Rename {
        name: b"main-thread".to_vec(),
    })?;
    let socket = client.socket(to)?;
    let in_thread = |command| {
        let command = Box::new(command);
        client.act(&Command::InThread {
            thread: "io-thread".to_owned(),
            command,
        })
    };
    in_thread(Command::Connect {
        name: socket.name(),
        to,
    })?;
    scene.name("client", socket.local()?);
    listener.accept()?;
    socket.set(Setting::Linger(0))?;
    in_thread(Command::Close {
        name: socket.name(),
    })?;
    Ok(())
}

/// A client from an executable of its own.
fn short_lived(scene: &Scene) -> Result<Actor> {
    let program = scene.folder.path().join("short-lived");
    std::fs::copy(std::env::current_exe()?, &program).context("copy this test")?;
    scene.text("program", program.to_string_lossy());
    scene.actor_from("client", &program)
}

/// Connects and ends, all in one.
fn connect_and_end(socket: &Socket, to: SocketAddr) -> Command {
    Command::Sequence(vec![
        Command::Set {
            name: socket.name(),
            option: Setting::Linger(0),
        },
        Command::Connect {
            name: socket.name(),
            to,
        },
        Command::Exit { status: 0 },
    ])
}

/// A process that was seen before, and is gone when its last reset is reported.
fn gone_when_reported(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, short_lived(scene)?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let first = scene.connect(&client, "client", to)?;
    listener.accept()?;
    first.set(Setting::Linger(0))?;
    first.close()?;
    scene.reported(2)?;
    let second = client.socket(to)?;
    scene.name("client 2", second.bind(scene.loopback(0))?);
    client.start_step(&connect_and_end(&second, to))?;
    listener.accept()?;
    client.ended()
}

/// A process that nobody knew before, and is gone when its reset is reported.
fn gone_at_once(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, short_lived(scene)?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    let socket = client.socket(to)?;
    scene.name("client", socket.bind(scene.loopback(0))?);
    client.start_step(&connect_and_end(&socket, to))?;
    listener.accept()?;
    client.ended()
}

fn hostile_name(scene: &Scene) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    client.act(&Command::Rename {
        name: HOSTILE.to_vec(),
    })?;
    let connected = scene.connect(&client, "client", to)?;
    listener.accept()?;
    connected.set(Setting::Linger(0))?;
    connected.close()
}
