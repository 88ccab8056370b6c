//! How facts are put in words.

use std::borrow::Cow;
use std::time::Duration;

use crate::kernel::names;
use crate::kernel::observation::{Exit, Observation, Task};
use crate::text::counted;

/// A duration as short as it can be read: `0.3 ms`, `12 ms`, `75.0 s`.
pub(in crate::diagnosis) fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis >= 1000 {
        format!("{:.1} s", duration.as_secs_f64())
    } else if millis >= 10 || duration.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{millis} ms")
    } else {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    }
}

/// A duration measured in ticks, with its uncertainty where that matters.
pub(in crate::diagnosis) fn ticks(duration: Duration, o: &Observation) -> String {
    if duration < o.tick {
        format!("less than {}", span(o.tick))
    } else if duration < Duration::from_secs(1) {
        format!("{} (±{})", span(duration), span(o.tick))
    } else {
        span(duration)
    }
}

/// `1 byte`, `2 bytes`.
pub(in crate::diagnosis) fn bytes(count: impl Into<u64>) -> String {
    counted(count.into(), "byte")
}

/// `nginx (pid 12)`.
pub(in crate::diagnosis) fn who(task: &Task) -> String {
    format!("{} (pid {})", task.comm, task.pid)
}

/// `signal 9 (SIGKILL)` or `exit status 3`.
pub(in crate::diagnosis) fn how(exit: Exit) -> String {
    let signal = |number| match names::signal(number) {
        Cow::Borrowed(name) => format!("signal {number} ({name})"),
        Cow::Owned(number) => number,
    };
    match exit {
        Exit::Status(status) => format!("exit status {status}"),
        Exit::Signal(number) => signal(number),
        Exit::OutOfMemory => format!(
            "{}, because the kernel or the limit of its cgroup was out of memory",
            exit.signal().map_or_else(String::new, signal)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let table = [
            (Duration::from_micros(340), "0.3 ms"),
            (Duration::from_micros(9_940), "9.9 ms"),
            (Duration::from_millis(12), "12 ms"),
            (Duration::from_micros(999_900), "999 ms"),
            (Duration::from_secs(75), "75.0 s"),
        ];
        for (duration, text) in table {
            assert_eq!(span(duration), text);
        }
    }

    #[test]
    fn counts_and_exits() {
        assert_eq!(bytes(1_u32), "1 byte");
        assert_eq!(bytes(0_u64), "0 bytes");
        assert_eq!(how(Exit::Signal(9)), "signal 9 (SIGKILL)");
        assert_eq!(how(Exit::Signal(34)), "signal 34");
        assert_eq!(how(Exit::Status(3)), "exit status 3");
        assert_eq!(
            how(Exit::OutOfMemory),
            "signal 9 (SIGKILL), because the kernel or the limit of its cgroup was out of memory"
        );
    }
}
