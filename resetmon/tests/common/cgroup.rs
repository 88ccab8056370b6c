//! A cgroup with a limit of memory, by either version of the hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The files that a version has for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Controller {
    folder: &'static str,
    limit: &'static str,
    swap: &'static str,
}

/// The version that has the memory controller here.
pub(crate) fn controller() -> Option<Controller> {
    let root = Path::new(ROOT);
    let second = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    if second.split_whitespace().any(|name| name == "memory") {
        return Some(Controller {
            folder: "",
            limit: "memory.max",
            swap: "memory.swap.max",
        });
    }
    root.join("memory/memory.limit_in_bytes")
        .exists()
        .then_some(Controller {
            folder: "memory",
            limit: "memory.limit_in_bytes",
            swap: "memory.memsw.limit_in_bytes",
        })
}

/// A cgroup that is removed with this value; its processes must have ended.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// One named after `pid`, which is put into it, that may use `bytes`.
    pub(crate) fn limited(pid: u32, bytes: u64) -> Result<Self> {
        let controller = controller().context("a memory controller of cgroups")?;
        let root = Path::new(ROOT).join(controller.folder);
        if controller.folder.is_empty() {
            let file = root.join("cgroup.subtree_control");
            fs::write(&file, "+memory").with_context(|| file.display().to_string())?;
        }
        let path = root.join(format!("resetmon-test-{pid}"));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let cgroup = Self(path);
        cgroup.write(controller.limit, bytes)?;
        // Kernels without swap do not have it.
        if cgroup.0.join(controller.swap).exists() {
            let swap = if controller.folder.is_empty() {
                0
            } else {
                bytes
            };
            cgroup.write(controller.swap, swap)?;
        }
        cgroup.write("cgroup.procs", pid.into())?;
        Ok(cgroup)
    }

    fn write(&self, file: &str, number: u64) -> Result<()> {
        let path = self.0.join(file);
        fs::write(&path, number.to_string()).with_context(|| path.display().to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that is still ending keeps it; the next boot removes it then.
        let _ = fs::remove_dir(&self.0);
    }
}
