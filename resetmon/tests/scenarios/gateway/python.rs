//! A gateway for LLM providers in Python: uvicorn, Starlette and httpx, of which many others are
//! made, `LiteLLM` too.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Gateway, Plan, Route};
use crate::row::{PATIENCE, Setting};

/// Debian's interpreter, which has Debian's libraries.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The gateway.
pub(crate) struct Python;

/// A program of this bench in Python.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scenarios/python")
        .join(name)
}

impl Gateway for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn process(&self) -> &'static str {
        "python3.11"
    }

    fn programs(&self) -> Vec<PathBuf> {
        let libraries = ["httpx", "starlette", "uvicorn"];
        let libraries = libraries.map(|name| {
            let folder = Path::new("/usr/lib/python3/dist-packages");
            folder.join(name).join("__init__.py")
        });
        [PathBuf::from(PYTHON)]
            .into_iter()
            .chain(libraries)
            .collect()
    }

    fn command(&self, plan: &Plan<'_>) -> Result<Command> {
        let routes: Vec<_> = plan
            .routes
            .iter()
            .map(|route| settings(route, plan))
            .collect();
        let path = plan.folder.join("gateway.json");
        let text = json!({ "routes": routes }).to_string();
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        let mut command = Command::new(PYTHON);
        command.arg(program("gateway.py")).arg(path);
        Ok(command)
    }

    /// An entry a listener, so that the route is known on the client's leg too. No process is named: another
    /// program in Python is not this gateway.
    fn described(&self, plan: &Plan<'_>) -> Option<String> {
        let mut text = String::new();
        for route in plan.routes {
            let (name, front, back) = (route.name, route.front, route.back);
            let _ = write!(
                text,
                "
  - name: python-{name}
    listeners: {front}
    routes:
      - name: {name}
        upstream: {name}
    upstreams:
      - name: {name}
        endpoints: {back}"
            );
        }
        Some(text)
    }

    fn workers(&self, main: u32) -> Option<Vec<u32>> {
        Some(vec![main])
    }

    fn route(&self, route: &Route) -> String {
        route.name.to_owned()
    }

    fn upstream(&self, route: &Route) -> String {
        route.name.to_owned()
    }
}

fn settings(route: &Route, plan: &Plan<'_>) -> serde_json::Value {
    let scheme = match route.setting {
        Setting::TlsBack => "https",
        _ => "http",
    };
    let mut settings = json!({
        "listen": route.front,
        "provider": format!("{scheme}://{}", route.back),
    });
    let more = match route.setting {
        Setting::Plain => json!({}),
        Setting::Fresh => json!({"fresh": true}),
        Setting::Impatient => json!({"patience": Duration::from_millis(PATIENCE).as_secs_f64()}),
        Setting::Brief => json!({"keep_alive": 1}),
        Setting::Small => json!({"limit": 1024}),
        Setting::TlsFront => json!({
            "certificate": plan.certificates.certificate,
            "key": plan.certificates.key,
        }),
        Setting::TlsBack => json!({"ca": plan.certificates.authority}),
    };
    if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
        settings.extend(more.clone());
    }
    settings
}
