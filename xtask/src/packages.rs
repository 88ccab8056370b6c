//! Debian packages: which program comes from which, and installing them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{Invocation, find_program};

/// A compiler with a compiled `core` for the BPF target, and its lints.
pub(crate) const TOOLCHAIN: [&str; 3] = ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];

/// A program that the tests or the benchmark call, and the package it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The program's name, or the path of another file that it is not to be without.
    pub(crate) program: &'static str,
    /// The Debian package.
    pub(crate) package: &'static str,
}

/// Every program that the live-kernel tests call.
pub(crate) const TOOLS: [Tool; 9] = [
    tool("nginx", "nginx-light"),
    tool("curl", "curl"),
    tool("prometheus", "prometheus"),
    tool("promtool", "prometheus"),
    tool("ip", "iproute2"),
    tool("ss", "iproute2"),
    tool("nft", "nftables"),
    tool("bpftool", "bpftool"),
    tool("setpriv", "util-linux"),
];

/// What starts the agent in a container, with the filter of system calls that containers get.
pub(crate) const CONFINEMENT: [Tool; 2] = [
    tool("runc", "runc"),
    tool(
        "/usr/share/containers/seccomp.json",
        "golang-github-containers-common",
    ),
];

/// Every gateway that the tests run or whose configuration they read, besides nginx, what one written
/// in Python is made of, the name server that they ask, and a backend with TLS.
pub(crate) const GATEWAYS: [Tool; 10] = [
    tool("haproxy", "haproxy"),
    tool("apache2", "apache2-bin"),
    tool("caddy", "caddy"),
    // nginx's `stream`, which is a package of its own.
    tool(
        "/usr/lib/nginx/modules/ngx_stream_module.so",
        "libnginx-mod-stream",
    ),
    tool("dnsmasq", "dnsmasq-base"),
    tool("openssl", "openssl"),
    tool("/usr/bin/python3", "python3"),
    tool(
        "/usr/lib/python3/dist-packages/uvicorn/__init__.py",
        "python3-uvicorn",
    ),
    tool(
        "/usr/lib/python3/dist-packages/starlette/__init__.py",
        "python3-starlette",
    ),
    tool(
        "/usr/lib/python3/dist-packages/httpx/__init__.py",
        "python3-httpx",
    ),
];

/// What reads the captures that `resetmon record` writes; not in virtual machines.
pub(crate) const CAPTURES: [Tool; 1] = [tool("tshark", "tshark")];

/// What takes events over, or lets a test have a journal of its own; not in virtual machines.
pub(crate) const OUTWARD: [Tool; 3] = [
    tool("journalctl", "systemd"),
    tool("/lib/systemd/systemd-journald", "systemd"),
    tool("unshare", "util-linux"),
];

/// Every program that the benchmark calls.
pub(crate) const BENCH: [Tool; 8] = [
    tool("nginx", "nginx-light"),
    tool("ip", "iproute2"),
    tool("wrk", "wrk"),
    tool("bpftool", "bpftool"),
    tool("bpftrace", "bpftrace"),
    tool("tcpdump", "tcpdump"),
    tool("tcpstates", "libbpf-tools"),
    tool("unshare", "util-linux"),
];

/// What the test with a real container runtime calls besides.
pub(crate) const CONTAINERS: [Tool; 5] = [
    tool("containerd", "containerd"),
    tool("ctr", "containerd"),
    tool("runc", "runc"),
    tool("nsenter", "util-linux"),
    tool("unshare", "util-linux"),
];

/// Every program that makes packages.
pub(crate) const PACKAGING: [Tool; 4] = [
    tool("musl-gcc", "musl-tools"),
    tool("objcopy", "binutils"),
    tool("dpkg-deb", "dpkg"),
    tool("buildah", "buildah"),
];

/// What the tests of packages call: a bare Debian is made, booted and entered.
pub(crate) const PACKAGE_TESTS: [Tool; 5] = [
    tool("mmdebstrap", "mmdebstrap"),
    tool("systemd-nspawn", "systemd-container"),
    tool("ip", "iproute2"),
    tool("nsenter", "util-linux"),
    tool("unshare", "util-linux"),
];

/// What the virtual machines need besides.
pub(crate) const BUSYBOX: Tool = tool("busybox", "busybox-static");

/// Packages that start a service when installed, with the service.
const SERVICES: [(&str, &str); 6] = [
    ("nginx-light", "nginx"),
    ("prometheus", "prometheus"),
    ("haproxy", "haproxy"),
    ("caddy", "caddy"),
    ("etcd-server", "etcd"),
    ("containerd", "containerd"),
];

/// Where apt keeps what it knows of the repositories.
const LISTS: &str = "/var/lib/apt/lists";

/// Runs its arguments while `policy-rc.d` forbids packages to start services, unless the host
/// already has a policy of its own. A guard left by an interrupted run is taken over.
const GUARDED: &str = r#"# Runs its arguments while packages may not start services; removes the rule afterwards.
set -eu
guard=/usr/sbin/policy-rc.d
mark='set by cargo xtask setup'
made=
cleanup() { if [ -n "$made" ]; then rm -f "$guard"; fi; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if { [ ! -e "$guard" ] && [ ! -L "$guard" ]; } || grep -q "$mark" "$guard"; then
    made=1
    printf '#!/bin/sh\n# %s: no service is started\nexit 101\n' "$mark" > "$guard"
    chmod 755 "$guard"
fi
"$@"
"#;

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// Those of `tools` that `dirs` lack.
pub(crate) fn missing(tools: Vec<Tool>, dirs: &[PathBuf]) -> Vec<Tool> {
    tools
        .into_iter()
        .filter(|tool| match Path::new(tool.program) {
            file if file.is_absolute() => !file.exists(),
            _ => find_program(tool.program, dirs).is_none(),
        })
        .collect()
}

/// The services among `packages`.
fn services(packages: &[&str]) -> Vec<&'static str> {
    SERVICES
        .into_iter()
        .filter(|(package, _)| packages.contains(package))
        .map(|(_, service)| service)
        .collect()
}

/// Whether apt has no package lists, as in a container image.
pub(crate) fn lists_are_absent() -> bool {
    let Ok(entries) = Path::new(LISTS).read_dir() else {
        return true;
    };
    !entries
        .flatten()
        .any(|entry| is_package_list(&entry.file_name().to_string_lossy()))
}

/// Whether a file of apt's lists holds packages; it may be compressed.
fn is_package_list(name: &str) -> bool {
    name.split_once("_Packages")
        .is_some_and(|(_, suffix)| suffix.is_empty() || suffix.starts_with('.'))
}

/// Whether apt could install all of `packages` without removing others.
pub(crate) fn are_available(packages: &[&str]) -> bool {
    install_call(packages)
        .arg("--simulate")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Refreshes the package lists.
///
/// # Errors
/// When apt fails.
pub(crate) fn update(log: &Path) -> Result<()> {
    update_call().run_logged(log)
}

/// Installs `packages`, without starting their services now or at the next boot.
///
/// # Errors
/// When apt fails, also because a package would have to be removed for it.
pub(crate) fn install(packages: &[&str], dirs: &[PathBuf], log: &Path) -> Result<()> {
    let services = services(packages);
    let mut call = install_call(packages);
    if !services.is_empty() {
        let script = log.with_file_name("without-services.sh");
        std::fs::write(&script, GUARDED)
            .with_context(|| format!("cannot write {}", script.display()))?;
        call = call.under(&[OsStr::new("sh"), script.as_os_str()]);
    }
    call.run_logged(log)?;
    if !services.is_empty() && find_program("systemctl", dirs).is_some() {
        Invocation::new("systemctl")
            .arg("disable")
            .args(&services)
            .run_logged(log)
            .with_context(|| format!("cannot keep {} from starting", services.join(" and ")))?;
    }
    Ok(())
}

/// What to type as root to have `packages`, without running their services.
pub(crate) fn lines_for_root(packages: &[&str]) -> Vec<String> {
    let mut lines = vec![
        "apt-get update".to_owned(),
        format!(
            "apt-get install --no-install-recommends --no-remove {}",
            packages.join(" ")
        ),
    ];
    let services = services(packages);
    if !services.is_empty() {
        lines.push(format!("systemctl disable --now {}", services.join(" ")));
    }
    lines
}

fn apt_get() -> Invocation {
    Invocation::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet")
        // A fresh machine often still runs its own updates.
        .args(["-o", "DPkg::Lock::Timeout=300"])
}

fn update_call() -> Invocation {
    apt_get().arg("update")
}

fn install_call(packages: &[&str]) -> Invocation {
    apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        // rustc-web conflicts with Debian's rustc: nobody's compiler is removed unasked.
        .arg("--no-remove")
        .args(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_package_lists() {
        let rows = [
            (
                "mirror.example_debian_dists_x_main_binary-amd64_Packages",
                true,
            ),
            ("x_binary-amd64_Packages.lz4", true),
            ("x_main_i18n_Translation-en", false),
            ("x_InRelease", false),
            ("x_PackagesIndex", false),
            ("lock", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_package_list(name), expected, "{name}");
        }
    }

    #[test]
    fn files_count_where_they_are_and_programs_where_they_are_searched() {
        let tools = ["/dev/null", "/dev/none", "null", "sh"].map(|name| tool(name, "p"));
        let missing = missing(tools.to_vec(), &["/dev".into(), "/bin".into()]);
        let missing: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
        assert_eq!(missing, ["/dev/none", "null"]);
    }

    #[test]
    fn root_is_told_to_stop_only_services_it_installs() {
        assert_eq!(
            lines_for_root(&["curl", "nginx-light"]),
            [
                "apt-get update",
                "apt-get install --no-install-recommends --no-remove curl nginx-light",
                "systemctl disable --now nginx",
            ]
        );
        assert_eq!(
            lines_for_root(&["curl"]).last().unwrap(),
            "apt-get install --no-install-recommends --no-remove curl"
        );
    }

    #[test]
    fn every_service_is_one_of_a_tool() {
        for (package, service) in SERVICES {
            assert!(
                TOOLS
                    .iter()
                    .chain(&GATEWAYS)
                    .chain(&CONTAINERS)
                    .chain(&crate::kubernetes::TOOLS)
                    .any(|known| *known == tool(service, package)),
                "{package} brings no {service}"
            );
        }
    }
}
