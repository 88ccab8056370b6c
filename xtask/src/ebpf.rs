//! How cargo is called for the BPF target.

use std::path::PathBuf;

use crate::command::Invocation;
use crate::toolchain::{Core, TARGET, Toolchain};

/// What builds the eBPF programs: a compiler and the linker of its LLVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kit {
    /// The compiler, with its cargo.
    pub(crate) toolchain: Toolchain,
    /// `bpf-linker`.
    pub(crate) linker: PathBuf,
}

/// A release build (or check, as `verb` says) for the BPF target; `flags` are further compiler
/// flags, `arch` is the architecture of the kernel the programs are for.
pub(crate) fn cargo(kit: &Kit, verb: &str, arch: &str, flags: &[&str]) -> Invocation {
    let mut all = vec![
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        // The kernel checks the programs against BTF, which the linker makes of debug info.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // Else every clearing and copying of memory is a call of a loop over bytes, which took
        // half of a reset's time.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        format!("-Clinker={}", kit.linker.display()),
    ];
    all.extend(flags.iter().map(|&flag| flag.to_owned()));
    let invocation = Invocation::new(&kit.toolchain.cargo)
        .args([verb, "--release", "--target", TARGET])
        .env("RUSTC", &kit.toolchain.rustc)
        // Goes before RUSTFLAGS, which is meant for the host.
        .env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"));
    match kit.toolchain.core {
        // These crates use features that a stable compiler refuses otherwise.
        Core::Compiled => invocation.env("RUSTC_BOOTSTRAP", "aya_ebpf,gateway_ebpf"),
        // Cargo's own -Z flag and core need it as well.
        Core::Source => invocation
            .arg("-Zbuild-std=core")
            .env("RUSTC_BOOTSTRAP", "1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::Version;

    #[test]
    fn composes_the_call() {
        let rows = [
            (
                Core::Compiled,
                "RUSTC=/r/rustc CARGO_ENCODED_RUSTFLAGS='--cfg=bpf_target_arch=\"x86_64\" \
                 -Cdebuginfo=2 -Clink-arg=--btf \
                 -Clink-arg=--disable-expand-memcpy-in-order -Clinker=/t/bpf-linker -Dwarnings' \
                 RUSTC_BOOTSTRAP=aya_ebpf,gateway_ebpf cargo check --release --target bpfel-unknown-none",
            ),
            (
                Core::Source,
                "RUSTC=/r/rustc CARGO_ENCODED_RUSTFLAGS='--cfg=bpf_target_arch=\"x86_64\" \
                 -Cdebuginfo=2 -Clink-arg=--btf \
                 -Clink-arg=--disable-expand-memcpy-in-order -Clinker=/t/bpf-linker -Dwarnings' \
                 RUSTC_BOOTSTRAP=1 cargo check --release --target bpfel-unknown-none \
                 -Zbuild-std=core",
            ),
        ];
        for (core, line) in rows {
            let kit = Kit {
                toolchain: Toolchain {
                    rustc: "/r/rustc".into(),
                    cargo: "cargo".into(),
                    version: Version {
                        release: "1.96.0".to_owned(),
                        number: (1, 96),
                        llvm: 22,
                    },
                    core,
                },
                linker: "/t/bpf-linker".into(),
            };
            let call = cargo(&kit, "check", "x86_64", &["-Dwarnings"]);
            assert_eq!(call.to_string(), line);
        }
    }
}
