//! The bill of materials: `CycloneDX` 1.5, as JSON, from what cargo says of the agent.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::Invocation;
use crate::workspace::Workspace;

/// The bill of `resetmon` as built for `target`.
///
/// # Errors
/// When cargo fails or says something unforeseen.
pub(super) fn write(workspace: &Workspace, target: &str) -> Result<String> {
    let metadata = Invocation::new(&workspace.cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", target])
        .dir(&workspace.root)
        .read()?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let bill = bill(&metadata).context("cargo metadata does not describe resetmon")?;
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

fn bill(metadata: &Value) -> Option<Value> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let edges: BTreeMap<&str, Vec<&str>> = metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, linked(node)?)))
        .collect();
    let root = *packages
        .iter()
        .find(|(_, package)| package["name"] == "resetmon")?
        .0;
    let mut reached = BTreeSet::from([root]);
    let mut next = vec![root];
    while let Some(id) = next.pop() {
        for other in edges.get(id)? {
            if reached.insert(other) {
                next.push(other);
            }
        }
    }
    let name = |id: &str| packages.get(id).and_then(|package| url(package));
    let components: Vec<Value> = reached
        .iter()
        .filter(|id| **id != root)
        .map(|id| component(packages.get(id)?, "library"))
        .collect::<Option<_>>()?;
    let dependencies: Vec<Value> = reached
        .iter()
        .map(|id| {
            let on: Option<Vec<String>> = edges.get(id)?.iter().map(|id| name(id)).collect();
            Some(json!({"ref": name(id)?, "dependsOn": on?}))
        })
        .collect::<Option<_>>()?;
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages.get(root)?, "application")?},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// What a package is linked from: neither what only its tests nor what only its build needs.
fn linked(node: &Value) -> Option<Vec<&str>> {
    let normal = |dep: &&Value| {
        let kinds = dep["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let deps = node["deps"].as_array()?.iter().filter(normal);
    deps.map(|dep| dep["pkg"].as_str()).collect()
}

fn url(package: &Value) -> Option<String> {
    let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
    Some(format!("pkg:cargo/{name}@{version}"))
}

fn component(package: &Value, kind: &str) -> Option<Value> {
    let url = url(package)?;
    let mut component = json!({
        "type": kind,
        "bom-ref": url,
        "purl": url,
        "name": package["name"],
        "version": package["version"],
    });
    // Cargo still takes the slash that older packages write instead of OR.
    if let Some(license) = package["license"].as_str() {
        let license = license.replace('/', " OR ");
        component["licenses"] = json!([{"expression": license}]);
    }
    Some(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, license: &str) -> Value {
        json!({"id": name, "name": name, "version": "1.0.0", "license": license})
    }

    fn dep(name: &str, kind: Option<&str>) -> Value {
        json!({"pkg": name, "dep_kinds": [{"kind": kind}]})
    }

    #[test]
    fn holds_what_is_linked_and_no_more() {
        let metadata = json!({
            "packages": [
                package("resetmon", "MIT"),
                package("near", "MIT/Apache-2.0"),
                package("far", "ISC"),
                package("tests", "MIT"),
                package("builds", "MIT"),
                package("xtask", "MIT"),
            ],
            "resolve": {"nodes": [
                {"id": "resetmon", "deps": [
                    dep("near", None), dep("tests", Some("dev")), dep("builds", Some("build")),
                ]},
                {"id": "near", "deps": [dep("far", None)]},
                {"id": "far", "deps": []},
                {"id": "tests", "deps": []},
                {"id": "builds", "deps": []},
                {"id": "xtask", "deps": [dep("far", None)]},
            ]},
        });
        let bill = bill(&metadata).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], "resetmon");
        let names: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["far", "near"]);
        let license = &bill["components"][1]["licenses"][0]["expression"];
        assert_eq!(license, "MIT OR Apache-2.0");
        let root = &bill["dependencies"].as_array().unwrap()[2];
        assert_eq!(root["dependsOn"], json!(["pkg:cargo/near@1.0.0"]));
        assert_eq!(super::bill(&json!({"packages": []})), None);
    }
}
