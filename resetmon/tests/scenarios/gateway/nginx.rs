//! nginx as a reverse proxy.

use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;

use super::{Gateway, Plan, Route};
use crate::certificates::NAME;
use crate::owner::children;
use crate::row::{PATIENCE, Setting};

/// nginx.
pub(crate) struct Nginx;

/// How many workers it has.
const WORKERS: usize = 2;

impl Gateway for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn process(&self) -> &'static str {
        "nginx"
    }

    fn programs(&self) -> Vec<PathBuf> {
        vec!["nginx".into()]
    }

    fn command(&self, plan: &Plan<'_>) -> Result<Command> {
        for name in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let mut builder = std::fs::DirBuilder::new();
            builder.mode(0o700).create(plan.folder.join(name))?;
        }
        let path = plan.folder.join("nginx.conf");
        std::fs::write(&path, configuration(plan)?)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(plan.folder).arg("-c").arg(path);
        Ok(command)
    }

    fn workers(&self, main: u32) -> Option<Vec<u32>> {
        // A worker has renamed itself once it is set up.
        let is_worker = |pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|cmdline| cmdline.starts_with("nginx: worker process"))
        };
        let workers: Vec<u32> = children(main).into_iter().filter(is_worker).collect();
        (workers.len() >= WORKERS).then_some(workers)
    }

    fn reload_signal(&self) -> Option<Signal> {
        Some(Signal::HUP)
    }

    fn route(&self, route: &Route) -> String {
        format!("/{}", route.name)
    }

    fn upstream(&self, route: &Route) -> String {
        route.name.to_owned()
    }
}

fn configuration(plan: &Plan<'_>) -> Result<String> {
    let mut text = format!(
        "user root;
worker_processes {WORKERS};
daemon off;
pid nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_next_upstream off;
    client_max_body_size 0;
"
    );
    for route in plan.routes {
        server(&mut text, plan, route)?;
    }
    text.push_str("}\n");
    Ok(text)
}

fn server(text: &mut String, plan: &Plan<'_>, route: &Route) -> Result<()> {
    let Route {
        name,
        setting,
        front,
        back,
    } = route;
    let files = plan.certificates;
    let (keepalive, connection) = match setting {
        Setting::Fresh => ("", "close"),
        _ => ("keepalive 8;", ""),
    };
    let scheme = match setting {
        Setting::TlsBack => "https",
        _ => "http",
    };
    let mut more = String::new();
    match setting {
        Setting::Plain | Setting::Fresh => {}
        Setting::Impatient => write!(
            more,
            "proxy_connect_timeout {PATIENCE}ms; proxy_read_timeout {PATIENCE}ms;"
        )?,
        Setting::Brief => more.push_str("keepalive_timeout 1s;"),
        Setting::Small => more.push_str("client_max_body_size 1k;"),
        Setting::TlsFront => write!(
            more,
            "ssl_certificate {}; ssl_certificate_key {};",
            files.certificate.display(),
            files.key.display()
        )?,
        Setting::TlsBack => write!(
            more,
            "proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_name {NAME}; \
             proxy_ssl_trusted_certificate {};",
            files.authority.display()
        )?,
    }
    let tls = match setting {
        Setting::TlsFront => " ssl",
        _ => "",
    };
    write!(
        text,
        "    upstream {name} {{ server {back}; {keepalive} }}
    server {{
        listen {front}{tls};
        {more}
        location /{name} {{
            proxy_pass {scheme}://{name};
            proxy_set_header Connection \"{connection}\";
        }}
    }}
"
    )?;
    Ok(())
}
