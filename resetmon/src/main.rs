//! The `resetmon` command.

fn main() {}
