//! Sources of routes against the real gateways.
//!
//! Needs the programs that `cargo xtask setup` installs; one that is missing fails its test.

mod apache;
mod caddy;
mod envoy;
mod faults;
mod haproxy;
mod kubernetes;
mod lines;
mod names;
mod nginx;
mod place;
mod program;
mod reading;
mod unseen;
