//! Kubernetes by watch, against a real API server: `cargo xtask test --kubernetes`.
//!
//! Needs root, etcd, and the API server that `cargo xtask` builds. Everything runs in a network
//! namespace of its own. A file of tests is a harness of its own: the server is started once.

use std::process::ExitCode;

mod control_plane;
mod objects;
mod views;

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    // While there is one thread only, all later ones live in the namespace, too.
    control_plane::enter_namespace();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an event loop");
    let wanted = views::TESTS
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(part)));
    let mut passed = 0;
    for (name, test) in wanted {
        println!("{name} ...");
        // A test that fails panics, which ends the program with its message.
        runtime.block_on(test());
        println!("{name} ok");
        passed += 1;
    }
    println!("{passed} passed, 0 failed, 0 skipped");
    ExitCode::SUCCESS
}
