//! `resetmon run` with the capabilities that it names, and no others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "least_privilege",
        programs: &["setpriv"],
        natively: false,
        run: least_privilege,
    },
    Whole {
        name: "root_gives_up_its_capabilities",
        programs: &[],
        natively: false,
        run: root,
    },
];

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// Capabilities of all threads of a process, by the name of the set; what any of them has.
fn held(pid: u32, set: &str) -> Result<u64> {
    field(pid, set)?
        .into_iter()
        .try_fold(0, |all, text| Ok(all | u64::from_str_radix(&text, 16)?))
}

/// A line of `status` of each thread.
fn field(pid: u32, name: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))
            .with_context(|| format!("no {name} in {status}"))?;
        values.push(value.to_owned());
    }
    Ok(values)
}

fn reduced(pid: u32, to: u64) -> Result<()> {
    // Some kernels want CAP_BPF for maps.
    for set in ["CapPrm", "CapEff"] {
        let held = held(pid, set)?;
        ensure!(held & !CAP_BPF == to, "{set} is {held:x}");
    }
    for set in ["CapInh", "CapAmb"] {
        let held = held(pid, set)?;
        ensure!(held == 0, "{set} is {held:x}");
    }
    let fixed = field(pid, "NoNewPrivs")?;
    ensure!(
        fixed.iter().all(|value| value == "1"),
        "NoNewPrivs: {fixed:?}"
    );
    Ok(())
}

/// A reset is seen, with the process that owned the connection.
fn reports(agent: &Service, netns: &Netns) -> Result<()> {
    netns.enter(|| crate::restart::aborted(&crate::restart::listeners()?[0]))??;
    let event = wait_for("the reset", || {
        let events = agent.events(netns)?;
        let received = events
            .into_iter()
            .find(|event| event["direction"] == "received");
        Ok(received)
    })?;
    // Only /proc has the whole path, and shows it to those alone who may trace the process.
    ensure!(
        event["process"]["exe"] == std::env::current_exe()?.display().to_string(),
        "{event}"
    );
    Ok(())
}

fn least_privilege() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    // Where others can execute it.
    let copy = folder.path().join("resetmon");
    fs::copy(env!("CARGO_BIN_EXE_resetmon"), &copy)?;
    for path in [folder.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    let capabilities = "-all,+bpf,+perfmon,+sys_ptrace";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.arg(format!("{set}={capabilities}"));
    }
    command.arg(copy).args(["run", "--no-pin"]);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    let user = field(agent.pid(), "Uid")?;
    ensure!(
        user.iter().all(|ids| ids.starts_with("65534\t")),
        "{user:?}"
    );
    reduced(agent.pid(), CAP_SYS_PTRACE)?;
    // It could not be made smaller, but is what the agent was given.
    let bound = held(agent.pid(), "CapBnd")?;
    ensure!(
        bound == CAP_SYS_PTRACE | CAP_PERFMON | CAP_BPF,
        "CapBnd is {bound:x}"
    );
    reports(&agent, &netns)?;
    agent.stop()
}

fn root() -> Result<()> {
    let (netns, folder) = (Netns::new()?, TempDir::new()?);
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin"]);
    let mut agent = Service::start(&mut command, &netns, folder.path(), "agent")?;
    reduced(agent.pid(), CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH)?;
    let bound = held(agent.pid(), "CapBnd")?;
    ensure!(
        bound == CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH,
        "CapBnd is {bound:x}"
    );
    reports(&agent, &netns)?;
    agent.stop()
}
