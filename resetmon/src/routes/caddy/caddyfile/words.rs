//! Words of directives: matchers, addresses of sites, upstreams.

use serde_json::{Map, Value, json};

use super::tree::Directive;
use super::{Matchers, Options};

/// The matcher that a directive begins with, and the words after it.
pub(super) fn matched<'a>(
    arguments: &'a [String],
    matchers: &Matchers,
) -> (Option<Value>, &'a [String]) {
    let Some((first, rest)) = arguments.split_first() else {
        return (None, arguments);
    };
    if first == "*" {
        (None, rest)
    } else if first.starts_with('/') {
        (Some(json!({ "path": [first] })), rest)
    } else if first.starts_with('@') {
        (matchers.get(first).cloned(), rest)
    } else {
        (None, arguments)
    }
}

/// What `@name …` or `@name { … }` says of hosts and paths.
pub(super) fn matcher(directive: &Directive) -> Value {
    let mut found = Map::new();
    let mut add = |words: &[String]| {
        let Some((kind, values)) = words.split_first() else {
            return;
        };
        match &**kind {
            "host" | "path" => {
                found.insert(kind.clone(), json!(values));
            }
            "path_regexp" => {
                let pattern = json!({ "pattern": values.last() });
                found.insert(kind.clone(), pattern);
            }
            _ => {}
        }
    };
    add(directive.arguments());
    for inner in directive.inside() {
        add(&inner.words);
    }
    Value::Object(found)
}

/// Host, port and path of a site's address.
pub(super) fn site_address(
    address: &str,
    options: &Options,
) -> Option<(Option<String>, u16, Option<String>)> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, address),
    };
    let (host, path) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
        None => (rest, None),
    };
    let (host, port) = crate::routes::draft::split_port(host);
    let port = match (port, scheme) {
        (Some(digits), _) => digits.parse().ok().filter(|port| *port != 0)?,
        (None, Some("http")) => options.http_port,
        (None, _) => options.https_port,
    };
    let host = (!host.is_empty()).then(|| host.to_owned());
    Some((host, port, path))
}

pub(super) fn bound(bind: &str, port: u16) -> String {
    if bind.starts_with("unix/") || bind.starts_with("fd/") {
        return bind.to_owned();
    }
    match bind.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{bind}:{port}"),
    }
}

/// An upstream as written to an address to dial.
pub(super) fn dial(upstream: &str) -> Value {
    let (scheme, rest) = match upstream.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("http", upstream),
    };
    let (_, port) = crate::routes::draft::split_port(rest);
    let dial = match port {
        _ if rest.contains('/') => rest.to_owned(),
        Some(_) => rest.to_owned(),
        None if scheme == "https" => format!("{rest}:443"),
        None => format!("{rest}:80"),
    };
    json!({ "dial": dial })
}

/// `dynamic a NAME PORT`, `dynamic srv NAME`, or the same in a block.
pub(super) fn dynamic(directive: &Directive) -> Value {
    let words = directive.arguments();
    let word = |index: usize| words.get(index).cloned();
    let mut source = Map::new();
    source.insert("source".to_owned(), json!(word(0)));
    source.insert("name".to_owned(), json!(word(1)));
    source.insert("port".to_owned(), json!(word(2)));
    let mut sources = Vec::new();
    for inner in directive.inside() {
        match inner.name() {
            key @ ("name" | "port" | "service" | "proto") => {
                source.insert(key.to_owned(), json!(inner.arguments().first()));
            }
            "a" | "srv" => {
                let inner = Directive {
                    words: [&["dynamic".to_owned()], &inner.words[..]].concat(),
                    ..inner.clone()
                };
                sources.push(dynamic(&inner));
            }
            _ => {}
        }
    }
    if !sources.is_empty() {
        source.insert("sources".to_owned(), Value::Array(sources));
    }
    Value::Object(source)
}
