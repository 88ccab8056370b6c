//! What the virtual machine boots into: a file system in memory whose first program runs the
//! tests and powers off.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Cpio;
use super::modules::Module;
use super::programs::{self, Programs};

/// What the lines that are not a program's begin with.
pub(crate) const MARK: &str = "@vm ";

/// Where the programs of the host lie in the guest.
const TOOLS: &str = "/tools";

const USERS: &[u8] =
    b"root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUPS: &[u8] = b"root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n";

/// Programs of the host, apart from those under test.
#[derive(Debug)]
pub(crate) struct HostTools {
    /// A busybox with the usual applets.
    pub(crate) busybox: PathBuf,
    /// Programs that the live-kernel tests call.
    pub(crate) called: Vec<PathBuf>,
    /// Takes debug information away, if there is one.
    pub(crate) strip: Option<PathBuf>,
}

/// What is the same for every kernel: programs and libraries.
///
/// # Errors
/// When a program or a library cannot be read.
pub(crate) fn user_land(programs: &Programs, tools: &HostTools, scratch: &Path) -> Result<Cpio> {
    let mut cpio = Cpio::default();
    for folder in ["/proc", "/sys", "/dev", "/tmp", "/run", "/etc", "/bin"] {
        cpio.folder(folder);
    }
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    // nginx gives its workers a user and a group of their own.
    cpio.program("/etc/passwd", USERS);
    cpio.program("/etc/group", GROUPS);
    cpio.program("/bin/busybox", &read(&tools.busybox)?);
    for program in &tools.called {
        cpio.program(&in_tools(program)?, &read(program)?);
    }
    let strip = tools.strip.as_deref();
    let live = programs::without_debug_info(&programs.live, strip, scratch)?;
    cpio.program(&format!("{TOOLS}/live"), &live);
    // The tests know the agent by the path it was built at.
    let agent_path = programs.agent.to_string_lossy();
    let agent = programs::without_debug_info(&programs.agent, strip, scratch)?;
    cpio.program(&agent_path, &agent);
    cpio.link(&format!("{TOOLS}/resetmon"), &agent_path);

    let dynamic = [&tools.busybox, &programs.live, &programs.agent]
        .into_iter()
        .chain(&tools.called);
    let mut libraries = BTreeSet::new();
    for program in dynamic {
        libraries.extend(programs::libraries(program)?);
    }
    for library in &libraries {
        cpio.program(&library.to_string_lossy(), &read(library)?);
    }
    Ok(cpio)
}

fn in_tools(program: &Path) -> Result<String> {
    let name = program
        .file_name()
        .with_context(|| format!("{} has no name", program.display()))?;
    Ok(format!("{TOOLS}/{}", name.to_string_lossy()))
}

/// What differs from kernel to kernel: its modules, and the first program.
pub(crate) fn kernel_part(modules: &[Module], filters: &[String]) -> Cpio {
    let mut cpio = Cpio::default();
    for module in modules {
        cpio.program(&format!("/modules/{}.ko", module.name), &module.object);
    }
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    cpio.program("/init", init(&names, filters).as_bytes());
    cpio
}

/// The first program, for busybox's shell.
///
/// Everything it says goes to the second serial line, so that the kernel's own words, on the
/// first, do not get in between.
fn init(modules: &[&str], filters: &[String]) -> String {
    let quoted = |filter: &String| format!(" '{}'", filter.replace('\'', r"'\''"));
    let filters = filters.iter().map(quoted).collect::<Vec<_>>().concat();
    let modules = modules.join(" ");
    format!(
        r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH={TOOLS}:/bin HOME=/tmp RUST_BACKTRACE=1 RESETMON_GUEST=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec >/dev/ttyS1 2>&1
echo "{MARK}kernel $(uname -r)"
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t securityfs securityfs /sys/kernel/security
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in {modules}; do
    insmod "/modules/$module.ko" || echo "{MARK}not-loaded $module"
done
hostname guest
ip link set lo up
cd /tmp
echo "{MARK}begin doctor"
resetmon doctor --json
echo "{MARK}end doctor $?"
echo "{MARK}begin live"
live{filters}
echo "{MARK}end live $?"
echo "{MARK}begin complaints"
dmesg | grep -E 'WARNING: |BUG: |Oops: |Kernel panic|soft lockup|blocked for more than|verifier bug'
echo "{MARK}end complaints $?"
echo "{MARK}done $(cut -d ' ' -f 1 /proc/uptime)"
poweroff -f
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Invocation;

    #[test]
    fn the_first_program_is_a_shell_script() {
        let script = init(&["a", "b_c"], &["it's".to_owned(), "v6".to_owned()]);
        let path = std::env::temp_dir().join(format!("xtask-init-{}", std::process::id()));
        std::fs::write(&path, &script).unwrap();
        Invocation::new("sh").arg("-n").arg(&path).read().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(script.starts_with("#!/bin/busybox sh\n"));
        assert!(script.contains("\nfor module in a b_c; do\n"), "{script}");
        assert!(script.contains("\nlive 'it'\\''s' 'v6'\n"), "{script}");
        assert!(script.ends_with("\npoweroff -f\n"));
    }

    #[test]
    fn modules_are_loaded_in_the_order_given() {
        let module = |name: &str| Module {
            name: name.to_owned(),
            object: vec![1],
        };
        let archive = kernel_part(&[module("second"), module("first")], &[]).finish();
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("for module in second first; do"));
        assert!(text.contains("modules/first.ko"));
    }
}
