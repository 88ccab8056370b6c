//! What this kernel and this machine have, found out apart from resetmon where that is possible.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::compare::{Kernel, Reporter};
use crate::scenario::Need;

/// What the running kernel can say, by its type information, and where that is silent by resetmon.
pub(crate) fn kernel(reporter: Reporter) -> Result<Kernel> {
    let types = std::fs::read("/sys/kernel/btf/vmlinux")
        .context("/sys/kernel/btf/vmlinux: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")?;
    let reason = types.windows(14).any(|window| window == b"sk_rst_reason\0");
    Ok(Kernel {
        reason,
        socketless: reason
            || reporter == Reporter::Resetmon
                && attaches("untraced_v4")?
                && attaches("untraced_v6")?,
    })
}

/// What is missing, and in which words.
pub(crate) fn missing(kernel: Kernel, reporter: Reporter) -> Result<Vec<(Need, &'static str)>> {
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
    match reporter {
        Reporter::Tracer => {
            missing.push((Need::OwnAgent, "it starts resetmon itself"));
            missing.push((Need::AcceptUnseen, "the tracer knows no processes"));
        }
        Reporter::Resetmon if attaches("accept")? => {
            missing.push((Need::AcceptUnseen, "accept() is seen on this kernel"));
        }
        Reporter::Resetmon => {
            missing.push((Need::AcceptSeen, "accept() cannot be seen on this kernel"));
        }
    }
    Ok(missing)
}

/// Whether a program is in the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether resetmon can attach this probe, by its own word.
fn attaches(probe: &str) -> Result<bool> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    let output = command
        .args(["doctor", "--json"])
        .output()
        .context("resetmon doctor")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("resetmon doctor")?;
    let checks = report["checks"]
        .as_array()
        .context("checks of resetmon doctor")?;
    let check = checks
        .iter()
        .find(|check| {
            check["name"]
                .as_str()
                .is_some_and(|name| name.split(' ').next() == Some(probe))
        })
        .with_context(|| format!("resetmon doctor knows no probe {probe}"))?;
    Ok(check["grade"] == "ok")
}
