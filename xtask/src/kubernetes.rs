//! A Kubernetes API server for the tests: Debian 12 has no package of the program, but one of its
//! sources, from which it is built once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::packages::Tool;
use crate::vm::archive::Mirror;
use crate::workspace::Workspace;

/// What the tests call besides.
pub(crate) const TOOLS: [Tool; 3] = [
    Tool {
        program: "etcd",
        package: "etcd-server",
    },
    Tool {
        program: "etcdctl",
        package: "etcd-client",
    },
    Tool {
        program: "ip",
        package: "iproute2",
    },
];
/// What builds it; Debian keeps this Go out of the usual folders for programs.
pub(crate) const GO: Tool = Tool {
    program: "/usr/lib/go-1.19/bin/go",
    package: "golang-1.19-go",
};

/// The steps, for a shell.
const BUILD: &str = include_str!("kubernetes/build.sh");

/// The API server, if it is there and runs.
pub(crate) fn search(workspace: &Workspace) -> Option<PathBuf> {
    let program = workspace.kubernetes().join("kube-apiserver");
    let answer = Invocation::new(&program).arg("--version").read();
    answer.is_ok().then_some(program)
}

/// Whether what builds it is there.
pub(crate) fn has_go() -> bool {
    Path::new(GO.program).is_file()
}

/// Builds it.
///
/// # Errors
/// When its source cannot be fetched or does not compile.
pub(crate) fn build(workspace: &Workspace, log: &Path) -> Result<PathBuf> {
    let folder = workspace.kubernetes();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mirror = Mirror::of_this_machine(&folder.join("mirror"), log)?;
    let script = folder.join("build.sh");
    std::fs::write(&script, BUILD).with_context(|| format!("cannot write {}", script.display()))?;
    Invocation::new("sh")
        .args([&script, &folder])
        .arg(&mirror.uri)
        .run_logged(log)
        .context("the Kubernetes API server is not built")?;
    search(workspace).context("the Kubernetes API server that was built does not run")
}
