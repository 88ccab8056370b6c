//! Programs that run beside a measurement, and what /proc says of them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::Invocation;

/// Longest time a program gets to be ready.
const READY: Duration = Duration::from_secs(30);
/// Longest time it gets to end.
const END: Duration = Duration::from_secs(20);
/// Between two signals to end.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK: Duration = Duration::from_micros(500);

/// A program of ours that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Starts `call`, whose diagnostics go to `log`, and whose output does too unless `piped`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub(crate) fn start(call: &Invocation, log: &Path, piped: bool) -> Result<Self> {
        let file =
            File::create(log).with_context(|| format!("cannot write the log {}", log.display()))?;
        let stdout = if piped {
            Stdio::piped()
        } else {
            file.try_clone()?.into()
        };
        let child = call
            .command()
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run `{call}`"))?;
        Ok(Self {
            child,
            name: call.to_string(),
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output, once, if it was started so.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its input, once.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it has written to its log.
    pub(crate) fn said(&self) -> String {
        let mut text = Vec::new();
        // An unreadable log has no text.
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until `is_ready`.
    ///
    /// # Errors
    /// When it ends before, or is not ready in time.
    pub(crate) fn wait_until(&mut self, mut is_ready: impl FnMut(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !is_ready(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "`{}` ended with {status}: {}",
                    self.name,
                    self.said().trim()
                );
            }
            if start.elapsed() > READY {
                bail!("`{}` is not ready: {}", self.name, self.said().trim());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Ends it by `signal` and returns its log.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(crate) fn stop(mut self, signal: Signal) -> Result<String> {
        let start = Instant::now();
        let mut asked = None;
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > END {
                bail!("`{}` does not end", self.name);
            }
            // Some lose a signal that meets them busy.
            if asked.is_none_or(|at: Instant| at.elapsed() > ASK_AGAIN) {
                // It may have ended meanwhile, which is what we want.
                let _ = kill_process(Pid::from_child(&self.child), signal);
                asked = Some(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self.said())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing can be done about a failure here.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The value of `key` in /proc/PID/status: kB or a count.
pub(crate) fn status_value(status: &str, key: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Resident memory of a process, MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status_value(&status, "VmRSS").context("no VmRSS in /proc/PID/status")?;
    Ok(to_f64(kib) / 1024.0)
}

/// Voluntary context switches of all threads of a process.
///
/// # Errors
/// When the process is gone.
pub(crate) fn voluntary_switches(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in Path::new(&format!("/proc/{pid}/task")).read_dir()? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        total += status_value(&status, "voluntary_ctxt_switches").unwrap_or(0);
    }
    Ok(total)
}

/// User and system time of a process so far, seconds.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat is not understood")?;
    Ok(to_f64(ticks) / to_f64(rustix::param::clock_ticks_per_second()))
}

/// `utime` and `stime` of /proc/PID/stat (`proc_pid_stat(5)`: fields 14 and 15; the name, field 2,
/// may contain spaces and parentheses).
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A count as a figure; counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_keys_match_as_a_whole() {
        let status = "Name:\tx\nVmRSS:\t   1234 kB\nvoluntary_ctxt_switches:\t7\n\
                      nonvoluntary_ctxt_switches:\t9\n";
        let rows = [
            ("VmRSS", Some(1234)),
            ("voluntary_ctxt_switches", Some(7)),
            ("VmRS", None),
            ("Name", None),
            ("VmSwap", None),
        ];
        for (key, expected) in rows {
            assert_eq!(status_value(status, key), expected, "{key}");
        }
    }

    #[test]
    fn cpu_time_survives_hostile_names() {
        let rest = "S 1 1 1 0 -1 4194560 100 0 0 0 11 22 0 0 20 0 1 0 5";
        for name in ["(sh)", "(a b)", "(a) R 1 (b)"] {
            assert_eq!(cpu_ticks(&format!("42 {name} {rest}")), Some(33), "{name}");
        }
        assert_eq!(cpu_ticks("42 (sh) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn a_program_that_fails_tells_why() {
        let log = std::env::temp_dir().join(format!("xtask-bg-{}", std::process::id()));
        let call = Invocation::new("sh").args(["-c", "echo broken >&2; exit 3"]);
        let mut program = Background::start(&call, &log, false).unwrap();
        let error = program.wait_until(|_| false).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
        std::fs::remove_file(log).unwrap();
    }
}
