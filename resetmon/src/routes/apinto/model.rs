//! Apinto's routers, services and discoveries to a [`Draft`].
//!
//! <https://github.com/eolinker/apinto-docs/blob/main/docs/apinto/router/http.md> and its
//! neighbours `service/http.md` and `discovery/static.md`. AI providers are in no document; their
//! members are those of Apinto's own `drivers/ai-provider` and of its plugin `ai-formatter`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::settings::Settings;
use crate::routes::address::{Endpoint, Listener};
use crate::routes::draft::{
    Draft, endpoints, members, port, split_port, text, texts, url_endpoints,
};

/// The objects of the admin API, which calls them workers.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// Of `/api/router`.
    pub routers: Vec<Value>,
    /// Of `/api/service`.
    pub services: Vec<Value>,
    /// Of `/api/discovery`.
    pub discoveries: Vec<Value>,
    /// Of `/api/ai-provider`: the language models' hosts that `APIPark` sets up.
    pub providers: Vec<Value>,
    /// Place and reason of what is missing.
    pub complaints: Vec<(String, String)>,
}

/// Upstreams by what refers to them.
type ByName<'a> = HashMap<&'a str, Arc<str>>;

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
        let mut services: ByName<'_> = HashMap::new();
        for service in &self.services {
            let name = text(service, "name").unwrap_or("");
            let found = service_endpoints(&mut draft, service, &drivers);
            let upstream = draft.upstream(name, found);
            if let Some(id) = text(service, "id") {
                services.insert(id, upstream);
            }
        }
        let providers = add_providers(&mut draft, &self.providers);
        for router in &self.routers {
            add_router(&mut draft, router, (&services, &providers), &listeners);
        }
        draft
    }
}

/// The upstreams of AI providers, by what routers may call them: id, name, and the model's vendor
/// where only one is of that.
///
/// The base URL is in the object or in its `config`, which is an object or JSON text; without one
/// Apinto has the address built in, and nothing outside tells it.
fn add_providers<'a>(draft: &mut Draft, providers: &'a [Value]) -> ByName<'a> {
    let mut found = HashMap::new();
    let mut vendors: HashMap<&str, Vec<Arc<str>>> = HashMap::new();
    for provider in providers {
        let name = text(provider, "name").unwrap_or("");
        let vendor = text(provider, "provider").or_else(|| text(provider, "driver"));
        let place = format!("ai-provider {name}");
        let base = base_url(provider).or_else(|| match provider.get("config")? {
            Value::String(config) => base_url(&serde_json::from_str(config).ok()?),
            config => base_url(config),
        });
        let endpoints = match base.as_deref().map(url_endpoints) {
            Some(Ok(endpoints)) => endpoints,
            // It stands beside an API key, and may have one in it: not to be shown.
            Some(Err(_)) => {
                draft.complain(&place, "its base URL is not one");
                Vec::new()
            }
            None => {
                let what = format!(
                    "Apinto has the address of `{}` built in and does not tell it: resets of its \
                     connections name no upstream",
                    vendor.unwrap_or(name)
                );
                draft.complain(&place, &what);
                Vec::new()
            }
        };
        let upstream = draft.upstream(name, endpoints);
        for key in [text(provider, "id"), Some(name)].into_iter().flatten() {
            found.insert(key, Arc::clone(&upstream));
        }
        if let Some(vendor) = vendor {
            vendors.entry(vendor).or_default().push(upstream);
        }
    }
    for (vendor, upstreams) in vendors {
        if let [only] = &upstreams[..] {
            found.entry(vendor).or_insert_with(|| Arc::clone(only));
        }
    }
    found
}

fn base_url(object: &Value) -> Option<String> {
    let keys = ["base", "base_url"];
    let url = keys.iter().find_map(|key| text(object, key))?;
    Some(url.to_owned())
}

/// The AI provider that a router's plugins send its requests to.
fn provider_of(router: &Value) -> Option<&str> {
    let mut plugins = members(router, "plugins")
        .filter(|(_, plugin)| plugin.get("disable") != Some(&Value::Bool(true)));
    plugins.find_map(|(_, plugin)| text(plugin.get("config")?, "provider"))
}

fn add_router(
    draft: &mut Draft,
    router: &Value,
    (services, providers): (&ByName<'_>, &ByName<'_>),
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
    let provider = provider_of(router).and_then(|name| {
        if !providers.contains_key(name) {
            draft.complain(
                &place,
                &format!("`{name}` is not the name of one AI provider"),
            );
        }
        providers.get(name)
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
    draft.route(name, &own, upstream.into_iter().chain(provider));
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
