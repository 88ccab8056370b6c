//! Files below `deploy/`.

use std::path::{Path, PathBuf};

/// The path of `name` below `deploy/`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name)
}

/// The content of `name`.
pub(crate) fn read(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file with one document.
pub(crate) fn yaml(name: &str) -> serde_json::Value {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// Fails unless `name` holds `expected`; writes it instead where the variable UPDATE is set.
pub(crate) fn assert_current(name: &str, expected: &str) {
    let path = path(name);
    if std::env::var_os("UPDATE").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder below deploy/");
        }
        // Other tests read it meanwhile.
        let new = path.with_extension("new");
        std::fs::write(&new, expected).unwrap_or_else(|e| panic!("{}: {e}", new.display()));
        std::fs::rename(&new, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = (found.lines().zip(expected.lines()).enumerate())
        .find(|(_, (found, expected))| found != expected);
    assert!(
        found == expected,
        "deploy/{name} is stale; write it by: UPDATE=1 cargo test -p resetmon --test deploy\n\
         first difference (line - 1, found, expected): {differing:?}"
    );
}
