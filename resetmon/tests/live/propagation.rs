//! Resets that real gateways pass on from one leg to the other, under concurrent load: which reset
//! led to which is known here by the request that was broken, there by resetmon's evidence alone.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::agent::Agent;
use crate::netns::Netns;
use crate::scenario::Whole;

mod configuration;
mod judge;
mod multiplexed;
mod traffic;

use configuration::{HAPROXY, NGINX, RESETMON, envoy_http, envoy_multiplexed, envoy_tcp};
use judge::{Legs, judge};
use traffic::{Fault, Truth, be_client};

/// Where the gateway serves.
const GATEWAY: &str = "127.0.0.1:8080";
/// Where its backend is.
const BACKEND: &str = "127.0.0.1:9001";
/// Clients at the same time.
const CLIENTS: u64 = 4;
/// Requests of each, one a connection.
const REQUESTS: u64 = 240;
/// Where a broken connection takes others along, each takes longer.
const MULTIPLEXED_REQUESTS: u64 = 100;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "propagation_nginx",
        programs: &["nginx"],
        natively: true,
        run: || {
            let mut nginx = Command::new("nginx");
            nginx.args(["-p", ".", "-c", "gateway.conf"]);
            run(nginx, NGINX, ENDED_CLEANLY, Legs::Paired)
        },
    },
    Whole {
        name: "propagation_haproxy",
        programs: &["haproxy"],
        natively: true,
        run: || {
            let mut haproxy = Command::new("haproxy");
            haproxy.args(["-db", "-f", "gateway.conf"]);
            run(haproxy, HAPROXY, TUNNELED, Legs::Paired)
        },
    },
    Whole {
        name: "propagation_envoy_tcp",
        programs: &[],
        natively: true,
        run: || run(envoy()?, &envoy_tcp(), TUNNELED, Legs::Paired),
    },
    Whole {
        name: "propagation_envoy_http",
        programs: &[],
        natively: true,
        run: || run(envoy()?, &envoy_http(), ENDED_CLEANLY, Legs::Paired),
    },
    Whole {
        name: "propagation_envoy_http2",
        programs: &[],
        natively: true,
        run: || run(envoy()?, &envoy_multiplexed(), EVERY, Legs::Multiplexed),
    },
];

/// A client of HTTP is mostly told of a backend's reset by a FIN, so only clients' are passed on.
const ENDED_CLEANLY: &[Fault] = &[
    Fault::None,
    Fault::BackendFirst,
    Fault::BackendMiddle,
    Fault::ClientWaiting,
    Fault::ClientMiddle,
];
/// A tunnel passes on both sides' resets.
const TUNNELED: &[Fault] = &[
    Fault::None,
    Fault::BackendMiddle,
    Fault::Upload,
    Fault::ClientWaiting,
    Fault::ClientMiddle,
];
const EVERY: &[Fault] = &[
    Fault::None,
    Fault::BackendFirst,
    Fault::BackendMiddle,
    Fault::Upload,
    Fault::ClientWaiting,
    Fault::ClientMiddle,
];

/// A gateway, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = crate::agent::terminate(&mut self.0);
    }
}

/// Envoy as the set-up fetched it, or another.
fn envoy() -> Result<Command> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/envoy/envoy");
    let chosen = std::env::var_os("RESETMON_TEST_ENVOY").map(PathBuf::from);
    let path = chosen.unwrap_or(own);
    ensure!(
        path.is_file(),
        "there is no {}: `cargo xtask setup` installs it",
        path.display()
    );
    let mut envoy = Command::new(path);
    envoy.args([
        "-c",
        "gateway.yaml",
        "--concurrency",
        "2",
        "--use-dynamic-base-id",
    ]);
    Ok(envoy)
}

fn run(mut command: Command, configuration: &str, faults: &[Fault], legs: Legs) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let netns = Netns::new()?;
    let folder = TempDir::new().context("temporary folder")?;
    // Envoy knows the language by the name.
    for name in ["gateway.conf", "gateway.yaml"] {
        std::fs::write(folder.path().join(name), configuration)?;
    }
    let config = folder.path().join("resetmon.yaml");
    std::fs::write(&config, RESETMON)?;
    let mut resetmon = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    resetmon.args(["run", "--no-pin", "--events", "-", "--config"]);
    let agent = Agent::spawn_resetmon(netns.run_in(resetmon.arg(config)))?;

    let backend = netns
        .enter(|| TcpListener::bind(BACKEND))?
        .context(BACKEND)?;
    let truth = Truth::default();
    match legs {
        Legs::Paired => traffic::serve(backend, &truth),
        Legs::Multiplexed => multiplexed::serve(backend, &truth)?,
    }
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = netns.run_in(&mut command).spawn();
    let _gateway = Running(child.context(program)?);
    until_it_serves(&netns)?;

    let requests = match legs {
        Legs::Paired => REQUESTS,
        Legs::Multiplexed => MULTIPLEXED_REQUESTS,
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let (netns, truth) = (&netns, &truth);
                    move || be_client(netns, (client, requests), faults, truth)
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            let done = client.join();
            done.map_err(|_| anyhow!("a client panicked"))?
        })
    })?;
    // The last ones are held for a moment.
    std::thread::sleep(Duration::from_millis(500));
    let events = agent.events.of(&netns);
    agent.stop()?;
    judge(&events, &truth, legs)
}

fn until_it_serves(netns: &Netns) -> Result<()> {
    for _ in 0..600 {
        if netns.enter(|| TcpStream::connect(GATEWAY))?.is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("nobody serves at {GATEWAY}")
}
