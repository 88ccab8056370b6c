//! What nginx's variables may be, as far as the configuration alone says it.

use std::collections::HashMap;

use crate::routes::directive::Directive;

/// Deepest chain of variables.
const MAX_CHAIN: usize = 8;
/// Most values of one expression.
const MAX_VALUES: usize = 1000;
/// Longest value, bytes.
pub(super) const MAX_LENGTH: usize = 2048;
/// Bytes that one expression may be expanded to.
const EXPRESSION_BYTES: usize = 1 << 20;
/// Bytes that all expressions of a configuration may be expanded to.
const TOTAL_BYTES: usize = 64 << 20;

/// The variables that `map`, `geo` and `split_clients` of one context make.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    maps: HashMap<String, &'a Directive>,
    left: usize,
}

/// The variables that `set` makes in one block.
#[derive(Debug, Default)]
pub(super) struct Sets<'a>(HashMap<String, Set<'a>>);

/// What `set` says of one variable.
#[derive(Debug, Default)]
struct Set<'a> {
    /// Whether it is set without a condition; what stood before that is gone.
    always: bool,
    values: Vec<&'a str>,
}

impl<'a> Sets<'a> {
    /// Those of a server, a location, or the inside of an `if`.
    pub(super) fn of(block: &'a [Directive]) -> Self {
        let mut sets = Self::default();
        for directive in block {
            match &*directive.name {
                "set" => sets.insert(directive, true),
                "if" => {
                    for inner in directive.inside() {
                        if inner.name == "set" {
                            sets.insert(inner, false);
                        }
                    }
                }
                _ => {}
            }
        }
        sets
    }

    fn insert(&mut self, directive: &'a Directive, always: bool) {
        let Some(name) = directive.argument(0).strip_prefix('$') else {
            return;
        };
        let set = self.0.entry(name.to_ascii_lowercase()).or_default();
        if always {
            *set = Set {
                always,
                values: Vec::new(),
            };
        }
        set.values.push(directive.argument(1));
    }
}

/// Where an expression stands: the inner blocks first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a, 'b> {
    /// The `set`s that it sees.
    pub(super) sets: &'b [&'b Sets<'a>],
    /// The first name of its server.
    pub(super) server_name: Option<&'a str>,
}

impl<'a> Variables<'a> {
    /// Those of `http` or `stream`.
    pub(super) fn of(context: &'a [Directive]) -> Self {
        let kinds = ["map", "geo", "split_clients"];
        let maps = context
            .iter()
            .filter(|directive| kinds.contains(&&*directive.name))
            .filter_map(|directive| {
                let name = directive.arguments.last()?.strip_prefix('$')?;
                Some((name.to_ascii_lowercase(), directive))
            });
        Self {
            maps: maps.collect(),
            left: TOTAL_BYTES,
        }
    }

    /// The `map` that makes `$name`.
    pub(super) fn map(&self, name: &str) -> Option<&'a Directive> {
        self.maps.get(&name.to_ascii_lowercase()).copied()
    }

    /// Everything that `text` may become. What only a request decides keeps its `$name`.
    pub(super) fn expand(&mut self, text: &str, scope: Scope<'a, '_>) -> Vec<String> {
        let mut left = EXPRESSION_BYTES.min(self.left);
        let given = left;
        let values = self.expansions(text, scope, 0, &mut left);
        self.left -= given - left;
        values
    }

    fn expansions(
        &self,
        text: &str,
        scope: Scope<'a, '_>,
        depth: usize,
        left: &mut usize,
    ) -> Vec<String> {
        let mut found = vec![String::new()];
        for piece in pieces(text) {
            let (name, values) = match piece {
                Piece::Text(text) => {
                    for value in &mut found {
                        value.push_str(text);
                        *left = left.saturating_sub(text.len());
                    }
                    continue;
                }
                Piece::Variable(name) => (name, self.values(name, scope, depth, left)),
            };
            let longest = |values: &[String]| values.iter().map(String::len).max().unwrap_or(0);
            let length = longest(&found) + longest(&values);
            let count = found.len().saturating_mul(values.len());
            if values.is_empty()
                || count > MAX_VALUES
                || length > MAX_LENGTH
                || count.saturating_mul(length) > *left
            {
                for value in &mut found {
                    value.push('$');
                    value.push_str(name);
                    *left = left.saturating_sub(name.len() + 1);
                }
                continue;
            }
            *left -= count * length;
            found = found
                .iter()
                .flat_map(|start| values.iter().map(move |value| format!("{start}{value}")))
                .collect();
        }
        found
    }

    /// What `$name` may be; empty if only a request decides it.
    fn values(
        &self,
        name: &str,
        scope: Scope<'a, '_>,
        depth: usize,
        left: &mut usize,
    ) -> Vec<String> {
        if depth >= MAX_CHAIN || *left == 0 {
            return Vec::new();
        }
        let key = name.to_ascii_lowercase();
        let mut texts: Vec<&str> = Vec::new();
        for sets in scope.sets {
            if let Some(set) = sets.0.get(&key) {
                texts.extend(&set.values);
                if set.always {
                    break;
                }
            }
        }
        if texts.is_empty() {
            match (self.maps.get(&key), &*key) {
                (Some(map), _) => texts.extend(entries(map).map(|(_, value)| value)),
                (None, "scheme") => texts.extend(["http", "https"]),
                (None, "server_name") => texts.extend(
                    scope
                        .server_name
                        .filter(|name| !name.starts_with(['~', '*', '.'])),
                ),
                _ => {}
            }
        }
        texts.sort_unstable();
        texts.dedup();
        if texts.len() > MAX_VALUES {
            return Vec::new();
        }
        let mut values = Vec::new();
        for text in texts {
            // Whatever is looked at costs, so that a chain of long lists has an end.
            *left = left.saturating_sub(1 + text.len());
            values.append(&mut self.expansions(text, scope, depth + 1, left));
            if values.len() > MAX_VALUES {
                return Vec::new();
            }
        }
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// Keys and values of a `map`, `geo` or `split_clients`.
pub(super) fn entries(map: &Directive) -> impl Iterator<Item = (&str, &str)> {
    let settings: &[&str] = match &*map.name {
        "geo" => &["proxy", "proxy_recursive", "ranges", "delete"],
        _ => &["hostnames", "volatile"],
    };
    map.inside()
        .iter()
        .filter(|entry| !settings.contains(&&*entry.name))
        .map(|entry| (&*entry.name, entry.argument(0)))
}

/// The names of the variables in `text`.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Variable(name) => Some(name),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// `text` cut into what is constant and what is not. A `$` without a name is text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(behind) = rest.strip_prefix('$') {
            let named = if let Some(inside) = behind.strip_prefix('{') {
                inside
                    .split_once('}')
                    .filter(|(name, _)| !name.is_empty() && !name.contains(|c| !in_name(c)))
            } else {
                let end = behind.find(|c| !in_name(c)).unwrap_or(behind.len());
                (end > 0).then(|| behind.split_at(end))
            };
            if let Some((name, after)) = named {
                rest = after;
                return Some(Piece::Variable(name));
            }
        }
        let next = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '$')
            .map_or(rest.len(), |(index, _)| index);
        let (text, after) = rest.split_at(next);
        rest = after;
        Some(Piece::Text(text))
    })
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::routes::nginx::parser::parse;
    use crate::routes::notes::Notes;

    #[test]
    fn text_and_variables() {
        use Piece::{Text, Variable};
        for (text, expected) in [
            ("a", &[Text("a")][..]),
            ("$a", &[Variable("a")]),
            (
                "http://$a:$b_c/",
                &[
                    Text("http://"),
                    Variable("a"),
                    Text(":"),
                    Variable("b_c"),
                    Text("/"),
                ],
            ),
            ("${a}b", &[Variable("a"), Text("b")]),
            ("$", &[Text("$")]),
            ("$$a", &[Text("$"), Variable("a")]),
            ("${a", &[Text("${a")]),
            ("${}x", &[Text("${}x")]),
            ("$1öl", &[Variable("1"), Text("öl")]),
            ("", &[]),
        ] {
            assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn values_that_the_configuration_says() {
        let text = r#"
            map $uri $by_map { hostnames; default a; /b b; "~^/(c)" c; }
            map $uri $open { default a; ~^/(?<x>.*)$ $x; }
            geo $zone { default here; 10.0.0.0/8 there; ranges; proxy 10.0.0.1; }
            split_clients "$remote_addr" $side { 5% new; * old; }
            map $uri $loop { default $other; }
            map $uri $other { default $loop; }
            server {
                set $fixed one;
                set $fixed two;
                set $chain "$fixed:80";
                set $maybe first;
                if ($x) { set $maybe second; }
                set $never before;
            }
            location {
                set $never after;
                if ($x) { set $fixed three; }
            }
        "#;
        let mut notes = Notes::default();
        let tree = parse(text, Path::new("n"), None, &mut notes).unwrap();
        let inside = |name: &str| {
            let found = tree.iter().find(|directive| directive.name == name);
            Sets::of(found.map(Directive::inside).unwrap_or_default())
        };
        let (server, location) = (inside("server"), inside("location"));
        let scope = Scope {
            sets: &[&location, &server],
            server_name: Some("shop.example.com"),
        };
        let mut variables = Variables::of(&tree);
        for (text, expected) in [
            ("x", &["x"][..]),
            ("$by_map", &["a", "b", "c"]),
            ("$BY_MAP", &["a", "b", "c"]),
            ("$open", &["$x", "a"]),
            (
                "$zone.$side",
                &["here.new", "here.old", "there.new", "there.old"],
            ),
            ("$fixed", &["three", "two"]),
            ("$chain", &["three:80", "two:80"]),
            ("$maybe", &["first", "second"]),
            ("$never", &["after"]),
            (
                "$scheme://$server_name$request_uri",
                &[
                    "http://shop.example.com$request_uri",
                    "https://shop.example.com$request_uri",
                ],
            ),
            ("$host", &["$host"]),
            ("$loop", &["$loop"]),
        ] {
            assert_eq!(variables.expand(text, scope), expected, "{text}");
        }
    }

    #[test]
    fn lists_that_multiply_have_an_end() {
        let mut text = String::new();
        for level in 0..9 {
            let value = format!("$v{}", level + 1).repeat(50);
            let entries: Vec<_> = (0..50).map(|n| format!("{n} {value}{n};")).collect();
            let entries = entries.concat();
            text = format!("{text}map $uri $v{level} {{ {entries} }}\n");
        }
        let mut notes = Notes::default();
        let tree = parse(&text, Path::new("n"), None, &mut notes).unwrap();
        let mut variables = Variables::of(&tree);
        let scope = Scope {
            sets: &[],
            server_name: None,
        };
        let values = variables.expand("$v0", scope);
        assert!(values.len() <= MAX_VALUES);
        assert!(values.iter().any(|value| value.contains('$')));
    }
}
