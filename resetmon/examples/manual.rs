//! Writes man pages and completions of the `resetmon` command into a folder.
//!
//! ```text
//! cargo run --example manual -- FOLDER
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use resetmon::cli::Cli;

/// The completions, where Debian's packages have them.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/resetmon"),
    (Shell::Zsh, "zsh/vendor-completions/_resetmon"),
    (Shell::Fish, "fish/vendor_completions.d/resetmon.fish"),
];

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("name the folder to write to")?;
    let pages = folder.join("man/man1");
    std::fs::create_dir_all(&pages)
        .with_context(|| format!("cannot make the folder {}", pages.display()))?;
    // Neither commit nor hash belongs to a page, which would differ with each build.
    let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
    clap_mangen::generate_to(command, &pages)
        .with_context(|| format!("cannot write to {}", pages.display()))?;
    for (shell, name) in COMPLETIONS {
        complete(shell, &folder.join(name))?;
    }
    Ok(())
}

fn complete(shell: Shell, path: &Path) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "resetmon", &mut text);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
