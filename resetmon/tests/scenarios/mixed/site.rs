//! Two gateways with their backends, in one namespace.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::gateway::python::{PYTHON, program};
use crate::netns::Netns;
use crate::owner::{self, signal};
use crate::scene::wait_for;
use crate::sockets;

/// nginx.
pub(super) const EDGE: u16 = 28080;
/// The gateway in Python.
pub(super) const LLM: u16 = 28090;
/// Backends of nginx.
pub(super) const PAYMENTS: u16 = 29001;
pub(super) const SEARCH: u16 = 29002;
pub(super) const ORDERS: u16 = 29003;
pub(super) const HEALTHY: u16 = 29006;
/// Nobody listens there.
pub(super) const BILLING: u16 = 29004;
/// Backend of the gateway in Python.
pub(super) const PROVIDER: u16 = 29005;
/// Three of one upstream.
pub(super) const CATALOG: [u16; 3] = [29011, 29012, 29013];
/// The one of those that resets.
pub(super) const BAD: u16 = 29012;

/// All of these.
pub(super) const PORTS: [u16; 12] = [
    EDGE, LLM, CALM, PAYMENTS, SEARCH, ORDERS, HEALTHY, BILLING, PROVIDER, 29011, 29012, 29013,
];

const NGINX_CONF: &str = "
user root;
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log info;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream payments { server 127.0.0.1:29001; keepalive 8; }
    upstream search { server 127.0.0.1:29002; keepalive 8; }
    upstream orders { server 127.0.0.1:29003 max_fails=0; keepalive 8; }
    upstream billing { server 127.0.0.1:29004; }
    upstream healthy { server 127.0.0.1:29006; keepalive 8; }
    upstream catalog {
        server 127.0.0.1:29011 max_fails=0;
        server 127.0.0.1:29012 max_fails=0;
        server 127.0.0.1:29013 max_fails=0;
    }
    server {
        listen 127.0.0.1:28080;
        keepalive_timeout 600s;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_next_upstream off;
        location /pay { proxy_pass http://payments; }
        location /search { proxy_pass http://search; }
        location /orders { proxy_pass http://orders; }
        location /billing { proxy_pass http://billing; }
        location /catalog { proxy_pass http://catalog; }
        location /ok { proxy_pass http://healthy; }
    }
}
";

const PYTHON_JSON: &str = r#"{"routes": [
    {"listen": "127.0.0.1:28090", "provider": "http://127.0.0.1:29005"},
    {"listen": "127.0.0.1:28091", "provider": "http://127.0.0.1:29006"}
]}"#;

/// A route of the gateway in Python that leads to a healthy provider.
pub(super) const CALM: u16 = 28091;

/// What resetmon is told, so that no other gateway on this machine is taken for one of these.
pub(super) const RESETMON_YAML: &str = "
discovery:
  enabled: false
gateways:
  - name: mixed-edge
    listeners: 127.0.0.1:28080
    routes:
      - {name: /pay, upstream: payments}
      - {name: /search, upstream: search}
      - {name: /orders, upstream: orders}
      - {name: /billing, upstream: billing}
      - {name: /catalog, upstream: catalog}
      - {name: /ok, upstream: healthy}
    upstreams:
      - {name: payments, endpoints: 127.0.0.1:29001}
      - {name: search, endpoints: 127.0.0.1:29002}
      - {name: orders, endpoints: 127.0.0.1:29003}
      - {name: billing, endpoints: 127.0.0.1:29004}
      - {name: healthy, endpoints: 127.0.0.1:29006}
      - {name: catalog, endpoints: ['127.0.0.1:29011', '127.0.0.1:29012', '127.0.0.1:29013']}
  - name: mixed-llm
    listeners: 127.0.0.1:28090
    routes:
      - {name: /v1/chat, upstream: provider}
    upstreams:
      - {name: provider, endpoints: 127.0.0.1:29005}
";

/// All that runs.
pub(super) struct Site<'a> {
    /// Where.
    pub(super) netns: &'a Netns,
    /// Files; removed at the end.
    pub(super) folder: &'a Path,
    /// The worker of nginx.
    pub(super) worker: u32,
    _programs: Vec<Program>,
}

impl<'a> Site<'a> {
    /// Starts everything but those backends that faults start themselves.
    pub(super) fn start(netns: &'a Netns, folder: &'a Path) -> Result<Self> {
        for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(folder.join(name))?;
        }
        fs::write(folder.join("nginx.conf"), NGINX_CONF)?;
        let settings = folder.join("gateway.json");
        fs::write(&settings, PYTHON_JSON)?;
        let mut programs = Vec::new();
        for port in [PAYMENTS, SEARCH, HEALTHY].into_iter().chain(CATALOG) {
            let fault = (port == BAD).then_some("reset-before");
            programs.push(provider(netns, port, fault)?);
        }
        let mut command = Command::new(PYTHON);
        command.arg(program("gateway.py")).arg(settings);
        programs.push(Program::start(netns, &mut command)?);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-c", "nginx.conf"]);
        let nginx = Program::start(netns, &mut command)?;
        for port in [EDGE, LLM, CALM, PAYMENTS, SEARCH, HEALTHY]
            .into_iter()
            .chain(CATALOG)
        {
            until_listening(netns, port)?;
        }
        let worker = wait_for("the worker of nginx", || {
            Ok(owner::children(nginx.pid()).into_iter().next())
        })?;
        programs.push(nginx);
        Ok(Self {
            netns,
            folder,
            worker,
            _programs: programs,
        })
    }
}

/// A backend at `port`; every request meets `fault`, if one is given.
pub(super) fn provider(netns: &Netns, port: u16, fault: Option<&str>) -> Result<Program> {
    let mut command = Command::new(PYTHON);
    command.arg(program("provider.py"));
    command.arg(at(port).to_string()).args(fault);
    Program::start(netns, &mut command)
}

/// Waits until somebody listens at `port`.
pub(super) fn until_listening(netns: &Netns, port: u16) -> Result<()> {
    wait_for(&format!("a listener at port {port}"), || {
        Ok(sockets::listens(netns, at(port))?.then_some(()))
    })
}

/// Where it is.
pub(super) fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A program, ended when dropped.
pub(super) struct Program(Child);

impl Program {
    fn start(netns: &Netns, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = netns.run_in(command.stderr(Stdio::null())).spawn();
        let name = command.get_program().display();
        Ok(Self(child.with_context(|| format!("start {name}"))?))
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it has ended.
    pub(super) fn ended(mut self) -> Result<()> {
        wait_for("a backend to end", || Ok(self.0.try_wait()?.map(drop)))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // nginx ends its workers upon SIGTERM. It may have ended; a child that was waited for has no
        // process id to hit.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = signal(self.pid(), Signal::CONT);
            let _ = crate::agent::terminate(&mut self.0);
        }
    }
}
