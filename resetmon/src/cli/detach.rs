//! `resetmon detach`: the end of what `run` left attached.

use std::path::PathBuf;

use crate::kernel::pin::{self, Directory, PinDir};

/// Options of `resetmon detach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where `run` pinned programs and maps
    #[arg(long, value_name = "DIR", default_value = pin::DEFAULT_DIR)]
    pin_dir: PathBuf,
}

/// Removes every pin, and the directory unless it is a mount point.
///
/// Errors: an agent works with them, or the file system refuses.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let dir = args.pin_dir.display();
    match PinDir::open_existing(&args.pin_dir)? {
        None => println!("nothing is pinned in {dir}"),
        Some(pins) => {
            let (removed, directory) = pins.remove()?;
            println!("removed {removed} from {dir}");
            if directory == Directory::MountPoint {
                println!("{dir} is a mount point: it stays, empty");
            }
        }
    }
    Ok(())
}
