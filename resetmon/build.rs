//! Finds the eBPF object that the agent embeds.

use std::path::{Path, PathBuf};

/// Names another object than the one of this workspace; a relative path counts from the package.
const VARIABLE: &str = "RESETMON_BPF_OBJECT";

fn main() {
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
