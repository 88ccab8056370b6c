//! nginx: its files, a reload, and a worker that crashes.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use resetmon::routes::instance::Instance;
use resetmon::routes::nginx::Nginx;
use resetmon::routes::source::Source as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Program, free_port, until, until_listening};
use crate::reading::{instance, read, shown};

/// Its workers, the youngest last.
fn workers(instance: &Instance) -> Vec<(u64, u32)> {
    let mut workers: Vec<_> = instance
        .children
        .iter()
        .filter(|child| child.cmdline.contains("worker process"))
        .map(|child| (child.start, child.pid))
        .collect();
    workers.sort_unstable();
    workers
}

fn write_shop(directory: &Path, port: u16, payments: &str) {
    let text = format!(
        "server {{
            listen 127.0.0.1:{port}; listen [::1]:{port};
            server_name shop.example.com;
            location /api/pay {{ proxy_pass http://payments; }}
            location ~ \"^/v[0-9]{{1,2}}/\" {{
                set $backend 127.0.0.1:9002;
                proxy_pass http://$backend$request_uri;
            }}
        }}
        upstream payments {{ {payments} }}\n"
    );
    fs::write(directory.join("conf.d/shop.conf"), text).unwrap();
}

#[test]
fn the_files_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (shop, admin) = (free_port(), free_port());
    fs::create_dir(root.join("conf.d")).unwrap();
    fs::create_dir(root.join("t")).unwrap();
    let temporary: Vec<_> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/t;", root.display()))
        .collect();
    let main = format!(
        "user root; worker_processes 3; pid {0}/pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off; {1}
            include conf.d/*.conf;
            server {{ listen 127.0.0.1:{admin}; server_name admin.example.com;
                location / {{ proxy_pass http://[::1]:9003/; }} }}
        }}\n",
        root.display(),
        temporary.concat(),
    );
    fs::write(root.join("main.conf"), main).unwrap();
    write_shop(root, shop, "server 127.0.0.1:9001; server [::1]:9001;");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(root);
    command.args(["-e", "stderr", "-c", "main.conf", "-g", "daemon off;"]);
    let nginx = Program::start(&mut command, &root.join("log"));
    until_listening(([127, 0, 0, 1], shop).into());
    until("three workers", || workers(&instance(&nginx)).len() == 3);

    let before = instance(&nginx);
    assert!(Nginx.claims(&before), "{before:?}");
    let expected = |payments: &str| {
        vec![
            format!("listeners 127.0.0.1:{shop} [::1]:{shop} 127.0.0.1:{admin}"),
            format!("shop.example.com/api/pay [127.0.0.1:{shop} [::1]:{shop}] -> payments"),
            format!(
                "shop.example.com ~ ^/v[0-9]{{1,2}}/ [127.0.0.1:{shop} [::1]:{shop}] -> \
                 127.0.0.1:9002"
            ),
            format!("admin.example.com/ [127.0.0.1:{admin}] -> [::1]:9003"),
            format!("payments: {payments}"),
            "127.0.0.1:9002: 127.0.0.1:9002".to_owned(),
            "[::1]:9003: [::1]:9003".to_owned(),
        ]
    };
    let reading = read(&Nginx, &before);
    assert_eq!(shown(&reading), expected("127.0.0.1:9001 [::1]:9001"));
    assert_eq!(reading.origin, root.join("main.conf").to_str().unwrap());

    // An edit alone is not in force, and a worker that crashes does not make it so.
    write_shop(root, shop, "server 127.0.0.1:9011;");
    let (_, youngest) = *workers(&before).last().unwrap();
    let pid = Pid::from_raw(i32::try_from(youngest).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    until("a new worker", || {
        let now = workers(&instance(&nginx));
        now.len() == 3 && now.iter().all(|(_, pid)| *pid != youngest)
    });
    let generation = Nginx.generation(&before);
    assert!(generation.is_some());
    assert_eq!(Nginx.generation(&instance(&nginx)), generation);

    nginx.signal(Signal::HUP);
    until("a reload", || {
        Nginx.generation(&instance(&nginx)) != generation
    });
    let after = instance(&nginx);
    assert!(Nginx.claims(&after));
    assert_eq!(shown(&read(&Nginx, &after)), expected("127.0.0.1:9011"));
    for (_, pid) in workers(&after) {
        let worker = Instance {
            arguments: vec!["nginx: worker process".to_owned()],
            pid,
            ..after.clone()
        };
        assert!(!Nginx.claims(&worker));
    }
}

#[test]
fn one_process_without_a_master() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let port = free_port();
    fs::create_dir(root.join("conf")).unwrap();
    let main = format!(
        "master_process off; daemon off; pid {0}/pid; error_log stderr; events {{ }}
        http {{ access_log off; client_body_temp_path {0}/t; proxy_temp_path {0}/t;
            fastcgi_temp_path {0}/t; uwsgi_temp_path {0}/t; scgi_temp_path {0}/t;
            server {{ listen 127.0.0.1:{port}; server_name shop.example.com;
                location / {{ proxy_pass http://127.0.0.1:9001; }} }} }}\n",
        root.display()
    );
    fs::write(root.join("conf/one.conf"), main).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c", "conf/one.conf", "-p", "."]);
    command.current_dir(root);
    let nginx = Program::start(&mut command, &root.join("log"));
    until_listening(([127, 0, 0, 1], port).into());
    let instance = instance(&nginx);
    assert!(Nginx.claims(&instance));
    assert_eq!(Nginx.generation(&instance), None);
    assert_eq!(
        shown(&read(&Nginx, &instance)),
        [
            format!("listeners 127.0.0.1:{port}"),
            format!("/ [127.0.0.1:{port}] -> 127.0.0.1:9001"),
            "127.0.0.1:9001: 127.0.0.1:9001".to_owned(),
        ]
    );
}

/// The module that has `stream`, where nginx is not built with it.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

#[test]
fn streams_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (db, tls, six) = (free_port(), free_port(), free_port());
    let module = if Path::new(STREAM_MODULE).exists() {
        format!("load_module {STREAM_MODULE};")
    } else {
        String::new()
    };
    let conf = |replica: &str| {
        format!(
            "user root; worker_processes 2; pid {0}/pid; error_log stderr;
            {module}
            events {{ worker_connections 64; }}
            stream {{
                upstream db {{ server 127.0.0.1:9001; server {replica} backup; }}
                map $remote_addr $inner {{ default 127.0.0.1:9003; }}
                server {{ listen 127.0.0.1:{db}; listen [::1]:{six}; proxy_pass db; }}
                server {{ listen 127.0.0.1:{tls}; proxy_pass $inner; }}
                include more/*.conf;
            }}\n",
            root.display(),
        )
    };
    fs::create_dir(root.join("more")).unwrap();
    let more = free_port();
    fs::write(
        root.join("more/one.conf"),
        format!("server {{ listen [::1]:{more}; proxy_pass [::1]:9005; }}\n"),
    )
    .unwrap();
    fs::write(root.join("main.conf"), conf("[::1]:9002")).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(root);
    command.args(["-e", "stderr", "-c", "main.conf", "-g", "daemon off;"]);
    let nginx = Program::start(&mut command, &root.join("log"));
    until_listening(([127, 0, 0, 1], db).into());
    until("two workers", || workers(&instance(&nginx)).len() == 2);

    let before = instance(&nginx);
    let shown_before = shown(&read(&Nginx, &before));
    let expected = |replica: &str| {
        vec![
            format!("listeners 127.0.0.1:{db} [::1]:{six} 127.0.0.1:{tls} [::1]:{more}"),
            format!("stream:{db} [127.0.0.1:{db} [::1]:{six}] -> db"),
            format!("stream:{tls} [127.0.0.1:{tls}] -> 127.0.0.1:9003"),
            format!("stream:{more} [[::1]:{more}] -> [::1]:9005"),
            format!("db: 127.0.0.1:9001 {replica}"),
            "127.0.0.1:9003: 127.0.0.1:9003".to_owned(),
            "[::1]:9005: [::1]:9005".to_owned(),
        ]
    };
    assert_eq!(shown_before, expected("[::1]:9002"));

    // A connection over each family reaches what the reading says.
    for (at, behind) in [
        (SocketAddr::from(([127, 0, 0, 1], tls)), "127.0.0.1:9003"),
        (SocketAddr::from((Ipv6Addr::LOCALHOST, more)), "[::1]:9005"),
    ] {
        let backend = TcpListener::bind(behind).unwrap();
        let _client = TcpStream::connect(at).unwrap();
        backend.accept().unwrap();
    }

    fs::write(root.join("main.conf"), conf("[::1]:9012")).unwrap();
    let generation = Nginx.generation(&before);
    nginx.signal(Signal::HUP);
    until("a reload", || {
        Nginx.generation(&instance(&nginx)) != generation
    });
    let after = instance(&nginx);
    assert_eq!(shown(&read(&Nginx, &after)), expected("[::1]:9012"));
}
