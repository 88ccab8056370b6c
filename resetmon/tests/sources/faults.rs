//! Faults on either leg of every gateway that runs here, seen by an agent that was told nothing:
//! its events and metrics name gateway, leg, route and upstream as the configuration does.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::{Program, free_port, until, until_listening};

/// What a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// One gateway with two routes: `/api/pay` to an IPv4 backend, `/api/chat` to an IPv6 one.
struct Case {
    /// Label `gateway`, and the kind.
    gateway: &'static str,
    /// Its configuration, with `PORT`, `PAY`, `CHAT` and `DIR` to be filled in.
    configuration: &'static str,
    /// Starts it with the configuration file in a folder.
    start: fn(&Path, &Path) -> Command,
    /// `(route, upstream)` of `/api/pay`; `PAY` stands for the backend's port.
    pay: (&'static str, &'static str),
    /// The same of `/api/chat`.
    chat: (&'static str, &'static str),
}

/// `resetmon run`.
pub(crate) struct Agent {
    child: Child,
    seen: Arc<(Mutex<Vec<Value>>, Condvar)>,
    http: SocketAddr,
}

impl Agent {
    /// Without a configuration.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments.
    pub(crate) fn start_with(arguments: &[&OsStr]) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_resetmon")), arguments)
    }

    /// By a `command` to which resetmon's arguments are added.
    pub(crate) fn start_as(mut command: Command, arguments: &[&OsStr]) -> Self {
        let port = free_port();
        let http = SocketAddr::from(([127, 0, 0, 1], port));
        let mut child = command
            .args(["run", "--no-pin", "--events", "-", "--listen"])
            .arg(http.to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen: Arc<(Mutex<Vec<Value>>, Condvar)> = Arc::default();
        let reader = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap();
                reader.0.lock().unwrap().push(event);
                reader.1.notify_all();
            }
        });
        until_listening(http);
        let agent = Self { child, seen, http };
        // It listens before its programs are attached, and answers after.
        agent.status();
        agent
    }

    /// The first event that `is` what is waited for.
    pub(crate) fn event(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if let Some(event) = seen.iter().find(|event| is(event)) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{what} was not reported; these were: {seen:#?}"
            );
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until it has found the gateway with main process `pid`.
    pub(crate) fn until_found(&self, pid: u32) {
        until("the agent to find the gateway", || {
            let status = self.status();
            let mut gateways = status["gateways"].as_array().unwrap().iter();
            gateways.any(|gateway| gateway["pid"] == pid)
        });
    }

    /// What `/status` says now.
    pub(crate) fn status(&self) -> Value {
        let page = self.get("/status", "application/json");
        let json = page.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(json).unwrap()
    }

    fn get(&self, path: &str, accept: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Resets the connection.
pub(crate) fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// The backend's end of the next connection, after the whole head of the request.
pub(crate) fn asked(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (mut stream, from) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the gateway closed before its request was whole");
        head.extend_from_slice(&buffer[..count]);
    }
    (stream, from)
}

/// A client that has asked for `path`.
pub(crate) fn client(gateway: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

pub(crate) fn is(
    event: &Value,
    direction: &str,
    local: Option<SocketAddr>,
    remote: SocketAddr,
) -> bool {
    event["direction"] == direction
        && event["remote"] == remote.to_string()
        && local.is_none_or(|local| event["local"] == local.to_string())
}

fn assert_labels(event: &Value, labels: &[(&str, &str)]) {
    for (key, value) in labels {
        assert_eq!(event[key], *value, "{key}: {event:#}");
    }
}

fn faults(case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let pay = TcpListener::bind("127.0.0.1:0").unwrap();
    let chat = TcpListener::bind("[::1]:0").unwrap();
    let pay_at = pay.local_addr().unwrap();
    let chat_at = chat.local_addr().unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let fill = |text: &str| {
        text.replace("PORT", &at.port().to_string())
            .replace("PAY", &pay_at.port().to_string())
            .replace("CHAT", &chat_at.port().to_string())
            .replace("DIR", folder.path().to_str().unwrap())
    };
    let path = folder.path().join("gateway.conf");
    std::fs::write(&path, fill(case.configuration)).unwrap();

    // The agent is there first: it has to notice the gateway by itself.
    let agent = Agent::start();
    let mut command = (case.start)(&path, folder.path());
    let gateway = Program::start(&mut command, &folder.path().join("log"));
    until_listening(at);
    agent.until_found(gateway.pid());

    let mut names = Vec::new();
    for (listener, backend, path, (route, upstream)) in [
        (&pay, pay_at, "/api/pay/1", case.pay),
        (&chat, chat_at, "/api/chat/1", case.chat),
    ] {
        let (route, upstream) = (fill(route), fill(upstream));
        // The backend breaks off.
        let _client = client(at, path);
        let (stream, from) = asked(listener);
        reset(stream);
        let event = agent.event("the backend's reset", |event| {
            is(event, "received", Some(from), backend)
        });
        let name = event["gateway"].as_str().unwrap_or("").to_owned();
        assert!(name.starts_with(case.gateway), "{event:#}");
        assert_labels(
            &event,
            &[
                ("leg", "upstream"),
                ("route", &route),
                ("upstream", &upstream),
                ("cause", "aborted_before_response"),
            ],
        );
        names.push((name, route, upstream));
    }

    // The client breaks off.
    let leaving = client(at, "/api/pay/2");
    let from = leaving.local_addr().unwrap();
    let (_stream, _) = asked(&pay);
    reset(leaving);
    let event = agent.event("the client's reset", |event| {
        is(event, "received", Some(at), from)
    });
    assert_labels(&event, &[("leg", "downstream"), ("gateway", &names[0].0)]);

    let page = agent.get("/metrics", "text/plain");
    for (gateway, route, upstream) in &names {
        let labels = [
            "direction=\"received\"".to_owned(),
            "leg=\"upstream\"".to_owned(),
            format!("gateway=\"{gateway}\""),
            format!("route=\"{route}\""),
            format!("upstream=\"{upstream}\""),
        ];
        let counted = page.lines().any(|line| {
            line.starts_with("resetmon_route_resets_total{")
                && labels.iter().all(|label| line.contains(label))
        });
        assert!(counted, "{labels:?} is not in {page}");
    }
}

#[test]
fn nginx() {
    faults(&Case {
        gateway: "nginx",
        configuration: "
user root; daemon off; worker_processes 2; pid DIR/nginx.pid; error_log DIR/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c;
    uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;
    upstream payments { server 127.0.0.1:PAY; }
    server {
        listen 127.0.0.1:PORT;
        proxy_next_upstream off;
        location /api/pay { proxy_pass http://payments; }
        location /api/chat { proxy_pass http://[::1]:CHAT; }
    }
}",
        start: |path, folder| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-c").arg(path);
            command
        },
        pay: ("/api/pay", "payments"),
        chat: ("/api/chat", "[::1]:CHAT"),
    });
}

#[test]
fn haproxy() {
    faults(&Case {
        gateway: "haproxy",
        configuration: "
global
    log stdout format raw local0
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend shop
    bind 127.0.0.1:PORT
    acl is_pay path_beg /api/pay
    use_backend payments if is_pay
    default_backend chat
backend payments
    server one 127.0.0.1:PAY
backend chat
    server one [::1]:CHAT
",
        start: |path, _| {
            let mut command = Command::new("haproxy");
            command.arg("-W").arg("-f").arg(path);
            command
        },
        pay: ("shop/is_pay", "payments"),
        chat: ("shop", "chat"),
    });
}

#[test]
fn apache() {
    faults(&Case {
        gateway: "apache",
        configuration: "
ServerRoot DIR
PidFile DIR/apache.pid
ErrorLog DIR/error.log
ServerName localhost
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
Listen 127.0.0.1:PORT
<VirtualHost *:PORT>
    ServerName shop.example.com
    ProxyPass /api/pay http://127.0.0.1:PAY/api/pay
    ProxyPass /api/chat http://[::1]:CHAT/api/chat
</VirtualHost>
",
        start: |path, _| {
            let mut command = Command::new("apache2");
            command.arg("-D").arg("FOREGROUND").arg("-f").arg(path);
            command
        },
        pay: ("/api/pay", "127.0.0.1:PAY"),
        chat: ("/api/chat", "[::1]:CHAT"),
    });
}

#[test]
fn caddy() {
    faults(&Case {
        gateway: "caddy",
        configuration: "{
    admin unix/DIR/admin.sock
    storage file_system DIR
    auto_https off
}
http://:PORT {
    bind 127.0.0.1
    reverse_proxy /api/pay/* 127.0.0.1:PAY
    reverse_proxy /api/chat/* [::1]:CHAT
}
",
        start: |path, folder| {
            let mut command = Command::new("caddy");
            command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(path)
                .env("HOME", folder);
            command
        },
        pay: ("127.0.0.1:PORT/api/pay/*", "127.0.0.1:PAY"),
        chat: ("127.0.0.1:PORT/api/chat/*", "[::1]:CHAT"),
    });
}

#[test]
fn envoy() {
    faults(&Case {
        gateway: "edge",
        configuration: r#"
node: {id: edge-1, cluster: edge}
admin: {address: {pipe: {path: DIR/admin.sock}}}
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            name: shop
            virtual_hosts:
            - name: shop
              domains: ["*"]
              routes:
              - {match: {prefix: /api/pay}, route: {cluster: payments}}
              - {match: {prefix: /}, route: {cluster: chat}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: payments
    load_assignment:
      cluster_name: payments
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: PAY}}}}]}]
  - name: chat
    load_assignment:
      cluster_name: chat
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: "::1", port_value: CHAT}}}}]}]
"#,
        start: |path, _| {
            let configuration = path.with_extension("yaml");
            std::fs::copy(path, &configuration).unwrap();
            let mut command = Command::new(crate::envoy::envoy());
            command
                .args(["--concurrency", "2", "--use-dynamic-base-id", "-c"])
                .arg(configuration);
            command
        },
        pay: ("/api/pay", "payments"),
        chat: ("/", "chat"),
    });
}
