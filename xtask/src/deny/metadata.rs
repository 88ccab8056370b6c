//! What cargo alone says of the dependencies, held against `deny.toml`: licences as the packages
//! state them, duplicates, sources, and what is not to be linked.
//!
//! cargo-deny does the same and more; it also reads the texts of licences.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::license;

/// Where packages may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What was looked at, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Found {
    /// How many packages there are.
    pub(super) packages: usize,
    /// Each fault, as a line.
    pub(super) faults: Vec<String>,
}

/// Holds the answer of `cargo metadata` against the rules.
///
/// # Errors
/// When one of the two is not as expected.
pub(super) fn check(metadata: &Value, rules: &Value) -> Result<Found> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .context("packages")?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let used = used(metadata)?;
    for id in &used {
        let package = packages.get(id).context("a package without a name")?;
        let name = package["name"].as_str().context("name")?;
        let version = package["version"].as_str().context("version")?;
        let mut fault = |what: String| faults.push(format!("{name} {version}: {what}"));
        if let Err(what) = license(package, rules) {
            fault(what);
        }
        match package["source"].as_str() {
            // Of the workspace.
            None => continue,
            Some(REGISTRY) => {}
            Some(other) => fault(format!("comes from {other}")),
        }
        if let Some(rule) = entry(&rules["bans"]["deny"], name) {
            fault(format!("is not wanted: {}", rule["reason"]));
        }
        if !is_skipped(rules, name, version) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 {
            faults.push(format!("{name} is there more than once: {versions:?}"));
        }
    }
    Ok(Found {
        packages: used.len(),
        faults,
    })
}

/// What the workspace is built of, without what only its tests need.
fn used(metadata: &Value) -> Result<BTreeSet<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("nodes")?;
    let edges: BTreeMap<&str, &Value> = nodes
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, &node["deps"])))
        .collect();
    let members = metadata["workspace_members"]
        .as_array()
        .context("members")?;
    let mut next: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
    let mut used: BTreeSet<&str> = next.iter().copied().collect();
    while let Some(id) = next.pop() {
        let deps = edges.get(id).and_then(|deps| deps.as_array());
        for dep in deps.with_context(|| format!("no dependencies of {id}"))? {
            let kinds = dep["dep_kinds"].as_array().context("dep_kinds")?;
            let other = dep["pkg"].as_str().context("pkg")?;
            if kinds.iter().any(|kind| kind["kind"] != "dev") && used.insert(other) {
                next.push(other);
            }
        }
    }
    Ok(used)
}

/// Fails when no licence of the package is one that the rules allow.
fn license(package: &Value, rules: &Value) -> Result<(), String> {
    let Some(expression) = package["license"].as_str() else {
        return Err("states no licence".to_owned());
    };
    let rules = &rules["licenses"];
    let name = package["name"].as_str().unwrap_or_default();
    let exception = entry(&rules["exceptions"], name);
    let is_allowed = |license: &str| {
        let contains = |list: &Value| {
            let list = list.as_array();
            list.is_some_and(|list| list.iter().any(|allowed| allowed == license))
        };
        contains(&rules["allow"]) || exception.is_some_and(|rule| contains(&rule["allow"]))
    };
    match license::satisfies(expression, is_allowed) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("has a licence that is not allowed: {expression}")),
        None => Err(format!("states its licence unclearly: {expression}")),
    }
}

/// The entry of a list that is about every version of this crate.
fn entry<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|rule| rule["crate"] == name)
}

/// Whether this version is one of those that may be there besides another.
fn is_skipped(rules: &Value, name: &str, version: &str) -> bool {
    let list = rules["bans"]["skip"].as_array();
    list.into_iter().flatten().any(|rule| {
        let Some((crate_name, wanted)) = rule["crate"].as_str().and_then(|it| it.split_once('@'))
        else {
            return false;
        };
        let rest = version.strip_prefix(wanted);
        crate_name == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Value {
        json!({
            "licenses": {
                "allow": ["MIT", "ISC"],
                "exceptions": [{"crate": "odd", "allow": ["Zlib"]}],
            },
            "bans": {
                "deny": [{"crate": "unwanted", "reason": "why"}],
                "skip": [{"crate": "twice@1", "reason": "why"}],
            },
        })
    }

    /// A workspace of one crate that depends so on one package.
    fn metadata(packages: &[Value], kind: Option<&str>) -> Value {
        let mut packages = packages.to_vec();
        let deps: Vec<Value> = packages
            .iter()
            .map(|one| json!({"pkg": one["id"], "dep_kinds": [{"kind": kind}]}))
            .collect();
        let mut nodes = vec![json!({"id": "own", "deps": deps})];
        nodes.extend(
            packages
                .iter()
                .map(|one| json!({"id": one["id"], "deps": []})),
        );
        packages.push(json!({"id": "own", "name": "own", "version": "0.1.0", "license": "MIT"}));
        json!({"packages": packages, "resolve": {"nodes": nodes}, "workspace_members": ["own"]})
    }

    fn package(name: &str, version: &str, license: &str) -> Value {
        json!({
            "id": format!("{name}@{version}"), "name": name, "version": version,
            "license": license, "source": REGISTRY,
        })
    }

    #[test]
    fn finds_faults() {
        let mut elsewhere = package("near", "1.0.0", "MIT");
        elsewhere["source"] = json!("git+https://example.com/near");
        let mut silent = package("near", "1.0.0", "MIT");
        silent["license"] = Value::Null;
        let rows: [(&[Value], &[&str]); 13] = [
            (&[package("near", "1.0.0", "MIT OR Zlib")], &[]),
            (&[package("near", "1.0.0", "Zlib")], &["not allowed: Zlib"]),
            (&[package("odd", "1.0.0", "Zlib")], &[]),
            (&[package("odder", "1.0.0", "Zlib")], &["not allowed: Zlib"]),
            (&[package("near", "1.0.0", "MIT ISC")], &["unclearly"]),
            (&[silent], &["no licence"]),
            (&[elsewhere], &["comes from git+"]),
            (&[package("unwanted", "1.0.0", "MIT")], &["why"]),
            (&[package("unwanted-not", "1.0.0", "MIT")], &[]),
            (
                &[
                    package("near", "1.0.0", "MIT"),
                    package("near", "2.0.0", "MIT"),
                ],
                &["more than once"],
            ),
            (
                &[
                    package("twice", "1.5.0", "MIT"),
                    package("twice", "2.0.0", "MIT"),
                ],
                &[],
            ),
            (
                &[
                    package("twice", "10.0.0", "MIT"),
                    package("twice", "2.0.0", "MIT"),
                ],
                &["more than once"],
            ),
            (
                &[package("unwanted", "1.0.0", "Zlib")],
                &["not allowed", "why"],
            ),
        ];
        for (packages, expected) in rows {
            let found = check(&metadata(packages, None), &rules()).unwrap().faults;
            assert_eq!(found.len(), expected.len(), "{packages:?}: {found:?}");
            for (line, words) in found.iter().zip(expected) {
                assert!(line.contains(words), "{line}");
            }
        }
    }

    #[test]
    fn what_only_tests_need_is_free() {
        let wrong = package("near", "1.0.0", "Zlib");
        for (kind, expected) in [(None, 1), (Some("build"), 1), (Some("dev"), 0)] {
            let metadata = metadata(std::slice::from_ref(&wrong), kind);
            let found = check(&metadata, &rules()).unwrap().faults;
            assert_eq!(found.len(), expected, "{kind:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_metadata() {
        assert!(check(&json!({}), &rules()).is_err());
        assert!(check(&json!({"packages": []}), &rules()).is_err());
    }
}
