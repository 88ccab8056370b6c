//! The agent's own process, as Prometheus' client libraries name it.

use procfs::process::{LimitValue, Process};

/// What the metrics `process_*` say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// User and system time of all threads, seconds.
    pub cpu_seconds: f64,
    /// When the process began, seconds since the Unix epoch.
    pub start_time_seconds: f64,
    /// Memory that is in RAM.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Open file descriptors; `None` where `/proc` does not show them.
    pub open_fds: Option<u64>,
    /// Most of them that are allowed; `None` for no limit.
    pub max_fds: Option<u64>,
}

impl Usage {
    /// Of this process.
    ///
    /// Errors: `/proc` is not mounted, or not readable.
    pub fn read() -> Result<Self, String> {
        let unreadable = |error| format!("this process cannot be looked up in /proc: {error}");
        let process = Process::myself().map_err(unreadable)?;
        let stat = process.stat().map_err(unreadable)?;
        let booted = procfs::boot_time_secs().map_err(unreadable)?;
        let max_fds = match process
            .limits()
            .map(|limits| limits.max_open_files.soft_limit)
        {
            Ok(LimitValue::Value(most)) => Some(most),
            Ok(LimitValue::Unlimited) | Err(_) => None,
        };
        Ok(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            start_time_seconds: seconds(booted * procfs::ticks_per_second() + stat.starttime),
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            open_fds: process.fd_count().ok().and_then(|fds| fds.try_into().ok()),
            max_fds,
        })
    }
}

/// Of clock ticks.
#[expect(
    clippy::cast_precision_loss,
    reason = "ticks since 1970 are far from 2^53"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn tells_of_this_process() {
        let held: Vec<_> = (0..20)
            .map(|_| std::fs::File::open("/dev/null").expect("a file"))
            .collect();
        let usage = Usage::read().expect("/proc");
        assert!(usage.open_fds.is_some_and(|open| open > 20), "{usage:?}");
        assert!(usage.max_fds.is_none_or(|most| most > 20), "{usage:?}");
        assert!(
            usage.resident_bytes > 100_000 && usage.virtual_bytes >= usage.resident_bytes,
            "{usage:?}"
        );
        drop(held);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs_f64();
        // The start is rounded to ticks, and the boot to seconds.
        assert!(
            usage.start_time_seconds <= now + 1.0 && usage.start_time_seconds > now - 86_400.0,
            "{usage:?} at {now}"
        );
    }

    #[test]
    fn ticks_become_seconds() {
        assert!((seconds(procfs::ticks_per_second() * 3) - 3.0).abs() < f64::EPSILON);
    }
}
