//! nginx as a reverse proxy with two routes, and `resetmon run` that knows them, in a namespace
//! of their own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::actor::{Actor, Socket};
use crate::agent::Agent;
use crate::events::Events;
use crate::http::{self, Answer};
use crate::netns::Netns;
use crate::owner::{self, children, signal};
use crate::service::PATIENCE;

/// Where nginx serves.
pub(crate) const NGINX: &str = "127.0.0.1:8080";
/// Where the upstream `payments` of route `/api/pay` is.
pub(crate) const PAYMENTS: &str = "127.0.0.1:9001";
/// Where the upstream `chat` of route `/api/chat` is.
pub(crate) const CHAT: &str = "127.0.0.1:9002";
/// Where the upstream `slow` of route `/api/slow` is, for which nginx waits a second for an answer and
/// two for a connection.
pub(crate) const SLOW: &str = "127.0.0.1:9003";
/// Where resetmon serves.
pub(crate) const RESETMON: &str = "127.0.0.1:9435";
/// Workers of nginx.
const WORKERS: usize = 4;
const NGINX_CONF: &str = "
user root;
worker_processes 4;
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
    upstream payments { server 127.0.0.1:9001; keepalive 8; }
    upstream chat { server 127.0.0.1:9002; keepalive 8; }
    upstream slow { server 127.0.0.1:9003; keepalive 8; }
    server {
        listen 127.0.0.1:8080;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_buffering off;
        location /api/pay { proxy_pass http://payments; }
        location /api/chat { proxy_pass http://chat; }
        location /api/slow {
            proxy_pass http://slow;
            proxy_connect_timeout 2s;
            proxy_read_timeout 1s;
        }
    }
}
";

const RESETMON_YAML: &str = "
listen: 127.0.0.1:9435
gateways:
  - name: edge
    process: nginx
    listeners: 127.0.0.1:8080
    routes:
      - name: /api/pay
        upstream: payments
      - name: /api/chat
        upstream: chat
      - name: /api/slow
        upstream: slow
    upstreams:
      - name: payments
        endpoints: 127.0.0.1:9001
      - name: chat
        endpoints: 127.0.0.1:9002
      - name: slow
        endpoints: 127.0.0.1:9003
";

/// All that runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Where it runs.
    pub(crate) netns: Netns,
    /// Process ids of the workers.
    pub(crate) workers: HashSet<u32>,
    /// Files of nginx and others; removed at the end.
    pub(crate) folder: TempDir,
    nginx: Child,
    agent: Option<Agent>,
}

impl Gateway {
    /// Starts nginx and resetmon.
    pub(crate) fn start() -> Result<Self> {
        let netns = Netns::new()?;
        let folder = TempDir::new().context("temporary folder")?;
        for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(folder.path().join(name))?;
        }
        std::fs::write(folder.path().join("nginx.conf"), NGINX_CONF)?;
        let config = folder.path().join("resetmon.yaml");
        std::fs::write(&config, RESETMON_YAML)?;

        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command
            .args(["run", "--no-pin", "--events", "-", "--failures", "--config"])
            .arg(config);
        let agent = Agent::spawn_resetmon(netns.run_in(&mut command))?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf"]);
        let nginx = netns
            .run_in(
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null()),
            )
            .spawn()
            .context("start nginx")?;
        let agent = Some(agent);
        let mut gateway = Self {
            netns,
            workers: HashSet::new(),
            folder,
            nginx,
            agent,
        };
        gateway.workers = gateway.wait_for("nginx to have its workers", |gateway| {
            let pids = children(gateway.nginx.id());
            let up = pids.len() == WORKERS && pids.iter().all(|pid| is_worker(*pid));
            Ok(up.then_some(pids))
        })?;
        Ok(gateway)
    }

    /// What resetmon reports.
    pub(crate) fn events(&self) -> Result<&Events> {
        Ok(&self.agent.as_ref().context("resetmon was stopped")?.events)
    }

    /// A process in the namespace.
    pub(crate) fn actor(&self, name: &'static str) -> Result<Actor> {
        Actor::start(name, &std::env::current_exe()?, &self.netns)
    }

    /// A backend process that listens at `at`.
    pub(crate) fn backend(&self, at: &str) -> Result<(Actor, Socket)> {
        let backend = self.actor("backend")?;
        let at: SocketAddr = at.parse()?;
        let listener = backend.socket(at)?;
        listener.listen(at, 8)?;
        Ok((backend, listener))
    }

    /// Starts curl, which waits for the answer to GET `path`.
    pub(crate) fn curl(&self, path: &str) -> Result<Client> {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        command
            .args(["--max-time", "8"])
            .arg(format!("http://{NGINX}{path}"));
        let child = self
            .netns
            .run_in(command.stdin(Stdio::null()).stdout(Stdio::piped()))
            .spawn()
            .context("start curl")?;
        Ok(Client(child))
    }

    /// Waits for the reset whose remote or local end is `peer` and which nginx received.
    pub(crate) fn nginx_received(&self, peer: SocketAddr) -> Result<Value> {
        let peer = peer.to_string();
        let is = |event: &Value| event["direction"] == "received" && event["remote"] == peer;
        let events = self.events()?;
        let seen = events.wait(&self.netns, PATIENCE, |all| all.iter().any(is));
        match seen.iter().filter(|event| is(event)).collect::<Vec<_>>()[..] {
            [event] => Ok(event.clone()),
            [] => bail!("no reset from {peer} was reported; these were: {seen:#?}"),
            ref many => bail!("{} resets from {peer} were reported: {many:#?}", many.len()),
        }
    }

    /// Waits for the failure without a reset of nginx's connection to `peer`.
    pub(crate) fn nginx_failed(&self, peer: SocketAddr) -> Result<Value> {
        let peer = peer.to_string();
        let is = |event: &Value| event["event"] == "failure" && event["remote"] == peer;
        let events = self.events()?;
        let seen = events.wait(&self.netns, PATIENCE, |all| all.iter().any(is));
        match seen.iter().filter(|event| is(event)).collect::<Vec<_>>()[..] {
            [event] => Ok(event.clone()),
            [] => bail!("no failure of {peer} was reported; these were: {seen:#?}"),
            ref many => bail!("{} failures of {peer} were reported: {many:#?}", many.len()),
        }
    }

    /// The worker that holds the connection between `local` and `remote`, by /proc alone.
    pub(crate) fn holder(&self, local: SocketAddr, remote: SocketAddr) -> Result<u32> {
        owner::holder(&self.netns, &self.workers, local, remote)
    }

    /// resetmon's /metrics.
    pub(crate) fn metrics(&self, accept: &str) -> Result<Answer> {
        http::get(&self.netns, RESETMON.parse()?, "/metrics", accept)
    }

    /// Waits until the counter `name` with all of `labels` is what the events reported add up to,
    /// and at least 1.
    ///
    /// Events of the whole machine: others may do the same here at the same time.
    pub(crate) fn counted(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        let is = |event: &Value| {
            labels.iter().all(|(label, value)| match *label {
                "process" => event["process"]["name"] == *value,
                label => event[label] == *value,
            })
        };
        let mut page = String::new();
        let mut reported = 0;
        let found = self.wait_for("the metric", |gateway| {
            reported = gateway.events()?.count(is);
            page = gateway.metrics("text/plain")?.body;
            Ok((reported > 0 && sum(&page, name, labels) == Some(reported)).then_some(()))
        });
        let of = |line: &&str| line.starts_with(name);
        let lines: Vec<&str> = page.lines().filter(of).collect();
        found.with_context(|| format!("{name}{labels:?} is not {reported}: {lines:#?}"))
    }

    /// Repeats `look` until it finds something, at most [`PATIENCE`] long.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if Instant::now() > end {
                bail!("waited in vain for {what}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends resetmon, which must end in good order.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.agent.take().context("resetmon was stopped")?.stop()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The master ends its workers; a worker that was stopped goes on to see that.
        for worker in &self.workers {
            let _ = signal(*worker, rustix::process::Signal::CONT);
        }
        let _ = crate::agent::terminate(&mut self.nginx);
    }
}

/// curl under way.
#[derive(Debug)]
pub(crate) struct Client(Child);

impl Client {
    /// Waits for its end; answers the HTTP status that it saw, 000 for none.
    pub(crate) fn status(self) -> Result<String> {
        let output = self.0.wait_with_output().context("curl")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Sum over the samples of counter `name` that have all of `labels`, in Prometheus text.
pub(crate) fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let samples: Vec<u64> = page
        .lines()
        .filter_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix('{')?
                .rsplit_once("} ")
        })
        .filter(|(set, _)| {
            labels
                .iter()
                .all(|(key, value)| set.contains(&format!("{key}=\"{value}\"")))
        })
        .filter_map(|(_, value)| value.parse().ok())
        .collect();
    (!samples.is_empty()).then(|| samples.iter().sum())
}

/// A worker has renamed itself once it is set up.
fn is_worker(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|cmdline| cmdline.starts_with("nginx: worker process"))
}
