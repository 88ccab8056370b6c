//! Names where `/proc` says nothing of a process, or nothing any more.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::faults::{Agent, asked, client, is, reset};
use crate::program::{Program, free_port, until, until_listening};

/// Runs its arguments with a `/proc` that hides every process of others, and without the
/// capability that would see them all the same. Group 0 sees them unless another does.
const HIDDEN: &str = "mount -t proc -o hidepid=2,gid=4294967294 proc /proc &&
    exec setpriv --bounding-set=-sys_ptrace \"$0\" \"$@\"";

#[test]
fn processes_that_proc_hides() {
    let folder = tempfile::tempdir().unwrap();
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend_at = backend.local_addr().unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let text = format!(
        "gateways: [{{name: edge, process: haproxy, listeners: '{at}',
            routes: [{{name: /, upstream: api}}],
            upstreams: [{{name: api, endpoints: 'localhost:{}'}}]}}]\n",
        backend_at.port()
    );
    let config = folder.path().join("resetmon.yaml");
    fs::write(&config, text).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", HIDDEN])
        .arg(env!("CARGO_BIN_EXE_resetmon"));
    let agent = Agent::start_as(command, &["--config".as_ref(), config.as_os_str()]);

    let text = format!(
        "defaults\n mode http\n retries 0\n timeout connect 5s\n timeout client 60s\n \
         timeout server 60s\nlisten shop\n bind {at}\n server one {backend_at}\n"
    );
    let path = folder.path().join("haproxy.cfg");
    fs::write(&path, text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-W").arg("-f").arg(path);
    let _haproxy = Program::start(&mut command, &folder.path().join("log"));
    until_listening(at);
    until("the address of localhost", || {
        let status = agent.status();
        let lines = status["notes"].as_array().unwrap();
        lines.is_empty()
    });

    let _client = client(at, "/");
    let (stream, from) = asked(&backend);
    reset(stream);
    let event = agent.event("the backend's reset", |event| {
        is(event, "received", Some(from), backend_at)
    });
    let process = &event["process"];
    assert!(process["exe"].is_null(), "/proc hides it: {event:#}");
    for (found, expected) in [
        (&process["name"], "haproxy"),
        (&event["gateway"], "edge"),
        (&event["leg"], "upstream"),
        (&event["route"], "/"),
        (&event["upstream"], "api"),
        (&event["peer"], "localhost"),
    ] {
        assert_eq!(*found, expected, "{event:#}");
    }
}

/// The id of a container, and of its pod.
const CONTAINER: &str = "5e1f0c2b7a9d4e8f6a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f";
const POD: &str = "8b1f5c1e-6d1a-4c55-9c5d-0c8f0e1a2b3c";

/// The cgroup of a pod's container, removed with this value.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let root = if root.join("cgroup.controllers").exists() {
            root.to_owned()
        } else {
            root.join("unified")
        };
        let slice = format!("resetmon-test-{}.slice", std::process::id());
        let pod = format!("kubepods-pod{}.slice", POD.replace('-', "_"));
        let path = root
            .join(slice)
            .join("kubepods.slice")
            .join(pod)
            .join(format!("cri-containerd-{CONTAINER}.scope"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// True once it is gone: its processes have ended.
    fn remove(&self) -> bool {
        fs::remove_dir(&self.0).is_ok() || !self.0.exists()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.remove();
        for path in self.0.ancestors().skip(1).take(3) {
            let _ = fs::remove_dir(path);
        }
    }
}

/// A process of the container that holds a connection, killed when dropped.
struct Holder(Child);

impl Holder {
    /// Connects to `to` twice, once on each line that it reads.
    fn start(cgroup: &Path, to: SocketAddr) -> Self {
        let script = format!(
            "echo $$ > {}/cgroup.procs; read; exec 3<>/dev/tcp/{ip}/{port};
             read; exec 4<>/dev/tcp/{ip}/{port}; read",
            cgroup.display(),
            ip = to.ip(),
            port = to.port()
        );
        let child = Command::new("bash")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn connect(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        listener.accept().unwrap()
    }

    fn kill(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_container_that_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let cgroup = Cgroup::new();
    let agent = Agent::start_with(&[]);
    let mut holder = Holder::start(cgroup.path(), at);

    // The first connection shows the agent the process.
    let (stream, from) = holder.connect(&listener);
    reset(stream);
    let event = agent.event("the first reset", |event| {
        is(event, "received", Some(from), at)
    });
    assert_eq!(event["process"]["container"]["id"], CONTAINER, "{event:#}");

    // It is killed with what it has not read, and all of the container goes with it.
    let (mut stream, from) = holder.connect(&listener);
    stream.write_all(b"unread").unwrap();
    holder.kill();
    until("the cgroup to go", || cgroup.remove());
    let event = agent.event("the last reset", |event| is(event, "sent", Some(from), at));
    let process = &event["process"];
    for (found, expected) in [
        (&process["name"], "bash"),
        (&process["exit_signal"], "SIGKILL"),
        (&process["container"]["id"], CONTAINER),
        (&process["container"]["pod_uid"], POD),
    ] {
        assert_eq!(*found, expected, "{event:#}");
    }
}
