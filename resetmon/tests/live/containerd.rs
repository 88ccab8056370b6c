//! Names of pods and containers from a real container runtime: containerd starts a pod by its CRI
//! socket, as a kubelet does, and a process in it meets a reset.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::terminate;
use crate::cri::{
    ContainerConfig, ContainerId, ContainerMetadata, ContainerSecurity, CreateContainerRequest,
    Empty, ImageSpec, LinuxContainerConfig, LinuxPodSandboxConfig, Namespaces, PodSandboxConfig,
    PodSandboxMetadata, RunPodSandboxRequest, RunPodSandboxResponse, SandboxId, SandboxSecurity,
    call,
};
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::{Service, wait_for};

/// Every row.
pub(crate) static TESTS: &[Whole] = &[Whole {
    name: "containerd_names_pod_and_container",
    programs: &[
        "containerd",
        "ctr",
        "runc",
        "busybox",
        "nsenter",
        "unshare",
        "tar",
        "sha256sum",
    ],
    natively: true,
    run: names,
}];

/// Where resetmon looks for containerd, in a /run that only this test has.
const SOCKET: &str = "/run/containerd/containerd.sock";
const IMAGE: &str = "localhost/busybox:1";
/// `NamespaceMode` of CRI.
const NODE: i32 = 2;
/// Nobody listens there.
const PORT: u16 = 9;

/// containerd in a mount namespace of its own, and in the network namespace of the test.
struct Runtime {
    child: Child,
    folder: TempDir,
    sandbox: Option<String>,
}

impl Runtime {
    fn start(netns: &Netns) -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("config.toml");
        let root = folder.path().join("root");
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{}\"\nstate = \"/run/containerd\"\n\
                 [grpc]\n  address = \"{SOCKET}\"\n\
                 [plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n  \
                 sandbox_image = \"{IMAGE}\"\n\
                 [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"native\"\n",
                root.display()
            ),
        )?;
        let log = File::create(folder.path().join("containerd.log"))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount -t tmpfs none /run && mkdir /run/containerd && exec containerd --config \"$0\"")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = netns
            .run_in(&mut command)
            .spawn()
            .context("start containerd")?;
        let mut runtime = Self {
            child,
            folder,
            sandbox: None,
        };
        wait_for("containerd", || {
            if let Some(status) = runtime.child.try_wait()? {
                bail!("containerd ended with {status}: {}", runtime.said());
            }
            let answer: Result<Empty> = call(&runtime.socket(), "Version", &Empty {});
            Ok(answer.ok())
        })?;
        Ok(runtime)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("containerd.log")).unwrap_or_default()
    }

    /// Its socket, seen from outside its mount namespace.
    fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{SOCKET}", self.child.id()))
    }

    /// A command in its mount namespace.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.child.id()))
            .arg("--")
            .arg(program);
        command
    }

    /// An image with nothing but busybox, imported without a registry.
    fn import(&self) -> Result<()> {
        let folder = self.folder.path().join("image");
        fs::create_dir_all(folder.join("layer/bin"))?;
        let busybox = output(Command::new("sh").args(["-c", "command -v busybox"]))?;
        fs::copy(busybox.trim(), folder.join("layer/bin/busybox"))?;
        tar(&folder.join("layer.tar"), &folder.join("layer"), &["bin"])?;
        let digest = output(Command::new("sha256sum").arg(folder.join("layer.tar")))?;
        let digest = digest.split(' ').next().context("digest")?;
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture, "os": "linux",
            "config": {"Entrypoint": ["/bin/busybox", "sleep", "100000"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
        fs::write(folder.join("config.json"), config.to_string())?;
        fs::write(folder.join("manifest.json"), manifest.to_string())?;
        let image = self.folder.path().join("image.tar");
        let parts = ["manifest.json", "config.json", "layer.tar"];
        tar(&image, &folder, &parts)?;
        let mut import = self.command("ctr");
        import
            .args(["--address", SOCKET, "--namespace", "k8s.io"])
            .args(["images", "import", "--snapshotter", "native"])
            .arg(&image);
        output(&mut import)?;
        Ok(())
    }

    /// A pod in the node's network, with a container that runs `command`.
    fn run(&mut self, uid: &str, command: &[&str]) -> Result<String> {
        let namespaces = Some(Namespaces { network: NODE });
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "pay-7d4b9c-x2x4z".to_owned(),
                uid: uid.to_owned(),
                namespace: "shop".to_owned(),
            }),
            labels: [("pod-template-hash".to_owned(), "7d4b9c".to_owned())].into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/besteffort/pod{uid}"),
                security_context: Some(SandboxSecurity {
                    namespaces: namespaces.clone(),
                }),
            }),
        };
        let question = RunPodSandboxRequest {
            config: Some(config.clone()),
        };
        let sandbox: RunPodSandboxResponse =
            call(&self.socket(), "RunPodSandbox", &question).with_context(|| self.said())?;
        self.sandbox = Some(sandbox.id.clone());
        let question = CreateContainerRequest {
            sandbox: sandbox.id,
            config: Some(ContainerConfig {
                metadata: Some(ContainerMetadata {
                    name: "app".to_owned(),
                }),
                image: Some(ImageSpec {
                    image: IMAGE.to_owned(),
                }),
                command: command.iter().map(|word| (*word).to_owned()).collect(),
                linux: Some(LinuxContainerConfig {
                    security_context: Some(ContainerSecurity { namespaces }),
                }),
            }),
            sandbox_config: Some(config),
        };
        let container: ContainerId =
            call(&self.socket(), "CreateContainer", &question).with_context(|| self.said())?;
        let _: Empty =
            call(&self.socket(), "StartContainer", &container).with_context(|| self.said())?;
        Ok(container.id)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // The pod would outlive containerd. What cannot be removed any more is gone already.
        if let Some(id) = self.sandbox.take() {
            let id = SandboxId { id };
            for step in ["StopPodSandbox", "RemovePodSandbox"] {
                let done: Result<Empty> = call(&self.socket(), step, &id);
                if let Err(error) = done {
                    eprintln!("{step}: {error:#}");
                }
            }
        }
        let _ = terminate(&mut self.child);
    }
}

fn tar(file: &Path, folder: &Path, parts: &[&str]) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .arg("-cf")
        .arg(file)
        .arg("-C")
        .arg(folder)
        .args(parts);
    output(&mut command).map(drop)
}

/// What a program says; it must succeed.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn names() -> Result<()> {
    let netns = Netns::new()?;
    let mut runtime = Runtime::start(&netns)?;
    runtime.import()?;
    let mut command = runtime.command(env!("CARGO_BIN_EXE_resetmon"));
    command.args(["run", "--no-pin"]);
    let mut agent = Service::start(&mut command, &netns, runtime.folder.path(), "agent")?;

    let uid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    let knock = format!("while :; do nc 127.0.0.1 {PORT}; sleep 1; done");
    let command = ["/bin/busybox", "sh", "-c", &knock];
    let id = runtime.run(uid, &command)?;

    let at = format!("127.0.0.1:{PORT}");
    let named = wait_for("a reset with the names of the pod", || {
        let events = agent.events(&netns)?;
        let refused = |event: &Value| {
            event["direction"] == "received"
                && event["remote"] == at
                && event["process"]["container"]["pod"].is_string()
        };
        Ok(events.into_iter().find(refused))
    })
    .with_context(|| format!("{:#?}\n{}", agent.events(&netns), runtime.said()))?;
    let container = &named["process"]["container"];
    for (key, expected) in [
        ("id", json!(id)),
        // This kind of cgroup path does not tell which one.
        ("runtime", json!("cri")),
        ("pod_uid", json!(uid)),
        ("namespace", json!("shop")),
        ("pod", json!("pay-7d4b9c-x2x4z")),
        ("name", json!("app")),
        ("workload", json!("Deployment/pay")),
    ] {
        ensure!(
            container[key] == expected,
            "{key} is not {expected}: {named}"
        );
    }
    agent.stop()
}
