//! Apinto's routers, services and discoveries to a [`Draft`].
//!
//! <https://github.com/eolinker/apinto-docs/blob/main/docs/apinto/router/http.md> and its
//! neighbours `service/http.md` and `discovery/static.md`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::settings::Settings;
use crate::routes::address::{Endpoint, Listener};
use crate::routes::draft::{Draft, endpoints, port, split_port, text, texts};

/// The objects of the admin API, which calls them workers.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// Of `/api/router`.
    pub routers: Vec<Value>,
    /// Of `/api/service`.
    pub services: Vec<Value>,
    /// Of `/api/discovery`.
    pub discoveries: Vec<Value>,
    /// Place and reason of what is missing.
    pub complaints: Vec<(String, String)>,
}

impl Workers {
    /// What the objects say together.
    #[must_use]
    pub fn draft(&self, settings: &Settings) -> Draft {
        let mut draft = Draft::default();
        for (place, what) in &self.complaints {
            draft.complain(place, what);
        }
        let (listeners, unknown) = settings.listeners();
        for listener in &listeners {
            draft.listener(*listener);
        }
        for what in unknown {
            draft.complain(&settings.origin, &what);
        }
        let drivers: HashMap<&str, &str> = self
            .discoveries
            .iter()
            .filter_map(|discovery| Some((text(discovery, "id")?, text(discovery, "driver")?)))
            .collect();
        let mut services: HashMap<&str, Arc<str>> = HashMap::new();
        for service in &self.services {
            let name = text(service, "name").unwrap_or("");
            let found = service_endpoints(&mut draft, service, &drivers);
            let upstream = draft.upstream(name, found);
            if let Some(id) = text(service, "id") {
                services.insert(id, upstream);
            }
        }
        for router in &self.routers {
            add_router(&mut draft, router, &services, &listeners);
        }
        draft
    }
}

fn add_router(
    draft: &mut Draft,
    router: &Value,
    services: &HashMap<&str, Arc<str>>,
    listeners: &[Listener],
) {
    if router.get("disable") == Some(&Value::Bool(true)) {
        return;
    }
    let name = text(router, "name").unwrap_or("");
    let place = format!("router {name}");
    // Old versions call the service the target.
    let service = text(router, "service").or_else(|| text(router, "target"));
    let upstream = service.and_then(|id| {
        if !services.contains_key(id) {
            draft.complain(&place, &format!("there is no service `{id}`"));
        }
        services.get(id)
    });
    let own = match port(router, "listen") {
        None => Vec::new(),
        Some(port) => {
            let fitting = listeners.iter().filter(|listener| listener.port == port);
            let fitting: Vec<Listener> = fitting.copied().collect();
            if fitting.is_empty() {
                let what = format!("Apinto does not listen at its port {port}");
                draft.complain(&place, &what);
                return;
            }
            fitting
        }
    };
    draft.route(name, &own, upstream);
}

/// The nodes of a service: its own, or those written where a static discovery stands.
fn service_endpoints(
    draft: &mut Draft,
    service: &Value,
    drivers: &HashMap<&str, &str>,
) -> Vec<Endpoint> {
    let place = format!("service {}", text(service, "name").unwrap_or(""));
    let default = match text(service, "scheme") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => 443,
        _ => 80,
    };
    let app = text(service, "service").unwrap_or("");
    let nodes = match text(service, "discovery") {
        None => texts(service, "nodes"),
        Some(discovery) => match drivers.get(discovery) {
            Some(&"static") => app.split(';').collect(),
            Some(driver) => {
                let what = format!("nodes of `{app}` are looked up in {discovery} ({driver})");
                draft.complain(&place, &what);
                return Vec::new();
            }
            None => {
                draft.complain(&place, &format!("there is no discovery `{discovery}`"));
                return Vec::new();
            }
        },
    };
    let mut found = Vec::new();
    for node in nodes {
        // The address; then a weight and labels.
        let Some(address) = node.split_whitespace().next() else {
            continue;
        };
        let (host, port) = split_port(address);
        let parsed = match port.map(str::parse) {
            None => endpoints(host, default),
            Some(Ok(port)) => endpoints(host, port),
            Some(Err(_)) => {
                draft.complain(&place, &format!("node `{address}` has no port that is one"));
                continue;
            }
        };
        found.extend(draft.keep(&place, parsed).into_iter().flatten());
    }
    found
}

#[cfg(test)]
mod tests;
