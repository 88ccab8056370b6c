//! QEMU without acceleration, which runs any kernel on any machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::archive::{Archive, Mirror};
use crate::command::{Invocation, find_program};

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// Its package.
const PACKAGE: &str = "qemu-system-x86";
/// The oldest major version that does: 7.2 crashed newer guests at random under load.
const OLDEST: u32 = 10;
/// Longest silence, also before the guest's first word. A quiet machine boots in seconds and the
/// longest scenario waits a minute for the kernel's timers; a loaded one takes several times that.
const SILENCE: Duration = Duration::from_secs(400);
/// Longest run of all, of which a quiet machine takes a sixth.
const WHOLE: Duration = Duration::from_secs(1800);

/// What became of one start of a machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// The lines that it wrote.
    pub(crate) lines: Vec<String>,
    /// Why it had to be stopped, unless it ended by itself.
    pub(crate) stopped: Option<String>,
}

/// A QEMU that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emulator {
    program: PathBuf,
    /// The tree it was unpacked into, unless it is installed.
    tree: Option<PathBuf>,
}

impl Emulator {
    /// The QEMU installed, or one unpacked into `tree`, fetching it when needed.
    ///
    /// # Errors
    /// When it has to be fetched and cannot be, or does not work.
    pub(crate) fn provide(
        dirs: &[PathBuf],
        tree: &Path,
        scratch: &Path,
        log: &Path,
    ) -> Result<Self> {
        let installed = find_program(PROGRAM, dirs).map(|program| Self {
            program,
            tree: None,
        });
        let unpacked = Self {
            program: tree.join("usr/bin").join(PROGRAM),
            tree: Some(tree.to_owned()),
        };
        for emulator in installed.iter().chain([&unpacked]) {
            if emulator.major().is_ok_and(|major| major >= OLDEST) {
                return Ok(emulator.clone());
            }
        }
        println!(
            "vm: fetching QEMU {OLDEST} or newer into {}",
            tree.display()
        );
        let mirror = Mirror::of_this_machine(scratch, log)?;
        let backports = format!("{}-backports", mirror.codename);
        let archive = Archive::open(&mirror, &[&mirror.codename, &backports], scratch, log)?;
        let packages = archive.closure(PACKAGE, &backports)?;
        archive.unpack(&packages, tree)?;
        let major = unpacked.major()?;
        if major < OLDEST {
            bail!(
                "{backports} has QEMU {major}, but {OLDEST} is needed: install it, so that {PROGRAM} \
                 is found in $PATH"
            );
        }
        Ok(unpacked)
    }

    /// The major version.
    fn major(&self) -> Result<u32> {
        let call = self.call().arg("--version");
        let text = call.read()?;
        parse_major(&text).with_context(|| format!("`{call}` names no version: {text}"))
    }

    /// A call with what an unpacked tree needs.
    fn call(&self) -> Invocation {
        let call = Invocation::new(&self.program);
        let Some(tree) = &self.tree else {
            return call;
        };
        let libraries = tree.join("usr/lib/x86_64-linux-gnu");
        let more = tree.join("lib/x86_64-linux-gnu");
        call.env(
            "LD_LIBRARY_PATH",
            format!("{}:{}", libraries.display(), more.display()),
        )
        .arg("-L")
        .arg(tree.join("usr/share/qemu"))
        .arg("-L")
        .arg(tree.join("usr/share/seabios"))
    }

    /// A machine that boots `image` with `initrd`; the kernel's console goes to `console`, the
    /// second serial line to standard output.
    fn machine(&self, image: &Path, initrd: &Path, console: &Path) -> Invocation {
        self.call()
            .args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"])
            .args(["-m", "2048", "-smp", "2"])
            .args(["-nographic", "-nodefaults", "-no-reboot"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(initrd)
            .args(["-append", "console=ttyS0 panic=-1 quiet"])
    }

    /// Boots a machine and returns what it wrote to its second serial line, which is also kept in
    /// `log`. A machine that falls silent or does not come to its end is stopped.
    ///
    /// # Errors
    /// When QEMU cannot be started or watched. That the machine fell silent is not one: what it
    /// wrote says how far it came.
    pub(crate) fn run(
        &self,
        image: &Path,
        initrd: &Path,
        console: &Path,
        log: &Path,
        mut see: impl FnMut(&str),
    ) -> Result<Session> {
        let call = self.machine(image, initrd, console);
        let mut file = std::fs::File::create(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        let mut child = call
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot run `{call}`"))?;
        let stdout = child.stdout.take().context("QEMU's output")?;
        let (said, says) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if said.send(clean(&line)).is_err() {
                    break;
                }
            }
        });
        let begin = Instant::now();
        let mut lines = Vec::new();
        let in_time = loop {
            let left = WHOLE.saturating_sub(begin.elapsed());
            match says.recv_timeout(SILENCE.min(left)) {
                Ok(line) => {
                    writeln!(file, "{line}")
                        .with_context(|| format!("cannot write the log {}", log.display()))?;
                    see(&line);
                    lines.push(line);
                }
                Err(RecvTimeoutError::Timeout) => break false,
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        if !in_time {
            child.kill().context("cannot stop QEMU")?;
        }
        let status = child.wait().context("cannot wait for QEMU")?;
        drop(says);
        // It ends with QEMU's output; a panic in it only loses lines, which the judge misses.
        let _ = reader.join();
        if in_time && !status.success() {
            bail!("`{call}` ended with {status}; see {}", log.display());
        }
        let stopped = (!in_time).then(|| {
            if begin.elapsed() >= WHOLE {
                format!("it was not at its end after {} s", WHOLE.as_secs())
            } else {
                format!("it was silent for {} s", SILENCE.as_secs())
            }
        });
        Ok(Session { lines, stopped })
    }
}

/// A line of a serial terminal as text.
fn clean(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .to_owned()
}

/// Reads `QEMU emulator version 10.0.2 (…)`.
fn parse_major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("version ")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        let rows = [
            (
                "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright",
                Some(10),
            ),
            ("QEMU emulator version 7.2.17 (Debian 1:7.2)", Some(7)),
            ("QEMU emulator", None),
            ("version x.1", None),
            ("", None),
        ];
        for (text, major) in rows {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn an_unpacked_one_brings_its_libraries_and_firmware() {
        let emulator = Emulator {
            program: "/t/usr/bin/q".into(),
            tree: Some("/t".into()),
        };
        assert_eq!(
            emulator.call().to_string(),
            "LD_LIBRARY_PATH=/t/usr/lib/x86_64-linux-gnu:/t/lib/x86_64-linux-gnu /t/usr/bin/q \
             -L /t/usr/share/qemu -L /t/usr/share/seabios"
        );
    }

    #[test]
    fn composes_the_machine() {
        let emulator = Emulator {
            program: "qemu".into(),
            tree: None,
        };
        let line = emulator
            .machine(Path::new("/k"), Path::new("/i"), Path::new("/c"))
            .to_string();
        assert!(
            line.starts_with("qemu -M q35 -accel tcg,thread=multi -cpu max"),
            "{line}"
        );
        // The order of the lines is their number in the guest.
        assert!(line.contains("-serial file:/c -serial stdio"), "{line}");
        assert!(
            line.ends_with("-kernel /k -initrd /i -append 'console=ttyS0 panic=-1 quiet'"),
            "{line}"
        );
    }

    #[test]
    fn lines_lose_their_carriage_return() {
        assert_eq!(clean(b"ok\r\r"), "ok");
        assert_eq!(clean(b"a\rb\r"), "a\rb");
        assert_eq!(clean(b"\xff"), "\u{fffd}");
    }

    /// What a program that takes QEMU's place wrote, and how it ended.
    fn run(script: &str) -> Result<Session> {
        let dir = std::env::temp_dir().join(format!(
            "xtask-emulator-{}-{}",
            std::process::id(),
            script.len()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let program = dir.join("qemu");
        // By a process that ends: a program that a fork of ours still has open for writing cannot
        // be executed.
        Invocation::new("sh")
            .args([
                "-c",
                r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#,
                "sh",
            ])
            .arg(script)
            .arg(&program)
            .read()
            .unwrap();
        let emulator = Emulator {
            program,
            tree: None,
        };
        let nothing = Path::new("/nonexistent");
        let result = emulator.run(nothing, nothing, nothing, &dir.join("log"), |_| {});
        std::fs::remove_dir_all(&dir).unwrap();
        result
    }

    #[test]
    fn what_the_machine_wrote_is_kept() {
        let session = run(r"printf 'one\r\ntwo\r\nend'").unwrap();
        assert_eq!(session.lines, ["one", "two", "end"]);
        assert_eq!(session.stopped, None);
        let error = run("echo half; exit 3").unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
