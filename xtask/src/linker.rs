//! Finding a `bpf-linker` that understands the compiler's bitcode, or building one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{Invocation, find_program};
use crate::ebpf::{self, Kit};
use crate::toolchain::{Toolchain, parse_llvm_library};
use crate::workspace::Workspace;

/// The release that is built when none fits.
const RELEASE: &str = "0.13.0";
/// The oldest release that is accepted.
const OLDEST: (u32, u32) = (0, 13);
/// The LLVM versions that `RELEASE` can be built for, each by a feature `llvm-NN`.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// A crate that needs what a mismatched linker lacks: `memset`, and BTF.
const PROBE_MANIFEST: &str = r#"[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[[bin]]
name = "probe"
path = "main.rs"

[workspace]
"#;
const PROBE_SOURCE: &str = r#"#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[no_mangle]
#[link_section = "socket"]
pub unsafe extern "C" fn probe(buffer: *mut u8, length: usize) -> u64 {
    unsafe { core::ptr::write_bytes(buffer, 0, length) };
    0
}
"#;

/// The outcome of the search: the linker to use, and why others were passed over.
#[derive(Debug)]
pub(crate) struct Search {
    /// The first linker that links the trial program.
    pub(crate) found: Option<PathBuf>,
    /// One line for each linker that does not.
    pub(crate) rejected: Vec<String>,
}

/// Tries the linker of this workspace, then the one in `$PATH`.
///
/// # Errors
/// When the trial program cannot be written.
pub(crate) fn search(
    workspace: &Workspace,
    toolchain: &Toolchain,
    dirs: &[PathBuf],
) -> Result<Search> {
    let own = workspace.tools().join("bin");
    let candidates = [
        find_program("bpf-linker", &[own]),
        find_program("bpf-linker", dirs),
    ];
    let mut search = Search {
        found: None,
        rejected: Vec::new(),
    };
    for linker in candidates.into_iter().flatten() {
        match examine(workspace, toolchain, &linker)? {
            Ok(()) => {
                search.found = Some(linker);
                break;
            }
            Err(why) => search.rejected.push(format!("{} {why}", linker.display())),
        }
    }
    Ok(search)
}

/// Whether the linker is recent enough and links the trial program, or why not.
fn examine(
    workspace: &Workspace,
    toolchain: &Toolchain,
    linker: &Path,
) -> Result<Result<(), String>> {
    // Always run, since it also shows that the LLVM it was linked with is still there.
    let answer = match Invocation::new(linker).arg("--version").read() {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(format!("does not work: {error:#}"))),
    };
    match parse_version(&answer) {
        None => return Ok(Err("does not say its version".to_owned())),
        Some(version) if version < OLDEST => {
            let (major, minor) = OLDEST;
            let answer = answer.trim();
            return Ok(Err(format!("is {answer}, older than {major}.{minor}")));
        }
        Some(_) => {}
    }
    let scratch = workspace.scratch()?;
    let manifest = scratch.join("Cargo.toml");
    write_when_new(&manifest, PROBE_MANIFEST)?;
    write_when_new(&scratch.join("main.rs"), PROBE_SOURCE)?;
    let kit = Kit {
        toolchain: toolchain.clone(),
        linker: linker.to_owned(),
    };
    let output = ebpf::cargo(&kit, "build", std::env::consts::ARCH, &[])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(scratch.join("target"))
        .output()?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let log = scratch.join("link.log");
    std::fs::write(&log, &output.stderr)
        .with_context(|| format!("cannot write {}", log.display()))?;
    Ok(Err(format!(
        "cannot link for {} (LLVM {}); see {}",
        toolchain.rustc.display(),
        toolchain.version.llvm,
        log.display()
    )))
}

/// Reads the answer of `bpf-linker --version`: major and minor number.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("bpf-linker ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Keeps the file's time when nothing changes, so that cargo keeps the last trial.
fn write_when_new(path: &Path, text: &str) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Builds `bpf-linker` into the workspace's tools, against the very LLVM of the compiler: so the
/// two agree on bitcode, and no LLVM development package is needed.
///
/// # Errors
/// When the compiler's LLVM is not one that `bpf-linker` supports, is not a shared library, or
/// the build fails.
pub(crate) fn install(workspace: &Workspace, toolchain: &Toolchain, log: &Path) -> Result<()> {
    let llvm = toolchain.version.llvm;
    if !LLVM.contains(&llvm) {
        bail!(
            "bpf-linker {RELEASE} can be built for LLVM {} to {}, but {} has LLVM {llvm}: use \
             another compiler, or put a bpf-linker for LLVM {llvm} into $PATH",
            LLVM.start(),
            LLVM.end(),
            toolchain.rustc.display()
        );
    }
    let ldd = Invocation::new("ldd").arg(&toolchain.rustc).read()?;
    let Some((name, file)) = parse_llvm_library(&ldd) else {
        bail!(
            "{} has no shared LLVM library to build bpf-linker with: put a bpf-linker for LLVM \
             {llvm} into $PATH",
            toolchain.rustc.display()
        );
    };
    let prefix = workspace.tools().join("llvm");
    let lib = prefix.join("lib");
    std::fs::create_dir_all(&lib).with_context(|| format!("cannot make {}", lib.display()))?;
    // One name for the build, one for the loader, which finds it by the build's rpath.
    for name in ["libLLVM.so", &name] {
        link(&file, &lib.join(name))?;
    }
    install_call(workspace, llvm, &prefix).run_logged(log)
}

/// Makes `link` a symbolic link to `file`, whatever it was before.
fn link(file: &Path, link: &Path) -> Result<()> {
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", link.display()));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(file, link)
        .with_context(|| format!("cannot make the link {}", link.display()))
}

/// The call that builds `bpf-linker` for LLVM `llvm` found under `prefix`.
fn install_call(workspace: &Workspace, llvm: u32, prefix: &Path) -> Invocation {
    Invocation::new(&workspace.cargo)
        .args(["install", "bpf-linker", "--version", RELEASE])
        .args(["--locked", "--force", "--no-default-features"])
        .args(["--features", &format!("llvm-{llvm}")])
        .arg("--root")
        .arg(workspace.tools())
        .env("LLVM_PREFIX", prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        let rows = [
            ("bpf-linker 0.13.0\n", Some((0, 13))),
            ("bpf-linker 0.9.15", Some((0, 9))),
            ("bpf-linker 1.0.0-rc1", Some((1, 0))),
            ("bpf-linker", None),
            ("bpf-linker x.13", None),
            ("ld 0.13.0", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }

    #[test]
    fn a_minor_number_is_not_a_decimal_fraction() {
        assert!(parse_version("bpf-linker 0.9.15") < Some(OLDEST));
        assert!(parse_version("bpf-linker 0.13.0") >= Some(OLDEST));
        assert!(parse_version("bpf-linker 0.100.0") >= Some(OLDEST));
    }
}
