//! Names of the kernel's numbers: errno, signals, TCP flags.

use std::borrow::Cow;

macro_rules! named {
    ($number:expr, $prefix:literal, [$($name:ident),+ $(,)?]) => {
        match $number {
            $(libc::$name => Cow::Borrowed(stringify!($name)),)+
            number => Cow::Owned(format!(concat!($prefix, " {}"), number)),
        }
    };
}

/// `ECONNRESET`; `errno 999` for one that no TCP socket should have. `None` for 0.
#[must_use]
pub fn errno(number: u32) -> Option<Cow<'static, str>> {
    if number == 0 {
        return None;
    }
    let Ok(number) = i32::try_from(number) else {
        return Some(Cow::Owned(format!("errno {number}")));
    };
    let name = named!(
        number,
        "errno",
        [
            EPERM,
            EINTR,
            EIO,
            EAGAIN,
            ENOMEM,
            EACCES,
            EINVAL,
            EPIPE,
            EPROTO,
            EMSGSIZE,
            ENOPROTOOPT,
            EOPNOTSUPP,
            EADDRINUSE,
            EADDRNOTAVAIL,
            ENETDOWN,
            ENETUNREACH,
            ENETRESET,
            ECONNABORTED,
            ECONNRESET,
            ENOBUFS,
            EISCONN,
            ENOTCONN,
            ETIMEDOUT,
            ECONNREFUSED,
            EHOSTDOWN,
            EHOSTUNREACH,
            EINPROGRESS,
        ]
    );
    Some(name)
}

/// `SIGKILL`; `signal 40` for real-time signals.
#[must_use]
pub fn signal(number: u8) -> Cow<'static, str> {
    named!(
        i32::from(number),
        "signal",
        [
            SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
            SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP,
            SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH,
            SIGIO, SIGPWR, SIGSYS,
        ]
    )
}

/// `SYN|ACK`: the flags of a TCP header, lowest bit first; empty without any.
#[must_use]
pub fn tcp_flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<_> = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    set.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos() {
        for (number, name) in [
            (0, None),
            (104, Some("ECONNRESET")),
            (111, Some("ECONNREFUSED")),
            (110, Some("ETIMEDOUT")),
            (103, Some("ECONNABORTED")),
            (32, Some("EPIPE")),
            (999, Some("errno 999")),
            (u32::MAX, Some("errno 4294967295")),
        ] {
            assert_eq!(errno(number).as_deref(), name);
        }
    }

    #[test]
    fn signals() {
        for (number, name) in [
            (9, "SIGKILL"),
            (15, "SIGTERM"),
            (11, "SIGSEGV"),
            (40, "signal 40"),
        ] {
            assert_eq!(signal(number), name);
        }
    }

    #[test]
    fn flags() {
        for (flags, text) in [
            (0, ""),
            (2, "SYN"),
            (18, "SYN|ACK"),
            (24, "PSH|ACK"),
            (17, "FIN|ACK"),
            (255, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR"),
        ] {
            assert_eq!(tcp_flags(flags), text);
        }
    }
}
