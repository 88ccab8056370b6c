//! The kernel modules that the tests need, and those that they need in turn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Invocation;

/// What the live-kernel tests use: asking for and destroying sockets, firewall rules, a peer made
/// of packets, links that lose and delay.
const NEEDED: [&str; 12] = [
    "inet_diag",
    "tcp_diag",
    "mptcp_diag",
    "nf_tables",
    "nft_ct",
    "nft_reject_inet",
    "nft_reject_ipv4",
    "nft_reject_ipv6",
    "tun",
    "veth",
    "bridge",
    "sch_netem",
];

/// A module, ready to be loaded.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name, with underscores.
    pub(crate) name: String,
    /// Its object file.
    pub(crate) object: Vec<u8>,
}

/// The modules under `folder` that the tests need, each after those it depends on.
///
/// # Errors
/// When one is missing or cannot be unpacked.
pub(crate) fn collect(folder: &Path, busybox: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(folder, &mut files)?;
    let mut objects: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let order = in_order(&NEEDED, |name| {
        let path = files
            .get(name)
            .with_context(|| format!("no module {name} in {}", folder.display()))?;
        let object = unpacked(path, busybox)?;
        let depends = depends(&object)
            .with_context(|| format!("{} is not a kernel module", path.display()))?;
        objects.insert(name.to_owned(), object);
        Ok(depends)
    })?;
    Ok(order
        .into_iter()
        .filter_map(|name| {
            let object = objects.remove(&name)?;
            Some(Module { name, object })
        })
        .collect())
}

/// Every module file below `folder` by the module's name.
fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if let Some(name) = path
            .file_name()
            .and_then(|name| module_name(name.to_str()?))
        {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The module in a file of this name. Files may have hyphens where the module has underscores.
fn module_name(file: &str) -> Option<String> {
    let (name, suffix) = file.split_once(".ko")?;
    (suffix.is_empty() || suffix.starts_with('.')).then(|| name.replace('-', "_"))
}

/// A module's object file, uncompressed.
fn unpacked(path: &Path, busybox: &Path) -> Result<Vec<u8>> {
    let applet = match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => {
            return std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        }
        Some("xz") => "unxz",
        Some("gz") => "gunzip",
        _ => bail!("{}: neither plain nor packed by xz or gzip", path.display()),
    };
    let call = Invocation::new(busybox).args([applet, "-c"]).arg(path);
    let output = call.output()?;
    if !output.status.success() {
        bail!("`{call}` ended with {}", output.status);
    }
    Ok(output.stdout)
}

/// What a module depends on, from its section `.modinfo`: strings that end in NUL.
fn depends(object: &[u8]) -> Option<Vec<String>> {
    const KEY: &[u8] = b"\0depends=";
    let at = object.windows(KEY.len()).position(|window| window == KEY)?;
    let rest = &object[at + KEY.len()..];
    let list = &rest[..rest.iter().position(|&byte| byte == 0)?];
    let list = std::str::from_utf8(list).ok()?;
    Some(
        list.split(',')
            .filter(|name| !name.is_empty())
            .map(|name| name.replace('-', "_"))
            .collect(),
    )
}

/// `names` and all that they depend on, dependencies first, each once.
fn in_order(
    names: &[&str],
    mut depends: impl FnMut(&str) -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    enum Step {
        Enter(String),
        Leave(String),
    }
    let mut order: Vec<String> = Vec::new();
    let mut entered = std::collections::BTreeSet::new();
    let mut steps: Vec<Step> = names
        .iter()
        .rev()
        .map(|&name| Step::Enter(name.to_owned()))
        .collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(name) => {
                if entered.insert(name.clone()) {
                    let needs = depends(&name)?;
                    steps.push(Step::Leave(name));
                    steps.extend(needs.into_iter().rev().map(Step::Enter));
                }
            }
            Step::Leave(name) => order.push(name),
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files() {
        for (file, name) in [
            ("tun.ko", Some("tun")),
            ("nft-ct.ko.xz", Some("nft_ct")),
            ("a.ko.zst", Some("a")),
            ("modules.order", None),
            ("a.kodak", None),
        ] {
            assert_eq!(module_name(file).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn reads_dependencies() {
        let none: Option<Vec<String>> = None;
        let some = |names: &[&str]| Some(names.iter().map(|&n| n.to_owned()).collect());
        let rows: [(&[u8], Option<Vec<String>>); 6] = [
            (
                b"\0license=GPL\0depends=nf_tables,nf-conntrack\0x",
                some(&["nf_tables", "nf_conntrack"]),
            ),
            (b"\0depends=\0", some(&[])),
            (b"\0softdepends=a\0", none.clone()),
            (b"\0depends=a", none.clone()),
            (b"\0depends=\xff\0", none.clone()),
            (b"", none),
        ];
        for (object, expected) in rows {
            assert_eq!(depends(object), expected, "{}", object.escape_ascii());
        }
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let graph = |name: &str| -> Result<Vec<String>> {
            let needs: &[&str] = match name {
                "top" => &["left", "right"],
                "left" | "right" => &["base"],
                "base" | "other" => &[],
                // A circle must not hang.
                "a" => &["b"],
                "b" => &["a"],
                _ => bail!("no module {name}"),
            };
            Ok(needs.iter().map(|&need| need.to_owned()).collect())
        };
        assert_eq!(
            in_order(&["top", "other", "base"], graph).unwrap(),
            ["base", "left", "right", "top", "other"]
        );
        assert_eq!(in_order(&["a"], graph).unwrap(), ["b", "a"]);
        assert!(in_order(&["nothing"], graph).is_err());
    }
}
