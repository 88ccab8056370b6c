//! Upstreams by host name, as each gateway resolves it: its own name server, hosts file and network.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;

use crate::faults::{Agent, asked, client, is, reset};
use crate::place::Place;
use crate::program::{Program, until};

/// Where the gateways listen, each in its own network.
const AT: &str = "127.0.0.1:8080";

/// `nginx`, with a name of its own resolver, one of the system's, one that the hosts file has, and
/// an address that elsewhere is a name's.
const NGINX: &str = "
user root; daemon off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c;
    uwsgi_temp_path DIR/d; scgi_temp_path DIR/e;
    resolver 127.0.0.53 valid=1s;
    upstream plain { server short:9002; }
    upstream pinned { server pinned.test:9003; }
    server {
        listen 127.0.0.1:8080;
        proxy_next_upstream off;
        location /live { set $backend live.test:9001; proxy_pass http://$backend$request_uri; }
        location /plain { proxy_pass http://plain; }
        location /pinned { proxy_pass http://pinned; }
        location /other { proxy_pass http://127.2.0.1:9001; }
    }
}";

/// `HAProxy`, with the same name as nginx.
const HAPROXY: &str = "
global
    log stdout format raw local0
resolvers own
    nameserver one 127.0.0.53:53
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend shop
    bind 127.0.0.1:8080
    default_backend live
backend live
    server one live.test:9001 resolvers own resolve-prefer ipv4 init-addr libc,none
";

const ENTER: &str = "discovery: {interval: 1s, enter_network_namespaces: true}\n";

fn at() -> SocketAddr {
    AT.parse().unwrap()
}

/// The gateway of a place, listening.
fn start(place: &Place, program: &str, configuration: &str) -> Program {
    let path = place.path("gateway.conf");
    let text = configuration.replace("DIR", place.folder().to_str().unwrap());
    fs::write(&path, text).unwrap();
    let mut command = place.command(program);
    if program == "nginx" {
        command.arg("-p").arg(place.folder()).arg("-c").arg(path);
    } else {
        command.arg("-W").arg("-f").arg(path);
    }
    let gateway = Program::start(&mut command, &place.path("log"));
    until("the gateway to listen", || {
        place.inside(|| TcpStream::connect(AT).is_ok())
    });
    gateway
}

fn agent(place: &Place, configuration: &str) -> Agent {
    let path = place.path("resetmon.yaml");
    fs::write(&path, configuration).unwrap();
    Agent::start_with(&["--config".as_ref(), path.as_os_str()])
}

/// A request that a backend has and has not answered: its client, and the backend's end.
struct Pending {
    _client: TcpStream,
    backend: TcpStream,
}

impl Pending {
    fn new(place: &Place, listener: &TcpListener, path: &str) -> Self {
        let client = place.inside(|| client(at(), path));
        let (backend, _) = asked(listener);
        Self {
            _client: client,
            backend,
        }
    }

    /// The backend's address.
    fn address(&self) -> String {
        self.backend.local_addr().unwrap().ip().to_string()
    }

    /// The backend resets it; gateway, upstream and peer of the event.
    fn labels(self, agent: &Agent) -> String {
        let backend = self.backend.local_addr().unwrap();
        let gateway = self.backend.peer_addr().unwrap();
        reset(self.backend);
        let event = agent.event("the backend's reset", |event| {
            is(event, "received", Some(gateway), backend)
        });
        let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
        // Beside another test's of its kind, a gateway is called after its file, too.
        let gateway = text("gateway");
        let kind = gateway.split(':').next().unwrap();
        format!("{kind} {} {}", text("upstream"), text("peer"))
    }
}

/// Requests until one arrives at `address`.
fn arriving(place: &Place, listener: &TcpListener, path: &str, address: &str) -> Pending {
    let mut arrived = None;
    until(&format!("a request at {address}"), || {
        let pending = Pending::new(place, listener, path);
        let right = pending.address() == address;
        arrived = right.then_some(pending);
        right
    });
    arrived.unwrap()
}

/// Makes and resets connections until the agent says the same of them as of earlier ones.
fn until_followed(agent: &Agent, expected: &str, mut pending: impl FnMut() -> Pending) {
    until(expected, || pending().labels(agent) == expected);
}

/// The agent says something of host names that begins with `what` and contains `more`. In between
/// stands the gateway, which may be called after its file, too.
fn said(agent: &Agent, what: &str, more: &str) -> bool {
    let status = agent.status();
    let mut lines = status["notes"].as_array().unwrap().iter();
    lines.any(|line| {
        let line = line.as_str().unwrap();
        line.starts_with(what) && line.contains(more)
    })
}

/// The agent has nothing to say of the names of these tests.
fn all_is_well(agent: &Agent) -> bool {
    !["host live.test ", "host short ", "host pinned.test "]
        .iter()
        .any(|name| said(agent, name, ""))
}

/// Held by one test at a time: an agent sees the gateways of all.
static ALONE: Mutex<()> = Mutex::new(());

fn listen(place: &Place, port: u16) -> TcpListener {
    place.inside(|| TcpListener::bind(("0.0.0.0", port)).unwrap())
}

#[test]
fn two_networks_with_one_name_and_a_change() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let zone = "127.1.0.1 live.test\n127.1.1.1 short.svc.test\n127.1.2.8 pinned.test\n";
    let mut first = Place::new(zone, "127.1.2.9 pinned.test\n");
    let second = Place::new("127.2.0.1 live.test\n", "");
    let [live, plain, pinned] = [9001, 9002, 9003].map(|port| listen(&first, port));
    let elsewhere = listen(&second, 9001);
    let nginx = start(&first, "nginx", NGINX);
    let haproxy = start(&second, "haproxy", HAPROXY);
    let agent = agent(&first, ENTER);
    agent.until_found(nginx.pid());
    agent.until_found(haproxy.pid());
    until("every name to have its address", || all_is_well(&agent));

    // What is open when the addresses change.
    let old_live = Pending::new(&first, &live, "/live");
    let old_plain = Pending::new(&first, &plain, "/plain");
    let old_elsewhere = arriving(&second, &elsewhere, "/", "127.2.0.1");
    assert_eq!(old_live.address(), "127.1.0.1");
    assert_eq!(old_plain.address(), "127.1.1.1");
    first.change("127.1.0.2 live.test\n127.1.1.2 short.svc.test\n127.1.2.8 pinned.test\n");
    second.change("127.2.0.2 live.test\n");
    // What nginx asks the system, it asks when it reads its configuration.
    nginx.signal(Signal::HUP);

    let live_labels = "nginx live.test:9001 live.test";
    let plain_labels = "nginx plain short";
    let elsewhere_labels = "haproxy live live.test";
    until_followed(&agent, live_labels, || {
        arriving(&first, &live, "/live", "127.1.0.2")
    });
    until_followed(&agent, plain_labels, || {
        arriving(&first, &plain, "/plain", "127.1.1.2")
    });
    until_followed(&agent, elsewhere_labels, || {
        arriving(&second, &elsewhere, "/", "127.2.0.2")
    });
    assert_eq!(old_live.labels(&agent), live_labels);
    assert_eq!(old_plain.labels(&agent), plain_labels);
    assert_eq!(old_elsewhere.labels(&agent), elsewhere_labels);

    // The hosts file decides, not the name server.
    let pending = Pending::new(&first, &pinned, "/pinned");
    assert_eq!(pending.address(), "127.1.2.9");
    assert_eq!(pending.labels(&agent), "nginx pinned pinned.test");
    // What is the other gateway's name is a mere address here.
    let pending = Pending::new(&first, &live, "/other");
    let labels = pending.labels(&agent);
    assert!(labels.starts_with("nginx 127.2.0.1:9001 "), "{labels}");
    assert!(!labels.ends_with(" live.test"), "{labels}");

    // A name server that is gone takes no address away.
    first.stop_server();
    let kept = ["host live.test of nginx", "host short of nginx"];
    until("complaints", || {
        kept.iter()
            .all(|line| said(&agent, line, "keeps the addresses that it had"))
    });
    let pending = arriving(&first, &plain, "/plain", "127.1.1.2");
    assert_eq!(pending.labels(&agent), plain_labels);
    first.start_server();
    until("no complaint", || all_is_well(&agent));
}

#[test]
fn a_network_that_may_not_be_entered() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new(
        "127.1.0.1 live.test\n127.1.1.1 short.svc.test\n",
        "127.1.2.9 pinned.test\n",
    );
    let pinned = listen(&place, 9003);
    let nginx = start(&place, "nginx", NGINX);
    let agent = agent(&place, "discovery: {interval: 1s}\n");
    agent.until_found(nginx.pid());
    let note = "gateway nginx";
    until("a note", || {
        said(
            &agent,
            note,
            "looked up from resetmon's own network namespace",
        )
    });
    // The files need no network.
    until_followed(&agent, "nginx pinned pinned.test", || {
        Pending::new(&place, &pinned, "/pinned")
    });
}
