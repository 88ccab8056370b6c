//! What lies below `deploy/`: rules, dashboards and manifests agree with the agent and with each
//! other, and the tools that will read them accept them.
//!
//! Some files are written by these tests, from the agent's tables or from other files there. A test
//! that finds such a file stale says so; this writes them all:
//!
//! ```text
//! UPDATE=1 cargo test -p resetmon --test deploy
//! ```

mod advice;
mod chart;
mod commands;
mod dashboards;
mod examples;
mod files;
mod kustomize;
mod manifests;
mod metrics;
mod objects;
mod pages;
mod promtool;
