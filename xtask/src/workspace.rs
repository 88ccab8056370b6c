//! Where things lie in the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folders and files that the tasks share.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The cargo that runs us, or the one in `$PATH`.
    pub(crate) cargo: PathBuf,
    /// Cargo's target folder for the host, which holds `debug/` and `release/`.
    host_target: PathBuf,
}

impl Workspace {
    /// Finds the workspace from what cargo tells the programs it runs.
    ///
    /// # Errors
    /// When the workspace is no longer where this program was built.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf);
        if !root.join("gateway-ebpf/Cargo.toml").is_file() {
            bail!(
                "no workspace at {}: start this program by `cargo xtask` inside it",
                root.display()
            );
        }
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let host_target = host_target(&program)
            .with_context(|| format!("{} is in no target folder", program.display()))?;
        Ok(Self {
            root,
            cargo: std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from),
            host_target,
        })
    }

    /// Where the eBPF programs are compiled.
    ///
    /// Always inside the workspace, whatever `CARGO_TARGET_DIR` says: `resetmon/build.rs` looks
    /// for the object there.
    pub(crate) fn bpf_target(&self) -> PathBuf {
        self.root.join("target/bpf")
    }

    /// The finished eBPF object that the agent embeds; touched only when its content changes.
    pub(crate) fn bpf_object(&self) -> PathBuf {
        self.bpf_target().join("resetmon.bpf.o")
    }

    /// Tools built for this workspace only.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// The Kubernetes API server of the tests.
    pub(crate) fn kubernetes(&self) -> PathBuf {
        self.root.join("target/kubernetes")
    }

    /// Kernels and logs of the virtual machines.
    pub(crate) fn vm(&self) -> PathBuf {
        self.root.join("target/vm")
    }

    /// A folder for trials, made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let scratch = self.tools().join("probe");
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make the folder {}", scratch.display()))?;
        Ok(scratch)
    }

    /// What cargo builds for another target than the host's.
    pub(crate) fn target_of(&self, target: &str) -> PathBuf {
        self.host_target.join(target)
    }

    /// The `resetmon` program as built with or without `--release`.
    pub(crate) fn agent(&self, release: bool) -> PathBuf {
        let profile = if release { "release" } else { "debug" };
        self.host_target.join(profile).join("resetmon")
    }
}

/// The target folder that holds `program`, which cargo put in `<target>/<profile>/`.
fn host_target(program: &Path) -> Option<PathBuf> {
    Some(program.parent()?.parent()?.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_folder_is_two_above_the_program() {
        for (program, target) in [
            ("/src/target/debug/xtask", Some("/src/target")),
            ("/cache/x/release/xtask", Some("/cache/x")),
            ("/xtask", None),
        ] {
            assert_eq!(host_target(Path::new(program)), target.map(PathBuf::from));
        }
    }
}
