//! `resetmon detach`: the end of what `run` left attached.

use std::path::PathBuf;

use crate::kernel::pin::{self, PinDir};

/// Options of `resetmon detach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where `run` pinned programs and maps
    #[arg(long, value_name = "DIR", default_value = pin::DEFAULT_DIR)]
    pin_dir: PathBuf,
}

/// Removes every pin.
///
/// Errors: an agent works with them, or the file system refuses.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let dir = args.pin_dir.display();
    match PinDir::open_existing(&args.pin_dir)? {
        None => println!("nothing is pinned in {dir}"),
        Some(pins) => println!("removed {} from {dir}", pins.remove()?),
    }
    Ok(())
}
