//! A bare Debian in a folder, with a network namespace and a bpffs of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{DEBIAN, file, output, unpack};
use crate::netns::Netns;

/// Mounts what a system has mounted, for this command alone, and runs it with the folder as root.
const ENTER: &str = r#"bpf=$1
shift
mount -t proc proc "$0/proc"
mount -t sysfs -o ro sysfs "$0/sys"
mount --bind "$bpf" "$0/sys/fs/bpf"
mount --rbind /dev "$0/dev"
exec chroot "$0" "$@""#;

/// Where a package is put before it is installed.
const PACKAGE: &str = "/root/resetmon.deb";

/// The whole; gone with this value.
pub(super) struct Root {
    /// Its network.
    pub(super) netns: Netns,
    folder: TempDir,
}

impl Root {
    /// Unpacks a new one.
    pub(super) fn new() -> Result<Self> {
        let archive = std::env::var_os(DEBIAN).context(DEBIAN)?;
        let root = Self {
            netns: Netns::new()?,
            folder: TempDir::new()?,
        };
        fs::create_dir(root.files_at())?;
        unpack(Path::new(&archive), &root.files_at())?;
        fs::create_dir(root.bpffs())?;
        output(
            Command::new("mount")
                .args(["-t", "bpf", "bpf"])
                .arg(root.bpffs()),
        )?;
        Ok(root)
    }

    /// A folder for the test's own files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its files are.
    pub(super) fn files_at(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// What is `/sys/fs/bpf` in it.
    pub(super) fn bpffs(&self) -> PathBuf {
        self.folder.path().join("bpf")
    }

    /// A path in it, from outside.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.files_at().join(inside.trim_start_matches('/'))
    }

    /// A command in it, with the machine's processes.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-euc", ENTER])
            .args([self.files_at(), self.bpffs()])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive");
        self.netns.run_in(&mut command);
        command
    }

    /// Runs a command in it.
    pub(super) fn run(&self, words: &[&str]) -> Result<String> {
        output(&mut self.command(words))
    }

    /// Puts the package into it; returns its path there.
    pub(super) fn put(&self, package: &Path) -> Result<&'static str> {
        fs::copy(package, self.path(PACKAGE)).with_context(|| format!("{}", package.display()))?;
        Ok(PACKAGE)
    }

    /// The package as a newer version.
    pub(super) fn newer(&self) -> Result<PathBuf> {
        let (tree, newer) = (self.folder().join("newer"), self.folder().join("newer.deb"));
        output(
            Command::new("dpkg-deb")
                .arg("--raw-extract")
                .args([&file(".deb")?, &tree]),
        )?;
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?;
        let changed = text.replace("\nVersion: ", "\nVersion: 99:");
        ensure!(changed != text, "no version in {text}");
        fs::write(control, changed)?;
        output(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "--build"])
                .args([&tree, &newer]),
        )?;
        Ok(newer)
    }

    /// How many objects and folders are pinned.
    pub(super) fn pinned(&self) -> Result<usize> {
        let mut count = 0;
        let top = self.bpffs().join("resetmon");
        let mut next = Vec::new();
        // The kernel has some of its own beside it.
        if top.exists() {
            count += 1;
            next.push(top);
        }
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    next.push(entry.path());
                }
                count += 1;
            }
        }
        Ok(count)
    }

    /// Every file and folder but the books of apt, dpkg and systemd's journal.
    pub(super) fn files(&self) -> Result<BTreeSet<String>> {
        const BOOKS: [&str; 7] = [
            "var/lib/apt",
            "var/lib/dpkg",
            "var/cache",
            "var/log/apt",
            "var/log/dpkg.log",
            "var/log/journal",
            "root/resetmon.deb",
        ];
        let top = self.files_at();
        let mut found = BTreeSet::new();
        let mut next = vec![top.clone()];
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                let name = path.strip_prefix(&top)?;
                if BOOKS.iter().any(|book| name.starts_with(book)) {
                    continue;
                }
                found.insert(name.display().to_string());
                if entry.file_type()?.is_dir() {
                    next.push(path);
                }
            }
        }
        Ok(found)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // What is pinned goes with it.
        let _ = Command::new("umount").arg(self.bpffs()).status();
    }
}
