//! What packages are made for, and the tools of another architecture than the machine's.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::command::{Invocation, find_program, search_dirs};
use crate::packages::Tool;

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    /// `amd64` in Debian's words
    #[value(name = "x86_64")]
    X86_64,
    /// `arm64` in Debian's words
    Aarch64,
}

impl Arch {
    /// That of this machine.
    pub(crate) const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// As the kernel and Rust call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian and container images call it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The target that makes static programs.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// What builds for it besides rustc: nothing more on such a machine.
    pub(crate) fn tools(self) -> &'static [Tool] {
        const fn tool(program: &'static str, package: &'static str) -> Tool {
            Tool { program, package }
        }
        const TO_AARCH64: [Tool; 3] = [
            tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
            tool("aarch64-linux-gnu-objcopy", "binutils-aarch64-linux-gnu"),
            tool(
                "/usr/aarch64-linux-gnu/include/stdint.h",
                "libc6-dev-arm64-cross",
            ),
        ];
        const TO_X86_64: [Tool; 3] = [
            tool("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
            tool("x86_64-linux-gnu-objcopy", "binutils-x86-64-linux-gnu"),
            tool(
                "/usr/x86_64-linux-gnu/include/stdint.h",
                "libc6-dev-amd64-cross",
            ),
        ];
        match self {
            _ if self == Self::HOST => &[],
            Self::X86_64 => &TO_X86_64,
            Self::Aarch64 => &TO_AARCH64,
        }
    }

    /// `objcopy` that understands its programs.
    pub(crate) fn objcopy(self) -> String {
        if self == Self::HOST {
            "objcopy".to_owned()
        } else {
            format!("{}-linux-gnu-objcopy", self.name())
        }
    }

    /// Tells cargo and the build scripts of C code which compiler serves.
    pub(crate) fn with_compiler(self, call: Invocation) -> Invocation {
        if self == Self::HOST {
            return call;
        }
        // Rust's own musl and start files are linked, none of the compiler's.
        let gcc = format!("{}-linux-gnu-gcc", self.name());
        let target = self.target().replace('-', "_");
        call.env(
            format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()),
            &gcc,
        )
        .env(format!("CC_{target}"), &gcc)
    }

    /// Makes sure that rustc has its standard library for [`Arch::target`], by rustup where it
    /// comes from there.
    ///
    /// # Errors
    /// When it has not, and cannot get it.
    pub(crate) fn ensure_std(self) -> Result<()> {
        let target = self.target();
        if has_std(target)? {
            return Ok(());
        }
        let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
        ensure!(
            find_program("rustup", &dirs).is_some(),
            "this machine's rustc has no standard library for {target}, which makes static \
             programs, and Debian has no package of it; with a rustc of rustup (https://rustup.rs) \
             it is fetched by itself"
        );
        println!("fetching the standard library for {target} (rustup)");
        Invocation::new("rustup")
            .args(["target", "add", target])
            .run()?;
        ensure!(
            has_std(target)?,
            "rustc has no standard library for {target} also after `rustup target add {target}`; \
             is the rustc in $PATH another one than rustup's?"
        );
        Ok(())
    }
}

fn has_std(target: &str) -> Result<bool> {
    let said = Invocation::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .read()
        .context("rustc does not say where its libraries are")?;
    let Ok(mut entries) = Path::new(said.trim()).read_dir() else {
        return Ok(false);
    };
    Ok(entries.any(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_architecture_has_a_compiler_of_its_own() {
        let call = |arch: Arch| arch.with_compiler(Invocation::new("cargo")).to_string();
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let gcc = format!("{}-linux-gnu-gcc", arch.name());
            let is_host = arch == Arch::HOST;
            assert_eq!(arch.tools().is_empty(), is_host);
            assert_eq!(call(arch) == "cargo", is_host);
            assert!(is_host || arch.tools()[0].program == gcc);
        }
        let other = if Arch::HOST == Arch::X86_64 {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let name = other.name();
        assert_eq!(
            call(other),
            format!(
                "CARGO_TARGET_{}_UNKNOWN_LINUX_MUSL_LINKER={name}-linux-gnu-gcc \
                 CC_{name}_unknown_linux_musl={name}-linux-gnu-gcc cargo",
                name.to_uppercase()
            )
        );
    }
}
