//! The `resetmon` command.

use std::process::ExitCode;

use clap::Parser as _;
use resetmon::cli::Cli;

fn main() -> ExitCode {
    resetmon::cli::main(Cli::parse())
}
