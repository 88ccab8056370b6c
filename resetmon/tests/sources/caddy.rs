//! Caddy, the real program: by its admin interface and by its file.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use resetmon::routes::caddy::Caddy;
use resetmon::routes::instance::{Family, Instance};
use resetmon::routes::source::{Reading, Source as _};
use rustix::process::Signal;

use crate::program::{Program, free_port, until_listening};

/// A Caddy with these global options and sites.
struct Scene {
    directory: tempfile::TempDir,
    program: Program,
    port: u16,
}

impl Scene {
    fn start(options: &str, sites: impl Fn(u16) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let text = format!("{{\n\tauto_https off\n\t{options}\n}}\n{}", sites(port));
        let path = directory.path().join("Caddyfile");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("caddy");
        command
            .args(["run", "--config"])
            .arg(&path)
            .current_dir(directory.path())
            // What it stores goes there.
            .env("HOME", directory.path())
            .env("XDG_CONFIG_HOME", directory.path())
            .env("XDG_DATA_HOME", directory.path())
            .env("BACKEND", "10.0.0.9:9000");
        let program = Program::start(&mut command, &directory.path().join("log"));
        until_listening(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            directory,
            program,
            port,
        }
    }

    fn read(&self) -> Reading {
        let proc_root = Path::new("/proc");
        let family = Family::read(proc_root).unwrap();
        let instance = Instance::of(proc_root, &family, self.program.pid()).unwrap();
        assert!(Caddy.claims(&instance), "{instance:?}");
        // It takes a new configuration into the same process.
        assert_eq!(Caddy.generation(&instance), None);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(Caddy.read(&instance))
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// One line a route: `name @ listeners -> upstream (endpoints)`.
fn routes(reading: &Reading) -> Vec<String> {
    let joined = |texts: Vec<String>| texts.join(" ");
    let upstream = |name: &str| {
        let found = reading.upstreams.iter().find(|one| &*one.name == name);
        let endpoints = found.unwrap().endpoints.iter();
        let endpoints = joined(endpoints.map(ToString::to_string).collect());
        format!("{name} ({endpoints})")
    };
    let line = |route: &resetmon::routes::table::Route| {
        let listeners = joined(route.listeners.iter().map(ToString::to_string).collect());
        let upstreams = joined(route.upstreams.iter().map(|name| upstream(name)).collect());
        format!("{} @ {listeners} -> {upstreams}", route.name)
    };
    let mut lines: Vec<String> = reading.routes.iter().map(line).collect();
    lines.sort();
    lines
}

fn sites(port: u16) -> String {
    format!(
        "http://shop.test:{port} {{
	handle /api/* {{
		reverse_proxy 127.0.0.1:9001 [::1]:9001
	}}
	handle_path /users/* {{
		reverse_proxy users.internal:9002
	}}
}}
http://pay.test:{port} {{
	reverse_proxy 10.0.0.7:9003 {{$BACKEND}}
	reverse_proxy /any/* {{http.request.host}}:80
}}
"
    )
}

fn expected(port: u16) -> Vec<String> {
    vec![
        format!(
            "pay.test @ :{port} -> 10.0.0.7:9003 (10.0.0.7:9003) 10.0.0.9:9000 (10.0.0.9:9000)"
        ),
        format!("pay.test/any/* @ :{port} -> "),
        format!(
            "shop.test/api/* @ :{port} -> 127.0.0.1:9001 (127.0.0.1:9001) [::1]:9001 ([::1]:9001)"
        ),
        format!("shop.test/users/* @ :{port} -> users.internal:9002 (users.internal:9002)"),
    ]
}

#[test]
fn caddy_by_its_admin_interface() {
    let admin = free_port();
    let scene = Scene::start(&format!("admin localhost:{admin}"), sites);
    let reading = scene.read();
    assert_eq!(routes(&reading), expected(scene.port), "{reading:?}");
    assert_eq!(reading.origin, format!("http://127.0.0.1:{admin}/config/"));
    assert_eq!(reading.listeners.len(), 1, "{reading:?}");
    let [only] = &reading.not_understood[..] else {
        panic!("{reading:?}");
    };
    assert!(
        only.ends_with("`{http.request.host}:80` depends on the request"),
        "{only}"
    );
    // What is only in the file is not in force; Caddy takes SIGHUP for nothing.
    let file = scene.directory.path().join("Caddyfile");
    let edited =
        format!("{{\n\tadmin localhost:{admin}\n}}\n:1 {{\n\treverse_proxy 10.0.0.1:1\n}}\n");
    std::fs::write(&file, edited).unwrap();
    scene.program.signal(Signal::HUP);
    assert_eq!(scene.read(), reading);

    // A new configuration by the admin interface: the file is what it was.
    let port = scene.port;
    let config = format!(
        r#"{{"admin":{{"listen":"localhost:{admin}"}},"apps":{{"http":{{"servers":{{"new":{{"listen":["[::]:{port}"],"routes":[
            {{"match":[{{"host":["new.test"]}}],"handle":[{{"handler":"reverse_proxy","upstreams":[{{"dial":"[2001:db8::1]:80"}}]}}]}}]}}}}}}}}}}"#
    );
    let answer = post(admin, "/load", &config);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let reading = scene.read();
    assert_eq!(
        routes(&reading),
        [format!(
            "new.test @ [::]:{port} -> [2001:db8::1]:80 ([2001:db8::1]:80)"
        )]
    );
    assert_eq!(reading.not_understood, [""; 0]);
}

#[test]
fn caddy_by_its_admin_socket() {
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("admin.sock");
    let scene = Scene::start(&format!("admin unix/{}", path.display()), sites);
    let reading = scene.read();
    assert_eq!(routes(&reading), expected(scene.port), "{reading:?}");
    assert_eq!(
        reading.origin,
        format!("http://unix:{}/config/", path.display())
    );
}

#[test]
fn caddy_by_its_file() {
    let scene = Scene::start("admin off", sites);
    let reading = scene.read();
    assert_eq!(routes(&reading), expected(scene.port), "{reading:?}");
    let place = scene.directory.path().join("Caddyfile");
    assert_eq!(reading.origin, place.display().to_string());
    let said = reading.not_understood.iter();
    assert!(
        said.clone()
            .any(|line| line.contains("the admin interface is off")),
        "{reading:?}"
    );
}

fn post(port: u16, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
