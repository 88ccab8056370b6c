//! The filter of system calls that runtimes give a container with the profile `RuntimeDefault`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Debian's copy of the profile of podman and of CRI-O (package golang-github-containers-common).
const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// The profile as runc reads it, for a container with `capabilities` on this machine.
///
/// With the one difference that matters here between it and the profile of containerd: the latter
/// lets `bpf()` pass with `CAP_BPF`, too (from 1.7).
pub(super) fn runtime_default(capabilities: &[String]) -> Result<Value> {
    let text = std::fs::read_to_string(PROFILE)
        .with_context(|| format!("{PROFILE}: install golang-github-containers-common"))?;
    let profile: Value = serde_json::from_str(&text)?;
    let has = |list: &Value| {
        let mut names = list.as_array().into_iter().flatten();
        names.any(|name| capabilities.iter().any(|one| name == one))
    };
    let is_here = |list: &Value| {
        let mut names = list.as_array().into_iter().flatten();
        names.any(|name| name == "amd64" || name == "x86_64")
    };
    let mut calls = Vec::new();
    for rule in profile["syscalls"].as_array().context("syscalls")? {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let asked = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        let wanted = (!asked(&includes["caps"]) || has(&includes["caps"]))
            && (!asked(&includes["arches"]) || is_here(&includes["arches"]))
            && !has(&excludes["caps"])
            && !is_here(&excludes["arches"]);
        if wanted {
            let mut names = rule["names"].as_array().context("names")?.clone();
            names.retain(|name| name != "bpf");
            let mut call = json!({"names": names, "action": rule["action"], "args": rule["args"]});
            if rule["errnoRet"].is_number() {
                call["errnoRet"] = rule["errnoRet"].clone();
            }
            calls.push(call);
        }
    }
    ensure!(calls.len() > 5, "no profile: {text}");
    if capabilities.iter().any(|one| one == "CAP_BPF") {
        calls.push(json!({"names": ["bpf"], "action": "SCMP_ACT_ALLOW"}));
    }
    Ok(json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": calls,
    }))
}
