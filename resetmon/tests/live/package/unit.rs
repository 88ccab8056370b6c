//! The Debian package in a bare Debian that systemd has booted: the unit, with all its confinement.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::root::Root;
use super::{LISTEN, Resetter, ask, done, file, output, wait_for_metric};
use crate::agent::terminate;
use crate::http;
use crate::service::wait_for;

/// The unit.
const UNIT: &str = "resetmon.service";
/// Where the configuration has the events written.
const EVENTS: &str = "/var/log/resetmon/events.json";

/// A bare Debian that runs.
struct Machine {
    child: Child,
    /// The process id of its init, as this machine has it.
    init: String,
    root: Root,
}

impl Machine {
    fn boot(root: Root) -> Result<Self> {
        let log = File::create(root.folder().join("console"))?;
        let child = Command::new("systemd-nspawn")
            .args(["--quiet", "--register=no", "--keep-unit", "--console=pipe"])
            .arg(format!("--directory={}", root.files_at().display()))
            .arg(format!("--network-namespace-path={}", root.netns.path()))
            .arg(format!("--bind={}:/sys/fs/bpf", root.bpffs().display()))
            // What a machine of its own has: the unit asks for these.
            .args(["--capability=CAP_BPF,CAP_PERFMON"])
            .args(["--system-call-filter=bpf perf_event_open", "--boot"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start systemd-nspawn")?;
        let mut machine = Self {
            child,
            init: String::new(),
            root,
        };
        machine.init = wait_for("an init", || {
            machine.ensure_runs()?;
            machine.find_init()
        })?;
        wait_for("the end of the boot", || {
            machine.ensure_runs()?;
            // The exit status is 1 where something else than ours has failed, too.
            let state = machine
                .command(&["systemctl", "is-system-running"])
                .output()?;
            let state = String::from_utf8_lossy(&state.stdout);
            Ok(["running", "degraded"]
                .contains(&state.trim())
                .then_some(()))
        })?;
        Ok(machine)
    }

    /// The child of systemd-nspawn that calls itself systemd.
    fn find_init(&self) -> Result<Option<String>> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(children
            .split_whitespace()
            .find(|child| {
                let name = fs::read_to_string(format!("/proc/{child}/comm"));
                name.is_ok_and(|name| name.trim() == "systemd")
            })
            .map(str::to_owned))
    }

    fn ensure_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = fs::read_to_string(self.root.folder().join("console"))?;
            bail!("systemd-nspawn ended with {status}: {said}");
        }
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init, "--mount", "--uts", "--ipc", "--net"])
            .args(["--pid", "--cgroup", "--root", "--wd", "--"])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        output(&mut self.command(words))
    }

    fn install(&self, package: &Path) -> Result<String> {
        let package = self.root.put(package)?;
        self.run(&["apt-get", "install", "--yes", package])
    }

    /// Waits until the agent serves.
    fn ready(&self) -> Result<()> {
        wait_for("the service", || {
            let page = http::get(&self.root.netns, LISTEN.into(), "/readyz", "text/plain");
            Ok(page.ok().map(drop))
        })
        .with_context(|| self.journal().unwrap_or_default())
    }

    fn journal(&self) -> Result<String> {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT])
    }

    /// RST packets sent that the events tell of.
    fn reported(&self) -> Result<u64> {
        let text = fs::read_to_string(self.root.path(EVENTS))?;
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut packets = 0;
        for line in lines {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if event["direction"] == "sent" && self.root.netns.has(&event) {
                packets += event["packets"].as_u64().unwrap_or(1);
            }
        }
        Ok(packets)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // systemd-nspawn hands it on as an order to power off.
        let _ = terminate(&mut self.child);
    }
}

/// The row.
pub(super) fn captures() -> Result<()> {
    let root = Root::new()?;
    let machine = Machine::boot(root)?;
    machine.install(&file(".deb")?)?;
    for question in ["is-active", "is-enabled"] {
        machine.run(&["systemctl", question, UNIT])?;
    }
    let verified = machine.run(&["systemd-analyze", "verify", "--man=no", UNIT])?;
    ensure!(verified.is_empty(), "{verified}");
    machine.ready()?;
    done("systemd booted; installed by apt: the service is enabled, runs, and is ready");
    let server = Resetter::new(&machine.root.netns)?;
    server.during(|| machine.run(&["bash", "-c", &ask(server.port()?)]))?;
    let at: SocketAddr = LISTEN.into();
    let line = wait_for_metric(
        &machine.root.netns,
        at,
        "resetmon_resets_total{",
        &[
            "direction=\"received\"",
            "cause=\"aborted_before_response\"",
        ],
    )?;
    done(format!("scraped: {line}"));
    confined(&machine)?;
    upgraded(&machine)?;

    let said = machine.journal()?;
    // What the kernel withholds, it withholds everywhere.
    let complaint = said.lines().find(|line| {
        let is_one = line.contains(" WARN ") || line.contains(" ERROR ");
        is_one && !line.contains("probes could not be attached")
    });
    ensure!(complaint.is_none(), "{said}");

    machine.run(&["apt-get", "purge", "--yes", "resetmon"])?;
    let pinned = machine.root.pinned()?;
    ensure!(pinned == 0, "{pinned} pins are left");
    let left: Vec<String> = machine
        .root
        .files()?
        .into_iter()
        .filter(|path| path.contains("resetmon"))
        .collect();
    ensure!(left.is_empty(), "purging leaves {left:?}");
    let units = machine.run(&["systemctl", "list-units", "--all", "--no-legend", UNIT])?;
    ensure!(units.is_empty(), "{units}");
    done("purged: no pin, file or unit is left");
    Ok(())
}

/// The unit's settings are in force.
fn confined(machine: &Machine) -> Result<()> {
    let pid = machine.run(&["systemctl", "show", "--property=MainPID", "--value", UNIT])?;
    let status = machine.run(&["cat", &format!("/proc/{}/status", pid.trim())])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
            .with_context(|| format!("{name} {status}"))
    };
    // CAP_DAC_READ_SEARCH (2) and CAP_SYS_PTRACE (19), and in the bounding set CAP_PERFMON (38)
    // and CAP_BPF (39), which the agent may not take out of it.
    let kept = 1 << 2 | 1 << 19_u64;
    for (name, expected) in [("CapEff:", kept), ("CapBnd:", kept | 1 << 38 | 1 << 39)] {
        let found = u64::from_str_radix(&field(name)?, 16)?;
        ensure!(found == expected, "{name} {found:#x}, not {expected:#x}");
    }
    for (name, expected) in [("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
        ensure!(field(name)? == expected, "{name} {}", field(name)?);
    }
    let rated = machine.run(&["systemd-analyze", "security", "--no-pager", UNIT])?;
    let rating = rated.lines().last().unwrap_or_default();
    done(format!(
        "two capabilities left; {}",
        rating.trim_start_matches(['→', ' '])
    ));
    Ok(())
}

/// While resets go on the package is upgraded, and none is missing in the events.
fn upgraded(machine: &Machine) -> Result<()> {
    let netns = &machine.root.netns;
    fs::write(
        machine.root.path("/etc/resetmon/resetmon.yaml"),
        format!("events:\n  path: {EVENTS}\n"),
    )?;
    let before = netns.resets_sent()?;
    machine.run(&["systemctl", "restart", UNIT])?;
    machine.ready()?;
    let listeners = netns.enter(crate::restart::listeners)??;
    let go_on = AtomicBool::new(true);
    let newer = machine.root.newer()?;
    let installed = std::thread::scope(|scope| {
        let resets = scope.spawn(|| {
            netns.enter(|| -> Result<u32> {
                let mut made = 0;
                while go_on.load(Ordering::Relaxed) {
                    crate::restart::aborted(&listeners[0])?;
                    made += 1;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Ok(made)
            })?
        });
        let installed = machine.install(&newer);
        let ready = machine.ready();
        go_on.store(false, Ordering::Relaxed);
        let made = resets.join().ok().context("the resets panicked")??;
        ready?;
        installed.map(|_| made)
    })?;
    ensure!(installed > 0, "no reset was made meanwhile");
    let version = machine.run(&[
        "dpkg-query",
        "--show",
        "--showformat=${Version}",
        "resetmon",
    ])?;
    ensure!(version.starts_with("99:"), "{version}");
    let said = machine.journal()?;
    ensure!(said.contains(" took over "), "{said}");
    let sent = netns.resets_sent()? - before;
    wait_for(&format!("{sent} resets in the events"), || {
        let reported = machine.reported()?;
        ensure!(reported <= sent, "{reported} reported of {sent}");
        Ok((reported == sent).then_some(()))
    })?;
    done(format!(
        "upgraded while {installed} connections were reset: all {sent} resets are in the events"
    ));
    Ok(())
}
