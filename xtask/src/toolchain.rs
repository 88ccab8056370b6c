//! Which Rust compiler can build the eBPF programs.
//!
//! Two kinds can: one with a compiled `core` for the BPF target (Debian's `rustc-web` with
//! `libstd-rust-web-dev-bpf`), and one with the source of `core` (rustup's `rust-src`), from which
//! cargo builds it by `-Z build-std=core`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::{Invocation, find_program, is_executable};
use crate::workspace::Workspace;

/// The target the eBPF programs are compiled for.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// The oldest release that compiles the workspace, as `rust-version` in `Cargo.toml`.
const OLDEST: (u32, u32) = (1, 90);

/// What `rustc -vV` says of a compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The release, such as `1.97.0-nightly`.
    pub(crate) release: String,
    /// Major and minor number of the release.
    pub(crate) number: (u32, u32),
    /// Major number of the LLVM it writes bitcode with.
    pub(crate) llvm: u32,
}

impl Version {
    fn is_nightly(&self) -> bool {
        self.release.ends_with("-nightly")
    }
}

/// Where `core` for the BPF target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// Compiled, part of the toolchain.
    Compiled,
    /// As source, to be built with the programs.
    Source,
}

/// A compiler that can build the eBPF programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// The cargo to drive it with.
    pub(crate) cargo: PathBuf,
    /// Its version.
    pub(crate) version: Version,
    /// How it has `core`.
    pub(crate) core: Core,
}

impl Toolchain {
    /// The clippy that belongs to the compiler, when installed.
    ///
    /// Not a nightly's: its lints change from day to day, and the same source has to pass here
    /// and there.
    pub(crate) fn clippy(&self) -> Option<PathBuf> {
        let driver = self.rustc.with_file_name("clippy-driver");
        (!self.version.is_nightly() && is_executable(&driver)).then_some(driver)
    }
}

/// What was found out about one compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Its version, unless it did not run or its answer was not understood.
    pub(crate) version: Option<Version>,
    /// Whether a `no_std` crate compiles for the BPF target.
    pub(crate) compiles: bool,
    /// Whether the source of `core` is installed.
    pub(crate) source: bool,
}

/// How `core` is had, or why the compiler cannot be used.
pub(crate) fn judge(probe: &Probe) -> Result<Core, String> {
    let Some(version) = &probe.version else {
        return Err("does not say its version".to_owned());
    };
    if version.number < OLDEST {
        let (major, minor) = OLDEST;
        return Err(format!(
            "is {}, older than {major}.{minor}",
            version.release
        ));
    }
    match (probe.compiles, probe.source) {
        (true, _) => Ok(Core::Compiled),
        (false, true) => Ok(Core::Source),
        (false, false) => Err(format!(
            "({}) has no core for {TARGET}, neither compiled nor as rust-src",
            version.release
        )),
    }
}

/// Reads the answer of `rustc -vV`.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::trim)
    };
    let release = field("release")?;
    let mut parts = release.split('.');
    let number = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let llvm = field("LLVM version")?.split('.').next()?.parse().ok()?;
    Some(Version {
        release: release.to_owned(),
        number,
        llvm,
    })
}

/// The LLVM library in the answer of `ldd`: its name for the loader and its file.
pub(crate) fn parse_llvm_library(ldd: &str) -> Option<(String, PathBuf)> {
    ldd.lines().find_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        let file = rest.rsplit_once(" (")?.0;
        (name.starts_with("libLLVM") && file.starts_with('/'))
            .then(|| (name.to_owned(), PathBuf::from(file)))
    })
}

/// The outcome of the search: the compiler to use, and why others were passed over.
#[derive(Debug)]
pub(crate) struct Search {
    /// The best compiler found.
    pub(crate) found: Option<Toolchain>,
    /// One line for each compiler that cannot be used.
    pub(crate) rejected: Vec<String>,
}

/// Searches the compilers of this machine; a compiled `core` is preferred to one to be built.
///
/// # Errors
/// When the scratch folder for the trial cannot be made.
pub(crate) fn search(workspace: &Workspace, dirs: &[PathBuf]) -> Result<Search> {
    let scratch = workspace.scratch()?;
    let mut search = Search {
        found: None,
        rejected: Vec::new(),
    };
    let mut seen = Vec::new();
    for rustc in candidates(dirs) {
        let (rustc, sysroot) = match locate(&rustc) {
            Ok(located) => located,
            Err(error) => {
                search.rejected.push(format!("{error:#}"));
                continue;
            }
        };
        if seen.contains(&rustc) {
            continue;
        }
        let probe = examine(&rustc, &sysroot, &scratch);
        match (judge(&probe), probe.version) {
            (Ok(core), Some(version)) => {
                let toolchain = Toolchain {
                    cargo: cargo_for(core, &rustc, workspace),
                    rustc: rustc.clone(),
                    version,
                    core,
                };
                if core == Core::Compiled {
                    search.found = Some(toolchain);
                    return Ok(search);
                }
                search.found.get_or_insert(toolchain);
            }
            (Err(why), _) => search.rejected.push(format!("{} {why}", rustc.display())),
            (Ok(_), None) => {}
        }
        seen.push(rustc);
    }
    Ok(search)
}

/// Compilers worth a look: the distribution's, the one in `$PATH`, rustup's nightly.
fn candidates(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    let distribution = PathBuf::from("/usr/bin/rustc");
    if is_executable(&distribution) {
        candidates.push(distribution);
    }
    candidates.extend(find_program("rustc", dirs));
    candidates.extend(rustup_nightly(dirs));
    candidates
}

/// The compiler of rustup's nightly toolchain, when rustup has one.
pub(crate) fn rustup_nightly(dirs: &[PathBuf]) -> Option<PathBuf> {
    let rustup = find_program("rustup", dirs)?;
    let path = Invocation::new(rustup)
        .args(["which", "--toolchain", "nightly", "rustc"])
        // Asking must not install.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .read()
        .ok()?;
    Some(PathBuf::from(path.trim()))
}

/// The compiler behind a possible rustup proxy, and its sysroot.
fn locate(rustc: &Path) -> Result<(PathBuf, PathBuf)> {
    let sysroot = Invocation::new(rustc)
        .args(["--print", "sysroot"])
        .read()
        .with_context(|| format!("{} does not work", rustc.display()))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let inside = sysroot.join("bin/rustc");
    if is_executable(&inside) {
        Ok((inside, sysroot))
    } else {
        Ok((rustc.to_owned(), sysroot))
    }
}

fn examine(rustc: &Path, sysroot: &Path, scratch: &Path) -> Probe {
    let version = Invocation::new(rustc)
        .arg("-vV")
        .read()
        .ok()
        .and_then(|text| parse_version(&text));
    Probe {
        version,
        compiles: compiles(rustc, scratch),
        source: sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file(),
    }
}

/// Whether an empty `no_std` crate compiles, which needs a compiled `core`.
fn compiles(rustc: &Path, scratch: &Path) -> bool {
    let source = scratch.join("core.rs");
    std::fs::write(&source, "#![no_std]\n").is_ok()
        && Invocation::new(rustc)
            .args(["--target", TARGET, "--crate-type=lib", "--emit=metadata"])
            // The output goes into a folder of ours: rustc replaces whatever bears its name.
            .arg("--out-dir")
            .arg(scratch)
            .arg(&source)
            .output()
            .is_ok_and(|output| output.status.success())
}

/// Building `core` wants the cargo of the compiler's own release; otherwise ours is known to
/// understand the workspace.
fn cargo_for(core: Core, rustc: &Path, workspace: &Workspace) -> PathBuf {
    let beside = rustc.with_file_name("cargo");
    if core == Core::Source && is_executable(&beside) {
        beside
    } else {
        workspace.cargo.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)
binary: rustc
commit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96
host: x86_64-unknown-linux-gnu
release: 1.96.0
LLVM version: 22.1.8
";

    fn version(release: &str, number: (u32, u32), llvm: u32) -> Version {
        Version {
            release: release.to_owned(),
            number,
            llvm,
        }
    }

    #[test]
    fn reads_versions() {
        let rows = [
            (DEBIAN, Some(version("1.96.0", (1, 96), 22))),
            (
                "release: 1.97.0-nightly\nLLVM version: 22.1.4\n",
                Some(version("1.97.0-nightly", (1, 97), 22)),
            ),
            (
                "release: 1.101.0\nLLVM version: 23\n",
                Some(version("1.101.0", (1, 101), 23)),
            ),
            ("release: 1.96.0\n", None),
            ("LLVM version: 22.1.4\n", None),
            ("release: nightly\nLLVM version: 22.1.4\n", None),
            ("release: 1.96.0\nLLVM version: unknown\n", None),
            ("release 1.96.0\nLLVM version: 22\n", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }

    #[test]
    fn judges_compilers() {
        let new = Some(version("1.90.0", (1, 90), 21));
        let old = Some(version("1.89.0", (1, 89), 20));
        let rows = [
            (new.clone(), true, false, Ok(Core::Compiled)),
            (new.clone(), true, true, Ok(Core::Compiled)),
            (new.clone(), false, true, Ok(Core::Source)),
            (new, false, false, Err("has no core")),
            (old, true, true, Err("older than 1.90")),
            (None, true, true, Err("does not say its version")),
        ];
        for (version, compiles, source, expected) in rows {
            let probe = Probe {
                version,
                compiles,
                source,
            };
            match (judge(&probe), expected) {
                (Ok(core), Ok(expected)) => assert_eq!(core, expected),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, expected) => panic!("{probe:?}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn finds_the_llvm_library() {
        let rows = [
            (
                "\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\tlibLLVM.so.22.1 => /lib/x/libLLVM.so.22.1 (0x2)\n",
                Some(("libLLVM.so.22.1", "/lib/x/libLLVM.so.22.1")),
            ),
            (
                "\tlibLLVM.so.22.1-rust-1.97.0-nightly => /a (b)/lib/libLLVM.so (0x2)\n",
                Some((
                    "libLLVM.so.22.1-rust-1.97.0-nightly",
                    "/a (b)/lib/libLLVM.so",
                )),
            ),
            ("\tlibLLVM.so.22.1 => not found\n", None),
            ("\tlibMLIR.so => /lib/libMLIR.so (0x2)\n", None),
            ("\tstatically linked\n", None),
            ("", None),
        ];
        for (ldd, expected) in rows {
            let expected = expected.map(|(name, file)| (name.to_owned(), PathBuf::from(file)));
            assert_eq!(parse_llvm_library(ldd), expected, "{ldd}");
        }
    }
}
