//! `HAProxy` in HTTP mode, with a master and a worker.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;

use super::{Gateway, Plan, Route};
use crate::certificates::NAME;
use crate::owner::children;
use crate::row::{PATIENCE, Setting};

/// `HAProxy`.
pub(crate) struct Haproxy;

impl Gateway for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn process(&self) -> &'static str {
        "haproxy"
    }

    fn programs(&self) -> Vec<PathBuf> {
        vec!["haproxy".into()]
    }

    fn command(&self, plan: &Plan<'_>) -> Result<Command> {
        let path = plan.folder.join("haproxy.cfg");
        std::fs::write(&path, configuration(plan)?)?;
        let mut command = Command::new("haproxy");
        command.args(["-W", "-db", "-f"]).arg(path);
        Ok(command)
    }

    fn workers(&self, main: u32) -> Option<Vec<u32>> {
        let workers: Vec<u32> = children(main).into_iter().collect();
        (!workers.is_empty()).then_some(workers)
    }

    fn reload_signal(&self) -> Option<Signal> {
        Some(Signal::USR2)
    }

    fn route(&self, route: &Route) -> String {
        route.name.to_owned()
    }

    fn upstream(&self, route: &Route) -> String {
        route.name.to_owned()
    }
}

fn configuration(plan: &Plan<'_>) -> Result<String> {
    let mut text = format!(
        "global
    log stdout format raw local0
    stats socket {}/admin.sock level admin expose-fd listeners
    nbthread 2
defaults
    mode http
    log global
    option httplog
    option abortonclose
    retries 0
    timeout connect 60s
    timeout client 60s
    timeout server 60s
",
        plan.folder.display()
    );
    for route in plan.routes {
        proxy(&mut text, plan, route)?;
    }
    Ok(text)
}

fn proxy(text: &mut String, plan: &Plan<'_>, route: &Route) -> Result<()> {
    let Route {
        name,
        setting,
        front,
        back,
    } = route;
    let files = plan.certificates;
    let (mut bind, mut server) = (String::new(), String::new());
    let (mut frontend, mut backend) = (String::new(), String::new());
    match setting {
        Setting::Plain => {}
        Setting::Fresh => backend.push_str("option http-server-close"),
        Setting::Impatient => write!(
            backend,
            "timeout connect {PATIENCE}ms\n    timeout server {PATIENCE}ms"
        )?,
        Setting::Brief => frontend.push_str("timeout http-keep-alive 1s"),
        Setting::Small => {
            frontend.push_str("http-request deny deny_status 413 if { req.body_size gt 1024 }");
        }
        Setting::TlsFront => write!(bind, "ssl crt {}", files.both.display())?,
        Setting::TlsBack => write!(
            server,
            "ssl verify required sni str({NAME}) ca-file {}",
            files.authority.display()
        )?,
    }
    write!(
        text,
        "frontend {name}
    bind {front} {bind}
    {frontend}
    default_backend {name}
backend {name}
    {backend}
    server one {back} {server}
"
    )?;
    Ok(())
}
