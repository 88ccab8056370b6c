//! Sources of routes against the real gateways.
//!
//! Needs the programs that `cargo xtask setup` installs; one that is missing fails its test.

#[expect(dead_code, reason = "until the first source")]
mod program;
