//! The pages of `deploy/` name what there is.

use std::collections::BTreeSet;
use std::path::Path;

use crate::files;

/// The words of every Rust file below a folder.
fn words(folder: &Path, words: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            self::words(&path, words);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let found = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.extend(found.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
}

/// The words of all sources, names of tests among them.
pub(crate) fn known_tests() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "../xtask/src"] {
        words(&root.join(folder), &mut known);
    }
    known
}

/// Every test that a claim of the page rests on.
#[test]
fn tests_named_on_the_security_page_exist() {
    let known = known_tests();
    let page = files::read("SECURITY.md");
    let mut seen = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_name && word.matches('_').count() >= 2 {
            assert!(known.contains(word), "there is no {word}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

/// Every alert is in the table of the README.
#[test]
fn the_readme_has_every_alert() {
    let readme = files::read("README.md");
    for line in files::read("prometheus/resetmon.rules.yaml").lines() {
        if let Some(name) = line.trim_start().strip_prefix("- alert: ") {
            assert!(readme.contains(&format!("`{name}`")), "{name}");
        }
    }
}
