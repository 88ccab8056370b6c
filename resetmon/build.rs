//! Finds the eBPF object that the agent embeds, and what tells one build from another.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names another object than the one of this workspace; a relative path counts from the package.
const VARIABLE: &str = "RESETMON_BPF_OBJECT";

/// Says which commit is built where there is no repository, as in a source archive.
const COMMIT: &str = "RESETMON_COMMIT";

/// What stands for a commit that nobody knows.
const UNKNOWN: &str = "unknown";

fn main() {
    object();
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rustc-env={COMMIT}={}", commit());
}

/// The short name of the commit: of the environment, else of the repository.
fn commit() -> String {
    let given = std::env::var(COMMIT).ok().filter(|value| is_word(value));
    given.or_else(repository).unwrap_or_else(|| UNKNOWN.into())
}

/// What git says of the repository that this package lies in.
///
/// Whether files differ from the commit is left out: it would change with every file saved.
fn repository() -> Option<String> {
    let git = |words: &[&str]| -> Option<String> {
        let output = Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // Of a source archive unpacked inside of another project, that one's commit says nothing.
    if root.canonicalize().ok()? != package.parent()?.canonicalize().ok()? {
        return None;
    }
    // It has a line for every change of what is checked out.
    let log = package.join(git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.is_file() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "--short=12", "HEAD"]).filter(|commit| is_word(commit))
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Hands the path of the eBPF object over.
fn object() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let chosen = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let object = package.join(
        chosen
            .as_ref()
            .map_or(Path::new("../target/bpf/resetmon.bpf.o"), Path::new),
    );
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env={VARIABLE}={}", object.display());
    } else if chosen.is_some() {
        println!(
            "cargo::error=there is no eBPF object at {}, which {VARIABLE} names",
            object.display()
        );
    } else {
        println!("cargo::error=the eBPF programs are not built yet: type `cargo xtask build`");
    }
}
