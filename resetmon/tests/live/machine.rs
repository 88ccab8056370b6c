//! What this kernel and this machine have, found out apart from resetmon where that is possible.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::compare::{Kernel, Reporter};
use crate::scenario::Need;

/// What the running kernel can say, by its type information, and where that is silent by resetmon.
pub(crate) fn kernel(probes: Option<&Probes>) -> Result<Kernel> {
    let types = std::fs::read("/sys/kernel/btf/vmlinux")
        .context("/sys/kernel/btf/vmlinux: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")?;
    let reason = types.windows(14).any(|window| window == b"sk_rst_reason\0");
    Ok(Kernel {
        reason,
        socketless: reason || sees(probes, "untraced_v4")? && sees(probes, "untraced_v6")?,
    })
}

/// What is missing, and in which words.
pub(crate) fn missing(
    kernel: Kernel,
    probes: Option<&Probes>,
) -> Result<Vec<(Need, &'static str)>> {
    let mut missing = Vec::new();
    let mptcp = std::fs::read_to_string("/proc/sys/net/mptcp/enabled").unwrap_or_default();
    if mptcp.trim() != "1" {
        missing.push((Need::Mptcp, "net.mptcp.enabled is not 1"));
    }
    if !is_installed("nft") {
        missing.push((Need::Nft, "nft is not installed"));
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        missing.push((Need::Tun, "there is no /dev/net/tun"));
    }
    if !kernel.socketless {
        missing.push((
            Need::Socketless,
            "the kernel does not trace resets without a socket",
        ));
    }
    if crate::cgroup::controller().is_none() {
        missing.push((Need::MemoryCgroup, "cgroups have no memory controller"));
    }
    let packets = ["reset_packet", "handshake_client", "handshake_server"];
    let mut seen = packets.iter().map(|probe| sees(probes, probe));
    if !seen.try_fold(true, |all, one| Ok::<_, anyhow::Error>(all && one?))? {
        missing.push((Need::PacketSeen, "packets cannot be seen on this kernel"));
    }
    missing.push(if sees(probes, "firewall_reject")? {
        (Need::RejectUnseen, "reject rules are seen on this kernel")
    } else {
        (
            Need::RejectSeen,
            "reject rules cannot be seen on this kernel",
        )
    });
    match probes {
        None => {
            missing.push((Need::OwnAgent, "it starts resetmon itself"));
            missing.push((Need::AcceptUnseen, "the tracer knows no processes"));
        }
        Some(probes) if probes.attach("accept")? => {
            missing.push((Need::AcceptUnseen, "accept() is seen on this kernel"));
        }
        Some(_) => {
            missing.push((Need::AcceptSeen, "accept() cannot be seen on this kernel"));
        }
    }
    Ok(missing)
}

fn sees(probes: Option<&Probes>, probe: &str) -> Result<bool> {
    probes.map_or(Ok(false), |probes| probes.attach(probe))
}

/// Whether a program is in the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Which probes resetmon can attach, by its own word.
#[derive(Debug)]
pub(crate) struct Probes(HashMap<String, bool>);

impl Probes {
    /// Asks it; the tracer has none.
    pub(crate) fn of(reporter: Reporter) -> Result<Option<Self>> {
        if reporter == Reporter::Tracer {
            return Ok(None);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        let output = command
            .args(["doctor", "--json"])
            .output()
            .context("resetmon doctor")?;
        let report: Value = serde_json::from_slice(&output.stdout).context("resetmon doctor")?;
        let checks = report["checks"]
            .as_array()
            .context("checks of resetmon doctor")?;
        let probes = checks.iter().filter_map(|check| {
            // `name (where it goes)`
            let name = check["name"].as_str()?.split(' ').next()?;
            (check["section"] == "probes").then(|| (name.to_owned(), check["grade"] == "ok"))
        });
        Ok(Some(Self(probes.collect())))
    }

    fn attach(&self, probe: &str) -> Result<bool> {
        let known = self.0.get(probe).copied();
        known.with_context(|| format!("resetmon doctor knows no probe {probe}"))
    }
}
