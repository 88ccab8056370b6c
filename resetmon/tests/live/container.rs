//! The agent in a container with the security settings of the Kubernetes manifest, and no others.
//!
//! runc is what the runtimes of Kubernetes start containers with; what they add to the manifest's
//! settings is added here too: their mounts, masked paths, namespaces and filter of system calls.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::wait_for;

mod filter;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "settings_of_the_manifest_suffice",
    programs: &["runc", "mount", "umount", "ldd"],
    natively: true,
    run: settings_suffice,
}];

const MANIFEST: &str = include_str!("../../../deploy/kubernetes/base/daemonset.yaml");
const CONFIG: &str = include_str!("../../../deploy/kubernetes/base/resetmon.yaml");

/// A container and all that it needs; gone with this value.
struct Container {
    folder: TempDir,
    netns: Netns,
    name: String,
}

fn settings_suffice() -> Result<()> {
    suffices(&[json!("/usr/bin/resetmon")], |root| {
        for directory in ["usr/bin", "etc", "proc", "sys", "dev", "run"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::copy(
            env!("CARGO_BIN_EXE_resetmon"),
            root.join("usr/bin/resetmon"),
        )?;
        for library in libraries()? {
            let inside = root.join(library.strip_prefix("/")?);
            fs::create_dir_all(inside.parent().context("a folder")?)?;
            fs::copy(&library, &inside)?;
        }
        Ok(())
    })
}

/// Runs the program that `entrypoint` names in the files that `fill` makes.
pub(crate) fn suffices(entrypoint: &[Value], fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let pod: Value = serde_saphyr::from_str::<Value>(MANIFEST)?["spec"]["template"]["spec"].take();
    let container = Container::new(&pod, entrypoint, fill)?;
    for life in 1..=2 {
        container.start(life)?;
        let at: SocketAddr = "127.0.0.1:9435".parse()?;
        let page = |path: &str| http::get(&container.netns, at, path, "text/plain");
        wait_for("/readyz", || {
            container.ensure_runs(life)?;
            Ok(page("/readyz").ok())
        })?;
        page("/healthz")?;
        container
            .netns
            .enter(|| crate::restart::aborted(&crate::restart::listeners()?[0]))??;
        // By the name of its executable, which is longer than what the kernel keeps of it: so the
        // processes of others can be looked at.
        let own = std::env::current_exe()?;
        let name = own
            .file_name()
            .context("a name")?
            .to_string_lossy()
            .into_owned();
        wait_for("the reset", || {
            let page = page("/metrics")?.body;
            let mut lines = page.lines();
            Ok(lines
                .find(|line| {
                    line.starts_with("resetmon_process_resets_total{direction=\"received\"")
                        && line.contains(&format!("process=\"{name}\""))
                })
                .map(str::to_owned))
        })?;
        if life == 1 {
            container.demonstrates(entrypoint)?;
        }
        container.stop(life)?;
        // What the next life takes over, in the directory of the node.
        let sets = fs::read_dir(container.pins())?.count();
        ensure!(sets == 1, "{sets} sets of pins");
    }
    let said = container.said(2)?;
    // What the kernel withholds, it withholds everywhere.
    let complaint = said.lines().find(|line| {
        let is_one = line.contains(" WARN ") || line.contains(" ERROR ");
        is_one && !line.contains("probes could not be attached")
    });
    ensure!(complaint.is_none(), "{said}");
    Ok(())
}

impl Container {
    /// A root file system, a bpffs, and `config.json`.
    fn new(
        pod: &Value,
        entrypoint: &[Value],
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let container = Self {
            name: format!("resetmon-test-{}", std::process::id()),
            netns: Netns::new()?,
            folder,
        };
        let root = container.path("rootfs");
        fs::create_dir(&root)?;
        fill(&root)?;
        fs::create_dir(container.path("configuration"))?;
        fs::write(
            container.path("configuration").join("resetmon.yaml"),
            CONFIG,
        )?;
        fs::create_dir(container.path("bpf"))?;
        run(Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(container.path("bpf")))?;
        // As the kubelet does for DirectoryOrCreate.
        fs::create_dir(container.pins())?;
        let config = container.configuration(pod, entrypoint)?;
        fs::write(container.path("config.json"), config.to_string())?;
        Ok(container)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pins(&self) -> PathBuf {
        self.path("bpf").join("resetmon")
    }

    /// The pod's one container as runc reads it.
    fn configuration(&self, pod: &Value, entrypoint: &[Value]) -> Result<Value> {
        let container = &pod["containers"][0];
        let context = &container["securityContext"];
        ensure!(context["privileged"] == false, "privileged");
        let dropped = &context["capabilities"]["drop"];
        ensure!(*dropped == json!(["ALL"]), "drop: {dropped}");
        let added = context["capabilities"]["add"]
            .as_array()
            .context("capabilities")?;
        let capabilities: Vec<String> = added
            .iter()
            .filter_map(Value::as_str)
            .map(|name| format!("CAP_{name}"))
            .collect();
        let mut arguments = entrypoint.to_vec();
        arguments.extend(
            container["args"]
                .as_array()
                .context("args")?
                .iter()
                .cloned(),
        );
        let mut mounts = Self::runtime_mounts();
        for mount in container["volumeMounts"].as_array().context("mounts")? {
            let source = match mount["name"].as_str() {
                Some("pins") => self.pins(),
                Some("config") => self.path("configuration"),
                other => bail!("what is mounted as {other:?}?"),
            };
            let access = if mount["readOnly"] == true {
                "ro"
            } else {
                "rw"
            };
            mounts.push(json!({
                "destination": mount["mountPath"], "type": "bind", "source": source,
                "options": ["rbind", "rprivate", access],
            }));
        }
        // Of the network: the test's own, as a pod has one of its own.
        let mut namespaces = vec![
            json!({"type": "mount"}),
            json!({"type": "ipc"}),
            json!({"type": "uts"}),
        ];
        if pod["hostPID"] != true {
            namespaces.push(json!({"type": "pid"}));
        }
        ensure!(
            pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "seccomp"
        );
        let filter = filter::runtime_default(&capabilities)?;
        let sets = json!({
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        });
        Ok(json!({
            "ociVersion": "1.0.2",
            "hostname": "resetmon",
            "root": {"path": "rootfs", "readonly": context["readOnlyRootFilesystem"]},
            "process": {
                "terminal": false, "cwd": "/", "args": arguments,
                "env": ["PATH=/usr/bin", "NODE_NAME=node-1"],
                "user": {"uid": context["runAsUser"], "gid": context["runAsGroup"]},
                "capabilities": sets,
                "noNewPrivileges": context["allowPrivilegeEscalation"] == false,
            },
            "mounts": mounts,
            "linux": {
                "namespaces": namespaces,
                "maskedPaths": ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys",
                    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                    "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                    "/proc/sysrq-trigger"],
                "seccomp": filter,
            },
        }))
    }

    /// What containerd and CRI-O mount into every container.
    fn runtime_mounts() -> Vec<Value> {
        let flags = |more: &[&str]| {
            let mut flags = vec!["nosuid", "noexec"];
            flags.extend(more);
            flags.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": flags(&["nodev"])}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]}),
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": flags(&["nodev", "ro"])}),
        ]
    }

    /// Starts it for the `life`th time, in the test's network namespace.
    fn start(&self, life: u32) -> Result<()> {
        let log = fs::File::create(self.path(&format!("log-{life}")))?;
        let mut command = Command::new("runc");
        command
            .arg("--root")
            .arg(self.path("state"))
            .args(["run", "--detach", "--bundle"])
            .arg(self.folder.path())
            .arg(&self.name)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = self
            .netns
            .run_in(&mut command)
            .status()
            .context("start runc")?;
        ensure!(status.success(), "runc: {status}: {}", self.said(life)?);
        Ok(())
    }

    fn said(&self, life: u32) -> Result<String> {
        Ok(fs::read_to_string(self.path(&format!("log-{life}")))?)
    }

    fn state(&self) -> Result<Value> {
        let output = self.runc(&["state"]).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn runc(&self, verb: &[&str]) -> Command {
        let mut command = Command::new("runc");
        command
            .arg("--root")
            .arg(self.path("state"))
            .args(verb)
            .arg(&self.name);
        command
    }

    fn ensure_runs(&self, life: u32) -> Result<()> {
        let state = self.state()?;
        ensure!(
            state["status"] == "running",
            "it has ended: {}",
            self.said(life)?
        );
        Ok(())
    }

    /// `resetmon demo`, as `kubectl exec` starts it.
    fn demonstrates(&self, entrypoint: &[Value]) -> Result<()> {
        let mut command = self.runc(&["exec"]);
        command
            .args(entrypoint.iter().filter_map(Value::as_str))
            .arg("demo");
        // Which network the container has is not in its configuration.
        let output = self.netns.run_in(&mut command).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && said.contains("All 4"),
            "demo: {}: {said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// SIGTERM, as at the end of a pod.
    fn stop(&self, life: u32) -> Result<()> {
        let mut command = Command::new("runc");
        command
            .arg("--root")
            .arg(self.path("state"))
            .args(["kill", &self.name, "TERM"]);
        run(&mut command)?;
        wait_for("the end", || {
            Ok((self.state()?["status"] == "stopped").then_some(()))
        })?;
        run(&mut self.runc(&["delete"]))?;
        let said = self.said(life)?;
        ensure!(said.contains("stopping"), "{said}");
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It has ended if all went well; what is left attached goes with the file system.
        let _ = self.runc(&["delete", "--force"]).output();
        let _ = Command::new("umount").arg(self.path("bpf")).status();
    }
}

/// The shared libraries of the agent, its loader too.
fn libraries() -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(env!("CARGO_BIN_EXE_resetmon"))
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && Path::new(word).is_file())
        .map(PathBuf::from)
        .collect())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
