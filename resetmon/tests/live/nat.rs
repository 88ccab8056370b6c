//! Connections that are translated on their way: nginx connects to a virtual address, a packet
//! filter leads it to the backend, and the upstream is described by the backend's address alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::terminate;
use crate::http;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::{PATIENCE, Service, wait_for};

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "nat_in_the_own_namespace",
        programs: &["nginx", "nft", "ip"],
        natively: true,
        run: || {
            let node = Netns::new()?;
            let gateway = node.clone();
            translated(&node, &gateway, &gateway, "nat: {conntrack: true}")
        },
    },
    Whole {
        name: "nat_in_another_namespace",
        programs: &["nginx", "nft", "ip"],
        natively: true,
        run: || {
            let (node, gateway) = (Netns::new()?, Netns::new()?);
            let enter = "nat: {conntrack: true}\ndiscovery: {enter_network_namespaces: true}";
            translated(&node, &gateway, &gateway, enter)
        },
    },
    Whole {
        name: "nat_on_the_node_of_a_pod",
        programs: &["nginx", "nft", "ip"],
        natively: true,
        run: || {
            let (node, pod) = (Netns::new()?, Netns::new()?);
            translated(&node, &pod, &node, "nat: {conntrack: true}")
        },
    },
    Whole {
        name: "nat_without_the_capability",
        programs: &["nginx", "nft", "ip", "setpriv"],
        natively: true,
        run: not_permitted,
    },
];

const NGINX: &str = "127.0.0.1:8080";
const NGINX_CONF: &str = "
user root;
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log info;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:8080;
        location /v4 { proxy_pass http://198.51.100.1:80; }
        location /v6 { proxy_pass http://[2001:db8:51::1]:80; }
        location /none { proxy_pass http://198.51.100.1:81; }
    }
}
";
const RESETMON_YAML: &str = "
gateways:
  - name: edge
    process: nginx
    listeners: 127.0.0.1:8080
    routes:
      - {name: /v4, upstream: pay}
      - {name: /v6, upstream: chat}
    upstreams:
      - {name: pay, endpoints: \"10.99.0.9:9001\"}
      - {name: chat, endpoints: \"[2001:db8:99::9]:9001\"}
";
/// From virtual addresses to backends; nobody listens at the last one.
const RULES: &str = "
table inet resetmon {
  chain out { type nat hook output priority -100; jump lead; }
  chain in { type nat hook prerouting priority -100; jump lead; }
  chain lead {
    ip daddr 198.51.100.1 tcp dport 80 dnat ip to 10.99.0.9:9001
    ip daddr 198.51.100.1 tcp dport 81 dnat ip to 10.99.0.9:9002
    ip6 daddr 2001:db8:51::1 tcp dport 80 dnat ip6 to [2001:db8:99::9]:9001
  }
}
";

/// A way through the gateway: path, virtual address, backend, upstream.
const WAYS: [(&str, &str, &str, &str); 2] = [
    ("/v4", "198.51.100.1:80", "10.99.0.9:9001", "pay"),
    (
        "/v6",
        "[2001:db8:51::1]:80",
        "[2001:db8:99::9]:9001",
        "chat",
    ),
];

/// nginx in a namespace, backends and packet filter in the same or in another one.
struct Site<'a> {
    gateway: &'a Netns,
    nginx: Child,
    backends: Vec<(SocketAddr, TcpListener)>,
    agent: Service,
    _folder: TempDir,
}

impl<'a> Site<'a> {
    /// `resetmon` runs in `node`, nginx in `gateway`; connections are translated in `filter`.
    fn start(
        mut resetmon: Command,
        node: &Netns,
        gateway: &'a Netns,
        filter: &Netns,
        settings: &str,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(folder.path().join(name))?;
        }
        std::fs::write(folder.path().join("nginx.conf"), NGINX_CONF)?;
        let config = folder.path().join("resetmon.yaml");
        std::fs::write(&config, format!("{settings}\n{RESETMON_YAML}"))?;

        for address in ["10.99.0.9/32", "2001:db8:99::9/128"] {
            ip(filter, &["addr", "add", address, "dev", "lo"])?;
        }
        if filter.inode() == gateway.inode() {
            for address in ["198.51.100.1/32", "2001:db8:51::1/128"] {
                ip(filter, &["addr", "add", address, "dev", "lo"])?;
            }
        } else {
            connect(filter, gateway)?;
        }
        filter.nft(RULES)?;
        let mut backends = Vec::new();
        for (_, _, backend, _) in WAYS {
            let at: SocketAddr = backend.parse()?;
            let listener = filter
                .enter(|| TcpListener::bind(at))?
                .with_context(|| format!("listen at {at}"))?;
            backends.push((at, listener));
        }

        resetmon.args(["run", "--no-pin", "--config"]).arg(&config);
        let agent = Service::start(&mut resetmon, node, folder.path(), "agent")?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let nginx = gateway
            .run_in(&mut command)
            .spawn()
            .context("start nginx")?;
        let site = Self {
            gateway,
            nginx,
            backends,
            agent,
            _folder: folder,
        };
        wait_for("nginx", || Ok(site.connect().ok()))?;
        Ok(site)
    }

    fn connect(&self) -> Result<TcpStream> {
        let at: SocketAddr = NGINX.parse()?;
        let stream = self.gateway.enter(|| TcpStream::connect(at))??;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A request, whose answer is the caller's to read.
    fn ask(&self, path: &str) -> Result<TcpStream> {
        let mut stream = self.connect()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n"
        )?;
        Ok(stream)
    }

    /// The backend at `at` takes the request that comes next and resets the connection.
    fn abort(&self, at: &str) -> Result<()> {
        let at: SocketAddr = at.parse()?;
        let (_, listener) = self
            .backends
            .iter()
            .find(|(address, _)| *address == at)
            .context("no such backend")?;
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = [0; 4096];
        ensure!(stream.read(&mut request)? > 0, "no request came");
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        Ok(())
    }

    /// The reset that nginx received from `remote`.
    fn received(&self, remote: &str) -> Result<Value> {
        wait_for("the reset of the gateway's connection", || {
            let events = self.agent.events(self.gateway)?;
            let mut events = events.into_iter();
            Ok(events.find(|event| event["direction"] == "received" && event["remote"] == remote))
        })
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = terminate(&mut self.nginx);
    }
}

/// Runs `ip` in a namespace.
fn ip(namespace: &Netns, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    let output = namespace
        .run_in(command.args(arguments))
        .output()
        .context("run ip")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("ip {arguments:?}: {said}");
    }
    Ok(())
}

/// A pair of interfaces between a node and a pod, whose packets all go to the node.
fn connect(node: &Netns, pod: &Netns) -> Result<()> {
    ip(
        pod,
        &[
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            "name",
            "pod0",
            "netns",
            &node.path(),
        ],
    )?;
    for (namespace, device, v4, v6) in [
        (node, "pod0", "10.98.0.1/24", "2001:db8:98::1/64"),
        (pod, "eth0", "10.98.0.2/24", "2001:db8:98::2/64"),
    ] {
        ip(namespace, &["addr", "add", v4, "dev", device])?;
        ip(namespace, &["addr", "add", v6, "dev", device, "nodad"])?;
        ip(namespace, &["link", "set", device, "up"])?;
    }
    ip(pod, &["route", "add", "default", "via", "10.98.0.1"])?;
    ip(
        pod,
        &["-6", "route", "add", "default", "via", "2001:db8:98::1"],
    )
}

fn translated(node: &Netns, gateway: &Netns, filter: &Netns, settings: &str) -> Result<()> {
    let resetmon = Command::new(env!("CARGO_BIN_EXE_resetmon"));
    let mut site = Site::start(resetmon, node, gateway, filter, settings)?;
    for (path, remote, backend, upstream) in WAYS {
        let client = site.ask(path)?;
        site.abort(backend)?;
        let event = site.received(remote)?;
        for (key, expected) in [
            ("gateway", json!("edge")),
            ("leg", json!("upstream")),
            ("upstream", json!(upstream)),
            ("route", json!(path)),
        ] {
            ensure!(event[key] == expected, "{key} is not {expected}: {event}");
        }
        let said = format!("from {remote} to {backend}");
        ensure!(
            event["evidence"].to_string().contains(&said),
            "the translation is not shown: {event}"
        );
        drop(client);
    }
    // A connection that is refused leaves no entry, and there is no guess.
    let client = site.ask("/none")?;
    let event = site.received("198.51.100.1:81")?;
    without_upstream(&event)?;
    drop(client);
    site.agent.stop()
}

/// Without its capability nothing is guessed, and /status says why.
fn not_permitted() -> Result<()> {
    let node = Netns::new()?;
    let mut resetmon = Command::new("setpriv");
    resetmon.args(["--inh-caps=-net_admin", "--bounding-set=-net_admin"]);
    resetmon.arg(env!("CARGO_BIN_EXE_resetmon"));
    let settings = "nat: {conntrack: true}";
    let mut site = Site::start(resetmon, &node, &node, &node, settings)?;
    for (path, remote, backend, _) in WAYS {
        let client = site.ask(path)?;
        site.abort(backend)?;
        without_upstream(&site.received(remote)?)?;
        drop(client);
    }
    let status = http::get(&node, site.agent.address()?, "/status", "text/plain")?;
    ensure!(
        status.body.contains("CAP_NET_ADMIN"),
        "/status does not say why: {}",
        status.body
    );
    site.agent.stop()
}

fn without_upstream(event: &Value) -> Result<()> {
    for (key, expected) in [("gateway", "edge"), ("leg", "upstream")] {
        ensure!(event[key] == expected, "{key} is not {expected}: {event}");
    }
    for key in ["upstream", "route"] {
        let text = event[key].as_str().unwrap_or("");
        ensure!(text.is_empty(), "{key} is a guess: {event}");
    }
    Ok(())
}
