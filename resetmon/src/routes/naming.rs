//! Names of routes: each once in a gateway, most of them made of a server's name and a path.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::address::Listener;
use super::table::Route;

/// Hands out names, each once.
#[derive(Debug)]
pub struct UniqueNames {
    sign: &'static str,
    used: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl Default for UniqueNames {
    fn default() -> Self {
        Self::with("#")
    }
}

impl UniqueNames {
    /// With `sign` before the number of a name that comes again.
    #[must_use]
    pub fn with(sign: &'static str) -> Self {
        Self {
            sign,
            used: HashSet::new(),
            counts: HashMap::new(),
        }
    }

    /// `name` itself the first time, then `name#2`, `name#3` and so on.
    pub fn of(&mut self, name: String) -> String {
        if self.used.insert(name.clone()) {
            return name;
        }
        let count = self.counts.entry(name.clone()).or_insert(1);
        loop {
            *count += 1;
            let next = format!("{name}{}{count}", self.sign);
            if self.used.insert(next.clone()) {
                return next;
            }
        }
    }
}

/// A route before it has its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Name of the server it belongs to; `None`: one without a name of its own.
    pub server: Option<Arc<str>>,
    /// The path or pattern, as written.
    pub path: String,
    /// Which listeners lead to it; empty: any of them.
    pub listeners: Vec<Listener>,
    /// Names of the upstreams it may use.
    pub upstreams: Vec<Arc<str>>,
}

impl Draft {
    /// `shop.example.com/api`, `shop.example.com ~ ^/x`, `/api`; with `port` also
    /// `shop.example.com:8080/api` and `:8080/api`.
    fn name(&self, port: Option<u16>) -> String {
        let mut name = self.server.as_deref().unwrap_or_default().to_owned();
        if let Some(port) = port {
            name.push(':');
            name.push_str(&port.to_string());
        }
        if !name.is_empty() && !self.path.is_empty() && !self.path.starts_with('/') {
            name.push(' ');
        }
        name.push_str(&self.path);
        name
    }
}

/// The routes of these drafts, in their order.
///
/// The same server and path with the same upstreams (once with TLS, once without, say) is one
/// route, and one without upstreams (it redirects to the other, say) belongs to the first that has
/// some. With other upstreams the port tells them apart, and where even that is the same, a number.
#[must_use]
pub fn routes(drafts: Vec<Draft>) -> Vec<Route> {
    let mut merged: Vec<(usize, Draft)> = Vec::new();
    let mut known: HashMap<(String, BTreeSet<Arc<str>>), usize> = HashMap::new();
    let mut first: HashMap<String, usize> = HashMap::new();
    let (passing, answering): (Vec<_>, Vec<_>) = drafts
        .into_iter()
        .enumerate()
        .partition(|(_, draft)| !draft.upstreams.is_empty());
    for (place, draft) in passing.into_iter().chain(answering) {
        let key = (draft.name(None), draft.upstreams.iter().cloned().collect());
        let mut same = known.get(&key);
        if draft.upstreams.is_empty() {
            same = same.or_else(|| first.get(&key.0));
        }
        if let Some(&index) = same {
            let (first, known) = &mut merged[index];
            *first = place.min(*first);
            merge(&mut known.listeners, &draft.listeners);
        } else {
            first.entry(key.0.clone()).or_insert(merged.len());
            known.insert(key, merged.len());
            merged.push((place, draft));
        }
    }
    merged.sort_unstable_by_key(|(place, _)| *place);
    let mut count: HashMap<String, usize> = HashMap::new();
    for (_, draft) in &merged {
        *count.entry(draft.name(None)).or_default() += 1;
    }
    // After a path, a blank shows that the number is no part of it.
    let mut unique = UniqueNames::with(" #");
    merged
        .into_iter()
        .map(|(_, draft)| {
            let mut name = draft.name(None);
            if count[&name] > 1
                && let Some(listener) = draft.listeners.first()
            {
                name = draft.name(Some(listener.port));
            }
            Route {
                name: unique.of(name).into(),
                listeners: draft.listeners,
                upstreams: draft.upstreams,
            }
        })
        .collect()
}

/// Leaves the server's name out where there is only one that has upstreams: `/api` says it all.
pub fn without_only_name(drafts: &mut [Draft]) {
    let mut names: Vec<_> = drafts
        .iter()
        .filter(|draft| !draft.upstreams.is_empty())
        .map(|draft| draft.server.clone())
        .collect();
    names.dedup();
    if let [only] = &names[..] {
        for draft in drafts.iter_mut().filter(|draft| draft.server == *only) {
            draft.server = None;
        }
    }
}

/// Adds the listeners of a second server; one that any listener leads to takes all.
fn merge(listeners: &mut Vec<Listener>, more: &[Listener]) {
    if more.is_empty() || listeners.is_empty() {
        listeners.clear();
        return;
    }
    for listener in more {
        if !listeners.contains(listener) {
            listeners.push(*listener);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(server: &str, path: &str, ports: &[u16], upstream: &str) -> Draft {
        let listener = |port: &u16| Listener {
            address: None,
            port: *port,
        };
        Draft {
            server: (!server.is_empty()).then(|| server.into()),
            path: path.to_owned(),
            listeners: ports.iter().map(listener).collect(),
            upstreams: vec![upstream.into()],
        }
    }

    fn names(drafts: &[Draft]) -> Vec<String> {
        let routes = routes(drafts.to_vec());
        routes
            .iter()
            .map(|route| {
                let ports: Vec<_> = route.listeners.iter().map(ToString::to_string).collect();
                format!("{} [{}]", route.name, ports.join(" "))
            })
            .collect()
    }

    #[test]
    fn names_are_short_and_unique() {
        assert_eq!(
            names(&[
                draft("a", "/x", &[80], "one"),
                draft("a", "/x", &[443], "one"),
                draft("a", "~ ^/y", &[80], "one"),
                draft("", "/z", &[80], "one"),
                draft("", "/z", &[81], "two"),
                draft("b", "/x", &[80], "one"),
                draft("b", "/x", &[80], "two"),
                draft("c", "/x", &[], "one"),
                draft("c", "/x", &[], "two"),
                draft("c", "/x #2", &[], "two"),
                draft("d", "", &[1], "two"),
            ]),
            [
                "a/x [:80 :443]",
                "a ~ ^/y [:80]",
                ":80/z [:80]",
                ":81/z [:81]",
                "b:80/x [:80]",
                "b:80/x #2 [:80]",
                "c/x []",
                "c/x #2 []",
                "c/x #2 #2 []",
                "d [:1]",
            ]
        );
    }

    #[test]
    fn any_listener_takes_all() {
        assert_eq!(
            names(&[
                draft("a", "/", &[80], "one"),
                draft("a", "/", &[], "one"),
                draft("a", "/", &[81], "one"),
            ]),
            ["a/ []"]
        );
    }

    #[test]
    fn each_name_once() {
        let mut names = UniqueNames::default();
        let given = ["a", "a#2", "a", "b", "a", "a#2"];
        let found: Vec<String> = given.map(|name| names.of(name.to_owned())).to_vec();
        assert_eq!(found, ["a", "a#2", "a#3", "b", "a#4", "a#2#2"]);
    }
}
