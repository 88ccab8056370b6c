//! Both ends of a connection in network namespaces of this node, as two pods have them.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::actor::command::{Command as Step, Readiness, Setting};
use crate::actor::{Actor, Socket};
use crate::agent::Agent;
use crate::events::is_sent;
use crate::forgery::{self, Ears};
use crate::netns::{Netns, set_up};
use crate::scenario::Whole;
use crate::service::PATIENCE;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "resets_between_pods",
    programs: &["ip"],
    // The `ip` of busybox makes no pair of interfaces.
    natively: true,
    run: resets_between_pods,
}];

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 231, 7, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 231, 7, 2);
/// From when on the agent reads again what it knows of a process.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// Nobody listens there.
const CLOSED: u16 = 9;

fn resets_between_pods() -> Result<()> {
    let agent = Agent::start()?;
    let (near, far) = (Netns::new()?, Netns::new()?);
    let program = std::env::current_exe()?;
    let client = Actor::start("client", &program, &near)?;
    let server = Actor::start("server", &program, &far)?;
    connect_namespaces((&near, &client), (&far, &server))?;
    let pods = Pods {
        agent,
        near,
        far,
        client,
        server,
    };
    aborted(&pods)?;
    without_descriptors(&pods)?;
    refused(&pods)?;
    forged(&pods)?;
    killed(&pods)?;
    pods.agent.stop()
}

struct Pods {
    agent: Agent,
    near: Netns,
    far: Netns,
    client: Actor,
    server: Actor,
}

impl Pods {
    /// A connection after a request: the client's end, and the server's.
    fn pair(&self) -> Result<(Socket, Socket)> {
        let at = (SERVER, 0).into();
        let listener = self.server.socket(at)?;
        let at = listener.listen(at, 8)?;
        let socket = self.client.socket(at)?;
        socket.connect(at)?;
        let (accepted, _) = listener.accept()?;
        listener.close()?;
        socket.write(b"request")?;
        accepted.read(64)?;
        Ok((socket, accepted))
    }

    /// The reset that the client received on `local`.
    fn received(&self, local: SocketAddr) -> Result<Value> {
        let is = |event: &Value| event["local"] == local.to_string() && !is_sent(event);
        let found = |all: &[Value]| all.iter().any(is);
        let all = self.agent.events.wait(&self.near, PATIENCE, found);
        let event = all.into_iter().find(is);
        event.with_context(|| format!("no reset of {local} was reported"))
    }

    /// Asserts that `event` is joined with the one that the server's namespace sent.
    fn is_joined(&self, event: &Value, cause: &str) -> Result<()> {
        let twin = &event["twin"];
        ensure!(twin["cause"] == cause, "not {cause}: {event}");
        let is = |sent: &Value| sent["id"] == twin["id"];
        let found = |all: &[Value]| all.iter().any(is);
        let sent = self.agent.events.wait(&self.far, PATIENCE, found);
        let sent = sent.iter().find(|sent| is(sent));
        let sent = sent.with_context(|| format!("nobody sent {event}"))?;
        ensure!(sent["cause"] == cause, "{sent} is not why {event}");
        ensure!(sent["local"] == event["remote"], "{sent} is not {event}");
        Ok(())
    }
}

/// A pair of interfaces.
fn connect_namespaces(near: (&Netns, &Actor), far: (&Netns, &Actor)) -> Result<()> {
    let pids = [near.1.pid(), far.1.pid()].map(|pid| pid.to_string());
    let mut command = Command::new("ip");
    command.args(["link", "add", "pod0", "netns", &pids[0], "type", "veth"]);
    command.args(["peer", "name", "pod0", "netns", &pids[1]]);
    run(&mut command)?;
    for (netns, address) in [(near.0, CLIENT), (far.0, SERVER)] {
        let mut command = Command::new("ip");
        command.args(["address", "add", &format!("{address}/24"), "dev", "pod0"]);
        run(netns.run_in(&mut command))?;
        netns.enter(|| set_up("pod0"))??;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("run ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

fn aborted(pods: &Pods) -> Result<()> {
    let (socket, accepted) = pods.pair()?;
    accepted.set(Setting::Linger(0))?;
    accepted.close()?;
    socket.read_fails(Errno::CONNRESET)?;
    let event = pods.received(socket.local()?)?;
    pods.is_joined(&event, "linger_abort")?;
    let process = &event["twin"]["process"];
    ensure!(
        process["pid"] == pods.server.pid(),
        "not the server: {event}"
    );
    ensure!(event["peer"] == process["name"], "the peer's name: {event}");
    ensure!(event["cause"] == "aborted_before_response", "{event}");
    Ok(())
}

/// The server's limit is below what it has open.
fn without_descriptors(pods: &Pods) -> Result<()> {
    let (socket, accepted) = pods.pair()?;
    let at = accepted.local()?;
    accepted.set(Setting::Linger(0))?;
    let pid = i32::try_from(pods.server.pid())
        .ok()
        .and_then(Pid::from_raw);
    let set = |limit| prlimit(pid, Resource::Nofile, limit).context("limit of open files");
    let few = Rlimit {
        current: Some(3),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = set(few)?;
    // What was read of the process a moment ago is not read again.
    std::thread::sleep(READ_AGAIN);
    accepted.close()?;
    socket.read_fails(Errno::CONNRESET)?;
    let is = |event: &Value| event["local"] == at.to_string() && is_sent(event);
    let found = |all: &[Value]| all.iter().any(is);
    let all = pods.agent.events.wait(&pods.far, PATIENCE, found);
    let event = all.into_iter().find(is).context("no reset was sent")?;
    let facts = event["evidence"].to_string();
    ensure!(facts.contains("of 3 descriptors open"), "{event}");
    set(before).map(drop)
}

fn refused(pods: &Pods) -> Result<()> {
    let to = (SERVER, CLOSED).into();
    let socket = pods.client.socket(to)?;
    let local = socket.bind((CLIENT, 0).into())?;
    let name = socket.name();
    pods.client
        .fails(&Step::Connect { name, to }, Errno::CONNREFUSED)?;
    let event = pods.received(local)?;
    ensure!(event["cause"] == "refused", "{event}");
    pods.is_joined(&event, "no_listener")?;
    ensure!(
        event["twin"]["process"].is_null(),
        "nobody's socket: {event}"
    );
    Ok(())
}

/// A RST in the server's name, which its socket knows nothing of.
fn forged(pods: &Pods) -> Result<()> {
    let ears = Ears::new(&pods.far)?;
    let (socket, accepted) = pods.pair()?;
    let local = socket.local()?;
    let heard = ears.hear(|segment| segment.from == local)?;
    forgery::reset(&pods.far, &heard, 64)?;
    socket.read_fails(Errno::CONNRESET)?;
    let event = pods.received(local)?;
    ensure!(event["twin"].is_null(), "nobody sent it: {event}");
    ensure!(event["cause"] == "injected", "{event}");
    ensure!(event["sender"] == "middlebox", "{event}");
    let last = event["evidence"].as_array().and_then(|facts| facts.last());
    let last = last.and_then(Value::as_str).unwrap_or_default();
    ensure!(last.starts_with("nobody on this node sent it"), "{event}");
    ensure!(last.contains("still in established"), "{event}");
    accepted.close()
}

/// The last one: the server ends with it.
fn killed(pods: &Pods) -> Result<()> {
    let (socket, _accepted) = pods.pair()?;
    socket.write(b"more")?;
    pods.server.kill()?;
    socket.wait(Readiness::Broken)?;
    let event = pods.received(socket.local()?)?;
    pods.is_joined(&event, "process_killed")?;
    let facts = event["evidence"].to_string();
    ensure!(facts.contains("SIGKILL"), "how the server ended: {event}");
    Ok(())
}
