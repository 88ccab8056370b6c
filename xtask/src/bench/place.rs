//! Where a measurement takes place: its files, and a network namespace of its own.
//!
//! The namespace makes the kernel's counters ours alone, and keeps the load off the host's
//! addresses. The mounts are private too: tracefs, which some of the other tracers need, is there
//! for them and gone with us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::workspace::Workspace;

/// Prepares the namespaces, then becomes its arguments.
const SCRIPT: &str = "set -eu
mount --make-rprivate /
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
ip link set lo up
ip address add 198.18.0.1/32 dev lo
ip address add 2001:db8:18::1/128 dev lo nodad
echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range
exec \"$@\"
";

/// An address that only the namespace has (RFC 2544), which tells our resets from others'.
pub(crate) const OURS_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
/// The same for IPv6 (RFC 3849).
pub(crate) const OURS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, 1));
/// Where nobody listens.
pub(crate) const CLOSED_PORT: u16 = 9;

/// What the measurements share.
#[derive(Debug)]
pub(crate) struct Place {
    /// Files and raw data.
    pub(crate) dir: PathBuf,
    /// The agent's release build.
    pub(crate) agent: PathBuf,
    /// Holds the empty programs.
    pub(crate) empty_holder: PathBuf,
    /// The object with the empty programs.
    pub(crate) empty_object: PathBuf,
    /// This program.
    pub(crate) own: PathBuf,
    /// Few and short repetitions.
    pub(crate) quick: bool,
}

impl Place {
    /// Makes the folder for files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(workspace: &Workspace, empty_object: PathBuf, quick: bool) -> Result<Self> {
        let dir = workspace.root.join("target/bench");
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let agent = workspace.agent(true);
        let empty_holder = agent.with_file_name("examples").join("empty_probes");
        Ok(Self {
            dir,
            agent,
            empty_holder,
            empty_object,
            own: std::env::current_exe().context("cannot tell where this program lies")?,
            quick,
        })
    }

    /// `many`, or `few` in a quick run.
    pub(crate) fn rounds(&self, few: usize, many: usize) -> usize {
        if self.quick { few } else { many }
    }
}

/// The same program with `args`, in namespaces of its own.
pub(crate) fn inside(own: &std::path::Path, args: &[String]) -> Invocation {
    Invocation::new("unshare")
        .args(["--net", "--mount", "--", "sh", "-c", SCRIPT, "sh"])
        .arg(own)
        .args(args)
}
