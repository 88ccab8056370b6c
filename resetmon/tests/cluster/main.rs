//! Kubernetes by watch, against a real API server: `cargo xtask test --kubernetes`.
//!
//! Needs root, etcd, and the API server that `cargo xtask` builds. Everything runs in a network
//! namespace of its own. The tests run one after the other, each with a server of its own.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

mod control_plane;
mod manifests;
mod objects;
mod views;

/// One test with a control plane of its own.
struct Row {
    name: &'static str,
    /// Why it cannot run on this machine.
    obstacle: fn() -> Option<String>,
    run: fn() -> Pin<Box<dyn Future<Output = ()>>>,
}

const ROWS: [Row; 3] = [
    Row {
        name: "a_real_api_server",
        obstacle: || None,
        run: || Box::pin(views::a_real_api_server()),
    },
    Row {
        name: "the_manifests_are_taken",
        obstacle: manifests::without_kubectl,
        run: || Box::pin(manifests::the_manifests_are_taken()),
    },
    Row {
        name: "the_chart_is_taken",
        obstacle: manifests::without_helm,
        run: || Box::pin(manifests::the_chart_is_taken()),
    },
];

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
    let wanted = ROWS
        .iter()
        .filter(|row| filters.is_empty() || filters.iter().any(|part| row.name.contains(part)));
    let (mut passed, mut skipped) = (0, 0);
    for Row {
        name,
        obstacle,
        run,
    } in wanted
    {
        if let Some(why) = obstacle() {
            println!("{name} skipped: {why}");
            skipped += 1;
            continue;
        }
        println!("{name} ...");
        // A test that fails panics, which ends the program with its message.
        runtime.block_on(run());
        println!("{name} ok");
        passed += 1;
    }
    println!("{passed} passed, 0 failed, {skipped} skipped");
    ExitCode::SUCCESS
}
