//! What runs in the virtual machine: the agent and the live-kernel tests, built on the host.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::Invocation;
use crate::test::LIVE;
use crate::workspace::Workspace;

/// The programs under test.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The agent, where the tests look for it.
    pub(crate) agent: PathBuf,
    /// The live-kernel tests.
    pub(crate) live: PathBuf,
}

/// Builds both programs; the eBPF object must be there.
///
/// # Errors
/// When the build fails, or cargo does not say where they are.
pub(crate) fn build(workspace: &Workspace) -> Result<Programs> {
    let call = Invocation::new(&workspace.cargo)
        .args(["test", "--locked", "--package", "resetmon", "--test", LIVE])
        .args(["--no-run", "--message-format", "json-render-diagnostics"])
        .dir(&workspace.root);
    let output = call.output_shown()?;
    let made = |kind: &str, name: &str| {
        executable(&output, kind, name)
            .with_context(|| format!("`{call}` does not say where the program {name} is"))
    };
    Ok(Programs {
        agent: made("bin", "resetmon")?,
        live: made("test", LIVE)?,
    })
}

/// Where cargo put a program, by its messages (a JSON object a line).
fn executable(messages: &str, kind: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let kinds = target["kind"].as_array()?;
        let is_it = target["name"] == name && kinds.iter().any(|one| one == kind);
        message["executable"]
            .as_str()
            .filter(|_| is_it)
            .map(PathBuf::from)
    })
}

/// A program's bytes without debug information, which is most of them.
///
/// # Errors
/// When it cannot be read, or a `strip` that is there fails.
pub(crate) fn without_debug_info(
    program: &Path,
    strip: Option<&Path>,
    scratch: &Path,
) -> Result<Vec<u8>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let Some(strip) = strip else {
        return read(program);
    };
    let stripped = scratch.join("stripped");
    Invocation::new(strip)
        .arg("--strip-debug")
        .arg("-o")
        .arg(&stripped)
        .arg(program)
        .read()?;
    let bytes = read(&stripped)?;
    std::fs::remove_file(&stripped)
        .with_context(|| format!("cannot remove {}", stripped.display()))?;
    Ok(bytes)
}

/// The shared libraries that `program` loads, and its loader; none for a static one.
///
/// # Errors
/// When one of them is missing.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let call = Invocation::new("ldd").arg(program).env("LC_ALL", "C");
    let output = call.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        bail!("`{call}` ended with {}: {}", output.status, said.trim());
    }
    parse_libraries(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("libraries of {}", program.display()))
}

/// Reads the answer of `ldd`: `NAME => PATH (ADDRESS)`, or only a path or a name.
fn parse_libraries(text: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place == "not found" {
            bail!("{name} is not found");
        }
        let path = place.split(" (").next().unwrap_or(place);
        // What has no path is mapped by the kernel itself.
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_cargo_made() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"resetmon"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"resetmon"},"executable":"/t/debug/resetmon"}
   Compiling something
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"live"},"executable":"/t/debug/deps/live-1"}
{"reason":"build-finished","success":true}
"#;
        let rows = [
            ("bin", "resetmon", Some("/t/debug/resetmon")),
            ("test", "live", Some("/t/debug/deps/live-1")),
            ("lib", "resetmon", None),
            ("test", "resetmon", None),
        ];
        for (kind, name, path) in rows {
            assert_eq!(
                executable(messages, kind, name),
                path.map(PathBuf::from),
                "{kind} {name}"
            );
        }
    }

    #[test]
    fn reads_libraries() {
        let text = "\tlinux-vdso.so.1 (0x00007f94)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f94)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f94)\n";
        assert_eq!(
            parse_libraries(text).unwrap(),
            [
                PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2"),
            ]
        );
        let error = parse_libraries("\tlibnft.so.1 => not found\n").unwrap_err();
        assert_eq!(error.to_string(), "libnft.so.1 is not found");
        assert!(parse_libraries("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_shell_has_libraries_and_a_text_has_none() {
        let found = libraries(Path::new("/bin/sh")).unwrap();
        assert!(found.iter().all(|path| path.is_file()), "{found:?}");
        assert!(libraries(Path::new("/etc/passwd")).unwrap().is_empty());
        assert!(libraries(Path::new("/nonexistent")).is_err());
    }
}
