//! A Caddyfile to the JSON that Caddy would make of it, as far as routes go.
//!
//! The common directives, in the shape of <https://caddyserver.com/docs/caddyfile/directives>;
//! what is beyond them is said.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

mod tree;
mod words;

use tree::Directive;
use words::{bound, dial, dynamic, matched, matcher, site_address};

/// Most files that one `import` may name.
pub const MAX_IMPORTS: usize = 200;
/// Deepest `import` in an `import`.
const MAX_IMPORT_DEPTH: usize = 10;
/// Most directives, all imports done.
const MAX_DIRECTIVES: usize = 50_000;

/// Most complaints.
const MAX_COMPLAINTS: usize = 1000;
/// Most addresses of one site.
const MAX_LISTEN: usize = 1000;
/// Most arguments of an `import`.
const MAX_ARGUMENTS: usize = 50;
/// Longest word with its arguments filled in, bytes.
const MAX_WORD: usize = 4096;
/// Longest text with its variables filled in, bytes.
const MAX_TEXT: usize = 32 << 20;

/// Directives that answer a request by themselves.
const ANSWERING: [&str; 7] = [
    "abort",
    "acme_server",
    "error",
    "file_server",
    "metrics",
    "redir",
    "respond",
];
/// Directives that send nothing anywhere.
const PASSING: [&str; 28] = [
    "basic_auth",
    "basicauth",
    "bind",
    "copy_response",
    "copy_response_headers",
    "encode",
    "fs",
    "header",
    "intercept",
    "log",
    "log_append",
    "log_name",
    "log_skip",
    "map",
    "method",
    "push",
    "request_body",
    "request_header",
    "rewrite",
    "root",
    "skip_log",
    "templates",
    "tls",
    "tracing",
    "try_files",
    "uri",
    "vars",
    "rate_limit",
];

/// What a Caddyfile takes from elsewhere.
pub trait Outside {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The texts of the files that a pattern names.
    fn import(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// The configuration as JSON, and what was not understood, each with its line; or why it is none.
pub fn adapt(text: &str, outside: &dyn Outside) -> Result<(Value, Vec<String>), String> {
    let directives = tree::parse(&substituted(text, outside))?;
    let mut adapter = Adapter {
        outside,
        snippets: HashMap::new(),
        named_routes: Map::new(),
        complaints: Vec::new(),
        directives: 0,
    };
    // Snippets are known from where they stand on, as in Caddy.
    let directives = adapter.imported(&directives, 0);
    let config = adapter.config(&directives);
    Ok((config, adapter.complaints))
}

/// `text` with `{$NAME}` and `{$NAME:default}` filled in.
fn substituted(text: &str, outside: &dyn Outside) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{$") {
        whole.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            whole.push_str("{$");
            rest = after;
            continue;
        };
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        let value = outside.variable(name).filter(|value| !value.is_empty());
        whole.push_str(value.as_deref().unwrap_or(default));
        rest = after;
        if whole.len() > MAX_TEXT {
            break;
        }
    }
    whole.push_str(rest);
    whole
}

struct Adapter<'a> {
    outside: &'a dyn Outside,
    snippets: HashMap<String, Vec<Directive>>,
    named_routes: Map<String, Value>,
    complaints: Vec<String>,
    directives: usize,
}

/// Named matchers of a site.
type Matchers = HashMap<String, Value>;

/// Global options that matter here.
struct Options {
    http_port: u16,
    https_port: u16,
    auto_https: bool,
}

impl Adapter<'_> {
    fn complain(&mut self, line: usize, what: &str) {
        let complaint = format!("line {line}: {what}");
        // More than a reading keeps.
        if self.complaints.len() < MAX_COMPLAINTS && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// The directives with every `import` replaced by what it brings.
    fn imported(&mut self, directives: &[Directive], depth: usize) -> Vec<Directive> {
        let mut all = Vec::new();
        for directive in directives {
            self.directives += 1;
            if self.directives > MAX_DIRECTIVES {
                if self.directives == MAX_DIRECTIVES + 1 {
                    let what = format!("directives after the first {MAX_DIRECTIVES} are left out");
                    self.complain(directive.line, &what);
                }
                break;
            }
            if directive.name() == "import" {
                all.extend(self.import(directive, depth));
                continue;
            }
            let name = directive.name().strip_prefix('(');
            if let Some(name) = name.and_then(|name| name.strip_suffix(')')) {
                let block = directive.inside().to_vec();
                self.snippets.insert(name.to_owned(), block);
                continue;
            }
            let mut directive = directive.clone();
            if let Some(block) = &directive.block {
                directive.block = Some(self.imported(block, depth));
            }
            all.push(directive);
        }
        all
    }

    fn import(&mut self, directive: &Directive, depth: usize) -> Vec<Directive> {
        let Some((what, arguments)) = directive.arguments().split_first() else {
            return Vec::new();
        };
        if depth >= MAX_IMPORT_DEPTH {
            let what = format!("import `{what}` is nested deeper than {MAX_IMPORT_DEPTH}");
            self.complain(directive.line, &what);
            return Vec::new();
        }
        if let Some(mut snippet) = self.snippets.get(what).cloned() {
            for directive in &mut snippet {
                fill_in(directive, arguments);
            }
            return self.imported(&snippet, depth + 1);
        }
        let texts = match self.outside.import(what) {
            Ok(texts) => texts,
            Err(error) => {
                self.complain(directive.line, &format!("import `{what}`: {error}"));
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for text in texts {
            match tree::parse(&substituted(&text, self.outside)) {
                Ok(mut found) => {
                    for directive in &mut found {
                        fill_in(directive, arguments);
                    }
                    all.extend(self.imported(&found, depth + 1));
                }
                Err(error) => {
                    self.complain(directive.line, &format!("import `{what}`: {error}"));
                }
            }
        }
        all
    }

    fn config(&mut self, directives: &[Directive]) -> Value {
        let (global, sites) = match directives.split_first() {
            Some((first, rest)) if first.words.is_empty() => (first.inside(), rest),
            _ => (&[][..], directives),
        };
        let (options, admin) = self.options(global);
        let mut servers = Map::new();
        for site in sites.iter().filter(|site| site.name().starts_with("&(")) {
            let name = site.name().trim_start_matches("&(").trim_end_matches(')');
            let routes = self.routes(site.inside(), &Matchers::new());
            let route = json!({ "handle": [{ "handler": "subroute", "routes": routes }] });
            self.named_routes.insert(name.to_owned(), route);
        }
        // A single site may stand without braces: its address is the first line.
        if let Some((first, body)) = sites.split_first()
            && first.block.is_none()
        {
            self.site(first.line, &first.words, body, &options, &mut servers);
        } else {
            let sites = sites.iter().filter(|site| !site.name().starts_with("&("));
            for site in sites {
                self.site(
                    site.line,
                    &site.words,
                    site.inside(),
                    &options,
                    &mut servers,
                );
            }
        }
        let http = json!({
            "http_port": options.http_port,
            "https_port": options.https_port,
            "servers": servers,
            "named_routes": self.named_routes,
        });
        json!({ "admin": admin, "apps": { "http": http } })
    }

    fn options(&mut self, global: &[Directive]) -> (Options, Value) {
        let mut options = Options {
            http_port: 80,
            https_port: 443,
            auto_https: true,
        };
        let mut admin = Value::Null;
        for option in global {
            let argument = option.arguments().first().map_or("", String::as_str);
            match option.name() {
                "admin" if argument == "off" => admin = json!({ "disabled": true }),
                "admin" if !argument.is_empty() => admin = json!({ "listen": argument }),
                "http_port" => options.http_port = argument.parse().unwrap_or(80),
                "https_port" => options.https_port = argument.parse().unwrap_or(443),
                "auto_https" => {
                    options.auto_https = !matches!(argument, "off" | "disable_redirects");
                }
                "layer4" => self.complain(option.line, "`layer4` is not read from a Caddyfile"),
                _ => {}
            }
        }
        (options, admin)
    }

    /// A site as a server of its own.
    fn site(
        &mut self,
        line: usize,
        words: &[String],
        body: &[Directive],
        options: &Options,
        servers: &mut Map<String, Value>,
    ) {
        let named = body.iter().filter(|one| one.name().starts_with('@'));
        let matchers: Matchers = named
            .map(|one| (one.name().to_owned(), matcher(one)))
            .collect();
        let routes = self.routes(body, &matchers);
        let binds: Vec<&str> = body
            .iter()
            .filter(|one| one.name() == "bind")
            .flat_map(|one| one.arguments().iter().map(String::as_str))
            .collect();
        let mut listen: Vec<String> = Vec::new();
        let (mut hosts, mut paths) = (Vec::new(), Vec::new());
        let addresses = words.iter().flat_map(|word| word.split(','));
        for address in addresses.filter(|address| !address.is_empty()) {
            let Some((host, port, path)) = site_address(address, options) else {
                self.complain(line, &format!("`{address}` is no address of a site"));
                continue;
            };
            hosts.extend(host);
            paths.extend(path);
            match &binds[..] {
                [] => listen.push(format!(":{port}")),
                binds => listen.extend(binds.iter().map(|bind| bound(bind, port))),
            }
            if listen.len() > MAX_LISTEN {
                let what = format!("more than {MAX_LISTEN} addresses; the rest is left out");
                self.complain(line, &what);
                break;
            }
        }
        listen.dedup();
        let mut site = json!({ "handle": [{ "handler": "subroute", "routes": routes }] });
        let mut sets = Map::new();
        if !hosts.is_empty() {
            sets.insert("host".to_owned(), json!(hosts));
        }
        if !paths.is_empty() {
            sets.insert("path".to_owned(), json!(paths));
        }
        if !sets.is_empty() {
            site["match"] = json!([sets]);
        }
        let server = json!({
            "listen": listen,
            "routes": [site],
            "automatic_https": { "disable": !options.auto_https },
        });
        servers.insert(
            format!("site {:05} (line {line})", servers.len() + 1),
            server,
        );
    }

    fn routes(&mut self, body: &[Directive], matchers: &Matchers) -> Vec<Value> {
        let mut routes = Vec::new();
        for directive in body {
            let name = directive.name();
            let (found, arguments) = matched(directive.arguments(), matchers);
            let handler = match name {
                "reverse_proxy" | "forward_auth" => {
                    self.reverse_proxy(directive, arguments, matchers)
                }
                "php_fastcgi" => self.reverse_proxy(directive, arguments, matchers),
                "handle" | "handle_path" | "route" | "handle_errors" => {
                    let routes = self.routes(directive.inside(), matchers);
                    json!({ "handler": "subroute", "routes": routes })
                }
                "invoke" => json!({ "handler": "invoke", "name": arguments.first() }),
                _ if ANSWERING.contains(&name) => json!({ "handler": "static_response" }),
                _ if PASSING.contains(&name) || name.starts_with('@') => continue,
                _ => {
                    let what = format!("`{name}` is unknown; what it connects to is not known");
                    self.complain(directive.line, &what);
                    continue;
                }
            };
            let mut route = json!({ "handle": [handler] });
            match found {
                Some(found) => route["match"] = json!([found]),
                None if name == "php_fastcgi" => route["match"] = json!([{ "path": ["*.php"] }]),
                None => {}
            }
            routes.push(route);
        }
        routes
    }

    fn reverse_proxy(
        &mut self,
        directive: &Directive,
        arguments: &[String],
        matchers: &Matchers,
    ) -> Value {
        let mut upstreams: Vec<Value> = arguments.iter().map(|one| dial(one)).collect();
        let mut handler = json!({ "handler": "reverse_proxy" });
        for inner in directive.inside() {
            match inner.name() {
                "to" => upstreams.extend(inner.arguments().iter().map(|one| dial(one))),
                "dynamic" => handler["dynamic_upstreams"] = dynamic(inner),
                "handle_response" => {
                    let routes = self.routes(inner.inside(), matchers);
                    handler["handle_response"] = json!([{ "routes": routes }]);
                }
                _ => {}
            }
        }
        handler["upstreams"] = Value::Array(upstreams);
        handler
    }
}

/// Arguments of an `import` in the place of `{args[0]}` and `{args.0}`.
fn fill_in(directive: &mut Directive, arguments: &[String]) {
    if arguments.is_empty() {
        return;
    }
    for word in directive
        .words
        .iter_mut()
        .filter(|word| word.contains("{args"))
    {
        for (index, argument) in arguments.iter().enumerate().take(MAX_ARGUMENTS) {
            for pattern in [format!("{{args[{index}]}}"), format!("{{args.{index}}}")] {
                let filled = word.replace(&pattern, argument);
                if filled.len() <= MAX_WORD {
                    *word = filled;
                }
            }
        }
    }
    for inner in directive.block.iter_mut().flatten() {
        fill_in(inner, arguments);
    }
}

#[cfg(test)]
mod tests;
