//! Running other programs: what to run is a value, so that it can be shown and tested.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// Lines of a step's log that an error repeats.
const LOG_TAIL: usize = 20;

/// A program that showed its output ended with another status than 0.
#[derive(Debug)]
pub(crate) struct Ended {
    call: String,
    status: ExitStatus,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.call, self.status)
    }
}

impl std::error::Error for Ended {}

/// One call of a program: name, arguments and the environment set on top of ours.
///
/// `Display` gives the line to type in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
}

impl Invocation {
    /// A call of `program` without arguments.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
        }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable for the call.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the folder the call starts in.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// The same call, run by the program and first arguments `outer`.
    pub(crate) fn under<A: AsRef<OsStr>>(mut self, outer: &[A]) -> Self {
        let words = std::iter::once(self.program).chain(self.args);
        let mut all = outer.iter().map(OsString::from).chain(words);
        self.program = all.next().unwrap_or_default();
        self.args = all.collect();
        self
    }

    /// The call as the standard library runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Runs with our own output streams.
    ///
    /// # Errors
    /// When the program cannot be started or ends with another status than 0.
    pub(crate) fn run(&self) -> Result<()> {
        let status = self
            .command()
            .stdin(Stdio::null())
            .status()
            .with_context(|| self.not_started())?;
        self.ended(status)
    }

    /// Runs without showing anything and returns what it wrote.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn output(&self) -> Result<Output> {
        self.command()
            .stdin(Stdio::null())
            .output()
            .with_context(|| self.not_started())
    }

    /// Runs without showing anything and returns its standard output.
    ///
    /// # Errors
    /// When the program cannot be started or ends with another status than 0; the error carries
    /// what it wrote to standard error.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{self}` ended with {}: {}", output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs with our own standard error and returns its standard output.
    ///
    /// # Errors
    /// When the program cannot be started or ends with another status than 0.
    pub(crate) fn output_shown(&self) -> Result<String> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| self.not_started())?;
        if !output.status.success() {
            bail!("`{self}` ended with {}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs with both output streams appended to `log`.
    ///
    /// # Errors
    /// When the program cannot be started or ends with another status than 0; the error shows the
    /// last lines of the log.
    pub(crate) fn run_logged(&self, log: &Path) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        writeln!(file, "$ {self}")?;
        let status = self
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .with_context(|| self.not_started())?;
        if !status.success() {
            let text = std::fs::read(log).unwrap_or_default();
            bail!(
                "`{self}` ended with {status}; the end of {}:\n{}",
                log.display(),
                tail(&String::from_utf8_lossy(&text), LOG_TAIL)
            );
        }
        Ok(())
    }

    /// Runs while passing each line of its standard output both to ours and to `see`.
    ///
    /// # Errors
    /// When the program cannot be started or ends with another status than 0.
    pub(crate) fn run_watched(&self, mut see: impl FnMut(&str)) -> Result<()> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| self.not_started())?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.with_context(|| format!("cannot read the output of `{self}`"))?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                see(&line);
            }
        }
        let status = child.wait().with_context(|| self.not_started())?;
        self.ended(status)
    }

    fn ended(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        Err(anyhow!(Ended {
            call: self.to_string(),
            status,
        }))
    }

    fn not_started(&self) -> String {
        format!("cannot run `{}`", self.program.display())
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.display(), quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^~".contains(c);
    // A tilde is plain only inside a word: at the start the shell replaces it.
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(plain) {
        return text.into_owned();
    }
    // A control character (cargo separates encoded flags by 0x1f) is shown as a space.
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The last `lines` lines of `text`.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The folders searched for programs: those of `path` (as in `$PATH`), then the system's.
///
/// An unprivileged user's `$PATH` often lacks the `sbin` folders, where nginx and nft live.
pub(crate) fn search_dirs(path: &OsStr) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::split_paths(path).collect();
    for system in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !dirs.iter().any(|dir| dir == Path::new(system)) {
            dirs.push(PathBuf::from(system));
        }
    }
    dirs
}

/// The first executable called `name` in `dirs`.
pub(crate) fn find_program(name: &str, dirs: &[PathBuf]) -> Option<PathBuf> {
    dirs.iter()
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

/// Whether `path` is a file that somebody may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_to_type() {
        let rows = [
            (Invocation::new("apt-get").arg("update"), "apt-get update"),
            (
                Invocation::new("cargo").env("A", "x y").args(["--", ""]),
                "A='x y' cargo -- ''",
            ),
            (
                Invocation::new("echo").args(["it's", "~", "a~b"]),
                r"echo 'it'\''s' '~' a~b",
            ),
            (
                Invocation::new("cargo").env("F", "-Ca\x1f-Cb"),
                "F='-Ca -Cb' cargo",
            ),
            (
                Invocation::new("a")
                    .arg("b")
                    .env("E", "1")
                    .under(&["sh", "-c"]),
                "E=1 sh -c a b",
            ),
        ];
        for (invocation, line) in rows {
            assert_eq!(invocation.to_string(), line);
        }
    }

    #[test]
    fn tail_keeps_the_end() {
        for (text, lines, kept) in [
            ("a\nb\nc\n", 2, "b\nc"),
            ("a\nb", 2, "a\nb"),
            ("a", 2, "a"),
            ("", 2, ""),
        ] {
            assert_eq!(tail(text, lines), kept);
        }
    }

    #[test]
    fn search_adds_each_system_folder_once() {
        let dirs = search_dirs(OsStr::new("/a:/usr/sbin"));
        let dirs: Vec<_> = dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
        assert_eq!(dirs, ["/a", "/usr/sbin", "/usr/local/sbin", "/sbin"]);
    }

    #[test]
    fn programs_are_executable_files() {
        let dirs = [PathBuf::from("/nonexistent"), PathBuf::from("/bin")];
        assert_eq!(find_program("sh", &dirs), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("sh", &dirs[..1]), None);
        // A folder has execute bits too.
        assert_eq!(find_program("bin", &[PathBuf::from("/")]), None);
        assert!(!is_executable(Path::new("/etc/passwd")));
    }

    #[test]
    fn a_failing_program_is_named() {
        let failed = Invocation::new("false").read().unwrap_err().to_string();
        assert!(failed.contains("`false` ended with"), "{failed}");
        let absent = Invocation::new("/nonexistent/x")
            .read()
            .unwrap_err()
            .to_string();
        assert_eq!(absent, "cannot run `/nonexistent/x`");
    }

    #[test]
    fn watched_lines_arrive_even_when_not_utf8() {
        let mut seen = Vec::new();
        Invocation::new("printf")
            .arg(r"a\n\377\nend")
            .run_watched(|line| seen.push(line.to_owned()))
            .unwrap();
        assert_eq!(seen, ["a", "\u{fffd}", "end"]);
    }
}
